//! Backups of room keys.

use reqwest::Method;
use ruma::api::client::backup::{
    add_backup_keys, create_backup_version, delete_backup_keys, get_backup_info, get_backup_keys,
    get_backup_keys_for_room, get_backup_keys_for_session, get_latest_backup_info,
};
use serde_json::{Map, Value, json};

use crate::common::{Person, as_ruma, server};

const VERSION: &str = "/_matrix/client/v3/room_keys/version";
const KEYS: &str = "/_matrix/client/v3/room_keys/keys";
const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

fn encryption(signature: &str) -> Value {
    let signatures = json!({"@alice:example.org": {"ed25519:X": signature}});
    json!({"algorithm": ALGORITHM, "auth_data": {"public_key": "YWJj", "signatures": signatures}})
}

/// A key whose text tells it from others.
fn key(text: &str) -> Value {
    json!({
        "first_message_index": 1, "forwarded_count": 0, "is_verified": true,
        "session_data": {"ephemeral": "YQ", "ciphertext": text, "mac": "Yg"},
    })
}

fn in_rooms(rooms: &[(&str, &[&str])]) -> Value {
    let sessions = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), key(id))).collect::<Map<_, _>>();
    let rooms = rooms.iter().map(|(room, ids)| ((*room).to_owned(), json!({"sessions": sessions(ids)})));
    json!({"rooms": rooms.collect::<Map<_, _>>()})
}

async fn create(person: &Person) -> String {
    let made = person.post(VERSION, encryption("one")).await.ok();
    as_ruma::<create_backup_version::v3::Response>(&made);
    made["version"].as_str().unwrap().to_owned()
}

async fn delete(person: &Person, path: &str) -> crate::common::Answer {
    person.request(Method::DELETE, path, None).await
}

/// (count, etag) of a backup.
async fn state(person: &Person, version: &str) -> (Value, Value) {
    changed(&person.get(&format!("{VERSION}/{version}")).await.ok())
}

fn changed(answer: &Value) -> (Value, Value) {
    assert!(answer["etag"].is_string() && answer["count"].is_u64(), "{answer}");
    (answer["count"].clone(), answer["etag"].clone())
}

#[tokio::test]
async fn versions_come_and_go() {
    let server = server().await;
    let alice = server.person("alice").await;
    alice.get(VERSION).await.fails(404, "M_NOT_FOUND");
    alice.get(&format!("{VERSION}/1")).await.fails(404, "M_NOT_FOUND");
    let one = create(&alice).await;
    let two = create(&alice).await;
    assert_ne!(one, two);
    let current = alice.get(VERSION).await.ok();
    as_ruma::<get_latest_backup_info::v3::Response>(&current);
    assert_eq!((&current["version"], &current["count"]), (&json!(two), &json!(0)));
    let first = alice.get(&format!("{VERSION}/{one}")).await.ok();
    as_ruma::<get_backup_info::v3::Response>(&first);
    assert_eq!((&first["version"], &first["auth_data"]), (&json!(one), &encryption("one")["auth_data"]));
    delete(&alice, &format!("{VERSION}/{two}")).await.ok();
    delete(&alice, &format!("{VERSION}/{two}")).await.ok();
    alice.get(&format!("{VERSION}/{two}")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(alice.get(VERSION).await.ok()["version"], json!(one));
    let three = create(&alice).await;
    assert!(three != one && three != two);
    for strange in ["9", "0", "-1", "01", "%2B1", "one", "99999999999999999999"] {
        let path = format!("{VERSION}/{strange}");
        alice.get(&path).await.fails(404, "M_NOT_FOUND");
        delete(&alice, &path).await.fails(404, "M_NOT_FOUND");
        alice.put(&path, encryption("two")).await.fails(404, "M_NOT_FOUND");
    }
    for bad in [json!({}), json!({"algorithm": ALGORITHM}), json!({"algorithm": ALGORITHM, "auth_data": []})] {
        alice.post(VERSION, bad).await.fails(400, "M_BAD_JSON");
    }
}

#[tokio::test]
async fn only_auth_data_can_be_changed() {
    let server = server().await;
    let alice = server.person("alice").await;
    let version = create(&alice).await;
    let path = format!("{VERSION}/{version}");
    alice.put(&format!("{KEYS}?version={version}"), in_rooms(&[("!r:example.org", &["s"])])).await.ok();
    let before = state(&alice, &version).await;
    let mut other = encryption("two");
    assert_eq!(alice.put(&path, other.clone()).await.ok(), json!({}));
    other["version"] = json!(version);
    alice.put(&path, other.clone()).await.ok();
    assert_eq!(alice.get(&path).await.ok()["auth_data"], other["auth_data"]);
    other["version"] = json!("77");
    alice.put(&path, other).await.fails(400, "M_INVALID_PARAM");
    let mut algorithm = encryption("three");
    algorithm["algorithm"] = json!("org.example.other");
    alice.put(&path, algorithm).await.fails(400, "M_INVALID_PARAM");
    assert_eq!(alice.get(&path).await.ok()["auth_data"], encryption("two")["auth_data"]);
    assert_eq!(state(&alice, &version).await, before, "no key has changed");
}

#[tokio::test]
async fn keys_go_to_the_current_version_only() {
    let server = server().await;
    let alice = server.person("alice").await;
    let all = in_rooms(&[("!r:example.org", &["s"])]);
    alice.put(&format!("{KEYS}?version=1"), all.clone()).await.fails(404, "M_NOT_FOUND");
    let (old, new) = (create(&alice).await, create(&alice).await);
    for wrong in [old.as_str(), "9", "x", ""] {
        for (path, body) in [
            (format!("{KEYS}?version={wrong}"), all.clone()),
            (format!("{KEYS}/!r:example.org?version={wrong}"), all["rooms"]["!r:example.org"].clone()),
            (format!("{KEYS}/!r:example.org/s?version={wrong}"), key("s")),
        ] {
            let refused = alice.put(&path, body).await;
            refused.fails(403, "M_WRONG_ROOM_KEYS_VERSION");
            assert_eq!(refused.body["current_version"], json!(new));
        }
    }
    alice.put(KEYS, all.clone()).await.fails(400, "M_INVALID_PARAM");
    assert_eq!(state(&alice, &old).await.0, json!(0));
    let stored = alice.put(&format!("{KEYS}?version={new}"), all).await.ok();
    as_ruma::<add_backup_keys::v3::Response>(&stored);
    assert_eq!(changed(&stored), state(&alice, &new).await);
    // Old ones can still be read.
    assert_eq!(alice.get(&format!("{KEYS}?version={old}")).await.ok(), json!({"rooms": {}}));
}

#[tokio::test]
async fn keys_are_kept_and_removed_by_room_and_session() {
    let server = server().await;
    let alice = server.person("alice").await;
    let v = format!("?version={}", create(&alice).await);
    let (one, two) = ("!one:example.org", "!two:example.org");
    alice.put(&format!("{KEYS}{v}"), in_rooms(&[(one, &["a/1", "b"])])).await.ok();
    alice.put(&format!("{KEYS}/{two}{v}"), in_rooms(&[(two, &["c"])])["rooms"][two].clone()).await.ok();
    let last = alice.put(&format!("{KEYS}/{two}/d%2F2{v}"), key("d/2")).await.ok();
    assert_eq!(last["count"], 4);
    let all = alice.get(&format!("{KEYS}{v}")).await.ok();
    as_ruma::<get_backup_keys::v3::Response>(&all);
    assert_eq!(all, in_rooms(&[(one, &["a/1", "b"]), (two, &["c", "d/2"])]));
    let of_two = alice.get(&format!("{KEYS}/{two}{v}")).await.ok();
    as_ruma::<get_backup_keys_for_room::v3::Response>(&of_two);
    assert_eq!(of_two, all["rooms"][two]);
    let of_session = alice.get(&format!("{KEYS}/{one}/a%2F1{v}")).await.ok();
    as_ruma::<get_backup_keys_for_session::v3::Response>(&of_session);
    assert_eq!(of_session, key("a/1"));
    assert_eq!(alice.get(&format!("{KEYS}/!three:example.org{v}")).await.ok(), json!({"sessions": {}}));
    alice.get(&format!("{KEYS}/{one}/nosuch{v}")).await.fails(404, "M_NOT_FOUND");
    for path in [KEYS.to_owned(), format!("{KEYS}/{one}"), format!("{KEYS}/{one}/b")] {
        alice.get(&format!("{path}?version=9")).await.fails(404, "M_NOT_FOUND");
        delete(&alice, &format!("{path}?version=9")).await.fails(404, "M_NOT_FOUND");
    }
    let mut etag = last["etag"].clone();
    for (path, left, changes) in [
        (format!("{KEYS}/{one}/nosuch"), 4, false),
        (format!("{KEYS}/{one}/b"), 3, true),
        (format!("{KEYS}/{two}"), 1, true),
        (format!("{KEYS}/{two}"), 1, false),
        (KEYS.to_owned(), 0, true),
    ] {
        let removed = delete(&alice, &format!("{path}{v}")).await.ok();
        as_ruma::<delete_backup_keys::v3::Response>(&removed);
        assert_eq!((&removed["count"], removed["etag"] != etag), (&json!(left), changes), "{path}");
        etag = removed["etag"].clone();
    }
    assert_eq!(alice.get(&format!("{KEYS}{v}")).await.ok(), json!({"rooms": {}}));
}

#[tokio::test]
async fn a_worse_key_does_not_replace_a_better_one() {
    let server = server().await;
    let alice = server.person("alice").await;
    let version = create(&alice).await;
    let path = format!("{KEYS}/!r:example.org/s?version={version}");
    let mut etag = state(&alice, &version).await.1;
    for (index, (verified, first, forwarded, better)) in [
        (false, 5, 5, true),
        (false, 5, 5, false),
        (false, 6, 0, false),
        (false, 5, 4, true),
        (false, 4, 9, true),
        (true, 9, 9, true),
        (false, 0, 0, false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut new = key(&index.to_string());
        new["is_verified"] = json!(verified);
        new["first_message_index"] = json!(first);
        new["forwarded_count"] = json!(forwarded);
        let stored = alice.put(&path, new.clone()).await.ok();
        assert_eq!((&stored["count"], stored["etag"] != etag), (&json!(1), better), "{new}");
        assert_eq!(alice.get(&path).await.ok() == new, better);
        etag = stored["etag"].clone();
    }
}

#[tokio::test]
async fn a_backup_is_the_users_own() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let version = create(&alice).await;
    alice.put(&format!("{KEYS}?version={version}"), in_rooms(&[("!r:example.org", &["s"])])).await.ok();
    bob.get(VERSION).await.fails(404, "M_NOT_FOUND");
    bob.get(&format!("{KEYS}?version={version}")).await.fails(404, "M_NOT_FOUND");
    delete(&bob, &format!("{VERSION}/{version}")).await.fails(404, "M_NOT_FOUND");
    create(&bob).await;
    assert_eq!(bob.get(&format!("{KEYS}?version={version}")).await.ok(), json!({"rooms": {}}));
    delete(&bob, &format!("{KEYS}?version={version}")).await.ok();
    assert_eq!(state(&alice, &version).await.0, json!(1));
}

#[tokio::test]
async fn thousands_of_keys_fit_in_a_request() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = format!("{KEYS}?version={}", create(&alice).await);
    let ids: Vec<String> = (0..8_000).map(|number| format!("{number:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut rooms = in_rooms(&[("!one:example.org", &ids[..5_000]), ("!two:example.org", &ids)]);
    alice.put(&path, rooms.clone()).await.fails(413, "M_TOO_LARGE");
    assert_eq!(alice.get(&path).await.ok(), json!({"rooms": {}}), "all or nothing");
    rooms["rooms"]["!one:example.org"] = json!({"sessions": {}});
    assert_eq!(alice.put(&path, rooms.clone()).await.ok()["count"], 8_000);
    rooms["rooms"].as_object_mut().unwrap().remove("!one:example.org");
    assert_eq!(alice.get(&path).await.ok(), rooms);
    // Rooms and pages end in the same and in different places.
    rooms["rooms"]["!one:example.org"] = in_rooms(&[("", &ids[..500])])["rooms"][""].clone();
    rooms["rooms"]["!three:example.org"] = in_rooms(&[("", &ids[..1])])["rooms"][""].clone();
    rooms["rooms"]["!\"\\:example.org"] = in_rooms(&[("", &["\"", "\\", "ü"])])["rooms"][""].clone();
    alice.put(&path, rooms.clone()).await.ok();
    assert_eq!(alice.get(&path).await.ok(), rooms);
    let of_two = alice.get(&path.replace("keys?", "keys/!two:example.org?")).await.ok();
    assert_eq!(of_two, rooms["rooms"]["!two:example.org"]);
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let version = create(&alice).await;
    for (field, value) in [
        ("first_message_index", json!(-1)),
        ("first_message_index", json!(1_u64 << 60)),
        ("forwarded_count", json!("1")),
        ("is_verified", Value::Null),
        ("session_data", json!("text")),
    ] {
        let mut bad = key("x");
        bad[field] = value;
        let path = format!("{KEYS}/!r:example.org/s?version={version}");
        alice.put(&path, bad.clone()).await.fails(400, "M_BAD_JSON");
        let bad = json!({"rooms": {"!r:example.org": {"sessions": {"good": key("x"), "s": bad}}}});
        alice.put(&format!("{KEYS}?version={version}"), bad).await.fails(400, "M_BAD_JSON");
    }
    let long = format!("{KEYS}/!r:example.org/{}?version={version}", "s".repeat(256));
    alice.put(&long, key("x")).await.fails(413, "M_TOO_LARGE");
    let large = format!("{KEYS}/!r:example.org/s?version={version}");
    alice.put(&large, key(&"x".repeat(16 * 1024))).await.fails(413, "M_TOO_LARGE");
    assert_eq!(state(&alice, &version).await.0, json!(0));
}
