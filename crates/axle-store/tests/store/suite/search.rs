use std::sync::Arc;

use axle_protocol::RoomId;
use axle_store::{EventStatus, NewEvent, SearchKey, SearchMatches, SearchQuery, Store};
use serde_json::json;

use super::fixtures::*;

/// A message with this text.
fn says(name: &str, position: i64, text: &str) -> NewEvent {
    let json = json!({"type": "m.room.message", "content": {"body": text}});
    NewEvent { json: json.to_string().into(), ..message(name, position) }
}

async fn index(store: &Arc<dyn Store>) {
    let mut to = store.searchable_to().await.unwrap();
    while to < store.max_stream().await.unwrap() {
        // In small steps.
        to = store.make_searchable(to, 2).await.unwrap();
    }
}

fn query(rooms: &[&RoomId], words: &[&str]) -> SearchQuery {
    SearchQuery {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        keys: vec![SearchKey::Body, SearchKey::Name, SearchKey::Topic],
        rooms: rooms.iter().map(|room| (*room).clone()).collect(),
        until: i64::MAX,
        limit: 100,
    }
}

fn found(matches: &SearchMatches) -> Vec<String> {
    names(matches.events.iter().map(|event| &event.event_id))
}

async fn search(store: &Arc<dyn Store>, rooms: &[&RoomId], words: &[&str]) -> Vec<String> {
    found(&store.search_messages(&query(rooms, words)).await.unwrap())
}

pub(crate) async fn by_words_and_room(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    put(&store, &one, vec![says("tea", 2, "Tea, or coffee?"), says("cup", 3, "a cup of TEA")]).await;
    put(&store, &two, vec![says("there", 2, "tea there"), says("site", 3, "see example.org/tea-time")]).await;
    assert!(search(&store, &[&one, &two], &["tea"]).await.is_empty(), "nothing is in the index yet");
    index(&store).await;
    assert_eq!(search(&store, &[&one, &two], &["tea"]).await, ["site", "there", "cup", "tea"]);
    assert_eq!(search(&store, &[&one], &["tea"]).await, ["cup", "tea"]);
    assert_eq!(search(&store, &[&one], &["COFFEE", "tea"]).await, ["tea"]);
    assert_eq!(search(&store, &[&one, &two], &["tea-time"]).await, ["site"]);
    assert_eq!(search(&store, &[&two], &["example.org"]).await, ["site"]);
    for nothing in [&["te"][..], &["time-tea"], &["tea", "biscuit"], &["r1"], &[]] {
        assert!(search(&store, &[&one, &two], nothing).await.is_empty(), "{nothing:?}");
    }
    assert!(search(&store, &[], &["tea"]).await.is_empty());
    assert!(search(&store, &[&room("nowhere")], &["tea"]).await.is_empty());
    // What looks like a query is none.
    for odd in
        ["\"", "tea\"", "tea*", "body:tea", "(tea", "NOT", "NEAR(tea)", "{tea}", "^tea", "tea)", "'", "-", "tea\0x"]
    {
        let hits = search(&store, &[&one], &[odd]).await;
        assert!(hits.is_empty() || odd.contains("tea"), "{odd}: {hits:?}");
    }
    assert_eq!(search(&store, &[&one], &["-", "coffee", "!!"]).await, ["tea"]);
}

pub(crate) async fn by_what_it_is_in(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let with = |event: NewEvent, content: serde_json::Value| {
        let json = json!({"type": event.event_type, "state_key": "", "content": content});
        NewEvent { json: json.to_string().into(), ..event }
    };
    let events = vec![
        with(state("name", 2, "m.room.name", ""), json!({"name": "Tea room", "body": "coffee"})),
        with(state("topic", 3, "m.room.topic", ""), json!({"topic": "all about tea"})),
        says("message", 4, "tea"),
        with(NewEvent { event_type: "m.room.encrypted".into(), ..message("secret", 5) }, json!({"body": "tea"})),
        with(message("odd", 6), json!({"body": ["tea"]})),
        NewEvent { json: "no JSON, \"m.room.message\" tea".into(), ..message("broken", 7) },
    ];
    put(&store, &one, events).await;
    put(&store, &one, vec![unplaced(says("waiting", 0, "tea"), EventStatus::Waiting)]).await;
    put(&store, &one, vec![unplaced(says("rejected", 0, "tea"), EventStatus::Rejected)]).await;
    index(&store).await;
    assert_eq!(search(&store, &[&one], &["tea"]).await, ["message", "topic", "name"]);
    assert!(search(&store, &[&one], &["coffee"]).await.is_empty());
    for (key, expected) in [(SearchKey::Body, "message"), (SearchKey::Name, "name"), (SearchKey::Topic, "topic")] {
        let query = SearchQuery { keys: vec![key], ..query(&[&one], &["tea"]) };
        assert_eq!(found(&store.search_messages(&query).await.unwrap()), [expected]);
    }
    // What waited has its turn.
    put(&store, &one, vec![says("waiting", 8, "tea")]).await;
    index(&store).await;
    assert_eq!(search(&store, &[&one], &["tea"]).await, ["waiting", "message", "topic", "name"]);
}

pub(crate) async fn nothing_redacted(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    put(&store, &one, vec![says("before", 2, "tea"), says("after", 3, "tea"), says("kept", 4, "tea")]).await;
    let redaction =
        |name: &str, position, target: &str| NewEvent { redacts: Some(id(target)), ..message(name, position) };
    put(&store, &one, vec![redaction("r1", 5, "before"), redaction("r2", 6, "early")]).await;
    index(&store).await;
    assert_eq!(search(&store, &[&one], &["tea"]).await, ["kept", "after"]);
    put(&store, &one, vec![redaction("r3", 7, "after"), says("early", 8, "tea")]).await;
    index(&store).await;
    assert_eq!(search(&store, &[&one], &["tea"]).await, ["kept"]);
}

pub(crate) async fn in_pages(store: Arc<dyn Store>) {
    let mut rooms = Vec::new();
    for number in 0..300 {
        let room_id = make_room(&store, &format!("r{number}")).await;
        put(&store, &room_id, vec![says(&format!("m{number}"), 2, "tea")]).await;
        rooms.push(room_id);
    }
    let mut to = store.searchable_to().await.unwrap();
    while to < store.max_stream().await.unwrap() {
        to = store.make_searchable(to, 500).await.unwrap();
    }
    let rooms: Vec<&RoomId> = rooms.iter().collect();
    let mut all = Vec::new();
    let mut query = SearchQuery { limit: 120, ..query(&rooms, &["tea"]) };
    loop {
        let matches = store.search_messages(&query).await.unwrap();
        all.extend(found(&matches));
        match matches.more {
            Some(more) => query.until = more,
            None => break,
        }
    }
    let expected: Vec<String> = (0..300).rev().map(|number| format!("m{number}")).collect();
    assert_eq!(all, expected);
}
