//! `PUT /send`: the envelope, transaction ids, one transaction at a time.

use std::sync::Arc;

use axle_federation::TransactionOutcome;
use axle_protocol::MatrixError;
use serde_json::{Value, json};

use super::world::{HUB, UNSTABLE, World};
use crate::support::{Answer, Ask, key};

fn path(txn_id: &str) -> String {
    format!("/_matrix/federation/v2/send/{txn_id}")
}

fn body(n: u32) -> Value {
    json!({"pdus": [{"n": n}]})
}

/// Waits until so many calls have reached the service.
async fn until_called(world: &World, count: usize) {
    while world.service.count() < count {
        tokio::task::yield_now().await;
    }
}

/// Sends a transaction in the background.
fn start(world: &Arc<World>, txn_id: &str, n: u32) -> tokio::task::JoinHandle<Answer> {
    let (world, path) = (world.clone(), path(txn_id));
    tokio::spawn(async move { world.call("PUT", &path, &body(n)).await })
}

#[tokio::test]
async fn events_reach_the_service_as_they_are() {
    let world = World::new().await;
    // Not in canonical form: the bytes of an event stay what they were.
    let text = r#"{ "edus":[{"edu_type":"m.x","content":{}},7], "pdus":[ {"b":1.50, "a":"\u00e9"} ,null,3] }"#;
    for path in [path("1"), format!("{UNSTABLE}/send/2"), "/_matrix/federation/v1/send/3".into()] {
        let answer = world.send(Ask::with("PUT", &path, text).signed()).await.ok();
        assert_eq!(answer, json!({"failed_pdus": {}}));
        let expected = r#"transaction a.test [{"b":1.50, "a":"\u00e9"},null,3]"#;
        assert_eq!(world.service.calls(), [expected]);
    }
}

#[tokio::test]
async fn edus_of_known_types_reach_the_users() {
    let world = World::new().await;
    let typing = |user: &str| {
        let content = json!({"room_id": "!r:hub.test", "user_id": user, "typing": true});
        json!({"edu_type": "m.typing", "content": content})
    };
    let message = json!({"target": "@a:hub.test", "target_device": "A", "message_type": "m.x", "message": {}});
    let message = json!({"type": "m.direct_to_device", "sender": "@u:a.test", "content": message});
    let edus =
        json!([typing("@u:a.test"), typing("@u:b.test"), {"edu_type": "m.unknown", "content": {}}, message, null]);
    world.call("PUT", &path("1"), &json!({"pdus": [], "edus": edus})).await.ok();
    // What is kept comes before the events, what is not after them.
    assert_eq!(world.service.calls(), ["edus a.test to-device", "transaction a.test []", "edus a.test typing"]);
    // What cannot be kept is to be sent again.
    world.service.refuse(MatrixError::unknown("The disk is full."));
    world.call("PUT", &path("2"), &json!({"pdus": [], "edus": edus})).await.fails(500, "M_UNKNOWN");
}

#[tokio::test]
async fn failures_are_told_by_event() {
    let world = World::new().await;
    let failed_pdus = [("$a".to_owned(), "no \"really\" é".to_owned())].into();
    world.service.set_outcome(TransactionOutcome { failed_pdus });
    let answer = world.call("PUT", &path("1"), &body(1)).await.ok();
    assert_eq!(answer, json!({"failed_pdus": {"$a": {"error": "no \"really\" é"}}}));
}

#[tokio::test]
async fn at_most_50_events_and_100_edus() {
    let world = World::new().await;
    let many = |pdus: usize, edus: usize| json!({"pdus": vec![json!({}); pdus], "edus": vec![json!({}); edus]});
    world.call("PUT", &path("1"), &many(50, 100)).await.ok();
    assert_eq!(world.service.calls().len(), 1);
    world.call("PUT", &path("2"), &many(51, 0)).await.fails(400, "M_BAD_JSON");
    world.call("PUT", &path("3"), &many(0, 101)).await.fails(400, "M_BAD_JSON");
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn a_transaction_id_has_at_most_255_bytes() {
    let world = World::new().await;
    world.call("PUT", &path(&"t".repeat(255)), &body(1)).await.ok();
    world.call("PUT", &path(&"t".repeat(256)), &body(1)).await.fails(400, "M_INVALID_PARAM");
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_repeated_transaction_is_answered_and_not_processed_again() {
    let world = World::new().await;
    world.service.set_outcome(TransactionOutcome { failed_pdus: [("$a".to_owned(), "no".to_owned())].into() });
    let first = world.call("PUT", &path("t"), &body(1)).await.ok();
    world.service.set_outcome(TransactionOutcome::default());
    assert_eq!(world.call("PUT", &path("t"), &body(1)).await.ok(), first);
    // Whatever it holds now: an id stands for one transaction.
    assert_eq!(world.call("PUT", &path("t"), &body(2)).await.ok(), first);
    assert_eq!(world.service.calls().len(), 1);
    // Another server's transaction of the same id is another one.
    let other = Ask::with("PUT", &path("t"), body(3).to_string()).signed_by("b.test", HUB, &key(3));
    assert_eq!(world.send(other).await.ok(), json!({"failed_pdus": {}}));
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn a_failure_of_ours_is_not_remembered() {
    let world = World::new().await;
    world.service.refuse(MatrixError::unknown("The disk is full."));
    world.call("PUT", &path("t"), &body(1)).await.fails(500, "M_UNKNOWN");
    world.call("PUT", &path("t"), &body(1)).await.fails(500, "M_UNKNOWN");
    assert_eq!(world.service.calls().len(), 2);
}

#[tokio::test]
async fn the_same_transaction_while_it_is_in_work() {
    let world = Arc::new(World::new().await);
    let gate = world.service.close_gate();
    let (first, second) = (start(&world, "t", 1), start(&world, "t", 1));
    until_called(&world, 1).await;
    gate.add_permits(1);
    let (first, second) = (first.await.unwrap().ok(), second.await.unwrap().ok());
    assert_eq!(first, second);
    assert_eq!(world.service.calls().len(), 1);
}

#[tokio::test]
async fn another_transaction_while_one_is_in_work() {
    let world = Arc::new(World::new().await);
    let gate = world.service.close_gate();
    let first = start(&world, "1", 1);
    until_called(&world, 1).await;
    world.call("PUT", &path("2"), &body(2)).await.fails(400, "M_BAD_STATE");
    assert_eq!(world.service.count(), 1, "it was not processed");
    // Others have nothing to do with it.
    let other = Ask::with("PUT", &path("2"), body(3).to_string()).signed_by("b.test", HUB, &key(3));
    let other = tokio::spawn({
        let world = world.clone();
        async move { world.send(other).await }
    });
    until_called(&world, 2).await;
    gate.add_permits(2);
    first.await.unwrap().ok();
    other.await.unwrap().ok();
    gate.add_permits(1);
    world.call("PUT", &path("2"), &body(2)).await.ok();
}

#[tokio::test]
async fn a_transaction_goes_on_when_its_sender_has_gone() {
    let world = Arc::new(World::new().await);
    let gate = world.service.close_gate();
    let gone = start(&world, "t", 1);
    until_called(&world, 1).await;
    gone.abort();
    let _ = gone.await;
    gate.add_permits(1);
    world.call("PUT", &path("t"), &body(1)).await.ok();
    assert_eq!(world.service.calls().len(), 1);
}
