use std::sync::Arc;

use axle_store::Store;

use super::fixtures::*;

pub(crate) async fn one_a_user(store: Arc<dyn Store>) {
    let (alice, bob) = (user("alice"), user("bob"));
    let (one, two, three) = (room("one"), room("two"), room("three"));
    assert_eq!(store.notice_room(&alice).await.unwrap(), None);
    assert_eq!(store.put_notice_room(&alice, &one, None).await.unwrap(), one);
    // Whoever comes second is told which it is.
    assert_eq!(store.put_notice_room(&alice, &two, None).await.unwrap(), one);
    assert_eq!(store.put_notice_room(&alice, &two, Some(&three)).await.unwrap(), one);
    assert_eq!(store.notice_room(&alice).await.unwrap(), Some(one.clone()));
    assert_eq!(store.put_notice_room(&alice, &two, Some(&one)).await.unwrap(), two);
    assert_eq!(store.notice_room(&alice).await.unwrap(), Some(two));
    assert_eq!(store.notice_room(&bob).await.unwrap(), None);
    assert_eq!(store.put_notice_room(&bob, &three, Some(&one)).await.unwrap(), three);
}
