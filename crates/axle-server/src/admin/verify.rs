//! `axle admin verify`: every event of every room, as if it came from a stranger.

use std::collections::{HashMap, HashSet};

use axle_protocol::event::Verification;
use axle_protocol::signing::{KeySource, SignatureStatus};
use axle_protocol::{Event, EventId, KeyId, RoomId, ServerName, VerifyKey};
use axle_store::{Direction, StoredEvent};
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, failed};
use crate::key_file::SigningKeys;

/// Events read at once.
const PAGE: usize = 500;
/// Problems that are listed; all are counted.
const MAX_LISTED: usize = 1000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Rooms looked at.
    pub rooms: u64,
    /// Events looked at.
    pub events: u64,
    /// All problems.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Places where history was never received: no problem of the store, but what is told of.
    pub gaps: u64,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where; `None`: in the database as a whole.
    pub room_id: Option<RoomId>,
    /// In which event.
    pub event_id: Option<EventId>,
    /// What.
    pub problem: String,
}

/// Checks the database itself, then every room or this one.
pub(super) async fn verify(admin: &Admin, only: Option<RoomId>) -> Result<VerifyReport, AdminError> {
    let mut report = VerifyReport::default();
    for problem in admin.store.check().await.map_err(failed)? {
        report.add(None, None, problem);
    }
    let rooms = match only {
        Some(room_id) => vec![room_id],
        None => admin.store.rooms().await.map_err(failed)?.into_iter().map(|room| room.room_id).collect(),
    };
    let mut keys = Keys::new(admin)?;
    for room_id in rooms {
        if admin.store.load_room(&room_id).await.map_err(failed)?.is_none() {
            return Err(AdminError(format!("there is no room {room_id}")));
        }
        report.rooms += 1;
        verify_room(admin, &room_id, &mut keys, &mut report).await?;
    }
    Ok(report)
}

impl VerifyReport {
    fn add(&mut self, room_id: Option<&RoomId>, event_id: Option<&EventId>, problem: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < MAX_LISTED {
            let problem = problem.into();
            self.problems.push(Problem { room_id: room_id.cloned(), event_id: event_id.cloned(), problem });
        }
    }
}

async fn verify_room(
    admin: &Admin,
    room_id: &RoomId,
    keys: &mut Keys<'_>,
    report: &mut VerifyReport,
) -> Result<(), AdminError> {
    let mut walk = Walk { room_id, ids: HashSet::new(), last: None };
    let mut from = None;
    loop {
        let page = admin.store.timeline(room_id, from, Direction::Forward, PAGE).await.map_err(failed)?;
        let Some(last) = page.last().and_then(|event| event.position) else { break };
        for stored in &page {
            let Some(event) = verify_event(stored, keys, report).await? else { continue };
            walk.step(stored, &event, report);
        }
        if page.len() < PAGE {
            break;
        }
        from = Some(last + 1);
    }
    for stored in admin.store.current_state(room_id).await.map_err(failed)? {
        // State with a place in the room's order was looked at there.
        if stored.position.is_none() {
            verify_event(&stored, keys, report).await?;
        }
    }
    Ok(())
}

/// Walks along a room's order.
struct Walk<'a> {
    room_id: &'a RoomId,
    ids: HashSet<EventId>,
    last: Option<i64>,
}

impl Walk<'_> {
    /// Checks that the event follows from what stands before it.
    fn step(&mut self, stored: &StoredEvent, event: &Event, report: &mut VerifyReport) {
        let problem = |report: &mut VerifyReport, text: String| {
            report.add(Some(self.room_id), Some(&stored.event_id), text);
        };
        if event.room_id() != self.room_id {
            problem(report, format!("it belongs to the room {}", event.room_id()));
        }
        if let (Some(last), Some(position)) = (self.last, stored.position)
            && position <= last
        {
            problem(report, format!("its position {position} does not come after {last}"));
        }
        if self.last.is_some() && event.event_type() == "m.room.create" {
            problem(report, "a second create event, or not the first".into());
        }
        let missing = event.prev_events().iter().filter(|id| !self.ids.contains(*id)).count();
        let parents = event.prev_events().len();
        if self.last.is_some() && parents == 0 {
            problem(report, "it names no event before it".into());
        } else if missing > 0 {
            report.gaps += 1;
        }
        self.ids.insert(stored.event_id.clone());
        self.last = stored.position.or(self.last);
    }
}

/// Checks an event by itself: form, id, hashes, signatures.
async fn verify_event(
    stored: &StoredEvent,
    keys: &mut Keys<'_>,
    report: &mut VerifyReport,
) -> Result<Option<Event>, AdminError> {
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
    for needed in event.required_signatures() {
        keys.load(&needed.server).await?;
    }
    judge(&event, event.verify(keys), problem);
    Ok(Some(event))
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

/// Every key that was ever seen, loaded server by server.
struct Keys<'a> {
    admin: &'a Admin,
    known: HashMap<ServerName, HashMap<KeyId, (VerifyKey, i64)>>,
}

impl<'a> Keys<'a> {
    fn new(admin: &'a Admin) -> Result<Self, AdminError> {
        let own = SigningKeys::load(&admin.signing_keys).map_err(failed)?;
        let current = (own.current.id().clone(), (own.current.verify_key(), i64::MAX));
        let old = own.old.into_iter().map(|(id, old)| (id, (old.key, old.expired_ts)));
        let own = old.chain([current]).collect();
        Ok(Self { admin, known: HashMap::from([(admin.server_name.clone(), own)]) })
    }

    async fn load(&mut self, server: &ServerName) -> Result<(), AdminError> {
        if self.known.contains_key(server) {
            return Ok(());
        }
        let stored = self.admin.store.server_keys(server).await.map_err(failed)?;
        let keys = stored.into_iter().filter_map(|stored| {
            let until = stored.expired_ts.unwrap_or(stored.valid_until_ts);
            Some((stored.key_id, (VerifyKey::from_base64(&stored.key)?, until)))
        });
        self.known.insert(server.clone(), keys.collect());
        Ok(())
    }
}

impl KeySource for Keys<'_> {
    fn verify_key(&self, server: &ServerName, key: &KeyId, at_ts: i64) -> Option<VerifyKey> {
        let (key, until) = self.known.get(server)?.get(key)?;
        (at_ts <= *until).then(|| key.clone())
    }
}
