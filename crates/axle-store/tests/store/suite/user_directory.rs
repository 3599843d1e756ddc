use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{FoundUsers, NewEvent, Store};
use serde_json::json;

use super::fixtures::*;

/// A member with a display name.
fn named(id: &str, position: i64, who: &str, membership: Membership, name: &str) -> NewEvent {
    let content = json!({"membership": membership.as_str(), "displayname": name, "avatar_url": "mxc://x/y"});
    let json = json!({"type": "m.room.member", "state_key": user(who), "content": content}).to_string();
    NewEvent { json: json.into(), ..member(id, position, &user(who), membership) }
}

async fn search(store: &Arc<dyn Store>, searcher: &str, words: &[&str], limit: usize) -> FoundUsers {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    store.search_users(&user(searcher), words, limit).await.unwrap()
}

/// The local parts of those found.
async fn names(store: &Arc<dyn Store>, searcher: &str, words: &[&str]) -> Vec<String> {
    let found = search(store, searcher, words, 100).await;
    assert!(!found.limited);
    found.users.iter().map(|found| found.user_id.localpart().to_owned()).collect()
}

async fn room_with(store: &Arc<dyn Store>, name: &str, members: &[(&str, &str)]) -> RoomId {
    let room_id = make_room(store, name).await;
    for (position, (who, displayname)) in (2..).zip(members) {
        let id = format!("{name}_{who}");
        put(store, &room_id, vec![named(&id, position, who, Membership::Join, displayname)]).await;
    }
    room_id
}

pub(crate) async fn by_id_and_name(store: Arc<dyn Store>) {
    room_with(&store, "one", &[("bob", "Robert Grün"), ("barbara", "b o b"), ("carol", "")]).await;
    for (words, expected) in [
        (&["bob"][..], &["bob"][..]),
        (&["b"], &["barbara", "bob"]),
        (&["ROB"], &["bob"]),
        (&["rob", "grü"], &["bob"]),
        (&["bob", "hub", "exam"], &["bob"]),
        (&["rob", "carol"], &[]),
        (&["ert"], &[]),
        (&["o"], &["barbara"]),
        (&[], &[]),
    ] {
        assert_eq!(names(&store, "alice", words).await, expected, "{words:?}");
    }
    let found = search(&store, "alice", &["bob"], 1).await.users.pop().unwrap();
    assert_eq!(found.displayname.as_deref(), Some("Robert Grün"));
    assert_eq!(found.avatar_url.as_deref(), Some("mxc://x/y"));
    let some = search(&store, "alice", &["b"], 1).await;
    assert_eq!((some.users.len(), some.limited), (1, true));
    assert!(names(&store, "alice", &["alice"]).await.is_empty(), "not oneself");
}

pub(crate) async fn whom_one_may_know_of(store: Arc<dyn Store>) {
    let room_id = room_with(&store, "one", &[("bob", "Bob")]).await;
    assert!(names(&store, "eve", &["bob"]).await.is_empty());
    // The name is the one of the room that is shared.
    room_with(&store, "two", &[("bob", "Secret"), ("carol", "")]).await;
    put(&store, &room_id, vec![named("eve", 3, "eve", Membership::Join, "")]).await;
    assert_eq!(names(&store, "eve", &["bob"]).await, ["bob"]);
    assert!(names(&store, "eve", &["secret"]).await.is_empty());
    assert_eq!(names(&store, "carol", &["secret"]).await, ["bob"]);
    put(&store, &room_id, vec![named("bob2", 4, "bob", Membership::Join, "Robert")]).await;
    assert!(!search(&store, "eve", &["bob"], 9).await.users.is_empty(), "the id is the same");
    assert_eq!(names(&store, "eve", &["robert"]).await, ["bob"]);
    put(&store, &room_id, vec![named("bob3", 5, "bob", Membership::Leave, "Robert")]).await;
    assert!(names(&store, "eve", &["bob"]).await.is_empty());
    // A room that anybody may join is known to everyone.
    let open = room_with(&store, "open", &[("dave", "Dave")]).await;
    assert!(names(&store, "eve", &["dave"]).await.is_empty());
    let content = json!({"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}});
    let rules = NewEvent { json: content.to_string().into(), ..state("rules", 3, "m.room.join_rules", "") };
    put(&store, &open, vec![rules]).await;
    assert_eq!(names(&store, "eve", &["dave"]).await, ["dave"]);
    assert_eq!(names(&store, "dave", &["dave"]).await, ["dave"], "as everybody finds them");
    let stranger = axle_protocol::UserId::parse("@eve:other.example").unwrap();
    let found = store.search_users(&stranger, vec!["dave".into()], 9).await.unwrap();
    assert_eq!(found.users, [], "nobody of that server is there");
    // So is one that anybody may read.
    let read = room_with(&store, "read", &[("fay", "Fay")]).await;
    for (position, visibility, expected) in
        [(3, "shared", &[][..]), (4, "world_readable", &["fay"]), (5, "shared", &[])]
    {
        let event_type = "m.room.history_visibility";
        let content = json!({"type": event_type, "state_key": "", "content": {"history_visibility": visibility}});
        let event = state(&format!("history{position}"), position, event_type, "");
        put(&store, &read, vec![NewEvent { json: content.to_string().into(), ..event }]).await;
        assert_eq!(names(&store, "eve", &["fay"]).await, expected, "{visibility}");
        assert_eq!(names(&store, "fay", &["fay"]).await, expected, "{visibility}");
    }
}

pub(crate) async fn a_redacted_name_is_not_found(store: Arc<dyn Store>) {
    let room_id = room_with(&store, "one", &[("bob", "Insult")]).await;
    let redaction = NewEvent { redacts: Some(id("one_bob")), ..message("redaction", 3) };
    put(&store, &room_id, vec![redaction]).await;
    assert!(names(&store, "alice", &["insult"]).await.is_empty());
    let found = search(&store, "alice", &["bob"], 9).await.users.pop().unwrap();
    assert_eq!((found.user_id, found.displayname), (user("bob"), None));
}

/// Looking does not depend on what was looked at before.
pub(crate) async fn is_whole_while_names_change(store: Arc<dyn Store>) {
    let room_id = room_with(&store, "one", &[("bob", "nobody yet")]).await;
    for n in 0..40 {
        let bob = named(&format!("bob{n}"), 3 + n, "bob", Membership::Join, &format!("Name {n}"));
        put(&store, &room_id, vec![bob]).await;
        assert_eq!(store.check().await.unwrap(), [] as [String; 0], "after {n} changes");
    }
}
