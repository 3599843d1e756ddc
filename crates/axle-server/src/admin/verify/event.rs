//! An event by itself: form, id, hashes, signatures, and what redacted it.

use axle_protocol::Event;
use axle_protocol::event::Verification;
use axle_protocol::signing::SignatureStatus;
use axle_store::{Store, StoreError, StoredEvent};

use super::VerifyReport;
use super::keys::Keys;

/// Checks an event. `None` if it cannot be read.
pub(super) async fn verify(
    store: &dyn Store,
    stored: &StoredEvent,
    keys: &mut Keys<'_>,
    report: &mut VerifyReport,
) -> Result<Option<Event>, StoreError> {
    report.events += 1;
    let mut problem = |text: String| report.add(Some(&stored.room_id), Some(&stored.event_id), text);
    let event = match Event::parse(stored.json.as_bytes(), stored.room_version) {
        Ok(event) => event,
        Err(error) => {
            problem(format!("it cannot be read: {error}"));
            return Ok(None);
        }
    };
    if *event.event_id() != stored.event_id {
        problem(format!("its content gives the id {}", event.event_id()));
    }
    if *event.room_id() != stored.room_id {
        problem(format!("it belongs to the room {}", event.room_id()));
    }
    if let Some(by) = &stored.redacted_by
        && !store.event(by).await?.is_some_and(|by| redacts(&by, stored))
    {
        problem(format!("it is marked as redacted by {by}, which does not redact it"));
    }
    for needed in event.required_signatures() {
        keys.load(&needed.server).await?;
    }
    judge(&event, event.verify(keys), problem);
    Ok(Some(event))
}

fn redacts(redaction: &StoredEvent, target: &StoredEvent) -> bool {
    let event = Event::parse(redaction.json.as_bytes(), redaction.room_version);
    redaction.room_id == target.room_id && event.is_ok_and(|event| event.redacts().as_ref() == Some(&target.event_id))
}

fn judge(event: &Event, verification: Verification, mut problem: impl FnMut(String)) {
    // Of an event whose content did not fit its hash when it came, only the redacted copy was kept.
    let kept_redacted = || event.redacted().json() == event.json();
    if !verification.hashes.all_match() && !kept_redacted() {
        problem("its content does not fit its hash".into());
    }
    for (needed, status) in verification.signatures {
        let server = &needed.server;
        match status {
            SignatureStatus::Ok => {}
            SignatureStatus::Bad => problem(format!("the signature of {server} is wrong")),
            SignatureStatus::Missing => problem(format!("the signature of {server} is missing")),
            SignatureStatus::UnknownKey => problem(format!("the key that {server} signed with is not known")),
        }
    }
}
