//! Who is there: told to those who share a room.

use ruma::api::client::presence::get_presence;
use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::{Value, json};

use crate::common::{Answer, Person, TestServer, as_ruma, config, next, server_with, two_in_a_room, until_waiting};

/// A sync that makes nobody online.
const UNSEEN: &str = "set_presence=offline";

async fn server() -> TestServer {
    let mut config = config();
    config.presence = true;
    server_with(config).await
}

fn status(person: &Person) -> String {
    format!("/_matrix/client/v3/presence/{}/status", person.user_id)
}

async fn set(person: &Person, presence: &str) -> Answer {
    person.put(&status(person), json!({"presence": presence})).await
}

async fn unseen(person: &Person, since: &Value) -> Value {
    person.sync(&format!("{UNSEEN}&{}", next(since))).await
}

/// (user, presence) of an answer.
fn told(sync: &Value) -> Vec<(&str, &str)> {
    let events = sync["presence"]["events"].as_array().unwrap().iter();
    events
        .map(|event| {
            assert_eq!(event["type"], "m.presence");
            (event["sender"].as_str().unwrap(), event["content"]["presence"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn who_shares_a_room_is_told() {
    let server = server().await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    let (first, elsewhere) = (alice.sync(UNSEEN).await, mallory.sync(UNSEEN).await);
    assert!(told(&first).is_empty());
    assert_eq!(alice.get(&status(&bob)).await.ok(), json!({"presence": "offline"}));
    bob.put(&status(&bob), json!({"presence": "online", "status_msg": "Tea"})).await.ok();
    let news = unseen(&alice, &first).await;
    as_ruma::<Response>(&news);
    assert_eq!(told(&news), [("@bob:example.org", "online")]);
    let content = &news["presence"]["events"][0]["content"];
    assert_eq!((&content["status_msg"], &content["currently_active"]), (&json!("Tea"), &json!(true)));
    assert!(content["last_active_ago"].is_u64());
    assert_eq!(news["rooms"]["join"], json!({}));
    let answer = alice.get(&status(&bob)).await.ok();
    as_ruma::<get_presence::v3::Response>(&answer);
    assert_eq!((&answer["presence"], &answer["status_msg"]), (&json!("online"), &json!("Tea")));
    // The same again is no news.
    bob.put(&status(&bob), json!({"presence": "online", "status_msg": "Tea"})).await.ok();
    assert!(told(&unseen(&alice, &news).await).is_empty());
    assert_eq!(told(&alice.sync(UNSEEN).await), [("@bob:example.org", "online")]);
    set(&bob, "unavailable").await.ok();
    let away = unseen(&alice, &news).await;
    assert_eq!(told(&away), [("@bob:example.org", "unavailable")]);
    assert!(away["presence"]["events"][0]["content"].get("status_msg").is_none());
    set(&bob, "offline").await.ok();
    assert_eq!(told(&unseen(&alice, &away).await), [("@bob:example.org", "offline")]);
    assert!(told(&alice.sync(UNSEEN).await).is_empty());
    assert!(told(&unseen(&mallory, &elsewhere).await).is_empty());
    mallory.get(&status(&bob)).await.fails(403, "M_FORBIDDEN");
    set(&mallory, "online").await.ok();
    assert_eq!(told(&mallory.sync("").await), [("@mallory:example.org", "online")], "one's own is told");
}

#[tokio::test]
async fn a_sync_makes_its_user_what_it_says() {
    let server = server().await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    let of_bob = async || alice.get(&status(&bob)).await.ok()["presence"].clone();
    bob.sync(UNSEEN).await;
    assert_eq!(of_bob().await, "offline");
    bob.sync("set_presence=unavailable").await;
    assert_eq!(of_bob().await, "unavailable");
    bob.sync("").await;
    assert_eq!(of_bob().await, "online");
    // Another device of his does not take him away.
    let phone = bob.log_in_again(json!({})).await;
    phone.sync(UNSEEN).await;
    assert_eq!(of_bob().await, "online");
    bob.sync("set_presence=something").await;
    assert_eq!(of_bob().await, "online");
    bob.sync(UNSEEN).await;
    assert_eq!(of_bob().await, "online", "what was said before still counts");
    set(&bob, "offline").await.ok();
    assert_eq!(of_bob().await, "offline");
    // In the way of the time before sync, there is no word for being unseen.
    bob.get("/_matrix/client/v3/events?timeout=0").await.ok();
    assert_eq!(of_bob().await, "online");
}

#[tokio::test]
async fn who_waits_is_told_and_the_filter_is_heeded() {
    let server = server().await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    let since = next(&alice.sync(UNSEEN).await);
    let waiting = tokio::spawn({
        let (alice, since) = (alice.clone(), since.clone());
        async move { alice.sync(&format!("{UNSEEN}&{since}&timeout=50000")).await }
    });
    until_waiting(&server).await;
    set(&bob, "online").await.ok();
    assert_eq!(told(&waiting.await.unwrap()), [("@bob:example.org", "online")]);
    let none = [json!({"types": []}), json!({"not_senders": [bob.user_id]}), json!({"senders": [alice.user_id]})];
    for filter in none.into_iter().chain([json!({"limit": 0})]) {
        let filter = json!({"presence": filter});
        assert!(told(&alice.sync(&format!("{UNSEEN}&{since}&filter={filter}")).await).is_empty());
    }
}

#[tokio::test]
async fn only_ones_own_can_be_set() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    alice.put(&status(&bob), json!({"presence": "online"})).await.fails(403, "M_FORBIDDEN");
    for wrong in [json!({}), json!({"presence": "asleep"}), json!({"presence": 7})] {
        alice.put(&status(&alice), wrong).await.fails(400, "M_BAD_JSON");
    }
    let long = json!({"presence": "online", "status_msg": "x".repeat(1025)});
    alice.put(&status(&alice), long).await.fails(413, "M_TOO_LARGE");
    assert_eq!(alice.get(&status(&alice)).await.ok(), json!({"presence": "offline"}));
}

#[tokio::test]
async fn where_it_is_off_nobody_is_told_anything() {
    let server = server_with(config()).await;
    let (alice, bob, _) = two_in_a_room(&server).await;
    set(&bob, "online").await.ok();
    bob.sync("").await;
    assert!(told(&alice.sync("").await).is_empty());
    assert_eq!(alice.get(&status(&bob)).await.ok(), json!({"presence": "offline"}));
}

#[tokio::test]
async fn who_comes_into_a_room_is_told_of_and_told() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let carol = server.person("carol").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    carol.join(&room).await.ok();
    // Each is there as their syncs say, and was so before the other looked for the last time.
    let (as_alice, as_bob) = ("set_presence=unavailable", "set_presence=online");
    alice.sync(as_alice).await;
    let at_bob = bob.sync(as_bob).await;
    let at_alice = alice.sync(as_alice).await;
    bob.join(&room).await.ok();
    let news = alice.sync(&format!("{as_alice}&{}", next(&at_alice))).await;
    assert!(told(&news).contains(&("@bob:example.org", "online")));
    let later = alice.sync(&format!("{as_alice}&{}", next(&news))).await;
    assert!(!told(&later).iter().any(|(sender, _)| *sender == "@bob:example.org"));
    let news = bob.sync(&format!("{as_bob}&{}", next(&at_bob))).await;
    assert!(told(&news).contains(&("@alice:example.org", "unavailable")));
    // Carol is not there, as far as anybody knows, since when ever.
    assert!(told(&news).contains(&("@carol:example.org", "offline")));
    let events = news["presence"]["events"].as_array().unwrap();
    let of_carol = events.iter().find(|event| event["sender"] == "@carol:example.org").unwrap();
    assert!(of_carol["content"].get("last_active_ago").is_none());
    as_ruma::<Response>(&news);
    let one = r#"filter={"presence":{"limit":1}}"#;
    let one = bob.sync(&format!("{as_bob}&{}&{one}", next(&at_bob))).await;
    assert_eq!(told(&one), [("@alice:example.org", "unavailable")], "who is there comes first");
    let later = bob.sync(&format!("{as_bob}&{}", next(&news))).await;
    assert!(told(&later).is_empty(), "that is told once");
    let nobody = r#"filter={"presence":{"not_senders":["@alice:example.org"]}}"#;
    let others = bob.sync(&format!("{as_bob}&{}&{nobody}", next(&at_bob))).await;
    assert!(!told(&others).iter().any(|(sender, _)| *sender == "@alice:example.org"));
}
