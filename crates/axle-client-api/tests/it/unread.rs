//! Unread counts: by push rules, receipts and threads.

use axle_protocol::RoomId;
use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, next, server, two_in_a_room};

/// Asks for counts by thread.
const THREADS: &str = r#"filter={"room":{"timeline":{"unread_thread_notifications":true}}}"#;

/// Sends a message; its event id.
async fn send(person: &Person, room: &RoomId, txn: &str, content: Value) -> String {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}");
    let mut message = json!({"msgtype": "m.text", "body": txn});
    message.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    person.put(&path, message).await.ok()["event_id"].as_str().unwrap().into()
}

fn in_thread(root: &str) -> Value {
    json!({"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
}

fn mention(person: &Person) -> Value {
    json!({"m.mentions": {"user_ids": [person.user_id]}})
}

async fn read(person: &Person, room: &RoomId, kind: &str, event: &str, body: Value) {
    person.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/{kind}/{event}"), body).await.ok();
}

fn of<'a>(sync: &'a Value, room: &RoomId) -> &'a Value {
    &sync["rooms"]["join"][room.as_str()]
}

/// (notifications, highlights) of the room.
fn unread(sync: &Value, room: &RoomId) -> (u64, u64) {
    let counts = &of(sync, room)["unread_notifications"];
    (counts["notification_count"].as_u64().unwrap(), counts["highlight_count"].as_u64().unwrap())
}

/// (root, notifications, highlights) of each thread.
fn threads(sync: &Value, room: &RoomId) -> Vec<(String, u64, u64)> {
    let Some(threads) = of(sync, room)["unread_thread_notifications"].as_object() else { return Vec::new() };
    let count = |counts: &Value, which: &str| counts[which].as_u64().unwrap();
    threads
        .iter()
        .map(|(root, it)| (root.clone(), count(it, "notification_count"), count(it, "highlight_count")))
        .collect()
}

#[tokio::test]
async fn what_others_say_is_unread_until_it_is_read() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let first = bob.sync("").await;
    as_ruma::<Response>(&first);
    assert_eq!(unread(&first, &room), (0, 0), "what was there before he came is not unread");
    let one = alice.say(&room, "one").await;
    send(&alice, &room, "two", mention(&bob)).await;
    send(&alice, &room, "notice", json!({"msgtype": "m.notice"})).await;
    bob.say(&room, "mine").await;
    let news = bob.sync(&next(&first)).await;
    assert_eq!(unread(&news, &room), (2, 1));
    assert_eq!(unread(&bob.sync("").await, &room), (2, 1));
    assert_eq!(unread(&alice.sync("").await, &room), (1, 0));
    read(&bob, &room, "m.read", &one, json!({})).await;
    let news = bob.sync(&next(&news)).await;
    assert_eq!(unread(&news, &room), (1, 1));
    let three = alice.say(&room, "three").await;
    assert_eq!(unread(&bob.sync(&next(&news)).await, &room), (2, 1));
    read(&bob, &room, "m.read.private", &three, json!({})).await;
    // The counts are told although the filter has no receipts.
    let filter = r#"filter={"room":{"ephemeral":{"types":[]}}}"#;
    let sync = bob.sync(&format!("{}&{filter}", next(&news))).await;
    assert_eq!(unread(&sync, &room), (0, 0));
    assert_eq!(of(&sync, &room)["ephemeral"]["events"], json!([]));
    let quiet = bob.sync(&next(&sync)).await;
    assert_eq!(quiet["rooms"]["join"], json!({}));
}

#[tokio::test]
async fn a_message_that_is_redacted_is_no_longer_unread() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let first = bob.sync("").await;
    alice.say(&room, "one").await;
    let two = send(&alice, &room, "two", mention(&bob)).await;
    let news = bob.sync(&next(&first)).await;
    assert_eq!(unread(&news, &room), (2, 1));
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{two}/1"), json!({})).await.ok();
    assert_eq!(unread(&bob.sync(&next(&news)).await, &room), (1, 0));
}

#[tokio::test]
async fn rules_decide_what_counts() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let rules = "/_matrix/client/v3/pushrules/global";
    let keyword = json!({"pattern": "tea", "actions": ["notify", {"set_tweak": "highlight"}]});
    bob.put(&format!("{rules}/content/tea"), keyword).await.ok();
    bob.put(&format!("{rules}/room/{room}"), json!({"actions": []})).await.ok();
    let since = next(&bob.sync("").await);
    send(&alice, &room, "1", json!({"body": "coffee"})).await;
    assert_eq!(unread(&bob.sync(&since).await, &room), (0, 0));
    send(&alice, &room, "2", json!({"body": "Tea, please"})).await;
    assert_eq!(unread(&bob.sync(&since).await, &room), (1, 1));
    bob.request(reqwest::Method::DELETE, &format!("{rules}/room/{room}"), None).await.ok();
    send(&alice, &room, "3", json!({"body": "coffee"})).await;
    assert_eq!(unread(&bob.sync(&since).await, &room), (2, 1), "rules are for what comes");
    // Mentions of the room need power.
    let everyone = json!({"m.mentions": {"room": true}});
    send(&alice, &room, "4", everyone.clone()).await;
    assert_eq!(unread(&bob.sync(&since).await, &room), (3, 2));
    let since = next(&alice.sync("").await);
    send(&bob, &room, "5", everyone).await;
    assert_eq!(unread(&alice.sync(&since).await, &room), (1, 0));
    bob.put(&format!("{rules}/override/.m.rule.master/enabled"), json!({"enabled": true})).await.ok();
    alice.say(&room, "6").await;
    assert_eq!(unread(&bob.sync("").await, &room), (3, 2), "he wants nothing any more");
}

#[tokio::test]
async fn threads_are_counted_apart_if_that_is_wanted() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let root = alice.say(&room, "root").await;
    read(&bob, &room, "m.read", &root, json!({"thread_id": "main"})).await;
    let since = next(&bob.sync("").await);
    let reply = send(&alice, &room, "reply", in_thread(&root)).await;
    let mut mentioning = in_thread(&root);
    mentioning.as_object_mut().unwrap().extend(mention(&bob).as_object().unwrap().clone());
    let last = send(&alice, &room, "mention", mentioning).await;
    // What is about something in a thread is in the thread.
    let about = json!({"m.relates_to": {"rel_type": "m.reference", "event_id": last}});
    send(&alice, &room, "about", about).await;
    let main = alice.say(&room, "main").await;
    let apart = bob.sync(&format!("{since}&{THREADS}")).await;
    as_ruma::<Response>(&apart);
    assert_eq!((unread(&apart, &room), threads(&apart, &room)), ((1, 0), vec![(root.clone(), 3, 1)]));
    let together = bob.sync(&since).await;
    assert_eq!((unread(&together, &room), threads(&together, &room)), ((4, 1), vec![]));
    read(&bob, &room, "m.read", &main, json!({"thread_id": "main"})).await;
    read(&bob, &room, "m.read", &reply, json!({"thread_id": root})).await;
    let apart = bob.sync(&format!("{}&{THREADS}", next(&apart))).await;
    assert_eq!((unread(&apart, &room), threads(&apart, &room)), ((0, 0), vec![(root.clone(), 2, 1)]));
    // A receipt without a thread is for all of them.
    read(&bob, &room, "m.read", &main, json!({})).await;
    let apart = bob.sync(&format!("{}&{THREADS}", next(&apart))).await;
    assert_eq!((unread(&apart, &room), threads(&apart, &room)), ((0, 0), vec![]));
    send(&alice, &room, "more", in_thread(&root)).await;
    let apart = bob.sync(&format!("{}&{THREADS}", next(&apart))).await;
    assert_eq!((unread(&apart, &room), threads(&apart, &room)), ((0, 0), vec![(root, 1, 0)]));
}

#[tokio::test]
async fn who_comes_back_begins_at_zero() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.say(&room, "one").await;
    assert_eq!(unread(&bob.sync("").await, &room), (1, 0));
    let member = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", bob.user_id);
    bob.put(&member, json!({"membership": "join", "displayname": "Bob"})).await.ok();
    assert_eq!(unread(&bob.sync("").await, &room), (1, 0), "he did not come by that");
    bob.leave(&room).await.ok();
    alice.say(&room, "two").await;
    bob.join(&room).await.ok();
    assert_eq!(unread(&bob.sync("").await, &room), (0, 0));
    alice.say(&room, "three").await;
    assert_eq!(unread(&bob.sync("").await, &room), (1, 0));
}

#[tokio::test]
async fn many_are_counted_and_can_be_read_in_part() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&bob.sync("").await);
    let mut sent = Vec::new();
    for n in 0..250 {
        sent.push(alice.say(&room, &format!("{n}")).await);
    }
    // One device goes on, another one begins.
    let news = bob.sync(&since).await;
    assert_eq!((unread(&news, &room), unread(&bob.sync("").await, &room)), ((250, 0), (250, 0)));
    read(&bob, &room, "m.read", &sent[99], json!({})).await;
    let news = bob.sync(&next(&news)).await;
    assert_eq!(unread(&news, &room), (150, 0));
    alice.say(&room, "more").await;
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{}/1", sent[120]), json!({})).await.ok();
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{}/2", sent[20]), json!({})).await.ok();
    let news = bob.sync(&next(&news)).await;
    assert_eq!(unread(&news, &room), (150, 0), "one more, and one of them redacted");
    read(&bob, &room, "m.read.private", &sent[249], json!({"thread_id": "main"})).await;
    assert_eq!(unread(&bob.sync(&next(&news)).await, &room), (1, 0));
}

#[tokio::test]
async fn what_is_unread_in_threads_is_found_below_what_is_read() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let (first, second) = (alice.say(&room, "first").await, alice.say(&room, "second").await);
    let mut in_first = Vec::new();
    for n in 0..3 {
        in_first.push(send(&alice, &room, &format!("first {n}"), in_thread(&first)).await);
        send(&alice, &room, &format!("second {n}"), in_thread(&second)).await;
    }
    let last = alice.say(&room, "last").await;
    read(&bob, &room, "m.read", &in_first[1], json!({"thread_id": first})).await;
    read(&bob, &room, "m.read", &last, json!({"thread_id": "main"})).await;
    // Nothing was counted for him yet.
    let sync = bob.sync(THREADS).await;
    let mut expected = vec![(first.clone(), 1, 0), (second.clone(), 3, 0)];
    expected.sort();
    assert_eq!((unread(&sync, &room), threads(&sync, &room)), ((0, 0), expected));
    alice.say(&room, "more").await;
    read(&bob, &room, "m.read", &in_first[2], json!({"thread_id": first})).await;
    let news = bob.sync(&format!("{}&{THREADS}", next(&sync))).await;
    assert_eq!((unread(&news, &room), threads(&news, &room)), ((1, 0), vec![(second, 3, 0)]));
}

#[tokio::test]
async fn what_rules_go_by_in_a_room_is_that_of_the_moment() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&alice.sync("").await);
    let everyone = json!({"m.mentions": {"room": true}});
    send(&bob, &room, "1", everyone.clone()).await;
    assert_eq!(unread(&alice.sync(&since).await, &room), (1, 0));
    let levels = json!({"users": {alice.user_id.as_str(): 100}, "notifications": {"room": 0}});
    alice.set_state(&room, "m.room.power_levels", levels).await;
    send(&bob, &room, "2", everyone).await;
    assert_eq!(unread(&alice.sync(&since).await, &room), (2, 1));
    // A keyword in a room of two, in which that is a rule before all others; with three it is not.
    let rule = json!({
        "conditions": [{"kind": "room_member_count", "is": "2"}], "actions": ["notify", {"set_tweak": "highlight"}],
    });
    alice.put("/_matrix/client/v3/pushrules/global/override/two", rule).await.ok();
    send(&bob, &room, "3", json!({})).await;
    assert_eq!(unread(&alice.sync(&since).await, &room), (3, 2));
    server.person("carol").await.join(&room).await.ok();
    send(&bob, &room, "4", json!({})).await;
    assert_eq!(unread(&alice.sync(&since).await, &room), (4, 2));
}

#[tokio::test]
async fn counting_ends_somewhere() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let since = next(&bob.sync("").await);
    for n in 0..1_005 {
        alice.say(&room, &format!("{n}")).await;
    }
    // Whoever asks only now is told of the newest; and so is who goes on from before.
    let sync = bob.sync(&since).await;
    assert_eq!(unread(&sync, &room), (1_000, 0));
    alice.say(&room, "more").await;
    assert_eq!(unread(&bob.sync(&next(&sync)).await, &room), (1_000, 0));
}

#[tokio::test]
async fn strange_texts_and_patterns_break_nothing() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let rules = "/_matrix/client/v3/pushrules/global/content";
    for (id, pattern) in [("a", "a"), ("b", "?*?"), ("c", "(["), ("d", &"?".repeat(255))] {
        bob.put(&format!("{rules}/{id}"), json!({"pattern": pattern, "actions": ["notify"]})).await.ok();
    }
    let since = next(&bob.sync("").await);
    send(&alice, &room, "1", json!({"body": "aa ".repeat(20_000)})).await;
    send(&alice, &room, "2", json!({"body": "ä".repeat(30_000)})).await;
    send(&alice, &room, "3", json!({"body": 7})).await;
    send(&alice, &room, "4", json!({"body": "ignore", "m.relates_to": {"rel_type": 7}})).await;
    assert_eq!(unread(&bob.sync(&since).await, &room), (4, 0));
}

#[tokio::test]
async fn names_in_a_text_are_mentions_if_the_message_names_none() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    bob.put("/_matrix/client/v3/profile/@bob:example.org/displayname", json!({"displayname": "Robert"})).await.ok();
    bob.rename(&room, "Robert").await;
    let nobody = json!({"m.mentions": {}});
    let with = |text: &str, more: &Value| {
        let mut content = json!({"body": text});
        content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        content
    };
    let (mut notified, mut highlighted) = (0, 0);
    let texts = [("@bob:example.org, hello", 1), ("hello Robert!", 1), ("@room", 1), ("bobcat", 0), ("roberta", 0)];
    for (n, (text, highlights)) in texts.into_iter().enumerate() {
        send(&alice, &room, &format!("named-{n}"), with(text, &json!({}))).await;
        (notified, highlighted) = (notified + 1, highlighted + highlights);
        assert_eq!(unread(&bob.sync("").await, &room), (notified, highlighted), "{text}");
        send(&alice, &room, &format!("unnamed-{n}"), with(text, &nobody)).await;
        notified += 1;
        assert_eq!(unread(&bob.sync("").await, &room), (notified, highlighted), "{text}");
    }
    // Who may not notify a room does not by writing it.
    let before = unread(&alice.sync("").await, &room);
    send(&bob, &room, "room", json!({"body": "@room"})).await;
    assert_eq!(unread(&alice.sync("").await, &room), (before.0 + 1, before.1));
}
