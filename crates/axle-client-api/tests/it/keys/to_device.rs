//! Messages from device to device.

use serde_json::{Value, json};

use super::next;
use crate::common::{Person, server};

async fn send(from: &Person, txn: &str, to: &Person, device: &str, text: &str) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{txn}");
    from.put(&path, json!({"messages": {to.user_id.as_str(): {device: {"body": text}}}})).await.ok();
}

fn texts(sync: &Value) -> Vec<&str> {
    let events = sync["to_device"]["events"].as_array().unwrap().iter();
    events.map(|event| event["content"]["body"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn messages_stay_until_the_device_goes_on() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let start = next(&bob.sync("").await);
    send(&alice, "1", &bob, &bob.device_id, "one").await;
    send(&alice, "1", &bob, &bob.device_id, "a repetition").await;
    send(&alice, "2", &bob, "*", "two").await;
    send(&alice, "3", &bob, "NOSUCH", "for nobody").await;
    let first = bob.sync(&start).await;
    let event = json!({"type": "m.test", "sender": alice.user_id, "content": {"body": "one"}});
    assert_eq!(first["to_device"]["events"][0], event);
    assert_eq!(texts(&first), ["one", "two"]);
    assert_eq!(texts(&bob.sync(&start).await), ["one", "two"], "the answer may have been lost");
    assert!(texts(&bob.sync(&next(&first)).await).is_empty());
    assert!(texts(&bob.sync(&start).await).is_empty(), "it has them");
}

#[tokio::test]
async fn many_messages_come_in_several_answers() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let mut since = next(&bob.sync("").await);
    let sent: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    for text in &sent {
        send(&alice, text, &bob, "*", text).await;
    }
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let sync = bob.sync(&since).await;
        assert!(!texts(&sync).is_empty() && texts(&sync).len() <= 100);
        received.extend(texts(&sync).into_iter().map(str::to_owned));
        since = next(&sync);
    }
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_message_wakes_a_sync() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let query = format!("{}&timeout=30000", next(&bob.sync("").await));
    let waiting = tokio::spawn({
        let bob = bob.clone();
        async move { bob.sync(&query).await }
    });
    while !server.rooms.is_waited_for() {
        tokio::task::yield_now().await;
    }
    send(&alice, "1", &bob, "*", "wake up").await;
    assert_eq!(texts(&waiting.await.unwrap()), ["wake up"]);
}
