//! Further fields of profiles, and the user directory.

use reqwest::Method;
use ruma::api::client::{profile, user_directory};
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, server};

const OF_ALICE: &str = "/_matrix/client/v3/profile/@alice:example.org";
const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

/// Whom somebody finds.
async fn found(person: &Person, term: &str) -> Vec<String> {
    let answer = person.post(SEARCH, json!({"search_term": term})).await.ok();
    as_ruma::<user_directory::search_users::v3::Response>(&answer);
    let users = answer["results"].as_array().unwrap().iter();
    users.map(|user| user["user_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_profile_has_further_fields() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let zone = format!("{OF_ALICE}/m.tz");
    let get = async |path: &str| server.anonymous(Method::GET, path, None).await;
    get(&zone).await.fails(404, "M_NOT_FOUND");
    alice.put(&zone, json!({"m.tz": "Europe/Berlin"})).await.ok();
    alice.put(&format!("{OF_ALICE}/org.example.any"), json!({"org.example.any": {"a": [1, null]}})).await.ok();
    alice.put(&format!("{OF_ALICE}/displayname"), json!({"displayname": "Alice"})).await.ok();
    assert_eq!(get(&zone).await.ok(), json!({"m.tz": "Europe/Berlin"}));
    let whole = get(OF_ALICE).await.ok();
    let expected = json!({"m.tz": "Europe/Berlin", "org.example.any": {"a": [1, null]}, "displayname": "Alice"});
    assert_eq!(whole, expected);
    as_ruma::<profile::get_profile::v3::Response>(&whole);
    bob.put(&zone, json!({"m.tz": "UTC"})).await.fails(403, "M_FORBIDDEN");
    bob.delete(&zone, json!({})).await.fails(403, "M_FORBIDDEN");
    bob.delete(&format!("{OF_ALICE}/displayname"), json!({})).await.fails(403, "M_FORBIDDEN");
    for field in ["m.tz", "displayname", "avatar_url", "nosuch"] {
        alice.request(Method::DELETE, &format!("{OF_ALICE}/{field}"), None).await.ok();
    }
    assert_eq!(get(OF_ALICE).await.ok(), json!({"org.example.any": {"a": [1, null]}}));
}

#[tokio::test]
async fn fields_have_limits() {
    let server = server().await;
    let alice = server.person("alice").await;
    let put = async |name: &str, body: Value| alice.put(&format!("{OF_ALICE}/{name}"), body).await;
    put("m.tz", json!({"other": 1})).await.fails(400, "M_MISSING_PARAM");
    put("m.tz", json!([])).await.fails(400, "M_BAD_JSON");
    put("Upper", json!({"Upper": 1})).await.fails(400, "M_INVALID_PARAM");
    let long = "a".repeat(256);
    put(&long, json!({&long: 1})).await.fails(400, "M_KEY_TOO_LARGE");
    put(&"a".repeat(255), json!({"a".repeat(255): 1})).await.ok();
    put("big", json!({"big": "x".repeat(50 << 10)})).await.ok();
    put("bigger", json!({"bigger": "x".repeat(20 << 10)})).await.fails(400, "M_PROFILE_TOO_LARGE");
    put("big", json!({"big": null})).await.ok();
    put("bigger", json!({"bigger": "x".repeat(20 << 10)})).await.ok();
}

#[tokio::test]
async fn people_find_whom_they_share_a_room_with_and_who_is_in_public() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = bob.create_room(json!({"invite": [alice.user_id]})).await;
    assert!(found(&alice, "bob").await.is_empty());
    alice.join(&room).await.ok();
    assert_eq!(found(&alice, "bob").await, [bob.user_id.as_str()]);
    assert_eq!(found(&alice, "@bob:example.org").await, [bob.user_id.as_str()]);
    let since = alice.now().await;
    let profile = "/_matrix/client/v3/profile/@bob:example.org/displayname";
    bob.put(profile, json!({"displayname": "Robert Tables"})).await.ok();
    alice.sync(&format!("since={since}&timeout=30000")).await;
    let answer = alice.post(SEARCH, json!({"search_term": "tab rob"})).await.ok();
    let user = json!({"user_id": bob.user_id, "display_name": "Robert Tables"});
    assert_eq!(answer, json!({"results": [user], "limited": false}));
    let carol = server.person("carol").await;
    assert!(found(&carol, "robert").await.is_empty());
    assert!(found(&bob, "robert").await.is_empty(), "not oneself");
    let public = bob.create_room(json!({"preset": "public_chat"})).await;
    for person in [&carol, &bob] {
        assert_eq!(found(person, "robert").await, [bob.user_id.as_str()], "as everybody is found");
    }
    bob.set_state(&public, "m.room.join_rules", json!({"join_rule": "invite"})).await;
    assert!(found(&carol, "robert").await.is_empty());
    bob.set_state(&public, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    assert_eq!(found(&carol, "robert").await, [bob.user_id.as_str()]);
    alice.leave(&room).await.ok();
    bob.leave(&public).await.ok();
    assert!(found(&alice, "robert").await.is_empty(), "no room is shared any more");
    for strange in ["", "\"", "* AND *", "NEAR(", "a\0b", "@"] {
        assert!(found(&carol, strange).await.is_empty(), "{strange:?}");
    }
    carol.post(SEARCH, json!({})).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_search_says_when_there_is_more() {
    let server = server().await;
    let alice = server.person("alice").await;
    for name in ["ann", "anna", "anne"] {
        server.person(name).await.create_room(json!({"preset": "public_chat"})).await;
    }
    for (limit, expected, limited) in [(2, 2, true), (3, 3, false), (0, 0, true)] {
        let answer = alice.post(SEARCH, json!({"search_term": "ann", "limit": limit})).await.ok();
        assert_eq!(answer["results"].as_array().unwrap().len(), expected);
        assert_eq!(answer["limited"], limited);
    }
}
