//! Pushers, and what push gateways are told.

use std::sync::Arc;
use std::time::Duration;

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, RoomVersion, UserId};
use axle_store::memory::MemoryStore;
use axle_store::sqlite::{Options, SqliteStore, Synchronous};
use axle_store::{OutOfRoom, Store};
use ruma::api::client::push::get_pushers;
use serde_json::{Value, json};

use crate::common::{Person, TestServer, as_ruma, config, server, server_on, two_in_a_room};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const URL: &str = "https://push.example.org/_matrix/push/v1/notify";

/// A pusher as a client sets it.
fn pusher(pushkey: &str, more: Value) -> Value {
    let mut pusher = json!({
        "pushkey": pushkey,
        "app_id": "org.example.app",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": {"url": URL, "brand": "x"},
    });
    pusher.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pusher
}

async fn set(person: &Person, pusher: Value) {
    person.post("/_matrix/client/v3/pushers/set", pusher).await.ok();
}

async fn pushers(person: &Person) -> Vec<Value> {
    let answer = person.get("/_matrix/client/v3/pushers").await.ok();
    as_ruma::<get_pushers::v3::Response>(&answer);
    answer["pushers"].as_array().unwrap().clone()
}

async fn pushkeys(person: &Person) -> Vec<String> {
    pushers(person).await.iter().map(|pusher| pusher["pushkey"].as_str().unwrap().to_owned()).collect()
}

async fn read(person: &Person, room: &RoomId, event: &str) {
    person.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}"), json!({})).await.ok();
}

/// The texts of the next notifications.
async fn texts(server: &TestServer, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(server.gateway.next().await["content"]["body"].as_str().unwrap().to_owned());
    }
    found
}

#[tokio::test]
async fn pushers_are_set_shown_and_removed() {
    let server = server().await;
    let alice = server.person("alice").await;
    assert!(pushers(&alice).await.is_empty());
    let one = pusher("one", json!({"profile_tag": "tag"}));
    set(&alice, one.clone()).await;
    let mut only_ids = pusher("two", json!({"append": true}));
    only_ids["data"]["format"] = json!("event_id_only");
    set(&alice, only_ids.clone()).await;
    only_ids.as_object_mut().unwrap().remove("append");
    assert_eq!(pushers(&alice).await, [one, only_ids.clone()]);
    let again = pusher("one", json!({"lang": "de"}));
    set(&alice, again.clone()).await;
    assert_eq!(pushers(&alice).await, [only_ids, again]);
    let gone = json!({"pushkey": "one", "app_id": "org.example.app", "kind": null});
    set(&alice, gone.clone()).await;
    set(&alice, gone).await;
    assert_eq!(pushkeys(&alice).await, ["two"]);
    assert!(pushers(&server.person("bob").await).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_a_pusher_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = "/_matrix/client/v3/pushers/set";
    let with_url = |url: &str| pusher("k", json!({"data": {"url": url}}));
    for bad in [
        with_url("http://push.example.org/_matrix/push/v1/notify"),
        with_url("http://localhost/_matrix/push/v1/notify"),
        with_url("https://push.example.org/elsewhere"),
        with_url("nonsense"),
        pusher("k", json!({"kind": "email"})),
        pusher("k", json!({"kind": "pigeon"})),
        pusher("", json!({})),
        pusher(&"k".repeat(513), json!({})),
        pusher("k", json!({"app_id": "a".repeat(65)})),
    ] {
        alice.post(path, bad).await.fails(400, "M_INVALID_PARAM");
    }
    alice.post(path, pusher("k", json!({"data": {}}))).await.fails(400, "M_BAD_JSON");
    alice.post(path, pusher("k", json!({"lang": "x".repeat(20_000)}))).await.fails(413, "M_TOO_LARGE");
    assert!(pushers(&alice).await.is_empty());
}

#[tokio::test]
async fn a_gateway_is_told_what_notifies() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.set_state(&room, "m.room.name", json!({"name": "Tea"})).await;
    alice.rename(&room, "Al").await;
    server.person("carol").await.join(&room).await.ok();
    alice.say(&room, "before").await;
    set(&bob, pusher("key", json!({}))).await;
    bob.say(&room, "mine").await;
    alice.send(&room, "m.room.message", json!({"msgtype": "m.notice", "body": "of no interest"})).await;
    let event = alice.say(&room, "hello").await;
    let (url, told) = server.gateway.next_with_url().await;
    assert_eq!(url, URL);
    for (key, expected) in [
        ("event_id", json!(event)),
        ("id", json!(event)),
        ("room_id", json!(room)),
        ("type", json!("m.room.message")),
        ("sender", json!(alice.user_id)),
        ("sender_display_name", json!("Al")),
        ("room_name", json!("Tea")),
        ("content", json!({"msgtype": "m.text", "body": "hello"})),
        // "before" is unread, too.
        ("counts", json!({"unread": 2})),
        ("prio", json!("low")),
    ] {
        assert_eq!(told[key], expected, "{key}: {told}");
    }
    let devices = told["devices"].as_array().unwrap();
    let device = &devices[0];
    assert_eq!((devices.len(), &device["pushkey"], &device["app_id"]), (1, &json!("key"), &json!("org.example.app")));
    assert!(device["pushkey_ts"].as_i64().unwrap() > 1_600_000_000 && device["pushkey_ts"].as_i64().unwrap() < 1 << 33);
    assert_eq!((&device["data"], &device["tweaks"]), (&json!({"brand": "x"}), &json!({})));

    let mention = json!({"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.user_id]}});
    alice.send(&room, "m.room.message", mention).await;
    let told = server.gateway.next().await;
    assert_eq!((&told["prio"], &told["counts"]), (&json!("high"), &json!({"unread": 3})));
    assert_eq!(told["devices"][0]["tweaks"], json!({"highlight": true, "sound": "default"}));
    alice.send(&room, "m.room.encrypted", json!({"ciphertext": "x"})).await;
    assert_eq!(server.gateway.next().await["prio"], "high");
}

#[tokio::test]
async fn who_wants_ids_gets_no_more() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    set(&bob, pusher("key", json!({"data": {"url": URL, "format": "event_id_only"}}))).await;
    let event = alice.say(&room, "secret").await;
    let told = server.gateway.next().await;
    let keys: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["counts", "devices", "event_id", "prio", "room_id"]);
    assert_eq!((&told["event_id"], &told["counts"]["unread"]), (&json!(event), &json!(1)));
    assert_eq!(told["devices"][0]["data"], json!({"format": "event_id_only"}));
    assert!(!told.to_string().contains("secret"));
}

#[tokio::test]
async fn the_number_goes_down_when_messages_are_read() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&other).await.ok();
    set(&bob, pusher("key", json!({}))).await;
    alice.say(&room, "one").await;
    assert_eq!(server.gateway.next().await["counts"]["unread"], 1);
    alice.say(&other, "two").await;
    assert_eq!(server.gateway.next().await["counts"]["unread"], 2);
    let three = alice.say(&room, "three").await;
    assert_eq!(server.gateway.next().await["counts"]["unread"], 3);
    read(&bob, &room, &three).await;
    let told = server.gateway.next().await;
    assert_eq!(told["counts"], json!({"unread": 1}));
    assert!(told.get("event_id").is_none() && told.get("content").is_none(), "{told}");
    // Where they left, nothing is unread.
    bob.leave(&other).await.ok();
    assert_eq!(server.gateway.next().await["counts"], json!({"unread": 0}));
}

#[tokio::test]
async fn invites_are_told() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    set(&bob, pusher("key", json!({}))).await;
    let room = alice.create_room(json!({"name": "Private", "invite": [bob.user_id]})).await;
    let told = server.gateway.next().await;
    assert_eq!((&told["type"], &told["user_is_target"]), (&json!("m.room.member"), &json!(true)), "{told}");
    assert_eq!((&told["room_id"], &told["content"]["membership"]), (&json!(room), &json!("invite")));
    assert_eq!((&told["membership"], &told["room_name"]), (&json!("invite"), &json!("Private")));
    // What is said before they join is not for them.
    alice.say(&room, "unheard").await;
    bob.join(&room).await.ok();
    alice.say(&room, "heard").await;
    assert_eq!(texts(&server, 1).await, ["heard"]);
}

#[tokio::test]
async fn an_invite_to_a_room_elsewhere_names_it() {
    let server = server().await;
    let bob = server.person("bob").await;
    set(&bob, pusher("key", json!({}))).await;
    let carol = UserId::parse("@carol:other.org").unwrap();
    let invite = json!({"type": "m.room.member", "state_key": bob.user_id, "sender": carol,
        "content": {"membership": "invite"}, "origin_server_ts": 1});
    let put = async |id: &str, told: Value| {
        let entry = OutOfRoom {
            user_id: bob.user_id.clone(),
            room_id: RoomId::parse(format!("!{id}:other.org")).unwrap(),
            room_version: RoomVersion::I1,
            membership: Membership::Invite,
            event_id: EventId::parse(format!("${id}")).unwrap(),
            json: invite.to_string().into(),
            stripped_state: told.to_string().into(),
            via: vec![carol.server_name()],
            stream: 0,
        };
        server.store.put_out_of_room(entry).await.unwrap();
        server.rooms.wake();
        let told = server.gateway.next().await;
        assert_eq!((&told["sender"], &told["membership"]), (&json!(carol), &json!("invite")));
        (told["room_name"].clone(), told["room_alias"].clone())
    };
    let state = |event_type: &str, content: Value| json!({"type": event_type, "state_key": "", "content": content});
    let name = state("m.room.name", json!({"name": "Far"}));
    let alias = state("m.room.canonical_alias", json!({"alias": "#far:other.org"}));
    assert_eq!(put("one", json!([7, {"type": "broken"}, name, alias])).await, (json!("Far"), json!("#far:other.org")));
    assert_eq!(put("two", json!([alias])).await, (json!("#far:other.org"), json!("#far:other.org")));
    assert_eq!(put("three", json!([state("m.room.name", json!({"name": 7}))])).await, (Value::Null, Value::Null));
}

#[tokio::test]
async fn what_does_not_arrive_is_told_again_in_order() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    set(&bob, pusher("key", json!({}))).await;
    server.gateway.fail(1);
    alice.say(&room, "one").await;
    server.gateway.until_failed(1).await;
    alice.say(&room, "two").await;
    assert_eq!(texts(&server, 2).await, ["one", "two"]);
    // What is read meanwhile is of no interest any more.
    server.gateway.fail(1);
    let three = alice.say(&room, "three").await;
    server.gateway.until_failed(2).await;
    read(&bob, &room, &three).await;
    alice.say(&room, "four").await;
    assert_eq!(texts(&server, 1).await, ["four"]);
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { synchronous: Synchronous::Off, ..Options::default() };
    let on_disk = SqliteStore::open(folder.path().join("axle.db"), options).unwrap();
    for store in [Arc::new(on_disk) as Arc<dyn Store>, Arc::new(MemoryStore::new())] {
        let mut server = server_on(store, config()).await;
        let (alice, bob, room) = two_in_a_room(&server).await;
        set(&bob, pusher("key", json!({}))).await;
        alice.say(&room, "one").await;
        assert_eq!(texts(&server, 1).await, ["one"]);
        server.gateway.fail(usize::MAX);
        alice.say(&room, "two").await;
        server.gateway.until_failed(1).await;
        server.stop_work().await;
        alice.say(&room, "three").await;
        let failing = server.store.pushers(&bob.user_id).await.unwrap()[0].progress;
        assert!(failing.failing_since.is_some() && failing.badge == Some(1), "{failing:?}");
        let next = server_on(server.store.clone(), config()).await;
        assert_eq!(texts(&next, 2).await, ["two", "three"]);
        let read_up_to = Person { base: next.base.clone(), ..alice }.say(&room, "four").await;
        assert_eq!(texts(&next, 1).await, ["four"]);
        read(&Person { base: next.base.clone(), ..bob }, &room, &read_up_to).await;
        assert_eq!(next.gateway.next().await["counts"]["unread"], 0);
    }
}

#[tokio::test]
async fn a_rejected_key_ends_its_pusher() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    set(&bob, pusher("bad", json!({}))).await;
    set(&bob, pusher("good", json!({"app_id": "org.example.other"}))).await;
    server.gateway.reject(&["bad", "of somebody else"]);
    alice.say(&room, "one").await;
    assert_eq!(texts(&server, 2).await, ["one", "one"]);
    server.gateway.reject(&[]);
    // Its end is stored after the answer.
    let ended = async {
        while pushkeys(&bob).await != ["good"] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    alice.say(&room, "two").await;
    alice.say(&room, "three").await;
    assert_eq!(texts(&server, 2).await, ["two", "three"]);
}

#[tokio::test]
async fn pushers_end_with_their_devices() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let tablet = bob.log_in_again(json!({})).await;
    let desk = bob.log_in_again(json!({})).await;
    for (device, key) in [(&bob, "phone"), (&tablet, "tablet"), (&desk, "desk")] {
        set(device, pusher(key, json!({}))).await;
    }
    tablet.post("/_matrix/client/v3/logout", json!({})).await.ok();
    assert_eq!(pushkeys(&bob).await, ["phone", "desk"]);
    let password = json!({"new_password": "battery staple", "auth": bob.proof("correct horse")});
    bob.post("/_matrix/client/v3/account/password", password).await.ok();
    assert_eq!(pushkeys(&bob).await, ["phone"]);
    alice.say(&room, "one").await;
    alice.say(&room, "two").await;
    for expected in ["one", "two"] {
        let told = server.gateway.next().await;
        assert_eq!((&told["content"]["body"], &told["devices"][0]["pushkey"]), (&json!(expected), &json!("phone")));
    }
}

#[tokio::test]
async fn a_key_is_of_its_last_user_unless_they_share_it() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    set(&alice, pusher("key", json!({}))).await;
    set(&bob, pusher("key", json!({"append": true}))).await;
    assert_eq!((pushkeys(&alice).await.len(), pushkeys(&bob).await.len()), (1, 1));
    set(&bob, pusher("key", json!({}))).await;
    assert_eq!((pushkeys(&alice).await.len(), pushkeys(&bob).await.len()), (0, 1));
    bob.say(&room, "for alice").await;
    alice.say(&room, "for bob").await;
    assert_eq!(texts(&server, 1).await, ["for bob"]);
}
