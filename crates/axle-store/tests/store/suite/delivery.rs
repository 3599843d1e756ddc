use std::sync::Arc;

use axle_protocol::RoomId;
use axle_store::{
    Announcement, Append, DeliveryChange, EventStatus, InboundResponse, NewEvent, ParkedEvent, Store, StoreError,
};

use super::fixtures::*;

async fn put_with(
    store: &Arc<dyn Store>,
    room_id: &RoomId,
    events: Vec<NewEvent>,
    deliveries: Vec<DeliveryChange>,
) -> Vec<i64> {
    let head = head(store, room_id).await;
    store.append(Append { deliveries, ..append(room_id, head, events) }).await.unwrap().streams
}

async fn pending(store: &Arc<dyn Store>, name: &str, after: i64, limit: usize) -> Vec<String> {
    let events = store.pending_events(&server(name), after, limit).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.stream));
    names(events.iter().map(|event| &event.event_id))
}

pub(crate) async fn interval_in_order(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let streams =
        put_with(&store, &room_id, vec![message("join", 2), message("a", 3)], vec![start("b.example", 2)]).await;
    put(&store, &room_id, vec![message("b", 4), message("c", 5)]).await;
    assert_eq!(store.pending_destinations().await.unwrap(), [server("b.example")]);
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["a", "b", "c"]);
    assert_eq!(pending(&store, "b.example", 0, 2).await, ["a", "b"]);
    assert_eq!(pending(&store, "b.example", streams[1], 10).await, ["b", "c"]);
    let events = store.pending_events(&server("b.example"), 0, 1).await.unwrap();
    assert_eq!((&events[0].room_id, &*events[0].json), (&room_id, &*message("a", 3).json));
    assert_eq!(events[0].stream, streams[1]);
}

pub(crate) async fn nothing_before_start_or_after_stop(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put_with(&store, &room_id, vec![message("join", 2)], vec![start("b.example", 2)]).await;
    put_with(&store, &room_id, vec![message("a", 3), message("kick", 4)], vec![stop("b.example", 4)]).await;
    put(&store, &room_id, vec![message("secret", 5)]).await;
    put_with(&store, &room_id, vec![message("join2", 6)], vec![start("b.example", 6)]).await;
    put(&store, &room_id, vec![message("b", 7)]).await;
    put_with(&store, &room_id, vec![message("c", 8), message("d", 9)], vec![stop("b.example", 8)]).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["a", "kick", "b", "c"]);
    // Started twice and stopped twice: as if once.
    put_with(&store, &room_id, vec![message("join3", 10)], vec![start("b.example", 10), start("b.example", 10)]).await;
    put_with(&store, &room_id, vec![message("e", 11)], vec![stop("b.example", 11), stop("b.example", 11)]).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["a", "kick", "b", "c", "e"]);
}

pub(crate) async fn rooms_of_a_destination(store: Arc<dyn Store>) {
    let (one, two, three) =
        (make_room(&store, "one").await, make_room(&store, "two").await, make_room(&store, "three").await);
    let rooms = async |name: &str| store.destination_rooms(&server(name)).await.unwrap();
    assert_eq!(rooms("b.example").await, []);
    for (name, room_id) in [("join1", &one), ("join2", &two), ("join3", &three)] {
        put_with(&store, room_id, vec![message(name, 2)], vec![start("b.example", 2)]).await;
    }
    put_with(&store, &two, vec![message("kick", 3)], vec![stop("b.example", 3)]).await;
    let newest = put(&store, &three, vec![message("a", 3)]).await.streams[0];
    let first = store.event(&id("join1")).await.unwrap().unwrap().stream;
    assert_eq!(rooms("b.example").await, [(one, first), (three, newest)]);
    assert_eq!(rooms("c.example").await, []);
}

pub(crate) async fn several_rooms_in_stream_order(store: Arc<dyn Store>) {
    let rooms = [make_room(&store, "one").await, make_room(&store, "two").await, make_room(&store, "three").await];
    for room_id in &rooms[..2] {
        let name = format!("join_{}", &room_id.as_str()[1..4]);
        put_with(&store, room_id, vec![message(&name, 2)], vec![start("b.example", 2)]).await;
    }
    put_with(&store, &rooms[2], vec![message("join_c", 2)], vec![start("c.example", 2)]).await;
    for (index, name) in [(1, "a"), (2, "x"), (0, "b"), (1, "c"), (2, "y")] {
        let position = head(&store, &rooms[index]).await.unwrap() + 1;
        put(&store, &rooms[index], vec![message(name, position)]).await;
    }
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["a", "b", "c"]);
    assert_eq!(pending(&store, "c.example", 0, 10).await, ["x", "y"]);
    let mut destinations = store.pending_destinations().await.unwrap();
    destinations.sort();
    assert_eq!(destinations, [server("b.example"), server("c.example")]);
}

pub(crate) async fn acknowledge_moves_on(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put_with(&store, &room_id, vec![message("join", 2)], vec![start("b.example", 2)]).await;
    let streams = put(&store, &room_id, vec![message("a", 3), message("b", 4)]).await.streams;
    store.acknowledge(&server("b.example"), streams[0]);
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["b"]);
    store.acknowledge(&server("b.example"), streams[1]);
    store.acknowledge(&server("b.example"), streams[0]);
    assert!(pending(&store, "b.example", 0, 10).await.is_empty(), "acknowledgements never move back");
    assert!(store.pending_destinations().await.unwrap().is_empty());
    put(&store, &room_id, vec![message("c", 5)]).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["c"]);
    let status = store.destinations().await.unwrap();
    assert_eq!((status.len(), status[0].pending), (1, 1));
}

pub(crate) async fn soft_failed_are_delivered_rejected_not(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put_with(&store, &room_id, vec![message("join", 2)], vec![start("b.example", 2)]).await;
    let soft = NewEvent { status: EventStatus::SoftFailed, ..message("soft", 3) };
    let events = vec![
        soft,
        unplaced(message("bad", 0), EventStatus::Rejected),
        unplaced(message("out", 0), EventStatus::Outlier),
        unplaced(message("wait", 0), EventStatus::Waiting),
        message("a", 4),
    ];
    put(&store, &room_id, events).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["soft", "a"]);
    put(&store, &room_id, vec![message("wait", 5)]).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["soft", "a", "wait"]);
}

pub(crate) async fn start_in_the_past_is_refused(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let refused =
        store.append(Append { deliveries: vec![start("b.example", 0)], ..append(&room_id, Some(1), vec![]) }).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert!(store.destinations().await.unwrap().is_empty());
    // From the head on is fine, with or without an event.
    put_with(&store, &room_id, vec![], vec![start("b.example", 1)]).await;
    put(&store, &room_id, vec![message("a", 2)]).await;
    assert_eq!(pending(&store, "b.example", 0, 10).await, ["a"]);
}

pub(crate) async fn attempts(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    put_with(&store, &room_id, vec![message("join", 2)], vec![start("b.example", 2)]).await;
    let destination = server("b.example");
    let status = async || {
        let status = store.destinations().await.unwrap().remove(0);
        (status.failing_since, status.last_error)
    };
    assert_eq!(status().await, (None, None));
    store.record_attempt(&destination, 10, Some("refused".into()));
    store.record_attempt(&destination, 20, Some("timed out".into()));
    assert_eq!(status().await, (Some(10), Some("timed out".into())));
    store.record_attempt(&destination, 30, None);
    assert_eq!(status().await, (None, None));
    store.record_attempt(&destination, 40, Some("again".into()));
    assert_eq!(status().await, (Some(40), Some("again".into())));
}

pub(crate) async fn announcements(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let announcement = |name: &str, event: &str| Announcement { destination: server(name), event_id: id(event) };
    let told = vec![announcement("b.example", "a"), announcement("c.example", "b"), announcement("b.example", "c")];
    let events = vec![message("a", 2), message("b", 3), message("c", 4)];
    let refused = Append { announcements: told.clone(), ..append(&room_id, Some(0), events.clone()) };
    store.append(refused).await.unwrap_err();
    assert!(store.announcement_destinations().await.unwrap().is_empty());
    store.append(Append { announcements: told.clone(), ..append(&room_id, Some(1), events) }).await.unwrap();
    // Once is enough.
    store.append(Append { announcements: told, ..append(&room_id, Some(4), vec![]) }).await.unwrap();
    let mut destinations = store.announcement_destinations().await.unwrap();
    destinations.sort();
    assert_eq!(destinations, [server("b.example"), server("c.example")]);
    let b = store.announcements(&server("b.example"), 10).await.unwrap();
    assert_eq!(b, [announcement("b.example", "a"), announcement("b.example", "c")]);
    assert_eq!(store.announcements(&server("b.example"), 1).await.unwrap().len(), 1);
    for done in &b {
        store.announced(done).await.unwrap();
    }
    assert!(store.announcements(&server("b.example"), 10).await.unwrap().is_empty());
    assert_eq!(store.announcement_destinations().await.unwrap(), [server("c.example")]);
}

pub(crate) async fn parked(store: Arc<dyn Store>) {
    for (name, reason) in [("a", "too old"), ("b", "bad"), ("a", "still too old")] {
        let parked = ParkedEvent { destination: server("b.example"), event_id: id(name), reason: reason.into(), at: 5 };
        store.park(parked).await.unwrap();
    }
    let mut all: Vec<_> = store.parked().await.unwrap().into_iter().map(|it| (it.event_id, it.reason)).collect();
    all.sort();
    assert_eq!(all, [(id("a"), "still too old".into()), (id("b"), "bad".into())]);
}

pub(crate) async fn more_than_is_kept_in_memory(store: Arc<dyn Store>) {
    let room_id = make_room(&store, "one").await;
    let other = make_room(&store, "two").await;
    put_with(&store, &room_id, vec![message("join", 2)], vec![start("b.example", 2)]).await;
    let names: Vec<String> = (3..3003).map(|position| format!("m{position}")).collect();
    for (index, chunk) in names.chunks(100).enumerate() {
        let first = 3 + 100 * i64::try_from(index).unwrap();
        let events = (first..).zip(chunk).map(|(position, name)| message(name, position)).collect();
        put(&store, &room_id, events).await;
        let position = head(&store, &other).await.unwrap() + 1;
        put(&store, &other, vec![message(&format!("other{index}"), position)]).await;
    }
    assert_eq!(store.destinations().await.unwrap()[0].pending, 3000);
    let (mut got, mut after) = (Vec::new(), 0);
    loop {
        let events = store.pending_events(&server("b.example"), after, 70).await.unwrap();
        let Some(last) = events.last() else { break };
        after = last.stream;
        // Every other time the receiver takes it.
        if got.len() % 140 == 0 {
            store.acknowledge(&server("b.example"), after);
        }
        got.extend(super::fixtures::names(events.iter().map(|event| &event.event_id)));
    }
    assert_eq!(got, names);
}

pub(crate) async fn inbound_responses(store: Arc<dyn Store>) {
    let origin = server("b.example");
    let response = |body: &str| InboundResponse { status: 200, body: body.into() };
    assert!(store.inbound_response(&origin, "send", "1").await.unwrap().is_none());
    store.record_inbound(&origin, "send", "1", response("one"));
    store.record_inbound(&origin, "invite", "1", response("two"));
    let get = async |endpoint: &str, txn: &str| store.inbound_response(&origin, endpoint, txn).await.unwrap();
    assert_eq!(get("send", "1").await, Some(response("one")));
    assert_eq!(get("invite", "1").await, Some(response("two")));
    assert!(store.inbound_response(&server("c.example"), "send", "1").await.unwrap().is_none());
    make_room(&store, "one").await;
    assert_eq!(get("send", "1").await, Some(response("one")), "also when it is written");
    for txn in 2..40 {
        store.record_inbound(&origin, "send", &txn.to_string(), response("later"));
    }
    make_room(&store, "two").await;
    assert_eq!(get("send", "39").await, Some(response("later")));
    assert_eq!(get("send", "1").await, None, "only the newest few are kept");
    assert_eq!(get("invite", "1").await, Some(response("two")));
}
