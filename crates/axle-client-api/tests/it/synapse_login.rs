//! Administrators who act as users, as Synapse's tools do it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::common::{Person, server, two_in_a_room, until_waiting};
use crate::synapse::admin;

const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn path(user_id: &str) -> String {
    format!("/_synapse/admin/v1/users/{user_id}/login")
}

/// The user, by a token of an administrator.
async fn act_as(root: &Person, user: &Person, body: Value) -> Person {
    let answer = root.post(&path(user.user_id.as_str()), body).await.ok();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    Person { token: answer["access_token"].as_str().unwrap().into(), device_id: String::new(), ..user.clone() }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn an_administrator_acts_as_a_user_who_sees_nothing_of_it() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let puppet = act_as(&root, &bob, json!({})).await;
    assert_eq!(puppet.get(WHOAMI).await.ok(), json!({"user_id": "@bob:example.org"}));
    puppet.say(&room, "hello").await;
    assert_eq!(alice.texts(&room, "dir=b&limit=1").await, ["hello"]);
    assert!(puppet.sync("").await["rooms"]["join"][room.as_str()].is_object());
    assert_eq!(bob.device_ids().await, [&*bob.device_id]);
    let keys = alice.post("/_matrix/client/v3/keys/query", json!({"device_keys": {"@bob:example.org": []}})).await.ok();
    assert!(keys["device_keys"]["@bob:example.org"].as_object().is_none_or(|devices| devices.is_empty()), "{keys}");

    // What belongs to a device is not to be had.
    let pusher = json!({
        "pushkey": "k", "app_id": "a", "kind": "http", "app_display_name": "a", "device_display_name": "d", "lang": "en",
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    });
    puppet.post("/_matrix/client/v3/pushers/set", pusher).await.fails(400, "M_MISSING_PARAM");
    puppet.post("/_matrix/client/v3/keys/upload", json!({})).await.fails(400, "M_MISSING_PARAM");
    puppet.post("/_matrix/client/v1/login/get_token", json!({})).await.fails(400, "M_MISSING_PARAM");
    // Nor does it make anybody an administrator.
    puppet.get("/_synapse/admin/v2/users").await.fails(403, "M_FORBIDDEN");

    // It ends by itself; the user stays logged in, and what they do does not end it.
    let second = act_as(&root, &bob, json!({})).await;
    puppet.post("/_matrix/client/v3/logout", json!({})).await.ok();
    puppet.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    bob.get(WHOAMI).await.ok();
    bob.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    second.get(WHOAMI).await.ok();
    root.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    second.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn it_ends_when_it_was_to_end_and_with_who_has_it() {
    let server = server().await;
    let root = admin(&server).await;
    let alice = server.person("alice").await;
    let ended = act_as(&root, &alice, json!({"valid_until_ms": now_ms() - 1})).await;
    ended.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    let good = act_as(&root, &alice, json!({"valid_until_ms": now_ms() + 3_600_000})).await;
    good.get(WHOAMI).await.ok();
    act_as(&root, &alice, json!({"valid_until_ms": null})).await.get(WHOAMI).await.ok();

    server.store.set_admin(&root.user_id, false).await.unwrap();
    good.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    server.store.set_admin(&root.user_id, true).await.unwrap();
    good.get(WHOAMI).await.ok();
    // A sync that waits ends with it.
    let since = good.now().await;
    let waits = async { good.get(&format!("/_matrix/client/v3/sync?since={since}&timeout=50000")).await };
    let ends = async {
        until_waiting(&server).await;
        good.post("/_matrix/client/v3/logout", json!({})).await.ok();
        server.rooms.wake();
    };
    let (woken, ()) = tokio::join!(waits, ends);
    woken.fails(401, "M_UNKNOWN_TOKEN");

    let last = act_as(&root, &alice, json!({})).await;
    let locked = axle_store::Standing { locked: true, ..axle_store::Standing::default() };
    server.store.set_standing(&alice.user_id, locked).await.unwrap();
    last.get(WHOAMI).await.fails(401, "M_USER_LOCKED");
    server.store.set_standing(&alice.user_id, axle_store::Standing::default()).await.unwrap();
    root.post("/_synapse/admin/v1/deactivate/@alice:example.org", json!({})).await.ok();
    last.get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn as_whom_one_cannot_act() {
    let server = server().await;
    let root = admin(&server).await;
    let alice = server.person("alice").await;
    root.post(&path("@root:example.org"), json!({})).await.fails(400, "M_UNKNOWN");
    root.post(&path("@nobody:example.org"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.post(&path("@carol:other.org"), json!({})).await.fails(400, "M_INVALID_PARAM");
    root.post(&path("@alice:example.org"), json!({"valid_until_ms": "soon"})).await.fails(400, "M_BAD_JSON");
    server.store.deactivate_user(&alice.user_id, false).await.unwrap();
    root.post(&path("@alice:example.org"), json!({})).await.fails(403, "M_USER_DEACTIVATED");
}
