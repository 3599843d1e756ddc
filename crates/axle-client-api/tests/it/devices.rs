//! A user's devices: names, when they were seen, and removing them.

use reqwest::Method;
use ruma::api::client::device;
use serde_json::json;

use crate::common::{Person, as_ruma, server};

const DEVICES: &str = "/_matrix/client/v3/devices";
const DELETE_MANY: &str = "/_matrix/client/v3/delete_devices";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn publish_keys(person: &Person) {
    let id = format!("ed25519:{}", person.device_id);
    let keys = json!({
        "user_id": person.user_id, "device_id": person.device_id, "algorithms": [], "keys": {&id: "key"},
        "signatures": {person.user_id.as_str(): {&id: "c2lnbmF0dXJl"}},
    });
    person.post("/_matrix/client/v3/keys/upload", json!({"device_keys": keys})).await.ok();
}

#[tokio::test]
async fn a_device_is_renamed_by_its_user_only() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let of_alice = format!("{DEVICES}/{}", alice.device_id);
    publish_keys(&alice).await;
    let since = alice.now().await;
    alice.put(&of_alice, json!({"display_name": "Phone"})).await.ok();
    assert_eq!(alice.get(&of_alice).await.ok()["display_name"], "Phone");
    let news = alice.sync(&format!("since={since}")).await;
    assert_eq!(news["device_lists"]["changed"], json!([alice.user_id]), "names are told along with keys");
    alice.put(&of_alice, json!({})).await.ok();
    assert_eq!(alice.get(&of_alice).await.ok()["display_name"], "Phone");
    alice.put(&of_alice, json!({"display_name": "x".repeat(300)})).await.fails(400, "M_INVALID_PARAM");
    for body in [json!({"display_name": "Eve"}), json!({})] {
        bob.put(&of_alice, body).await.fails(404, "M_NOT_FOUND");
    }
    bob.get(&of_alice).await.fails(404, "M_NOT_FOUND");
    assert_eq!(alice.get(&of_alice).await.ok()["display_name"], "Phone");
}

#[tokio::test]
async fn a_user_learns_when_and_where_a_device_was_seen() {
    let server = server().await;
    let alice = server.person("alice").await;
    let devices = alice.get(DEVICES).await.ok();
    as_ruma::<device::get_devices::v3::Response>(&devices);
    assert_eq!(devices["devices"][0]["last_seen_ip"], "127.0.0.1");
    let first = devices["devices"][0]["last_seen_ts"].as_u64().unwrap();
    assert!(first > 1_500_000_000_000, "{first}");
    let idle = alice.log_in_again(json!({"device_id": "IDLE"})).await;
    let seen =
        async || alice.get(&format!("{DEVICES}/{}", idle.device_id)).await.ok()["last_seen_ts"].as_u64().unwrap();
    let logged_in = seen().await;
    assert!(logged_in >= first);
    while seen().await == logged_in {
        idle.get(WHOAMI).await.ok();
    }
}

#[tokio::test]
async fn a_device_is_removed_with_the_password_and_takes_everything_with_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    let lost = alice.log_in_again(json!({"device_id": "LOST"})).await;
    publish_keys(&lost).await;
    let to_lost = json!({"messages": {alice.user_id.as_str(): {"LOST": {"body": "x"}}}});
    alice.put("/_matrix/client/v3/sendToDevice/m.test/1", to_lost).await.ok();
    let path = format!("{DEVICES}/LOST");
    let challenge = alice.request(Method::DELETE, &path, None).await;
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.body["flows"], json!([{"stages": ["m.login.password"]}]));
    assert_eq!(challenge.body["completed"], json!([]));
    let mut proof = alice.proof("wrong horse");
    proof["session"] = challenge.body["session"].clone();
    alice.delete(&path, json!({"auth": proof})).await.fails(401, "M_FORBIDDEN");
    lost.get(WHOAMI).await.ok();
    let since = alice.now().await;
    proof["password"] = json!("correct horse");
    alice.delete(&path, json!({"auth": proof})).await.ok();
    lost.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    assert_eq!(alice.device_ids().await, [alice.device_id.as_str()]);
    let news = alice.sync(&format!("since={since}")).await;
    assert_eq!(news["device_lists"]["changed"], json!([alice.user_id]));
    let query = json!({"device_keys": {alice.user_id.as_str(): []}});
    let keys = alice.post("/_matrix/client/v3/keys/query", query).await.ok();
    assert!(keys["device_keys"][alice.user_id.as_str()].get("LOST").is_none(), "{keys}");
    let again = alice.log_in_again(json!({"device_id": "LOST"})).await;
    let messages = again.sync("").await["to_device"].clone();
    assert!(messages.get("events").is_none_or(|events| events == &json!([])), "{messages}");
}

#[tokio::test]
async fn several_devices_go_at_once_and_only_ones_own() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    for id in ["ONE", "TWO", "THREE"] {
        alice.log_in_again(json!({"device_id": id})).await;
    }
    assert_eq!(alice.post(DELETE_MANY, json!({"devices": ["ONE"]})).await.status, 401);
    let body = json!({"devices": ["ONE", "TWO", "NOSUCH", bob.device_id], "auth": alice.proof("correct horse")});
    alice.post(DELETE_MANY, body).await.ok();
    assert_eq!(alice.device_ids().await.len(), 2);
    assert!(alice.device_ids().await.contains(&"THREE".to_owned()));
    assert_eq!(bob.device_ids().await, [bob.device_id.as_str()]);
    // Nobody can prove to be somebody else.
    let body = json!({"devices": [bob.device_id], "auth": alice.proof("correct horse")});
    bob.post(DELETE_MANY, body).await.fails(403, "M_FORBIDDEN");
    bob.get(WHOAMI).await.ok();
}

#[tokio::test]
async fn older_clients_name_the_user_of_a_password_otherwise() {
    let server = server().await;
    let alice = server.person("alice").await;
    for (id, user) in [("ONE", "alice"), ("TWO", alice.user_id.as_str())] {
        alice.log_in_again(json!({"device_id": id})).await;
        let auth = |password: &str| json!({"type": "m.login.password", "user": user, "password": password});
        let body = |password: &str| json!({"devices": [id], "auth": auth(password)});
        alice.post(DELETE_MANY, body("wrong horse")).await.fails(401, "M_FORBIDDEN");
        alice.post(DELETE_MANY, body("correct horse")).await.ok();
    }
    assert_eq!(alice.device_ids().await, [alice.device_id.as_str()]);
    let nobody = json!({"devices": ["X"], "auth": {"type": "m.login.password", "password": "correct horse"}});
    alice.post(DELETE_MANY, nobody).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_session_of_authentication_is_good_for_the_devices_that_it_was_begun_for() {
    let server = server().await;
    let alice = server.person("alice").await;
    for id in ["ONE", "TWO"] {
        alice.log_in_again(json!({"device_id": id})).await;
    }
    let challenge = alice.delete(&format!("{DEVICES}/ONE"), json!({})).await;
    let mut proof = alice.proof("correct horse");
    proof["session"] = challenge.body["session"].clone();
    alice.delete(&format!("{DEVICES}/TWO"), json!({"auth": proof})).await.fails(403, "M_FORBIDDEN");
    let password = json!({"auth": proof, "new_password": "battery staple"});
    alice.post("/_matrix/client/v3/account/password", password).await.fails(403, "M_FORBIDDEN");
    assert_eq!(alice.device_ids().await.len(), 3);
    alice.delete(&format!("{DEVICES}/ONE"), json!({"auth": proof})).await.ok();
    assert_eq!(alice.device_ids().await.len(), 2);
}

#[tokio::test]
async fn a_sync_of_a_removed_device_ends() {
    let server = server().await;
    let alice = server.person("alice").await;
    let lost = alice.log_in_again(json!({"device_id": "LOST"})).await;
    let path = format!("/_matrix/client/v3/sync?since={}&timeout=60000", lost.now().await);
    let waiting = tokio::spawn(async move { lost.get(&path).await });
    while !server.rooms.is_waited_for() {
        tokio::task::yield_now().await;
    }
    let body = json!({"devices": ["LOST"], "auth": alice.proof("correct horse")});
    alice.post(DELETE_MANY, body).await.ok();
    waiting.await.unwrap().fails(401, "M_UNKNOWN_TOKEN");
}
