//! What is refused for good is set aside; everything else is tried again, the same under the same id.

use std::time::Duration;

use axle_federation::client::Timeouts;
use axle_store::Delivery as _;

use super::peer::{BAD_JSON, Peer, Reply, Seen, TAKE};
use super::world::{World, numbers, until};
use crate::support::{Ca, timeouts};

fn has(seen: &Seen, n: i64) -> bool {
    seen.pdus.iter().any(|pdu| pdu["n"] == n)
}

#[tokio::test]
async fn a_refused_event_is_found_and_set_aside() {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |_, seen| if has(seen, 4) { BAD_JSON } else { TAKE }).await;
    let world = World::new(&ca, &peer).await;
    for n in 1..=7 {
        world.queue(n).await;
    }
    world.until_delivered().await;
    until(async || world.parked().await == ["$4"]).await;
    let taken = peer.seen().into_iter().filter(|seen| !has(seen, 4));
    assert_eq!(taken.flat_map(|seen| numbers(&seen)).collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7], "each once, in order");
    // It was refused alone, twice at least, while the other server takes transactions.
    let alone = peer.seen().into_iter().filter(|seen| numbers(seen) == [4]).count();
    assert!(alone >= 2);
    world.queue(8).await;
    world.until_delivered().await;
}

#[tokio::test]
async fn a_server_that_refuses_everything_loses_nothing() {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |before, _| if before < 6 { BAD_JSON } else { TAKE }).await;
    let world = World::new(&ca, &peer).await;
    world.queue(1).await;
    world.queue(2).await;
    world.until_delivered().await;
    assert!(world.parked().await.is_empty());
    let seen = peer.seen();
    // Found out with a transaction without events, which it refuses, too.
    assert!(seen.iter().any(|seen| seen.pdus.is_empty()));
    let taken = seen.iter().skip(6).flat_map(numbers);
    assert_eq!(taken.collect::<Vec<_>>(), [1, 2]);
}

/// What is no refusal: the same transaction comes again until it is taken.
async fn comes_again(replies: &'static [Reply], timeouts: Timeouts) {
    let ca = Ca::new();
    let peer = Peer::start(&ca, |before, _| replies.get(before).cloned().unwrap_or(TAKE)).await;
    let world = World::with(&ca, &peer, timeouts).await;
    world.queue(1).await;
    peer.until(|seen| !seen.is_empty()).await;
    world.queue(2).await;
    world.until_delivered().await;
    let seen = peer.seen();
    let again = &seen[..=replies.len()];
    assert!(again.iter().all(|seen| *seen == again[0] && numbers(seen) == [1]), "{seen:#?}");
    assert_eq!(numbers(&seen[replies.len() + 1]), [2]);
    assert!(world.parked().await.is_empty());
    assert_eq!(peer.most_at_once(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_no_refusal() {
    const LIMITED: Reply = Reply::Refuse(429, r#"{"errcode":"M_LIMIT_EXCEEDED","error":"x","retry_after_ms":20}"#);
    comes_again(&[LIMITED; 4], timeouts()).await;
}

#[tokio::test]
async fn an_earlier_transaction_in_work_is_no_refusal() {
    const BUSY: Reply = Reply::Refuse(400, r#"{"errcode":"M_BAD_STATE","error":"x"}"#);
    comes_again(&[BUSY; 3], timeouts()).await;
}

#[tokio::test]
async fn silence_is_no_refusal() {
    let short = Timeouts { long_request: Duration::from_millis(700), ..timeouts() };
    comes_again(&[Reply::Hang, Reply::Hang, Reply::Hang], short).await;
}

#[tokio::test]
async fn what_is_about_us_or_the_moment_is_no_refusal() {
    const ANSWERS: [Reply; 4] = [
        Reply::Refuse(401, r#"{"errcode":"M_FORBIDDEN","error":"x"}"#),
        Reply::Refuse(403, r#"{"errcode":"M_FORBIDDEN","error":"x"}"#),
        Reply::Refuse(502, "<html>"),
        Reply::Refuse(503, "{}"),
    ];
    comes_again(&ANSWERS, timeouts()).await;
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_no_success() {
    comes_again(&[Reply::Take("<html>"), Reply::Take("{\"failed_pdus\":7}")], timeouts()).await;
}

#[tokio::test]
async fn failures_are_shown_to_the_operator_until_they_end() {
    let ca = Ca::new();
    const DOWN: Reply = Reply::Refuse(503, r#"{"errcode":"M_UNKNOWN","error":"maintenance"}"#);
    let peer = Peer::start(&ca, |before, _| if before < 3 { DOWN } else { TAKE }).await;
    let world = World::new(&ca, &peer).await;
    world.queue(1).await;
    let status = async || world.store.destinations().await.unwrap().remove(0);
    until(async || status().await.last_error.is_some_and(|error| error.contains("maintenance"))).await;
    assert!(status().await.failing_since.is_some());
    until(async || status().await.failing_since.is_none()).await;
    assert_eq!((status().await.pending, status().await.last_error), (0, None));
    assert_eq!(world.sender.counters().transactions_taken(), 1);
    assert_eq!(world.sender.counters().transactions_failed(), 3);
    assert_eq!(world.sender.counters().events_sent(), 1);
}
