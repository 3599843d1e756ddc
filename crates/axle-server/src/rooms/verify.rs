//! Checks hashes and signatures of received events, off the threads that serve requests.

use std::sync::Arc;

use axle_protocol::Event;
use axle_protocol::signing::KeySource;
use axle_room::{Verified, VerifyError};

/// Up to this many are checked where they are: handing over costs more than it frees.
const INLINE: usize = 3;
/// Events of one unit of work: small enough to spread over cores, large enough to be worth a hand-over.
const CHUNK: usize = 16;

/// Checks events in parallel; outcomes in their order. `None`: the server is shutting down.
pub(crate) async fn check_all(
    events: Vec<Event>,
    keys: Arc<dyn KeySource + Send + Sync>,
) -> Option<Vec<Result<Verified, VerifyError>>> {
    if events.len() <= INLINE {
        return Some(check_here(events, &*keys));
    }
    let mut outcomes = Vec::with_capacity(events.len());
    let mut units = Vec::with_capacity(events.len().div_ceil(CHUNK));
    let mut events = events.into_iter();
    loop {
        let chunk: Vec<Event> = events.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        let keys = keys.clone();
        units.push(tokio::task::spawn_blocking(move || check_here(chunk, &*keys)));
    }
    for unit in units {
        outcomes.extend(unit.await.ok()?);
    }
    Some(outcomes)
}

fn check_here(events: Vec<Event>, keys: &dyn KeySource) -> Vec<Result<Verified, VerifyError>> {
    events.into_iter().map(|event| Verified::check(event, keys)).collect()
}
