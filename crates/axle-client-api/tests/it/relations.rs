//! Events that relate to others: listed, and told along with them.

use axle_protocol::RoomId;
use ruma::api::client::relations::{get_relating_events, get_relating_events_with_rel_type_and_event_type};
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, bodies, server};

fn path(room: &RoomId, event: &str, rest: &str) -> String {
    format!("/_matrix/client/v1/rooms/{room}/relations/{event}{rest}")
}

/// The content of a message that relates to another.
fn relating(rel_type: &str, event: &str, text: &str) -> Value {
    json!({"msgtype": "m.text", "body": text, "m.relates_to": {"rel_type": rel_type, "event_id": event}})
}

fn edit(event: &str, text: &str) -> Value {
    let mut content = relating("m.replace", event, &format!("* {text}"));
    content["m.new_content"] = json!({"msgtype": "m.text", "body": text});
    content
}

const MESSAGE: &str = "m.room.message";

async fn chunk(person: &Person, room: &RoomId, event: &str, rest: &str) -> Vec<String> {
    ids(&person.get(&path(room, event, rest)).await.ok()["chunk"])
}

fn ids(events: &Value) -> Vec<String> {
    events.as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// What a person is told of the relations of an event.
async fn told(person: &Person, room: &RoomId, event: &str) -> Value {
    let event = person.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event}")).await.ok();
    event["unsigned"]["m.relations"].clone()
}

#[tokio::test]
async fn relations_are_listed_in_pages() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let root = alice.say(&room, "root").await;
    assert_eq!(chunk(&alice, &room, &root, "").await, [""; 0]);
    let one = alice.send(&room, MESSAGE, relating("m.thread", &root, "1")).await;
    let reaction = json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+1"}});
    let two = alice.send(&room, "m.reaction", reaction).await;
    let now = alice.now().await;
    // Encrypted events say in the clear what they relate to.
    let encrypted = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": "x",
        "m.relates_to": {"rel_type": "m.thread", "event_id": root}
    });
    let three = alice.send(&room, "m.room.encrypted", encrypted).await;
    // A reply is no relation of a kind.
    let reply = json!({"body": "reply", "m.relates_to": {"m.in_reply_to": {"event_id": root}}});
    alice.send(&room, MESSAGE, reply).await;

    let all = alice.get(&path(&room, &root, "")).await.ok();
    as_ruma::<get_relating_events::v1::Response>(&all);
    assert_eq!(ids(&all["chunk"]), [&*three, &two, &one]);
    assert_eq!((all.get("next_batch"), all.get("prev_batch"), all.get("recursion_depth")), (None, None, None));
    assert_eq!(all["chunk"][0]["room_id"], json!(room));
    assert_eq!(chunk(&alice, &room, &root, "/m.thread").await, [&*three, &one]);
    assert_eq!(chunk(&alice, &room, &root, "/m.thread/m.room.message").await, [&*one]);
    let reactions = alice.get(&path(&room, &root, "/m.annotation/m.reaction")).await.ok();
    as_ruma::<get_relating_events_with_rel_type_and_event_type::v1::Response>(&reactions);
    assert_eq!(ids(&reactions["chunk"]), [&*two]);

    let first = alice.get(&path(&room, &root, "?limit=2")).await.ok();
    assert_eq!(ids(&first["chunk"]), [&*three, &two]);
    let next = first["next_batch"].as_str().unwrap();
    let second = alice.get(&path(&room, &root, &format!("?limit=2&from={next}"))).await.ok();
    assert_eq!((ids(&second["chunk"]), second.get("next_batch")), (vec![one.clone()], None));
    assert_eq!(second["prev_batch"], json!(next));
    assert_eq!(chunk(&alice, &room, &root, "?dir=f").await, [&*one, &two, &three]);
    assert_eq!(chunk(&alice, &room, &root, &format!("?from={now}")).await, [&*two, &one]);
    assert_eq!(chunk(&alice, &room, &root, &format!("?to={now}")).await, [&*three]);
    assert_eq!(chunk(&alice, &room, &root, &format!("?dir=f&to={now}")).await, [&*one, &two]);

    alice.redact(&room, &two).await;
    assert_eq!(chunk(&alice, &room, &root, "").await, [&*three, &one]);
    alice.get(&path(&room, &root, "?from=garbage")).await.fails(400, "M_INVALID_PARAM");
    alice.get(&path(&room, &root, "?dir=x")).await.fails(400, "M_INVALID_PARAM");
    alice.get(&path(&room, "$nosuch", "")).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn relations_are_told_on_old_paths() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let root = alice.say(&room, "root").await;
    let one = alice.send(&room, MESSAGE, relating("m.thread", &root, "1")).await;
    for rest in ["", "/m.thread", "/m.thread/m.room.message"] {
        let old = format!("/_matrix/client/unstable/rooms/{room}/relations/{root}{rest}");
        assert_eq!(alice.get(&old).await.ok()["chunk"][0]["event_id"], json!(one), "{rest}");
    }
}

#[tokio::test]
async fn relations_of_relations_are_followed_so_far() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut events = vec![alice.say(&room, "root").await];
    for text in ["1", "2", "3", "4"] {
        events.push(alice.send(&room, MESSAGE, relating("m.reference", events.last().unwrap(), text)).await);
    }
    assert_eq!(chunk(&alice, &room, &events[0], "").await, [&*events[1]]);
    let deep = alice.get(&path(&room, &events[0], "?recurse=true")).await.ok();
    assert_eq!(bodies(&deep["chunk"]), ["3", "2", "1"]);
    assert_eq!(deep["recursion_depth"], 3);
    assert_eq!(chunk(&alice, &room, &events[0], "/m.thread?recurse=true").await, [""; 0]);
}

#[tokio::test]
async fn the_newest_valid_edit_is_told() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let event = alice.say(&room, "first").await;
    assert_eq!(told(&alice, &room, &event).await, Value::Null);
    let valid = alice.send(&room, MESSAGE, edit(&event, "second")).await;
    // None of these is one.
    bob.send(&room, MESSAGE, edit(&event, "by another")).await;
    alice.send(&room, "m.other", edit(&event, "another type")).await;
    alice.send(&room, MESSAGE, relating("m.replace", &event, "nothing new")).await;
    let relations = told(&alice, &room, &event).await;
    assert_eq!(relations["m.replace"]["event_id"], json!(valid));
    assert_eq!(relations["m.replace"]["content"]["m.new_content"]["body"], "second");
    assert!(relations["m.replace"]["unsigned"]["transaction_id"].is_string());
    assert_eq!(relations["m.replace"].get("hashes"), None);
    assert_eq!(relations.as_object().unwrap().len(), 1);
    let newer = alice.send(&room, MESSAGE, edit(&event, "third")).await;
    let seen = told(&bob, &room, &event).await;
    assert_eq!(seen["m.replace"]["event_id"], json!(newer));
    assert_eq!(seen["m.replace"]["unsigned"].get("transaction_id"), None);
    // The event itself is what it was; an edit has no edits.
    let whole = bob.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event}")).await.ok();
    assert_eq!(whole["content"]["body"], "first");
    alice.send(&room, MESSAGE, edit(&newer, "an edit of an edit")).await;
    assert_eq!(told(&bob, &room, &newer).await, Value::Null);
    alice.redact(&room, &newer).await;
    assert_eq!(told(&bob, &room, &event).await["m.replace"]["event_id"], json!(valid));
    alice.redact(&room, &event).await;
    assert_eq!(told(&bob, &room, &event).await, Value::Null);
    // State is not edited.
    let topic = alice.set_state(&room, "m.room.topic", json!({"topic": "tea"})).await;
    alice.send(&room, "m.room.topic", edit(&topic, "coffee")).await;
    assert_eq!(told(&bob, &room, &topic).await, Value::Null);
}

#[tokio::test]
async fn encrypted_edits_are_told_and_strange_content_breaks_nothing() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let encrypted = json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"});
    let event = alice.send(&room, "m.room.encrypted", encrypted.clone()).await;
    let mut content = encrypted;
    content["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": event});
    let edit = alice.send(&room, "m.room.encrypted", content).await;
    assert_eq!(told(&alice, &room, &event).await["m.replace"]["event_id"], json!(edit));
    for relation in [
        json!("text"),
        json!([]),
        json!({"rel_type": 7, "event_id": event}),
        json!({"rel_type": "m.thread"}),
        json!({"rel_type": "m.thread", "event_id": "nonsense"}),
        json!({"rel_type": "m.thread", "event_id": "$nowhere"}),
    ] {
        let sent = alice.send(&room, MESSAGE, json!({"body": "x", "m.relates_to": relation})).await;
        assert_eq!(told(&alice, &room, &sent).await, Value::Null);
    }
    assert_eq!(chunk(&alice, &room, &event, "").await, [&*edit]);
}

#[tokio::test]
async fn relations_are_told_wherever_events_are() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    alice.send(&room, MESSAGE, relating("m.thread", &root, "1")).await;
    let last = bob.send(&room, MESSAGE, relating("m.thread", &root, "2")).await;
    let newer = bob.send(&room, MESSAGE, edit(&last, "two")).await;
    let reference = alice.send(&room, "m.poll.response", relating("m.reference", &root, "")).await;
    alice.send(&room, "m.reaction", relating("m.annotation", &root, "")).await;
    let change = alice.send(&room, MESSAGE, edit(&root, "beginning")).await;

    let check = |relations: &Value, place: &str| {
        let thread = &relations["m.thread"];
        assert_eq!((&thread["count"], &thread["current_user_participated"]), (&json!(2), &json!(true)), "{place}");
        assert_eq!(thread["latest_event"]["event_id"], json!(last), "{place}");
        let inner = &thread["latest_event"]["unsigned"]["m.relations"]["m.replace"];
        assert_eq!(inner["event_id"], json!(newer), "{place}");
        assert_eq!(relations["m.reference"], json!({"chunk": [{"event_id": reference}]}), "{place}");
        assert_eq!(relations["m.replace"]["event_id"], json!(change), "{place}");
        assert_eq!(relations.get("m.annotation"), None, "{place}");
    };
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let find = |events: &Value| {
        let found = events.as_array().unwrap().iter().find(|event| event["event_id"] == json!(root));
        found.unwrap()["unsigned"]["m.relations"].clone()
    };
    check(&told(&alice, &room, &root).await, "event");
    check(&find(&alice.get(&format!("{rooms}/messages?dir=b&limit=100")).await.ok()["chunk"]), "messages");
    let sync = alice.sync(r#"filter={"room":{"timeline":{"limit":100}}}"#).await;
    check(&find(&sync["rooms"]["join"][room.as_str()]["timeline"]["events"]), "sync");
    let context = alice.get(&format!("{rooms}/context/{root}")).await.ok();
    check(&context["event"]["unsigned"]["m.relations"], "context");
    let around = alice.get(&format!("{rooms}/context/{last}?limit=100")).await.ok();
    check(&find(&around["events_before"]), "context, before");
    let of_root = alice.get(&path(&room, &root, "/m.thread")).await.ok();
    let latest = &of_root["chunk"][0];
    assert_eq!(latest["unsigned"]["m.relations"]["m.replace"]["event_id"], json!(newer));
    let thread = told(&bob, &room, &root).await["m.thread"].clone();
    assert_eq!(thread["current_user_participated"], true);
    let carol = server.person("carol").await;
    carol.join(&room).await.ok();
    assert_eq!(told(&carol, &room, &root).await["m.thread"]["current_user_participated"], false);
}

#[tokio::test]
async fn who_left_is_not_told_of_later_relations() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    let seen = alice.send(&room, MESSAGE, relating("m.thread", &root, "seen")).await;
    bob.leave(&room).await.ok();
    alice.send(&room, MESSAGE, relating("m.thread", &root, "later")).await;
    alice.send(&room, MESSAGE, edit(&root, "later")).await;
    alice.send(&room, MESSAGE, relating("m.reference", &root, "later")).await;
    for query in ["", "?dir=f", "?recurse=true"] {
        assert_eq!(chunk(&bob, &room, &root, query).await, [&*seen], "{query}");
    }
    let relations = told(&bob, &room, &root).await;
    assert_eq!(relations["m.thread"]["latest_event"]["event_id"], json!(seen));
    assert_eq!(relations["m.thread"]["count"], 1);
    assert!(!relations.to_string().contains("later"), "{relations}");
    assert_eq!((relations.get("m.replace"), relations.get("m.reference")), (None, None));
}

#[tokio::test]
async fn what_happened_while_away_is_not_told_in_a_room_for_members() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let state = json!([{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]);
    let room = alice.create_room(json!({"preset": "public_chat", "initial_state": state})).await;
    bob.join(&room).await.ok();
    let root = alice.say(&room, "root").await;
    let first = alice.send(&room, MESSAGE, edit(&root, "first")).await;
    bob.leave(&room).await.ok();
    alice.send(&room, MESSAGE, edit(&root, "while away")).await;
    alice.send(&room, MESSAGE, relating("m.thread", &root, "while away")).await;
    bob.join(&room).await.ok();
    let relations = told(&bob, &room, &root).await;
    assert_eq!(relations["m.replace"]["event_id"], json!(first));
    assert!(!relations.to_string().contains("while away"), "{relations}");
    assert_eq!(chunk(&bob, &room, &root, "").await, [&*first]);
    let mallory = server.person("mallory").await;
    mallory.get(&path(&room, &root, "")).await.fails(404, "M_NOT_FOUND");
}
