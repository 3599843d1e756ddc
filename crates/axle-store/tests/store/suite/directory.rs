use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{
    ListPart, ListedRoom, MAX_ALIASES_PER_ROOM, MAX_REPORTS_PER_USER, PutAlias, Report, RoomAlias, Store,
};

use super::fixtures::*;

/// Adds users to a room that [`make_room`] made.
async fn fill(store: &Arc<dyn Store>, room_id: &RoomId, users: &[&str]) {
    for name in users {
        let position = head(store, room_id).await.unwrap() + 1;
        let local = room_id.as_str().trim_start_matches('!').split(':').next().unwrap();
        let event = format!("{local}_{name}");
        put(store, room_id, vec![member(&event, position, &user(name), Membership::Join)]).await;
    }
}

async fn list(store: &Arc<dyn Store>, part: ListPart, limit: usize) -> Vec<(String, u64)> {
    let rooms = store.listed_rooms(part, limit).await.unwrap();
    rooms.into_iter().map(|room| (room.room_id.to_string(), room.joined_members)).collect()
}

fn place(name: &str, joined_members: u64) -> ListedRoom {
    ListedRoom { room_id: room(name), joined_members }
}

fn entry(name: &str, joined: u64) -> (String, u64) {
    (room(name).to_string(), joined)
}

pub(crate) async fn aliases(store: Arc<dyn Store>) {
    let (one, two) = (room("one"), room("two"));
    let put = async |alias: &str, room_id: &RoomId| store.put_alias(alias, room_id, &user("alice")).await.unwrap();
    assert_eq!(put("#b:hub.example", &one).await, PutAlias::Stored);
    assert_eq!(put("#a:hub.example", &one).await, PutAlias::Stored);
    assert_eq!(put("#c:hub.example", &two).await, PutAlias::Stored);
    assert_eq!(put("#a:hub.example", &two).await, PutAlias::Taken);
    let known = store.alias("#a:hub.example").await.unwrap();
    assert_eq!(known, Some(RoomAlias { room_id: one.clone(), creator: user("alice") }));
    assert_eq!(store.alias("#A:hub.example").await.unwrap(), None);
    assert_eq!(store.room_aliases(&one).await.unwrap(), ["#a:hub.example", "#b:hub.example"]);
    assert!(store.remove_alias("#a:hub.example").await.unwrap());
    assert!(!store.remove_alias("#a:hub.example").await.unwrap());
    assert_eq!(store.room_aliases(&one).await.unwrap(), ["#b:hub.example"]);
    for number in 1..MAX_ALIASES_PER_ROOM {
        assert_eq!(put(&format!("#{number}:hub.example"), &one).await, PutAlias::Stored);
    }
    assert_eq!(put("#more:hub.example", &one).await, PutAlias::Full);
}

pub(crate) async fn biggest_first(store: Arc<dyn Store>) {
    for name in ["a", "b", "c", "d"] {
        make_room(&store, name).await;
    }
    for name in ["a", "b", "c"] {
        store.set_listed(&room(name), true).await.unwrap();
    }
    store.set_listed(&room("nowhere"), true).await.unwrap();
    fill(&store, &room("b"), &["bob", "carol"]).await;
    fill(&store, &room("d"), &["bob", "carol", "dave"]).await;
    let all = [entry("b", 3), entry("c", 1), entry("a", 1)];
    assert_eq!(list(&store, ListPart::Start, 10).await, all);
    assert_eq!(list(&store, ListPart::Start, 2).await, all[..2]);
    assert_eq!(list(&store, ListPart::After(place("c", 1)), 10).await, all[2..]);
    assert_eq!(list(&store, ListPart::Before(place("a", 1)), 10).await, [entry("c", 1), entry("b", 3)]);
    assert_eq!(list(&store, ListPart::Before(place("a", 1)), 1).await, [entry("c", 1)]);
    assert_eq!(store.count_listed_rooms().await.unwrap(), 3);
    // One who was listed twice is listed once, and one who is not is not.
    store.set_listed(&room("a"), true).await.unwrap();
    store.set_listed(&room("b"), false).await.unwrap();
    assert!(store.is_listed(&room("a")).await.unwrap() && !store.is_listed(&room("b")).await.unwrap());
    assert_eq!(list(&store, ListPart::Start, 10).await, all[1..]);
}

pub(crate) async fn sizes_follow_members(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    store.set_listed(&one, true).await.unwrap();
    let bob = user("bob");
    for (number, (membership, joined)) in (2..).zip([
        (Membership::Invite, 1),
        (Membership::Join, 2),
        (Membership::Join, 2),
        (Membership::Ban, 1),
        (Membership::Leave, 1),
        (Membership::Join, 2),
    ]) {
        put(&store, &one, vec![member(&format!("bob{number}"), number, &bob, membership)]).await;
        assert_eq!(list(&store, ListPart::Start, 10).await, [entry("one", joined)], "{number}");
        let described = store.describe_rooms(std::slice::from_ref(&one), &[]).await.unwrap();
        assert_eq!(described[0].joined_members, joined);
    }
}

pub(crate) async fn a_successor_takes_over(store: Arc<dyn Store>) {
    let (old, new) = (make_room(&store, "old").await, make_room(&store, "new").await);
    store.put_alias("#tea:hub.example", &old, &user("alice")).await.unwrap();
    store.set_listed(&old, true).await.unwrap();
    store.move_directory_entries(&old, &new).await.unwrap();
    assert_eq!(store.room_aliases(&new).await.unwrap(), ["#tea:hub.example"]);
    assert!(store.room_aliases(&old).await.unwrap().is_empty());
    assert_eq!(list(&store, ListPart::Start, 10).await, [entry("new", 1)]);
    // What is not listed is not listed afterwards.
    store.set_listed(&new, false).await.unwrap();
    store.move_directory_entries(&new, &old).await.unwrap();
    assert_eq!(store.count_listed_rooms().await.unwrap(), 0);
}

pub(crate) async fn descriptions(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    put(&store, &one, vec![state("name", 2, "m.room.name", ""), state("keyed", 3, "m.room.name", "key")]).await;
    put(&store, &one, vec![state("child", 4, "m.space.child", "!x:hub.example")]).await;
    let rooms = [two.clone(), room("nowhere"), one.clone()];
    let described = store.describe_rooms(&rooms, &["m.room.name", "m.room.create"]).await.unwrap();
    let told: Vec<_> = described
        .iter()
        .map(|room| (room.room_id.clone(), names(room.state.iter().map(|event| &event.event_id))))
        .collect();
    let expected = [(two, vec!["two_create".into()]), (one.clone(), vec!["name".into(), "one_create".into()])];
    assert_eq!(told, expected);
    let counts = [store.count_state(&one).await.unwrap(), store.count_state(&room("nowhere")).await.unwrap()];
    assert_eq!(counts, [store.current_state(&one).await.unwrap().len() as u64, 0]);
    let children = store.state_of_type(&one, "m.space.child").await.unwrap();
    assert_eq!(names(children.iter().map(|event| &event.event_id)), ["child"]);
    assert!(store.state_of_type(&room("nowhere"), "m.space.child").await.unwrap().is_empty());
}

pub(crate) async fn forgotten_until_joined_again(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    let bob = user("bob");
    put(&store, &one, vec![member("in", 2, &bob, Membership::Join), member("out", 3, &bob, Membership::Leave)]).await;
    assert!(!store.has_forgotten(&bob, &one).await.unwrap());
    store.forget_room(&bob, &one).await.unwrap();
    store.forget_room(&bob, &one).await.unwrap();
    assert!(store.has_forgotten(&bob, &one).await.unwrap());
    assert!(!store.has_forgotten(&user("alice"), &one).await.unwrap());
    assert!(!store.has_forgotten(&bob, &room("two")).await.unwrap());
    put(&store, &one, vec![member("invited", 4, &bob, Membership::Invite)]).await;
    assert!(store.has_forgotten(&bob, &one).await.unwrap());
    put(&store, &one, vec![member("back", 5, &bob, Membership::Join)]).await;
    assert!(!store.has_forgotten(&bob, &one).await.unwrap());
}

pub(crate) async fn reports_are_kept_and_bounded(store: Arc<dyn Store>) {
    let report = |who: &str, at: i64| Report {
        reporter: user(who),
        at,
        room_id: (at % 2 == 0).then(|| room("one")),
        event_id: (at % 3 == 0).then(|| "$event".into()),
        user_id: (at % 5 == 0).then(|| user("mallory")),
        reason: "spam".into(),
    };
    let most = i64::try_from(MAX_REPORTS_PER_USER).unwrap();
    store.put_report(report("bob", 0)).await.unwrap();
    for at in 1..=most + 1 {
        store.put_report(report("alice", at)).await.unwrap();
    }
    let reports = store.reports().await.unwrap();
    let expected: Vec<_> =
        std::iter::once(report("bob", 0)).chain((2..=most + 1).map(|at| report("alice", at))).collect();
    assert!(reports.is_sorted_by(|one, next| one.id < next.id));
    assert_eq!(reports.iter().map(|kept| kept.report.clone()).collect::<Vec<_>>(), expected);

    let second = reports[1].clone();
    assert_eq!(store.report(second.id).await.unwrap(), Some(second.clone()));
    assert!(store.remove_report(second.id).await.unwrap());
    assert!(!store.remove_report(second.id).await.unwrap());
    assert_eq!(store.report(second.id).await.unwrap(), None);
    let left = store.reports().await.unwrap();
    assert_eq!(left, [&reports[..1], &reports[2..]].concat());
    assert!(!store.remove_report(-1).await.unwrap());
}
