//! Users who are ignored.

use axle_protocol::auth::Membership;
use axle_protocol::{RoomId, RoomVersion, ServerName, UserId};
use axle_store::OutOfRoom;
use serde_json::{Value, json};

use crate::common::sliding::{all, pos, room as slid, rooms};
use crate::common::{Person, bodies, next, server, two_in_a_room, types};

async fn ignore(person: &Person, users: &[&UserId]) {
    let users: Value = users.iter().map(|user| (user.to_string(), json!({}))).collect::<serde_json::Map<_, _>>().into();
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", person.user_id);
    person.put(&path, json!({"ignored_users": users})).await.ok();
}

fn timeline<'a>(sync: &'a Value, room: &RoomId) -> &'a Value {
    &sync["rooms"]["join"][room.as_str()]["timeline"]["events"]
}

#[tokio::test]
async fn what_they_say_is_not_told_but_what_they_set_is() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    bob.say(&room, "before").await;
    ignore(&alice, &[&bob.user_id]).await;
    let since = next(&alice.sync("").await);
    bob.say(&room, "hidden").await;
    let quiet = alice.sync(&since).await;
    assert_eq!(quiet["rooms"]["join"], json!({}), "nothing that is told has happened");
    bob.rename(&room, "Robert").await;
    alice.say(&room, "mine").await;
    let news = alice.sync(&since).await;
    assert_eq!(types(timeline(&news, &room)), ["m.room.member", "m.room.message"]);
    assert_eq!(bodies(timeline(&news, &room)), ["mine"]);
    assert_eq!(bodies(timeline(&bob.sync("").await, &room)), ["before", "hidden", "mine"], "he notices nothing");
    ignore(&alice, &[]).await;
    assert_eq!(bodies(timeline(&alice.sync("").await, &room)), ["before", "hidden", "mine"]);
}

#[tokio::test]
async fn it_holds_wherever_events_are_read() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let root = alice.say(&room, "root").await;
    let related = |body: &str| {
        let relation = json!({"rel_type": "m.thread", "event_id": root});
        json!({"msgtype": "m.text", "body": body, "m.relates_to": relation})
    };
    alice.send(&room, "m.room.message", related("answer")).await;
    let hidden = bob.send(&room, "m.room.message", related("hidden pear")).await;
    let threads = format!("/_matrix/client/v1/rooms/{room}/threads");
    let latest = |threads: &Value| threads["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["latest_event"].clone();
    assert_eq!(latest(&alice.get(&threads).await.ok())["content"]["body"], "hidden pear");
    ignore(&alice, &[&bob.user_id]).await;
    assert_eq!(alice.texts(&room, "dir=b").await, ["answer", "root"]);
    assert_eq!(latest(&alice.get(&threads).await.ok())["content"]["body"], "answer");
    let related = alice.get(&format!("/_matrix/client/v1/rooms/{room}/relations/{root}")).await.ok();
    assert_eq!(bodies(&related["chunk"]), ["answer"]);
    let around = alice.get(&format!("/_matrix/client/v3/rooms/{room}/context/{root}")).await.ok();
    assert_eq!(bodies(&around["events_after"]), ["answer"]);
    for what in ["event", "context"] {
        alice.get(&format!("/_matrix/client/v3/rooms/{room}/{what}/{hidden}")).await.fails(404, "M_NOT_FOUND");
    }
    let search = json!({"search_categories": {"room_events": {"search_term": "pear"}}});
    let found = alice.post("/_matrix/client/v3/search", search.clone()).await.ok();
    assert_eq!(found["search_categories"]["room_events"]["count"], 0);
    let found = bob.post("/_matrix/client/v3/search", search).await.ok();
    assert_eq!(found["search_categories"]["room_events"]["count"], 1);
}

#[tokio::test]
async fn nobody_is_notified_of_them() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    bob.say(&room, "one").await;
    let unread =
        |sync: &Value| sync["rooms"]["join"][room.as_str()]["unread_notifications"]["notification_count"].clone();
    assert_eq!(unread(&alice.sync(&since).await), 1);
    ignore(&alice, &[&bob.user_id]).await;
    bob.say(&room, "two").await;
    assert_eq!(unread(&alice.sync("").await), 0, "what was counted before is counted anew");
    let notifications = alice.get("/_matrix/client/v3/notifications").await.ok();
    assert_eq!(notifications["notifications"], json!([]));
}

#[tokio::test]
async fn their_invites_wait_until_they_are_ignored_no_more() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let carol = UserId::parse("@carol:elsewhere.org").unwrap();
    ignore(&alice, &[&bob.user_id, &carol]).await;
    let (since, slide) = (next(&alice.sync("").await), pos(&alice.slide("", all()).await));
    let room = bob.create_room(json!({"invite": [alice.user_id]})).await;
    let elsewhere = RoomId::parse("!far:elsewhere.org").unwrap();
    let invite = json!({"type": "m.room.member", "state_key": alice.user_id, "sender": carol,
        "content": {"membership": "invite"}, "origin_server_ts": 1});
    let entry = OutOfRoom {
        room_id: elsewhere.clone(),
        user_id: alice.user_id.clone(),
        membership: Membership::Invite,
        event_id: axle_protocol::EventId::parse("$invite").unwrap(),
        room_version: RoomVersion::I1,
        via: vec![ServerName::parse("elsewhere.org").unwrap()],
        json: invite.to_string().into(),
        stripped_state: "[]".into(),
        stream: 0,
    };
    server.store.put_out_of_room(entry).await.unwrap();
    let news = alice.sync(&since).await;
    assert_eq!(news["rooms"]["invite"], json!({}));
    assert_eq!(alice.sync("").await["rooms"]["invite"], json!({}));
    let slid_news = alice.slide(&slide, all()).await;
    assert_eq!((rooms(&slid_news), &slid_news["lists"]["all"]["count"]), (vec![], &json!(0)));
    let (since, slide) = (next(&news), pos(&slid_news));
    ignore(&alice, &[]).await;
    let news = alice.sync(&since).await;
    for room in [&room, &elsewhere] {
        assert!(news["rooms"]["invite"][room.as_str()]["invite_state"]["events"].is_array(), "{news}");
    }
    let slid_news = alice.slide(&slide, all()).await;
    assert_eq!(slid(&slid_news, &room)["membership"], "invite");
    assert_eq!(slid(&slid_news, &elsewhere)["membership"], "invite");
}

#[tokio::test]
async fn sliding_sync_leaves_out_what_they_say() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    ignore(&alice, &[&bob.user_id]).await;
    let first = alice.slide("", all()).await;
    bob.say(&room, "hidden").await;
    let quiet = alice.slide(&pos(&first), all()).await;
    assert!(slid(&quiet, &room).is_null(), "{quiet}");
    alice.say(&room, "mine").await;
    bob.say(&room, "hidden too").await;
    let news = alice.slide(&pos(&quiet), all()).await;
    assert_eq!(bodies(&slid(&news, &room)["timeline"]), ["mine"]);
}

#[tokio::test]
async fn a_list_that_makes_no_sense_ignores_nobody() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", alice.user_id);
    for list in [
        json!({}),
        json!({"ignored_users": [bob.user_id]}),
        json!({"ignored_users": {&*alice.user_id.to_string(): {}}}),
    ] {
        alice.put(&path, list).await.ok();
        bob.say(&room, "hello").await;
        alice.say(&room, "mine").await;
        let sync = alice.sync("").await;
        assert_eq!(bodies(timeline(&sync, &room))[..2], ["hello", "mine"]);
    }
}
