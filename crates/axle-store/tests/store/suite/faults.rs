use std::sync::Arc;

use axle_protocol::RoomId;
use axle_protocol::auth::Membership;
use axle_store::{HubFault, MAX_FAULTS_PER_ROOM, Store};

use super::fixtures::*;

fn fault(room_id: &RoomId, event: &str, kind: &str) -> HubFault {
    HubFault {
        room_id: room_id.clone(),
        hub: server("hub.example"),
        event_id: id(event),
        kind: kind.into(),
        detail: format!("{event} is {kind}"),
        at: 7,
        stream: 0,
    }
}

pub(crate) async fn kept_once_and_pruned(store: Arc<dyn Store>) {
    let (one, two) = (make_room(&store, "one").await, make_room(&store, "two").await);
    store.put_faults(vec![fault(&one, "a", "forbidden"), fault(&two, "b", "forbidden")]).await.unwrap();
    store.put_faults(vec![fault(&one, "a", "forbidden"), fault(&one, "a", "wrong_hub")]).await.unwrap();
    store.put_faults(vec![fault(&room("nowhere"), "a", "forbidden")]).await.unwrap();
    let told = async |room_id: &RoomId| {
        let faults = store.faults(room_id, 0, i64::MAX).await.unwrap();
        faults.into_iter().map(|fault| (fault.event_id, fault.kind)).collect::<Vec<_>>()
    };
    assert_eq!(told(&one).await, [(id("a"), "forbidden".into()), (id("a"), "wrong_hub".into())]);
    let all = store.all_faults().await.unwrap();
    assert_eq!(all.iter().map(|fault| &fault.room_id).collect::<Vec<_>>(), [&one, &two, &one]);
    assert_eq!((all[1].hub.clone(), &*all[1].detail, all[1].at), (server("hub.example"), "b is forbidden", 7));

    let last = store.max_stream().await.unwrap();
    let many = (0..MAX_FAULTS_PER_ROOM + 5).map(|n| fault(&one, &format!("n{n}"), "forbidden")).collect();
    store.put_faults(many).await.unwrap();
    let kept = told(&one).await;
    assert_eq!((kept.len(), &kept[0].0), (MAX_FAULTS_PER_ROOM, &id("n5")));
    assert_eq!(store.faults(&two, 0, i64::MAX).await.unwrap().len(), 1);
    assert_eq!(store.faults(&one, last, last + 6).await.unwrap().len(), 1, "the first five are gone");
}

pub(crate) async fn news_of_the_room(store: Arc<dyn Store>) {
    let one = make_room(&store, "one").await;
    put(&store, &one, vec![member("bob", 2, &user("bob"), Membership::Join)]).await;
    make_room(&store, "two").await;
    let before = store.max_stream().await.unwrap();
    assert!(store.user_rooms_changed(&user("bob"), before).await.unwrap().is_empty());
    store.put_faults(vec![fault(&one, "a", "forbidden")]).await.unwrap();
    assert_eq!(store.max_stream().await.unwrap(), before + 1);
    let changed = store.user_rooms_changed(&user("bob"), before).await.unwrap();
    assert_eq!((changed.len(), &changed[0].room_id, changed[0].room_stream), (1, &one, before + 1));
    assert_eq!(store.faults(&one, before, before + 1).await.unwrap()[0].stream, before + 1);
    assert!(store.faults(&one, before + 1, i64::MAX).await.unwrap().is_empty());
    let next = put(&store, &one, vec![message("a", 3)]).await;
    assert_eq!(next.streams, [before + 2]);
}
