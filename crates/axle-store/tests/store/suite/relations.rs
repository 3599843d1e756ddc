use std::sync::Arc;

use axle_protocol::RoomId;
use axle_store::{
    Direction, EventStatus, MAX_EDITS, MAX_REFERENCES, NewEvent, Relation, RelationQuery, Store, Target, ThreadPlace,
};

use super::fixtures::*;

/// A message that relates to another.
fn relating(name: &str, position: i64, rel_type: &str, target: &str) -> NewEvent {
    let relation = Relation { target: id(target), rel_type: rel_type.into() };
    NewEvent { relates_to: Some(relation), ..message(name, position) }
}

fn by(who: &str, event: NewEvent) -> NewEvent {
    NewEvent { sender: user(who), ..event }
}

fn query(target: &str) -> RelationQuery {
    RelationQuery {
        target: id(target),
        rel_type: None,
        event_type: None,
        recurse: false,
        direction: Direction::Backward,
        from: None,
        limit: 100,
    }
}

async fn found(store: &Arc<dyn Store>, room_id: &RoomId, query: RelationQuery) -> Vec<String> {
    names(store.relations(room_id, &query).await.unwrap().iter().map(|event| &event.event_id))
}

/// What relates to an event, as alice reads it.
async fn sum(store: &Arc<dyn Store>, room_id: &RoomId, target: &str, before: i64) -> Option<Sum> {
    let targets = [Target { event_id: id(target), sender: user("alice").to_string() }];
    let mut sums = store.aggregations(room_id, &targets, &user("alice"), before).await.unwrap();
    let (event_id, sum) = sums.pop()?;
    assert!(sums.is_empty() && event_id == id(target));
    let thread =
        sum.thread.map(|thread| (names([&thread.latest.event_id]).remove(0), thread.count, thread.participated));
    Some(Sum {
        edits: names(sum.edits.iter().map(|event| &event.event_id)),
        references: names(sum.references.iter().map(|event| &event.event_id)),
        thread,
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    edits: Vec<String>,
    references: Vec<String>,
    thread: Option<(String, u64, bool)>,
}

async fn threads(store: &Arc<dyn Store>, room_id: &RoomId, before: i64, limit: usize) -> Vec<(String, i64, bool)> {
    let threads = store.threads(room_id, &user("alice"), before, limit).await.unwrap();
    let told = |thread: ThreadPlace| (names([&thread.root]).remove(0), thread.latest, thread.participated);
    threads.into_iter().map(told).collect()
}

pub(crate) async fn both_ways_and_by_kind(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let reaction = NewEvent { event_type: "m.reaction".into(), ..relating("c", 5, "m.annotation", "a") };
    let events = vec![message("a", 2), relating("b", 3, "m.replace", "a"), message("other", 4), reaction];
    put(&store, &room_id, events).await;
    put(&store, &room_id, vec![relating("d", 6, "m.replace", "a"), relating("e", 7, "m.replace", "other")]).await;
    assert_eq!(found(&store, &room_id, query("a")).await, ["d", "c", "b"]);
    assert_eq!(found(&store, &room_id, query("other")).await, ["e"]);
    assert!(found(&store, &room_id, query("b")).await.is_empty());
    let kind = RelationQuery { rel_type: Some("m.replace".into()), ..query("a") };
    assert_eq!(found(&store, &room_id, kind).await, ["d", "b"]);
    let kind = RelationQuery { event_type: Some("m.reaction".into()), ..query("a") };
    assert_eq!(found(&store, &room_id, kind).await, ["c"]);
    let forward = RelationQuery { direction: Direction::Forward, from: Some(5), ..query("a") };
    assert_eq!(found(&store, &room_id, forward).await, ["c", "d"]);
    assert_eq!(found(&store, &room_id, RelationQuery { from: Some(6), limit: 1, ..query("a") }).await, ["c"]);
    // An event that came earlier than what it relates to, and history.
    put(&store, &room_id, vec![relating("early", -1, "m.reference", "a")]).await;
    assert_eq!(found(&store, &room_id, query("a")).await, ["d", "c", "b", "early"]);
    assert!(found(&store, &room("nowhere"), query("a")).await.is_empty());
}

pub(crate) async fn of_relations(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let chain = [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "a")];
    let events = (3..).zip(chain).map(|(position, (name, target))| relating(name, position, "m.reference", target));
    put(&store, &room_id, std::iter::once(message("a", 2)).chain(events).collect()).await;
    assert_eq!(found(&store, &room_id, query("a")).await, ["f", "b"]);
    let recurse = RelationQuery { recurse: true, ..query("a") };
    assert_eq!(found(&store, &room_id, recurse.clone()).await, ["f", "d", "c", "b"]);
    let forward = RelationQuery { direction: Direction::Forward, limit: 2, ..recurse };
    assert_eq!(found(&store, &room_id, forward).await, ["b", "c"]);
}

pub(crate) async fn sums(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    assert_eq!(sum(&store, &room_id, "a", i64::MAX).await, None);
    put(
        &store,
        &room_id,
        vec![
            message("a", 2),
            relating("edit", 3, "m.replace", "a"),
            by("bob", relating("forged", 4, "m.replace", "a")),
            by("bob", relating("reply", 5, "m.thread", "a")),
            relating("again", 6, "m.replace", "a"),
            relating("like", 7, "m.annotation", "a"),
            relating("ref", 8, "m.reference", "a"),
        ],
    )
    .await;
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected =
        Sum { edits: names(&["again", "edit"]), references: names(&["ref"]), thread: Some(("reply".into(), 1, false)) };
    assert_eq!(sum(&store, &room_id, "a", i64::MAX).await, Some(expected));
    // As of a moment.
    let expected = Sum { edits: names(&["edit"]), ..Sum::default() };
    assert_eq!(sum(&store, &room_id, "a", 5).await, Some(expected));
    assert_eq!(sum(&store, &room_id, "a", 3).await, None);
    // Only reactions: nothing is summed up.
    put(&store, &room_id, vec![message("b", 9), relating("smile", 10, "m.annotation", "b")]).await;
    assert_eq!(sum(&store, &room_id, "b", i64::MAX).await, None);
    let many = |count: usize, rel_type: &'static str, from: i64| {
        (from..).take(count).map(move |at| relating(&format!("n{at}"), at, rel_type, "b")).collect::<Vec<_>>()
    };
    put(&store, &room_id, many(MAX_EDITS + 5, "m.replace", 11)).await;
    let head = head(&store, &room_id).await.unwrap();
    put(&store, &room_id, many(MAX_REFERENCES + 5, "m.reference", head + 1)).await;
    let much = sum(&store, &room_id, "b", i64::MAX).await.unwrap();
    assert_eq!((much.edits.len(), much.references.len()), (MAX_EDITS, MAX_REFERENCES));
    assert_eq!((&*much.edits[0], &*much.references[0]), (&*format!("n{head}"), &*format!("n{}", head + 1)));
}

pub(crate) async fn threads_by_their_end(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let events = vec![
        message("a", 2),
        message("b", 3),
        by("bob", relating("a1", 4, "m.thread", "a")),
        relating("b1", 5, "m.thread", "b"),
        by("bob", relating("a2", 6, "m.thread", "a")),
        relating("edit", 7, "m.replace", "b"),
    ];
    put(&store, &room_id, events).await;
    assert_eq!(threads(&store, &room_id, i64::MAX, 10).await, [("a".into(), 6, false), ("b".into(), 5, true)]);
    assert_eq!(threads(&store, &room_id, 6, 10).await, [("b".into(), 5, true)]);
    assert_eq!(threads(&store, &room_id, i64::MAX, 1).await, [("a".into(), 6, false)]);
    assert_eq!(sum(&store, &room_id, "a", i64::MAX).await.unwrap().thread, Some(("a2".into(), 2, false)));
    // History does not end a thread.
    put(&store, &room_id, vec![relating("a0", -1, "m.thread", "a")]).await;
    assert_eq!(threads(&store, &room_id, i64::MAX, 1).await, [("a".into(), 6, true)]);
}

pub(crate) async fn only_what_is_in_the_room(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    put(&store, &one, vec![message("a", 2)]).await;
    put(&store, &two, vec![relating("elsewhere", 2, "m.replace", "a")]).await;
    let rejected = unplaced(relating("rejected", 0, "m.replace", "a"), EventStatus::Rejected);
    let waiting = unplaced(relating("waiting", 0, "m.thread", "a"), EventStatus::Waiting);
    let hidden = NewEvent { status: EventStatus::SoftFailed, ..relating("hidden", 3, "m.replace", "a") };
    put(&store, &one, vec![rejected, waiting, hidden]).await;
    assert!(found(&store, &one, query("a")).await.is_empty());
    assert_eq!(sum(&store, &one, "a", i64::MAX).await, None);
    put(&store, &one, vec![relating("waiting", 4, "m.thread", "a")]).await;
    assert_eq!(found(&store, &one, query("a")).await, ["waiting"]);
    assert_eq!(threads(&store, &one, i64::MAX, 10).await, [("a".into(), 4, true)]);
    // The same again changes nothing.
    put(&store, &one, vec![relating("waiting", 4, "m.thread", "a")]).await;
    assert_eq!(found(&store, &one, query("a")).await, ["waiting"]);
}

pub(crate) async fn redacted_ones_drop_out(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let redaction = |name: &str, position, target: &str| NewEvent {
        event_type: "m.room.redaction".into(),
        redacts: Some(id(target)),
        ..message(name, position)
    };
    let mut events = vec![message("a", 2)];
    events.extend((3..6).map(|position| relating(&format!("t{position}"), position, "m.thread", "a")));
    events.push(relating("edit", 6, "m.replace", "a"));
    put(&store, &room_id, events).await;
    put(&store, &room_id, vec![redaction("r1", 7, "t5"), redaction("r2", 8, "edit"), redaction("r3", 9, "later")])
        .await;
    assert_eq!(found(&store, &room_id, query("a")).await, ["t4", "t3"]);
    let thread = Some(("t4".into(), 2, true));
    assert_eq!(sum(&store, &room_id, "a", i64::MAX).await, Some(Sum { thread, ..Sum::default() }));
    assert_eq!(threads(&store, &room_id, i64::MAX, 10).await, [("a".into(), 4, true)]);
    // A redaction that came first.
    put(&store, &room_id, vec![relating("later", 10, "m.thread", "a")]).await;
    assert_eq!(found(&store, &room_id, query("a")).await, ["t4", "t3"]);
    put(&store, &room_id, vec![redaction("r4", 11, "t3"), redaction("r5", 12, "t4")]).await;
    assert!(threads(&store, &room_id, i64::MAX, 10).await.is_empty());
    assert_eq!(sum(&store, &room_id, "a", i64::MAX).await, None);
}
