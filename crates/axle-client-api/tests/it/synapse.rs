//! Synapse's administration API.

use axle_protocol::RoomId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, TestServer, server, two_in_a_room, types};

const ADMIN: &str = "/_synapse/admin";

/// An administrator.
pub(crate) async fn admin(server: &TestServer) -> Person {
    let admin = server.person("root").await;
    assert!(server.store.set_admin(&admin.user_id, true).await.unwrap());
    admin
}

fn names(users: &Value) -> Vec<&str> {
    users["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn it_is_for_administrators() {
    let server = server().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let all = [
        (Method::GET, "v2/users"),
        (Method::GET, "v3/users"),
        (Method::GET, "v2/users/@bob:example.org"),
        (Method::PUT, "v2/users/@bob:example.org"),
        (Method::GET, "v1/users/@bob:example.org/admin"),
        (Method::PUT, "v1/users/@alice:example.org/admin"),
        (Method::GET, "v1/users/@bob:example.org/joined_rooms"),
        (Method::GET, "v2/users/@bob:example.org/devices"),
        (Method::GET, "v2/users/@bob:example.org/devices/X"),
        (Method::PUT, "v2/users/@bob:example.org/devices/X"),
        (Method::DELETE, "v2/users/@bob:example.org/devices/X"),
        (Method::POST, "v2/users/@bob:example.org/delete_devices"),
        (Method::POST, "v1/reset_password/@bob:example.org"),
        (Method::POST, "v1/deactivate/@bob:example.org"),
        (Method::GET, "v1/whois/@bob:example.org"),
        (Method::GET, "v1/rooms"),
        (Method::GET, "v1/rooms/ROOM"),
        (Method::DELETE, "v1/rooms/ROOM"),
        (Method::DELETE, "v2/rooms/ROOM"),
        (Method::GET, "v2/rooms/ROOM/delete_status"),
        (Method::GET, "v2/rooms/delete_status/x"),
        (Method::GET, "v1/rooms/ROOM/members"),
        (Method::GET, "v1/rooms/ROOM/state"),
        (Method::GET, "v1/rooms/ROOM/block"),
        (Method::PUT, "v1/rooms/ROOM/block"),
        (Method::PUT, "v1/suspend/@bob:example.org"),
        (Method::GET, "v1/users/@bob:example.org/media"),
        (Method::DELETE, "v1/users/@bob:example.org/media"),
        (Method::GET, "v1/room/ROOM/media"),
        (Method::POST, "v1/room/ROOM/media/quarantine"),
        (Method::POST, "v1/user/@bob:example.org/media/quarantine"),
        (Method::POST, "v1/media/quarantine/example.org/x"),
        (Method::POST, "v1/media/unquarantine/example.org/x"),
        (Method::DELETE, "v1/media/example.org/x"),
        (Method::POST, "v1/media/delete?before_ts=1800000000000"),
        (Method::POST, "v1/purge_media_cache?before_ts=1800000000000"),
        (Method::GET, "v1/registration_tokens"),
        (Method::POST, "v1/registration_tokens/new"),
        (Method::GET, "v1/registration_tokens/x"),
        (Method::PUT, "v1/registration_tokens/x"),
        (Method::DELETE, "v1/registration_tokens/x"),
        (Method::POST, "v1/rooms/ROOM/make_room_admin"),
        (Method::POST, "v1/join/ROOM"),
        (Method::GET, "v1/rooms/ROOM/messages"),
        (Method::GET, "v1/rooms/ROOM/context/$event"),
        (Method::GET, "v1/rooms/ROOM/timestamp_to_event?ts=0"),
        (Method::GET, "v1/fetch_event/$event"),
        (Method::GET, "v1/event_reports"),
        (Method::GET, "v1/event_reports/1"),
        (Method::DELETE, "v1/event_reports/1"),
        (Method::GET, "v1/user_reports"),
        (Method::GET, "v1/user_reports/1"),
        (Method::DELETE, "v1/user_reports/1"),
        (Method::POST, "v1/users/@bob:example.org/login"),
        (Method::POST, "v1/user/@bob:example.org/redact"),
        (Method::GET, "v1/user/redact_status/x"),
        (Method::GET, "v1/users/@bob:example.org/pushers"),
        (Method::GET, "v1/users/@bob:example.org/accountdata"),
        (Method::GET, "v1/users/@bob:example.org/memberships"),
        (Method::GET, "v1/username_available?username=carol"),
        (Method::GET, "v1/statistics/users/media"),
        (Method::GET, "v1/federation/destinations"),
        (Method::GET, "v1/federation/destinations/other.org"),
        (Method::GET, "v1/federation/destinations/other.org/rooms"),
        (Method::POST, "v1/federation/destinations/other.org/reset_connection"),
        (Method::POST, "v1/send_server_notice"),
        (Method::PUT, "v1/send_server_notice/x"),
    ];
    for (method, path) in all {
        let path = format!("{ADMIN}/{}", path.replace("ROOM", room.as_str()));
        let body = json!({"admin": true, "new_password": "another password", "block": true, "devices": []});
        server.anonymous(method.clone(), &path, Some(&body)).await.fails(401, "M_MISSING_TOKEN");
        alice.request(method, &path, Some(&body)).await.fails(403, "M_FORBIDDEN");
    }
    let version = server.anonymous(Method::GET, &format!("{ADMIN}/v1/server_version"), None).await.ok();
    assert!(version["server_version"].as_str().unwrap().starts_with("Axle "));
    let own = alice.get("/_matrix/client/v3/admin/whois/@alice:example.org").await.ok();
    assert_eq!(own["user_id"], "@alice:example.org");
    alice.get("/_matrix/client/v3/admin/whois/@bob:example.org").await.fails(403, "M_FORBIDDEN");
    assert!(!server.store.user(&alice.user_id).await.unwrap().unwrap().admin);
}

#[tokio::test]
async fn accounts_are_listed() {
    let server = server().await;
    let root = admin(&server).await;
    for name in ["alice", "bob", "carol"] {
        server.person(name).await;
    }
    server.store.deactivate_user(&"@carol:example.org".parse().unwrap(), false).await.unwrap();
    let list = async |path: &str| root.get(&format!("{ADMIN}/{path}")).await.ok();
    let all = list("v2/users").await;
    assert_eq!(names(&all), ["@alice:example.org", "@bob:example.org", "@root:example.org"]);
    assert_eq!((&all["total"], all.get("next_token")), (&json!(3), None));
    assert_eq!(all["users"][2]["admin"], true);
    assert!(all["users"][0]["creation_ts"].as_i64().unwrap() > 1_600_000_000_000);
    assert_eq!(names(&list("v2/users?deactivated=true").await).len(), 4);
    assert_eq!(names(&list("v3/users?deactivated=true").await), ["@carol:example.org"]);
    assert_eq!(names(&list("v3/users?admins=true").await), ["@root:example.org"]);
    assert_eq!(names(&list("v2/users?name=BO").await), ["@bob:example.org"]);
    let page = list("v2/users?limit=2").await;
    assert_eq!((names(&page), &page["next_token"]), (vec!["@alice:example.org", "@bob:example.org"], &json!("2")));
    let rest = list("v2/users?limit=2&from=2").await;
    assert_eq!((names(&rest), rest.get("next_token")), (vec!["@root:example.org"], None));
    assert_eq!(names(&list("v2/users?dir=b&limit=1").await), ["@root:example.org"]);
    let before = list("v2/users").await;
    let guest = server.anonymous(Method::POST, "/_matrix/client/v3/register?kind=guest", Some(&json!({}))).await.ok();
    let (all, others) = (list("v2/users").await, list("v2/users?guests=false").await);
    assert_eq!(others, before);
    let is_guest = |user: &&Value| user["is_guest"] == true;
    assert_eq!(all["users"].as_array().unwrap().iter().find(is_guest).unwrap()["name"], guest["user_id"]);
    root.get(&format!("{ADMIN}/v2/users?order_by=luck")).await.fails(400, "M_INVALID_PARAM");
    root.get(&format!("{ADMIN}/v2/users?dir=x")).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn accounts_are_made_changed_and_ended() {
    let server = server().await;
    let root = admin(&server).await;
    let bob = format!("{ADMIN}/v2/users/@bob:example.org");
    root.get(&bob).await.fails(404, "M_NOT_FOUND");
    let made = root.put(&bob, json!({"password": "correct horse", "displayname": "Bob", "admin": false})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!((&made.body["name"], &made.body["displayname"]), (&json!("@bob:example.org"), &json!("Bob")));
    let login = async |password: &str| {
        let body = json!({"type": "m.login.password", "user": "bob", "password": password});
        server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await
    };
    let session = server.person_from(&login("correct horse").await.ok());
    root.put(&bob, json!({"displayname": null, "avatar_url": "mxc://a/b"})).await.ok();
    let now = root.get(&bob).await.ok();
    assert_eq!((&now["displayname"], &now["avatar_url"]), (&Value::Null, &json!("mxc://a/b")));
    root.put(&bob, json!({"password": "another horse", "logout_devices": false, "admin": true})).await.ok();
    session.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!(root.get(&bob).await.ok()["admin"], true);
    let reset = format!("{ADMIN}/v1/reset_password/@bob:example.org");
    root.post(&reset, json!({"new_password": "short"})).await.fails(400, "M_WEAK_PASSWORD");
    root.post(&reset, json!({"new_password": "a third horse"})).await.ok();
    session.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
    login("another horse").await.fails(403, "M_FORBIDDEN");
    login("a third horse").await.ok();
    for impossible in [json!({"user_type": "bot"}), json!({"threepids": [{}]})] {
        root.put(&bob, impossible).await.fails(400, "M_UNKNOWN");
    }
    let answer = root.post(&format!("{ADMIN}/v1/deactivate/@bob:example.org"), json!({"erase": true})).await.ok();
    assert_eq!(answer["id_server_unbind_result"], "success");
    assert_eq!(root.get(&bob).await.ok()["deactivated"], true);
    root.put(&bob, json!({"deactivated": false, "password": "correct horse"})).await.fails(400, "M_UNKNOWN");
    root.put(&bob, json!({"deactivated": true})).await.ok();
    login("a third horse").await.fails(403, "M_USER_DEACTIVATED");

    let elsewhere = root.put(&format!("{ADMIN}/v2/users/@x:elsewhere.org"), json!({})).await;
    elsewhere.fails(400, "M_INVALID_PARAM");
    let admin = format!("{ADMIN}/v1/users/@alice:example.org/admin");
    server.person("alice").await;
    assert_eq!(root.get(&admin).await.ok(), json!({"admin": false}));
    root.put(&admin, json!({"admin": true})).await.ok();
    assert_eq!(root.get(&admin).await.ok(), json!({"admin": true}));
}

#[tokio::test]
async fn devices_and_rooms_of_a_user() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let root = admin(&server).await;
    let rooms = root.get(&format!("{ADMIN}/v1/users/@bob:example.org/joined_rooms")).await.ok();
    assert_eq!(rooms, json!({"joined_rooms": [room], "total": 1}));
    let devices = format!("{ADMIN}/v2/users/@bob:example.org/devices");
    let listed = root.get(&devices).await.ok();
    assert_eq!((&listed["total"], &listed["devices"][0]["device_id"]), (&json!(1), &json!(bob.device_id)));
    assert_eq!(listed["devices"][0]["last_seen_ip"], "127.0.0.1");
    let one = format!("{devices}/{}", bob.device_id);
    root.put(&one, json!({"display_name": "renamed"})).await.ok();
    assert_eq!(root.get(&one).await.ok()["display_name"], "renamed");
    let whois = root.get(&format!("{ADMIN}/v1/whois/@bob:example.org")).await.ok();
    let connection = &whois["devices"][&bob.device_id]["sessions"][0]["connections"][0];
    assert_eq!(connection["ip"], "127.0.0.1");
    let second = bob.log_in_again(json!({})).await;
    let some = format!("{ADMIN}/v2/users/@bob:example.org/delete_devices");
    root.post(&some, json!({"devices": [second.device_id]})).await.ok();
    second.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
    root.delete(&one, json!({})).await.ok();
    bob.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
    root.get(&one).await.fails(404, "M_NOT_FOUND");
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
}

#[tokio::test]
async fn rooms_are_listed_and_described() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let make = async |name: &str| {
        let body = json!({"preset": "public_chat", "name": name, "topic": "x", "visibility": "public"});
        alice.create_room(body).await
    };
    let (tea, coffee) = (make("Tea").await, make("Coffee").await);
    bob.join(&tea).await.ok();
    let list = async |query: &str| {
        let found = root.get(&format!("{ADMIN}/v1/rooms?{query}")).await.ok();
        let names = found["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), found)
    };
    assert_eq!(list("").await.0, ["Coffee", "Tea"]);
    assert_eq!(list("dir=b").await.0, ["Tea", "Coffee"]);
    assert_eq!(list("order_by=joined_members").await.0, ["Tea", "Coffee"]);
    assert_eq!(list("search_term=COF").await.0, ["Coffee"]);
    for event_type in ["m.room.avatar", "m.room.pinned_events"] {
        alice.set_state(&coffee, event_type, json!({})).await;
    }
    for (room, access) in [(&coffee, "can_join"), (&tea, "forbidden")] {
        alice.set_state(room, "m.room.guest_access", json!({"guest_access": access})).await;
    }
    for (query, expected) in [
        ("order_by=joined_local_members", ["Tea", "Coffee"]),
        ("order_by=joined_local_members&dir=b", ["Coffee", "Tea"]),
        ("order_by=state_events", ["Coffee", "Tea"]),
        ("order_by=guest_access", ["Coffee", "Tea"]),
    ] {
        assert_eq!(list(query).await.0, expected, "{query}");
    }
    for field in ["canonical_alias", "version", "creator", "encryption", "federatable", "public", "join_rules"] {
        assert_eq!(list(&format!("order_by={field}")).await.0.len(), 2);
    }
    root.get(&format!("{ADMIN}/v1/rooms?order_by=luck")).await.fails(400, "M_INVALID_PARAM");
    let empty = bob.create_room(json!({"name": "Empty"})).await;
    bob.leave(&empty).await.ok();
    assert_eq!(list("empty_rooms=true").await.0, ["Empty"]);
    assert_eq!(list("empty_rooms=false").await.0, ["Coffee", "Tea"]);
    assert_eq!(list("public_rooms=true").await.0, ["Coffee", "Tea"]);
    assert_eq!(list("public_rooms=false").await.0, ["Empty"]);
    root.get(&format!("{ADMIN}/v1/rooms?empty_rooms=")).await.fails(400, "M_INVALID_PARAM");
    let (page, found) = list("empty_rooms=false&limit=1").await;
    assert_eq!((page, &found["next_batch"], &found["total_rooms"]), (vec!["Coffee".to_owned()], &json!(1), &json!(2)));
    let (page, found) = list("empty_rooms=false&limit=1&from=1").await;
    assert_eq!((page, &found["prev_batch"], found.get("next_batch")), (vec!["Tea".to_owned()], &json!(0), None));

    let details = root.get(&format!("{ADMIN}/v1/rooms/{tea}")).await.ok();
    for (key, expected) in [
        ("joined_members", json!(2)),
        ("joined_local_members", json!(2)),
        ("creator", json!("@alice:example.org")),
        ("join_rules", json!("public")),
        ("version", json!("I.1")),
        ("public", json!(true)),
        ("topic", json!("x")),
    ] {
        assert_eq!(details[key], expected, "{key}");
    }
    let state = root.get(&format!("{ADMIN}/v1/rooms/{tea}/state")).await.ok()["state"].as_array().unwrap().len();
    assert_eq!((&details["state_events"], state > 5), (&json!(state), true));
    let members = root.get(&format!("{ADMIN}/v1/rooms/{tea}/members")).await.ok();
    assert_eq!(members, json!({"members": ["@alice:example.org", "@bob:example.org"], "total": 2}));
    let state = root.get(&format!("{ADMIN}/v1/rooms/{coffee}/state")).await.ok();
    let named = state["state"].as_array().unwrap().iter().find(|event| event["type"] == "m.room.name").unwrap();
    assert_eq!(named["content"]["name"], "Coffee");
    let named = root.get(&format!("{ADMIN}/v1/rooms/{coffee}/state?type=m.room.name")).await.ok();
    assert_eq!(types(&named["state"]), ["m.room.name"]);
    let none = root.get(&format!("{ADMIN}/v1/rooms/{coffee}/state?type=m.nothing")).await.ok();
    assert_eq!(none, json!({"state": []}));
    for path in ["", "/members", "/state"] {
        root.get(&format!("{ADMIN}/v1/rooms/!nosuch:example.org{path}")).await.fails(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn rooms_are_closed() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let alias = "/_matrix/client/v3/directory/room/%23tea:example.org";
    alice.put(alias, json!({"room_id": room})).await.ok();
    alice.moderate("invite", &room, &root.user_id).await.ok();
    let body = json!({"message": "closed", "block": true, "purge": true});
    let done = root.delete(&format!("{ADMIN}/v1/rooms/{room}"), body).await.ok();
    let mut kicked: Vec<&str> =
        done["kicked_users"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    kicked.sort_unstable();
    assert_eq!(kicked, ["@alice:example.org", "@bob:example.org", "@root:example.org"]);
    assert_eq!((&done["local_aliases"], &done["failed_to_kick_users"]), (&json!(["#tea:example.org"]), &json!([])));
    alice.get(alias).await.fails(404, "M_NOT_FOUND");
    assert_eq!(bob.get("/_matrix/client/v3/joined_rooms").await.ok()["joined_rooms"], json!([]));
    let block = format!("{ADMIN}/v1/rooms/{room}/block");
    assert_eq!(root.get(&block).await.ok(), json!({"block": true}));
    root.put(&block, json!({"block": false})).await.ok();
    assert_eq!(root.get(&block).await.ok(), json!({"block": false}));

    let another = alice.create_room(json!({})).await;
    let begun = root.delete(&format!("{ADMIN}/v2/rooms/{another}"), json!({})).await.ok();
    let status = format!("{ADMIN}/v2/rooms/delete_status/{}", begun["delete_id"].as_str().unwrap());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let done = loop {
        let now = root.get(&status).await.ok();
        if now["status"] != "shutting_down" {
            break now;
        }
        assert!(std::time::Instant::now() < deadline);
    };
    assert_eq!(
        (&done["status"], &done["shutdown_room"]["kicked_users"]),
        (&json!("complete"), &json!(["@alice:example.org"]))
    );
    let of_room = root.get(&format!("{ADMIN}/v2/rooms/{another}/delete_status")).await.ok();
    assert_eq!(of_room["results"][0]["delete_id"], begun["delete_id"]);
    let unknown = RoomId::parse("!nosuch:example.org").unwrap();
    root.delete(&format!("{ADMIN}/v1/rooms/{unknown}"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.delete(&format!("{ADMIN}/v1/rooms/{unknown}"), json!({"block": true})).await.ok();
    let moved = json!({"new_room_user_id": "@root:example.org"});
    root.delete(&format!("{ADMIN}/v1/rooms/{room}"), moved).await.fails(400, "M_UNKNOWN");
    root.get(&format!("{ADMIN}/v2/rooms/delete_status/nosuch")).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn registration_tokens_are_kept() {
    let config = axle_client_api::ClientApiConfig {
        registration: axle_client_api::Registration::Token,
        ..crate::common::config()
    };
    let server = crate::common::server_with(config).await;
    let user = axle_store::User {
        user_id: "@root:example.org".parse().unwrap(),
        password_hash: Some(axle_client_api::hash_password("correct horse").unwrap()),
        admin: true,
        deactivated: false,
        erased: false,
        standing: axle_store::Standing::default(),
        created_ts: 0,
    };
    server.store.create_user(user, None).await.unwrap();
    let body = json!({"type": "m.login.password", "user": "root", "password": "correct horse"});
    let root = server.person_from(&server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await.ok());
    let tokens = format!("{ADMIN}/v1/registration_tokens");
    let new = format!("{tokens}/new");
    let made = root.post(&new, json!({"token": "welcome", "uses_allowed": 2})).await.ok();
    let fresh = json!({"token": "welcome", "uses_allowed": 2, "pending": 0, "completed": 0, "expiry_time": null});
    assert_eq!(made, fresh);
    root.post(&new, json!({"token": "welcome"})).await.fails(400, "M_INVALID_PARAM");
    root.post(&new, json!({"token": "no spaces"})).await.fails(400, "M_INVALID_PARAM");
    root.post(&new, json!({"expiry_time": 5})).await.fails(400, "M_INVALID_PARAM");
    let random = root.post(&new, json!({"length": 20})).await.ok();
    assert_eq!(random["token"].as_str().unwrap().len(), 20);

    let register = async |name: &str| {
        let auth = json!({"type": "m.login.registration_token", "token": "welcome"});
        let body = json!({"username": name, "password": "correct horse", "auth": auth});
        server.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await
    };
    register("alice").await.ok();
    let one = format!("{tokens}/welcome");
    assert_eq!(root.get(&one).await.ok()["completed"], 1);
    root.put(&one, json!({"uses_allowed": 1})).await.ok();
    assert_eq!(register("bob").await.status, 401);
    let valid = root.get(&format!("{tokens}?valid=true")).await.ok();
    assert_eq!(valid["registration_tokens"].as_array().unwrap().len(), 1);
    assert_eq!(root.get(&format!("{tokens}?valid=false")).await.ok()["registration_tokens"][0]["token"], "welcome");
    for neither in ["", "1", "True"] {
        root.get(&format!("{tokens}?valid={neither}")).await.fails(400, "M_INVALID_PARAM");
    }
    let changed = root.put(&one, json!({"uses_allowed": null})).await.ok();
    assert_eq!((&changed["uses_allowed"], &changed["completed"]), (&Value::Null, &json!(1)));
    register("bob").await.ok();
    // One that has ended lets nobody in.
    let ended =
        axle_store::RegistrationToken { token: "welcome".into(), uses_left: None, completed: 2, expires_ts: Some(1) };
    server.store.put_registration_token(ended).await.unwrap();
    assert_eq!(register("carol").await.status, 401);
    root.delete(&one, json!({})).await.ok();
    root.get(&one).await.fails(404, "M_NOT_FOUND");
    root.delete(&one, json!({})).await.fails(404, "M_NOT_FOUND");
}
