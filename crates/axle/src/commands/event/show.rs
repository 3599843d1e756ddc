//! `axle event show`.

use axle_protocol::{Event, EventId, EventKind};
use serde::Serialize;

use super::lines::answer_each;
use crate::commands::Outcome;

/// The bytes behind an event's hashes and signatures, to compare with those of another implementation.
#[derive(Serialize)]
struct Shown<'a> {
    event_id: &'a EventId,
    kind: EventKind,
    canonical: &'a str,
    /// What the LPDU hash covers.
    lpdu_hash_input: Option<String>,
    /// What the participant signed.
    lpdu_signed: Option<String>,
    /// What the content hash covers.
    content_hash_input: Option<String>,
    /// What the hub signed, and the reference hash covers.
    pdu_signed: Option<String>,
}

pub(super) fn run() -> Outcome {
    Ok(answer_each(|line| {
        // `Serialize` borrows from the event, so the answer is made into JSON here.
        (serde_json::to_value(show(&line.event)).unwrap_or_default(), true)
    })?)
}

fn show(event: &Event) -> Shown<'_> {
    let finished = event.kind() == EventKind::Pdu;
    Shown {
        event_id: event.event_id(),
        kind: event.kind(),
        canonical: event.canonical_json(),
        lpdu_hash_input: event.lpdu_hash().map(|_| event.lpdu_hash_input()),
        lpdu_signed: event.redacted_lpdu_input(),
        content_hash_input: finished.then(|| event.content_hash_input()),
        pdu_signed: finished.then(|| event.redacted_input()),
    }
}
