use std::sync::Arc;

use axle_protocol::auth::Membership;
use axle_store::{NewEvent, StatePattern, Store};
use serde_json::{Value, json};

use super::fixtures::*;

/// The event with this in its JSON besides.
fn with(event: NewEvent, more: Value) -> NewEvent {
    let mut json: Value = serde_json::from_str(&event.json).unwrap();
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    NewEvent { json: json.to_string().into(), ..event }
}

pub(crate) async fn described(store: Arc<dyn Store>) {
    let space = room("space");
    let create = with(state("c", 0, "m.room.create", ""), json!({"content": {"type": "m.space"}}));
    let events = vec![create, member("a", 1, &user("alice"), Membership::Join)];
    store.append(append(&space, None, events)).await.unwrap();
    let plain = make_room(&store, "plain").await;
    let of = async |who: &str, after| {
        let mut found = store.described_user_rooms(&user(who), after).await.unwrap();
        found.sort_by(|a, b| a.room.room_id.cmp(&b.room.room_id));
        found
    };
    let rooms = of("alice", -1).await;
    let types: Vec<_> = rooms.iter().map(|it| (&it.room.room_id, it.room_type.as_deref(), it.encrypted)).collect();
    assert_eq!(types, [(&plain, None, false), (&space, Some("m.space"), false)]);
    assert!(rooms.iter().all(|room| room.by_user && !room.forgotten));
    let since = store.max_stream().await.unwrap();
    put(&store, &plain, vec![state("e", 2, "m.room.encryption", "")]).await;
    let rooms = of("alice", since).await;
    assert_eq!(rooms.iter().map(|it| (&it.room.room_id, it.encrypted)).collect::<Vec<_>>(), [(&plain, true)]);
    // Who left, and who was thrown out.
    for (name, who, sender) in [("b", "bob", "bob"), ("d", "dave", "alice")] {
        let head = head(&store, &plain).await.unwrap();
        put(&store, &plain, vec![member(name, head + 1, &user(who), Membership::Join)]).await;
        let leave = member(&format!("{name}_goes"), head + 2, &user(who), Membership::Leave);
        put(&store, &plain, vec![with(leave, json!({"sender": user(sender)}))]).await;
    }
    store.forget_room(&user("bob"), &plain).await.unwrap();
    let (bob, dave) = (of("bob", -1).await, of("dave", -1).await);
    assert_eq!((bob[0].by_user, bob[0].forgotten), (true, true));
    assert_eq!((dave[0].by_user, dave[0].forgotten), (false, false));
    assert!(of("carol", -1).await.is_empty());
}

pub(crate) async fn matching_state(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let events = vec![
        state("a_type", 2, "a.type", "x"),
        state("z_type_x", 3, "z.type", "x"),
        state("z_type_y", 4, "z.type", "y"),
        state("old", 5, "z.type", "z"),
        state("new", 6, "z.type", "z"),
    ];
    put(&store, &one, events).await;
    let found = async |patterns: Vec<StatePattern>| {
        let found = store.matching_state(&one, patterns).await.unwrap();
        sorted(names(found.iter().map(|event| &event.event_id)))
    };
    assert_eq!(found(vec![StatePattern::entry("z.type", "y")]).await, ["z_type_y"]);
    assert_eq!(found(vec![StatePattern::Type("z.type".into())]).await, ["new", "z_type_x", "z_type_y"]);
    assert_eq!(found(vec![StatePattern::Key("x".into())]).await, ["a_type", "z_type_x"]);
    let but_members = ["a_type", "new", "one_create", "z_type_x", "z_type_y"];
    assert_eq!(found(vec![StatePattern::AllButMembers]).await, but_members);
    let all = found(vec![StatePattern::All, StatePattern::Type("z.type".into())]).await;
    assert_eq!(all, ["a_type", "new", "one_alice", "one_create", "z_type_x", "z_type_y"]);
    assert!(found(vec![]).await.is_empty());
    assert!(found(vec![StatePattern::entry("z.type", "nothing")]).await.is_empty());
    assert!(store.matching_state(&room("nowhere"), vec![StatePattern::All]).await.unwrap().is_empty());
}
