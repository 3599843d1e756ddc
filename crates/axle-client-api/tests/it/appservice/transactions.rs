use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, RoomId, RoomVersion};
use axle_store::OutOfRoom;
use serde_json::{Value, json};

use super::{Telling, bot, bridged, ghost, restarted, with_services};
use crate::common::services::{HS_TOKEN, TestService, registration};
use crate::common::two_in_a_room;

#[tokio::test]
async fn a_service_hears_of_what_concerns_it_in_order() {
    let (server, service, _telling) = bridged().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    alice.say(&room, "nobody-is-here").await;
    let bob = ghost(&server, "irc_bob").await;
    let invite = json!({"user_id": bob.user_id});
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/invite"), invite).await.ok();
    bob.join(&room).await.ok();
    for n in 0..250 {
        alice.say(&room, &format!("m{n}")).await;
    }
    bob.say(&room, "me-too").await;
    bob.leave(&room).await.ok();
    alice.say(&room, "gone").await;
    let elsewhere = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&elsewhere).await.ok();
    alice.say(&elsewhere, "last").await;
    let last = service.hears("last").await;
    assert_eq!((&last["room_id"], &last["sender"]), (&json!(elsewhere), &json!("@alice:example.org")));
    assert!(last["event_id"].is_string() && last["origin_server_ts"].is_i64() && last["unsigned"]["age"].is_i64());

    let events = service.events();
    let seen: Vec<String> = events.iter().map(summary).collect();
    let mut expected = vec!["@irc_bob:example.org is invite".to_owned(), "@irc_bob:example.org is join".to_owned()];
    expected.extend((0..250).map(|n| format!("m{n}")));
    expected.extend(["me-too", "@irc_bob:example.org is leave"].map(str::to_owned));
    expected.extend(["@irc_bob:example.org is join", "last"].map(str::to_owned));
    assert_eq!(seen, expected);
    assert_eq!(events[1]["unsigned"]["prev_content"]["membership"], "invite");

    let transactions = service.transactions();
    assert!(transactions.iter().all(|got| got.token == HS_TOKEN && got.query.is_none()));
    let ids: Vec<u64> = transactions.iter().map(|got| got.what.rsplit('/').next().unwrap().parse().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert!(transactions.iter().all(|got| got.body["events"].as_array().unwrap().len() <= 100));
}

#[tokio::test]
async fn rooms_concern_a_service_by_alias_and_id() {
    let (server, service, _telling) = bridged().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    server.store.put_alias("#irc_tea:example.org", &room, &alice.user_id).await.unwrap();
    alice.say(&room, "by-alias").await;
    service.hears("by-alias").await;
}

#[tokio::test]
async fn a_transaction_is_repeated_until_it_arrives() {
    let (server, service, _telling) = bridged().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = refuses.clone();
    service.answers(move |_| refusing.load(Ordering::SeqCst).then(|| (500, json!({}))));
    ghost(&server, "irc_bob").await.join(&room).await.ok();
    let first = service.until("a first try", |it| it.transactions().first().cloned()).await;
    alice.say(&room, "meanwhile").await;
    refuses.store(false, Ordering::SeqCst);
    // A service that says that it is there is told at once.
    bot(&server).post("/_matrix/client/v1/appservice/irc/ping", json!({})).await.ok();
    service.hears("meanwhile").await;
    let transactions = service.transactions();
    let repeated = transactions.iter().filter(|got| got.what == first.what).collect::<Vec<_>>();
    assert!(repeated.len() >= 2 && repeated.iter().all(|got| got.body == first.body));
    assert!(transactions.last().unwrap().what != first.what);
}

#[tokio::test]
async fn nothing_is_lost_and_no_id_used_twice_when_the_server_starts_again() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let (alice, _, room) = two_in_a_room(&server).await;
    ghost(&server, "irc_bob").await.join(&room).await.ok();
    let telling = Telling::start(&server);
    // Only what happens from now on is told: the queue must know where it begins.
    server.store.service_progress("irc").await.unwrap();
    alice.say(&room, "one").await;
    service.hears("one").await;
    let arrived = service.transactions();
    service.answers(|_| Some((503, json!({}))));
    alice.say(&room, "two").await;
    service.hears("two").await;
    let tried = service.transactions().last().unwrap().clone();
    drop(telling);
    alice.say(&room, "three").await;
    service.answers(|_| None);
    let before = service.transactions().len();
    let (_again, _telling) = restarted(&server.store, &service).await;
    service.hears("three").await;
    let after = service.transactions().split_off(before);
    assert_eq!((&after[0].what, texts(&after[0].body)), (&tried.what, vec!["two".to_owned()]));
    let rest: Vec<String> = after[1..].iter().flat_map(|got| texts(&got.body)).collect();
    assert_eq!(rest, ["three"]);
    assert!(after[1..].iter().all(|got| got.what != tried.what && arrived.iter().all(|old| old.what != got.what)));
}

#[tokio::test]
async fn what_happened_while_users_were_in_a_room_is_told_when_they_have_left() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let bob = ghost(&server, "irc_bob").await;
    // From here on.
    server.store.service_progress("irc").await.unwrap();
    alice.say(&room, "before").await;
    bob.join(&room).await.ok();
    alice.say(&room, "during").await;
    bob.leave(&room).await.ok();
    alice.say(&room, "after").await;
    bob.join(&room).await.ok();
    alice.say(&room, "again").await;
    let _telling = Telling::start(&server);
    service.hears("again").await;
    let heard: Vec<String> = service.transactions().iter().flat_map(|got| texts(&got.body)).collect();
    assert_eq!(heard, ["during", "again"]);
}

#[tokio::test]
async fn who_types_and_what_was_read_is_told_to_those_who_want_it() {
    let (server, service, _telling) = bridged().await;
    let (alice, _, room) = two_in_a_room(&server).await;
    ghost(&server, "irc_bob").await.join(&room).await.ok();
    let event = alice.say(&room, "hello").await;
    service.hears("hello").await;
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read.private/{event}"), json!({})).await.ok();
    let typing = format!("/_matrix/client/v3/rooms/{room}/typing/{}", alice.user_id);
    alice.put(&typing, json!({"typing": true, "timeout": 60_000})).await.ok();
    let ephemeral = |it: &TestService, kind: &str| {
        let of = |got: &crate::common::services::Got| got.body["ephemeral"].as_array().unwrap().clone();
        it.transactions().iter().flat_map(of).find(|event| event["type"] == kind)
    };
    let typing = service.until("typing", |it| ephemeral(it, "m.typing")).await;
    assert_eq!(typing, json!({"type": "m.typing", "room_id": room, "content": {"user_ids": ["@alice:example.org"]}}));
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}"), json!({})).await.ok();
    let read = service.until("a receipt", |it| ephemeral(it, "m.receipt")).await;
    assert_eq!((&read["room_id"], read["content"][&event].as_object().unwrap().len()), (&json!(room), 1));
    assert!(read["content"][&event]["m.read"]["@alice:example.org"]["ts"].is_i64());
    assert!(!service.got().iter().any(|got| got.body.to_string().contains("m.read.private")));
}

#[tokio::test]
async fn a_service_hears_of_invites_to_rooms_elsewhere() {
    let (server, service, _telling) = bridged().await;
    let bob = ghost(&server, "irc_bob").await;
    let alice = server.person("alice").await;
    let invite = |user: &axle_protocol::UserId, name: &str| OutOfRoom {
        user_id: user.clone(),
        room_id: RoomId::parse("!far:elsewhere.org").unwrap(),
        room_version: RoomVersion::I1,
        membership: Membership::Invite,
        event_id: EventId::parse(format!("${name}")).unwrap(),
        json: json!({
            "type": "m.room.member", "sender": "@carol:elsewhere.org", "state_key": user, "origin_server_ts": 5,
            "content": {"membership": "invite"},
        })
        .to_string()
        .into(),
        stripped_state: "[]".into(),
        via: Vec::new(),
        stream: 0,
    };
    server.store.put_out_of_room(invite(&alice.user_id, "other")).await.unwrap();
    server.store.put_out_of_room(invite(&bob.user_id, "own")).await.unwrap();
    axle_client_api::Notifier::wake(&*server.rooms, &bob.user_id);
    let told = service.until("an invite", |it| it.events().first().cloned()).await;
    assert_eq!((&told["event_id"], &told["room_id"]), (&json!("$own"), &json!("!far:elsewhere.org")));
}

fn summary(event: &Value) -> String {
    match event["content"]["membership"].as_str() {
        Some(membership) => format!("{} is {membership}", event["state_key"].as_str().unwrap()),
        None => event["content"]["body"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The texts of a transaction.
fn texts(body: &Value) -> Vec<String> {
    crate::common::bodies(&body["events"])
}
