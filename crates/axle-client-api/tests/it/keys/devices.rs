//! Device keys, one-time keys, and who is told of them.

use serde_json::{Value, json};

use super::{KEYS, device_keys, publish, query};
use crate::common::rooms::Sent;
use crate::common::{next, server};

#[tokio::test]
async fn device_keys_are_published_with_the_name_of_the_device() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    publish(&alice, "one").await;
    let found = query(&bob, &alice).await;
    let device = &found["device_keys"][alice.user_id.as_str()][&alice.device_id];
    let mut expected = device_keys(&alice, "one");
    expected["unsigned"] = json!({"device_display_name": "test"});
    assert_eq!(device, &expected);
    for (field, value) in
        [("user_id", json!(bob.user_id)), ("device_id", json!("OTHER")), ("algorithms", json!("none"))]
    {
        let mut keys = device_keys(&alice, "two");
        keys[field] = value;
        let answer = alice.post(&format!("{KEYS}/upload"), json!({"device_keys": keys})).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.body);
    }
    assert_eq!(query(&bob, &alice).await, found);
    let body = json!({"device_keys": {"@x:other.example": [], "@nobody:example.org": []}});
    let strange = bob.post(&format!("{KEYS}/query"), body).await.ok();
    assert!(strange["failures"]["other.example"].is_object());
    assert_eq!(strange["device_keys"], json!({"@nobody:example.org": {}}));
}

#[tokio::test]
async fn one_time_keys_are_given_out_once() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let empty = alice.sync("").await;
    assert_eq!(empty["device_one_time_keys_count"], json!({"signed_curve25519": 0}));
    assert_eq!(empty["device_unused_fallback_key_types"], json!([]));
    let upload = json!({
        "one_time_keys": {"signed_curve25519:B": {"key": "1"}},
        "fallback_keys": {"signed_curve25519:F": {"key": "2", "fallback": true}},
        "org.matrix.msc2732.fallback_keys": {"signed_curve25519:F": {"key": "2", "fallback": true}},
    });
    let counts = alice.post(&format!("{KEYS}/upload"), upload.clone()).await.ok();
    assert_eq!(counts, json!({"one_time_key_counts": {"signed_curve25519": 1}}));
    alice.post(&format!("{KEYS}/upload"), upload).await.ok();
    let other = json!({"one_time_keys": {"signed_curve25519:B": {"key": "other"}}});
    alice.post(&format!("{KEYS}/upload"), other).await.fails(400, "M_UNKNOWN");
    let full = alice.sync("").await;
    assert_eq!(full["device_one_time_keys_count"], json!({"signed_curve25519": 1}));
    assert_eq!(full["device_unused_fallback_key_types"], json!(["signed_curve25519"]));
    let claim = json!({"one_time_keys": {alice.user_id.as_str(): {&alice.device_id: "signed_curve25519"}}});
    for expected in [
        json!({"signed_curve25519:B": {"key": "1"}}),
        json!({"signed_curve25519:F": {"key": "2", "fallback": true}}),
        json!({"signed_curve25519:F": {"key": "2", "fallback": true}}),
    ] {
        let claimed = bob.post(&format!("{KEYS}/claim"), claim.clone()).await.ok();
        assert_eq!(claimed["one_time_keys"][alice.user_id.as_str()][&alice.device_id], expected);
    }
    let used = alice.sync("").await;
    assert_eq!(used["device_one_time_keys_count"], json!({"signed_curve25519": 0}));
    assert_eq!(used["device_unused_fallback_key_types"], json!([]));
}

#[tokio::test]
async fn who_shares_a_room_hears_of_changes() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let carol = server.person("carol").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let first = alice.sync("").await;
    let (strangers, own) = (carol.sync("").await, json!([bob.user_id]));
    let outside = bob.sync("").await;
    let lists = |sync: &Value| (sync["device_lists"]["changed"].clone(), sync["device_lists"]["left"].clone());
    bob.join(&room).await.ok();
    let came = alice.sync(&next(&first)).await;
    assert_eq!(lists(&came), (own.clone(), json!([])));
    let inside = bob.sync(&next(&outside)).await;
    assert_eq!(lists(&inside), (json!([alice.user_id, bob.user_id]), json!([])), "who comes in looks at all of them");
    publish(&bob, "one").await;
    let published = alice.sync(&next(&came)).await;
    assert_eq!(lists(&published), (own.clone(), json!([])));
    alice.say(&room, "hello").await;
    let quiet = alice.sync(&next(&published)).await;
    assert_eq!(lists(&quiet), (json!([]), json!([])));
    bob.leave(&room).await.ok();
    let left = alice.sync(&next(&quiet)).await;
    assert_eq!(lists(&left), (json!([]), own.clone()));
    let query =
        format!("from={}&to={}", first["next_batch"].as_str().unwrap(), published["next_batch"].as_str().unwrap());
    bob.join(&room).await.ok();
    assert_eq!(alice.get(&format!("{KEYS}/changes?{query}")).await.ok()["changed"], own);
    let again = alice.sync("").await;
    bob.post("/_matrix/client/v3/logout", json!({})).await.ok();
    let gone = alice.sync(&next(&again)).await;
    assert_eq!(lists(&gone), (own, json!([])));
    assert_eq!(super::query(&alice, &bob).await["device_keys"][bob.user_id.as_str()], json!({}));
    assert_eq!(lists(&carol.sync(&next(&strangers)).await), (json!([]), json!([])));
}

#[tokio::test]
async fn clients_look_at_the_keys_of_who_is_invited() {
    let server = server().await;
    let (alice, bob, carol) = (server.person("alice").await, server.person("bob").await, server.person("carol").await);
    let room = alice.create_room(json!({"invite": [carol.user_id]})).await;
    let (inside, outside) = (alice.sync("").await, carol.sync("").await);
    alice.moderate("invite", &room, &bob.user_id).await.ok();
    let invited = alice.sync(&next(&inside)).await;
    assert_eq!(invited["device_lists"], json!({"changed": [bob.user_id], "left": []}));
    // Who is only invited, too, does not read along.
    assert_eq!(carol.sync(&next(&outside)).await["device_lists"], json!({"changed": [], "left": []}));
    alice.moderate("kick", &room, &bob.user_id).await.ok();
    let withdrawn = alice.sync(&next(&invited)).await;
    assert_eq!(withdrawn["device_lists"], json!({"changed": [], "left": []}));
}

#[tokio::test]
async fn who_went_and_came_back_may_have_other_keys() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let carol = axle_protocol::UserId::parse("@carol:other.org").unwrap();
    let says = async |content: Value| {
        let member = Sent { sender: &carol, event_type: "m.room.member", state_key: Some(carol.as_str()), content };
        server.rooms.append(&room, member).await;
    };
    says(json!({"membership": "join"})).await;
    let inside = alice.sync("").await;
    says(json!({"membership": "join", "displayname": "Carol"})).await;
    let renamed = alice.sync(&next(&inside)).await;
    assert_eq!(renamed["device_lists"]["changed"], json!([]));
    for content in
        [json!({"membership": "leave"}), json!({"membership": "join"}), json!({"membership": "join", "a": 1})]
    {
        says(content).await;
    }
    let back = alice.sync(&next(&renamed)).await;
    assert_eq!(back["device_lists"], json!({"changed": [carol], "left": []}));
}

#[tokio::test]
async fn one_time_keys_are_claimed_in_the_order_of_their_uploads() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    // Of one upload in the order of their ids.
    for ids in [["C", "B"], ["A", "D"]] {
        let keys = ids.map(|id| (format!("signed_curve25519:{id}"), json!({"key": id})));
        let keys: serde_json::Map<String, Value> = keys.into_iter().collect();
        alice.post(&format!("{KEYS}/upload"), json!({"one_time_keys": keys})).await.ok();
    }
    let other = json!({"one_time_keys": {"curve25519:X": "plain"}});
    let counts = alice.post(&format!("{KEYS}/upload"), other).await.ok();
    assert_eq!(counts["one_time_key_counts"], json!({"curve25519": 1, "signed_curve25519": 4}));
    let claim = json!({"one_time_keys": {alice.user_id.as_str(): {&alice.device_id: "signed_curve25519"}}});
    for (expected, left) in [("B", 3), ("C", 2), ("A", 1), ("D", 0)] {
        let claimed = bob.post(&format!("{KEYS}/claim"), claim.clone()).await.ok();
        let key = json!({format!("signed_curve25519:{expected}"): {"key": expected}});
        assert_eq!(claimed["one_time_keys"][alice.user_id.as_str()][&alice.device_id], key);
        let counts = alice.sync("").await["device_one_time_keys_count"].clone();
        assert_eq!(counts, json!({"curve25519": 1, "signed_curve25519": left}));
    }
    // Nothing is left, and nothing is said of devices and users that are not there.
    let mut nobody = claim.clone();
    nobody["one_time_keys"]["@nobody:example.org"] = json!({"X": "signed_curve25519"});
    let claimed = bob.post(&format!("{KEYS}/claim"), nobody).await.ok();
    assert_eq!(claimed, json!({"failures": {}, "one_time_keys": {}}));
}

#[tokio::test]
async fn a_fallback_key_is_unused_until_it_is_claimed_and_when_it_is_replaced() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let upload = async |id: &str, algorithm: &str| {
        let keys = json!({format!("{algorithm}:{id}"): {"key": id, "fallback": true}});
        alice.post(&format!("{KEYS}/upload"), json!({"fallback_keys": keys})).await.ok();
    };
    let unused = async || alice.sync("").await["device_unused_fallback_key_types"].clone();
    let claim = json!({"one_time_keys": {alice.user_id.as_str(): {&alice.device_id: "signed_curve25519"}}});
    upload("1", "signed_curve25519").await;
    upload("1", "x.other").await;
    assert_eq!(unused().await, json!(["signed_curve25519", "x.other"]));
    bob.post(&format!("{KEYS}/claim"), claim.clone()).await.ok();
    assert_eq!(unused().await, json!(["x.other"]));
    upload("1", "signed_curve25519").await;
    assert_eq!(unused().await, json!(["x.other"]), "the same key again is still used");
    upload("2", "signed_curve25519").await;
    assert_eq!(unused().await, json!(["signed_curve25519", "x.other"]));
    let claimed = bob.post(&format!("{KEYS}/claim"), claim).await.ok();
    let key = json!({"signed_curve25519:2": {"key": "2", "fallback": true}});
    assert_eq!(claimed["one_time_keys"][alice.user_id.as_str()][&alice.device_id], key);
}
