//! Locked and suspended accounts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, TestServer, server, two_in_a_room, until_waiting};

const ADMIN: &str = "/_matrix/client/v1/admin";

async fn root(server: &TestServer) -> Person {
    let root = server.person("root").await;
    assert!(server.store.set_admin(&root.user_id, true).await.unwrap());
    root
}

async fn set(root: &Person, what: &str, whom: &Person, key: &str, on: bool) {
    let path = format!("{ADMIN}/{what}/{}", whom.user_id);
    assert_eq!(root.put(&path, json!({ key: on })).await.ok(), json!({ key: on }));
    assert_eq!(root.get(&path).await.ok(), json!({ key: on }));
}

#[tokio::test]
async fn it_is_for_administrators_and_others() {
    let server = server().await;
    let (root, alice) = (root(&server).await, server.person("alice").await);
    for (what, body) in [("lock", json!({"locked": true})), ("suspend", json!({"suspended": true}))] {
        for whom in ["@root:example.org", "@nobody:example.org"] {
            let path = format!("{ADMIN}/{what}/{whom}");
            alice.get(&path).await.fails(403, "M_FORBIDDEN");
            alice.put(&path, body.clone()).await.fails(403, "M_FORBIDDEN");
            server.anonymous(Method::PUT, &path, Some(&body)).await.fails(401, "M_MISSING_TOKEN");
        }
        root.put(&format!("{ADMIN}/{what}/@root:example.org"), body.clone()).await.fails(403, "M_FORBIDDEN");
        root.put(&format!("{ADMIN}/{what}/@nobody:example.org"), body.clone()).await.fails(404, "M_NOT_FOUND");
        root.get(&format!("{ADMIN}/{what}/@a:other.org")).await.fails(400, "M_INVALID_PARAM");
        root.put(&format!("{ADMIN}/{what}/{}", alice.user_id), json!({})).await.fails(400, "M_BAD_JSON");
    }
    let capabilities =
        async |who: &Person| who.get("/_matrix/client/v3/capabilities").await.ok()["capabilities"].clone();
    let offered = json!({"lock": true, "suspend": true});
    assert_eq!(capabilities(&root).await["m.account_moderation"], offered);
    assert_eq!(capabilities(&alice).await["m.account_moderation"], Value::Null);
}

#[tokio::test]
async fn a_locked_account_is_of_no_use_until_it_is_unlocked() {
    let server = server().await;
    let (root, alice) = (root(&server).await, server.person("alice").await);
    let since = alice.now().await;
    let waits = async { alice.get(&format!("/_matrix/client/v3/sync?since={since}&timeout=50000")).await };
    let lock = async {
        until_waiting(&server).await;
        set(&root, "lock", &alice, "locked", true).await;
    };
    let (woken, ()) = tokio::join!(waits, lock);
    woken.fails(401, "M_USER_LOCKED");
    for path in ["account/whoami", "sync", "devices", "pushrules/"] {
        let answer = alice.get(&format!("/_matrix/client/v3/{path}")).await;
        answer.fails(401, "M_USER_LOCKED");
        assert_eq!(answer.body["soft_logout"], true);
    }
    let login = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let log_in = async || server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&login)).await;
    log_in().await.fails(401, "M_USER_LOCKED");
    let wrong = json!({"type": "m.login.password", "user": "alice", "password": "wrong"});
    server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&wrong)).await.fails(403, "M_FORBIDDEN");

    set(&root, "lock", &alice, "locked", false).await;
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
    let other = server.person_from(&log_in().await.ok());
    // Synapse's way, and logging out is possible all the same.
    let path = format!("/_synapse/admin/v2/users/{}", alice.user_id);
    assert_eq!(root.put(&path, json!({"locked": true})).await.ok()["locked"], true);
    let listed = async |query: &str| root.get(&format!("/_synapse/admin/v2/users?{query}")).await.ok()["total"].clone();
    assert_eq!((listed("").await, listed("locked=true").await), (json!(1), json!(2)));
    other.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_USER_LOCKED");
    other.post("/_matrix/client/v3/logout", json!({})).await.ok();
    alice.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    alice.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_suspended_account_reads_and_leaves_and_nothing_else() {
    let server = server().await;
    let root = root(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    let (own, foreign) = (bob.say(&room, "mine").await, alice.say(&room, "hers").await);
    set(&root, "suspend", &bob, "suspended", true).await;

    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let profile = format!("/_matrix/client/v3/profile/{}", bob.user_id);
    let topic = json!({"topic": "x"});
    for (method, path, body) in [
        (Method::PUT, format!("{rooms}/send/m.room.message/1"), json!({"msgtype": "m.text", "body": "x"})),
        (Method::PUT, format!("{rooms}/send/m.room.message/2?org.matrix.msc4140.delay=1000"), json!({"body": "x"})),
        (Method::PUT, format!("{rooms}/state/m.room.topic"), topic),
        (Method::POST, format!("{rooms}/invite"), json!({"user_id": root.user_id})),
        (Method::POST, format!("{rooms}/kick"), json!({"user_id": alice.user_id})),
        (Method::POST, format!("{rooms}/upgrade"), json!({"new_version": "I.1"})),
        (Method::PUT, format!("{rooms}/redact/{foreign}/3"), json!({})),
        (Method::POST, "/_matrix/client/v3/createRoom".into(), json!({})),
        (Method::POST, format!("/_matrix/client/v3/join/{other}"), json!({})),
        (Method::POST, format!("/_matrix/client/v3/rooms/{other}/join"), json!({})),
        (Method::POST, format!("/_matrix/client/v3/knock/{other}"), json!({})),
        (Method::PUT, format!("{profile}/displayname"), json!({"displayname": "x"})),
        (Method::DELETE, format!("{profile}/avatar_url"), json!({})),
        (Method::PUT, format!("{profile}/m.tz"), json!({"m.tz": "UTC"})),
        (Method::PUT, "/_matrix/client/v3/directory/room/%23tea:example.org".into(), json!({"room_id": room})),
    ] {
        bob.request(method, &path, Some(&body)).await.fails(403, "M_USER_SUSPENDED");
    }
    assert_eq!(bob.texts(&room, "dir=b").await, ["hers", "mine"]);
    bob.redact(&room, &own).await;
    bob.put("/_matrix/client/v3/sendToDevice/m.test/1", json!({"messages": {}})).await.ok();
    bob.leave(&room).await.ok();
    let path = format!("/_synapse/admin/v1/suspend/{}", bob.user_id);
    let key = format!("user_{}_suspended", bob.user_id);
    assert_eq!(root.put(&path, json!({"suspend": false})).await.ok(), json!({ key: false }));
    bob.join(&room).await.ok();
}
