//! What syncs add up to.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use axle_sdk::{Change, Membership, MessagesPage, OutgoingState, RoomList, SyncResponse};
use serde_json::{Map, Value, json};

const ALICE: &str = "@alice:hub.example.test";
const BOB: &str = "@bob:amber.example.test";
const ROOM: &str = "!r:hub.example.test";

fn event(id: &str, sender: &str, event_type: &str, content: Value) -> Value {
    json!({"event_id": id, "sender": sender, "type": event_type, "content": content, "origin_server_ts": 1})
}

fn state(id: &str, sender: &str, event_type: &str, key: &str, content: Value) -> Value {
    let mut event = event(id, sender, event_type, content);
    event["state_key"] = json!(key);
    event
}

fn member(id: &str, sender: &str, user: &str, membership: &str) -> Value {
    state(id, sender, "m.room.member", user, json!({"membership": membership}))
}

fn message(id: &str, sender: &str, body: &str) -> Value {
    event(id, sender, "m.room.message", json!({"msgtype": "m.text", "body": body}))
}

fn joined(timeline: Value) -> SyncResponse {
    sync(json!({"join": {ROOM: {"timeline": timeline}}}))
}

fn sync(rooms: Value) -> SyncResponse {
    serde_json::from_value(json!({"next_batch": "s", "rooms": rooms})).unwrap()
}

fn page(value: Value) -> MessagesPage {
    serde_json::from_value(value).unwrap()
}

/// A room made by Alice, with Bob in it.
fn furnished() -> RoomList {
    let mut list = RoomList::new(ALICE);
    list.apply(joined(json!({"prev_batch": "p0", "events": [
        state("$1", ALICE, "m.room.create", "", json!({"room_version": "I.1"})),
        member("$2", ALICE, ALICE, "join"),
        state("$3", ALICE, "m.room.join_rules", "", json!({"join_rule": "public"})),
        state("$4", ALICE, "m.room.name", "", json!({"name": "Tea"})),
        member("$5", BOB, BOB, "join"),
        message("$6", BOB, "hello"),
    ]})));
    list
}

fn bodies(list: &RoomList) -> Vec<String> {
    let items = list.room(ROOM).unwrap().timeline().items();
    items.map(|item| item.event.text("body").unwrap_or("-").to_owned()).collect()
}

fn text(body: &str) -> Map<String, Value> {
    Map::from_iter([("body".to_owned(), json!(body))])
}

#[test]
fn a_room_has_what_its_state_says() {
    let list = furnished();
    let room = list.room(ROOM).unwrap();
    assert_eq!(room.title(), "Tea");
    assert_eq!(room.version(), Some("I.1"));
    assert_eq!(room.join_rule(), Some("public"));
    assert_eq!(room.membership(), Membership::Join);
    assert_eq!(room.members_with(Membership::Join).count(), 2);
    assert_eq!(room.timeline().len(), 6);
    assert_eq!(room.timeline().prev_batch(), Some("p0"));
}

#[test]
fn the_hub_is_whom_the_server_names_else_the_creators_server() {
    let mut list = furnished();
    assert_eq!(list.room(ROOM).unwrap().hub().as_deref(), Some("hub.example.test"));
    list.apply(sync(json!({"join": {ROOM: {"im.axle.hub_server": "birch.example.test"}}})));
    assert_eq!(list.room(ROOM).unwrap().hub().as_deref(), Some("birch.example.test"));
    list.apply(sync(json!({"join": {ROOM: {}}})));
    assert_eq!(list.room(ROOM).unwrap().hub().as_deref(), Some("birch.example.test"));
}

#[test]
fn an_event_that_comes_twice_is_there_once() {
    let mut list = furnished();
    let changes = list.apply(joined(json!({"events": [message("$6", BOB, "hello"), message("$7", BOB, "again")]})));
    assert_eq!(changes.len(), 1);
    assert!(matches!(&changes[0], Change::Event { event, .. } if event.event_id == "$7"));
}

#[test]
fn a_redaction_empties_what_it_redacts() {
    let mut list = furnished();
    let redaction = event("$7", BOB, "m.room.redaction", json!({"redacts": "$6", "reason": "typo"}));
    list.apply(joined(json!({"events": [redaction]})));
    let room = list.room(ROOM).unwrap();
    let item = room.timeline().items().find(|item| item.event.event_id == "$6").unwrap();
    assert_eq!(item.event.content, Map::new());
    assert_eq!(item.redacted.as_ref().unwrap().reason.as_deref(), Some("typo"));
}

#[test]
fn a_redaction_reaches_history_that_comes_later() {
    let mut list = furnished();
    let redaction = event("$8", BOB, "m.room.redaction", json!({"redacts": "$old"}));
    list.apply(joined(json!({"events": [redaction]})));
    let room = list.room_mut(ROOM).unwrap();
    let old = [message("$old", BOB, "secret"), message("$older", BOB, "plain")];
    assert_eq!(room.apply_history(page(json!({"chunk": old, "end": "p1"}))), 2);
    let first: Vec<_> = room.timeline().items().take(2).map(|item| item.event.text("body")).collect();
    assert_eq!(first, [Some("plain"), None]);
}

#[test]
fn history_ends() {
    let mut list = furnished();
    let room = list.room_mut(ROOM).unwrap();
    assert_eq!(room.apply_history(page(json!({"chunk": [message("$0", BOB, "first")], "end": "p1"}))), 1);
    assert_eq!(room.timeline().prev_batch(), Some("p1"));
    assert_eq!(room.apply_history(page(json!({"chunk": [], "end": "p1"}))), 0);
    assert_eq!(room.timeline().prev_batch(), None);
    assert!(room.timeline().is_complete());
    assert_eq!(bodies(&list).first().map(String::as_str), Some("first"));
}

#[test]
fn a_gap_starts_the_timeline_anew() {
    let mut list = furnished();
    let changes =
        list.apply(joined(json!({"limited": true, "prev_batch": "p9", "events": [message("$9", BOB, "later")]})));
    assert_eq!(changes[0], Change::Gap { room_id: ROOM.into() });
    assert_eq!(bodies(&list), ["later"]);
    let room = list.room_mut(ROOM).unwrap();
    assert_eq!(room.timeline().prev_batch(), Some("p9"));
    assert_eq!(room.name(), Some("Tea"));
    room.apply_history(page(
        json!({"chunk": [message("$8", BOB, "between"), message("$6", BOB, "hello")], "end": "p"}),
    ));
    assert_eq!(bodies(&list), ["hello", "between", "later"]);
}

#[test]
fn a_kick_and_an_invite_are_changes_of_membership() {
    let mut list = RoomList::new(BOB);
    let invite = json!({"invite_state": {"events": [
        state("", ALICE, "m.room.name", "", json!({"name": "Tea"})),
        member("", ALICE, BOB, "invite"),
    ]}});
    let changes = list.apply(sync(json!({"invite": {ROOM: invite}})));
    let now = Membership::Invite;
    assert_eq!(changes, [Change::Membership { room_id: ROOM.into(), before: None, now }]);
    let room = list.room(ROOM).unwrap();
    assert_eq!((room.title().as_str(), room.inviter()), ("Tea", Some(ALICE)));

    list.apply(joined(json!({"events": [member("$3", BOB, BOB, "join")]})));
    assert_eq!(list.room(ROOM).unwrap().inviter(), None);
    let ban = member("$4", ALICE, BOB, "ban");
    let changes = list.apply(sync(json!({"leave": {ROOM: {"timeline": {"events": [ban]}}}})));
    let before = Some(Membership::Join);
    assert_eq!(changes[0], Change::Membership { room_id: ROOM.into(), before, now: Membership::Ban });
    let room = list.room(ROOM).unwrap();
    let last = room.timeline().items().last().unwrap();
    assert_eq!(last.prev_content.as_ref().unwrap()["membership"], "join");
}

#[test]
fn a_message_on_its_way_ends_in_the_timeline_whichever_comes_first() {
    let mut list = furnished();
    let room = list.room_mut(ROOM).unwrap();
    room.begin_send("t1", "m.room.message", text("answer first"));
    room.begin_send("t2", "m.room.message", text("sync first"));
    room.begin_send("t3", "m.room.message", text("refused"));
    room.end_send("t1", Ok("$7".into()));
    room.end_send("t3", Err("No. (M_FORBIDDEN)".into()));
    assert_eq!(room.outgoing()[0].state, OutgoingState::Sent("$7".into()));

    list.apply(joined(json!({"events": [message("$7", ALICE, "answer first"), message("$8", ALICE, "sync first")]})));
    let room = list.room_mut(ROOM).unwrap();
    assert_eq!(room.outgoing().len(), 2);
    room.end_send("t2", Ok("$8".into()));
    assert_eq!(room.outgoing().len(), 1);
    assert_eq!(room.outgoing()[0].state, OutgoingState::Failed("No. (M_FORBIDDEN)".into()));
    assert_eq!(room.retry_send("t3").unwrap().content, text("refused"));
    assert_eq!(room.outgoing()[0].state, OutgoingState::Pending);
    room.discard("t3");
    assert!(room.outgoing().is_empty());
}

#[test]
fn the_transaction_id_settles_too() {
    let mut list = furnished();
    list.room_mut(ROOM).unwrap().begin_send("t1", "m.room.message", text("hi"));
    let mut echo = message("$7", ALICE, "hi");
    echo["unsigned"] = json!({"transaction_id": "t1"});
    list.apply(joined(json!({"events": [echo]})));
    assert!(list.room(ROOM).unwrap().outgoing().is_empty());
}
