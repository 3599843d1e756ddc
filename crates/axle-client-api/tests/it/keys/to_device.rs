//! Messages from device to device.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, next, server};

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

#[tokio::test]
async fn every_device_gets_its_own_copy() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let identifier = json!({"type": "m.id.user", "user": "bob"});
    let login = json!({"type": "m.login.password", "identifier": identifier, "password": "correct horse"});
    let login = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&login)).await.ok();
    let other = server.person_from(&login);
    send(&alice, "1", &bob, "*", "for both").await;
    send(&alice, "2", &bob, &other.device_id, "for one").await;
    // A client that has never synced has acknowledged nothing, however often it asks.
    for _ in 0..2 {
        assert_eq!(texts(&bob.sync("").await), ["for both"]);
        assert_eq!(texts(&other.sync("").await), ["for both", "for one"]);
    }
    let first = bob.sync("").await;
    assert!(texts(&bob.sync(&next(&first)).await).is_empty());
    assert_eq!(texts(&other.sync("").await), ["for both", "for one"], "the other has not acknowledged them");
}

#[tokio::test]
async fn an_answer_that_is_lost_in_the_middle_comes_again() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let start = next(&bob.sync("").await);
    for number in 0..150 {
        send(&alice, &number.to_string(), &bob, "*", &number.to_string()).await;
    }
    let first = bob.sync(&start).await;
    let second = bob.sync(&next(&first)).await;
    assert_eq!((texts(&first).len(), texts(&second).len()), (100, 50));
    assert_eq!(texts(&bob.sync(&next(&first)).await), texts(&second));
    // The first hundred were acknowledged.
    assert_eq!(texts(&bob.sync(&start).await), texts(&second));
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_nothing_is_sent() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let path = "/_matrix/client/v3/sendToDevice/m.test/1";
    for (content, status, errcode) in
        [(json!("text"), 400, "M_BAD_JSON"), (json!({"body": "x".repeat(64 * 1024)}), 413, "M_TOO_LARGE")]
    {
        let messages = json!({bob.user_id.as_str(): {"A": {"body": "good"}, "*": content}});
        alice.put(path, json!({"messages": messages})).await.fails(status, errcode);
    }
    alice.put(path, json!({})).await.fails(400, "M_BAD_JSON");
    assert!(texts(&bob.sync("").await).is_empty());
    // None of these has used up the transaction.
    send(&alice, "1", &bob, "*", "good").await;
    assert_eq!(texts(&bob.sync("").await), ["good"]);
}
