use std::sync::Arc;

use axle_store::{MAX_EDUS_PER_DESTINATION, NewEdu, Store, ToldDevices};

use super::fixtures::*;

fn edu(to: &str, subject: Option<&str>, json: &str) -> NewEdu {
    NewEdu { destination: server(to), subject: subject.map(str::to_owned), json: json.into() }
}

async fn queue(store: &Arc<dyn Store>, edus: Vec<NewEdu>) {
    store.tell_devices(&user("alice"), 0, ToldDevices::default(), edus).await.unwrap();
}

async fn pending(store: &Arc<dyn Store>, to: &str, after: i64) -> Vec<(i64, String)> {
    let found = store.pending_edus(&server(to), after, usize::MAX).await.unwrap();
    found.into_iter().map(|edu| (edu.id, edu.json.to_string())).collect()
}

async fn texts(store: &Arc<dyn Store>, to: &str) -> Vec<String> {
    pending(store, to, 0).await.into_iter().map(|(_, json)| json).collect()
}

pub(crate) async fn in_order_until_acknowledged(store: Arc<dyn Store>) {
    assert!(store.edu_destinations().await.unwrap().is_empty());
    queue(&store, vec![edu("one.example", None, "1"), edu("two.example", None, "2"), edu("one.example", None, "3")])
        .await;
    let destinations = store.edu_destinations().await.unwrap();
    assert_eq!(destinations, [server("one.example"), server("two.example")]);
    let found = pending(&store, "one.example", 0).await;
    assert_eq!(texts(&store, "one.example").await, ["1", "3"]);
    assert_eq!(pending(&store, "one.example", found[0].0).await, found[1..]);
    assert_eq!(store.pending_edus(&server("one.example"), 0, 1).await.unwrap().len(), 1);
    store.remove_edus(&server("one.example"), found[0].0).await.unwrap();
    assert_eq!(pending(&store, "one.example", 0).await, found[1..]);
    store.remove_edus(&server("one.example"), i64::MAX).await.unwrap();
    assert_eq!(store.edu_destinations().await.unwrap(), [server("two.example")]);
    // Places are not given out a second time.
    queue(&store, vec![edu("one.example", None, "4")]).await;
    assert!(pending(&store, "one.example", found[1].0).await.len() == 1);
}

pub(crate) async fn the_newest_of_a_subject(store: Arc<dyn Store>) {
    let (a, b) = (Some("a"), Some("b"));
    queue(&store, vec![edu("one.example", a, "1"), edu("one.example", b, "2"), edu("two.example", a, "3")]).await;
    queue(&store, vec![edu("one.example", a, "4"), edu("one.example", None, "5"), edu("one.example", None, "6")]).await;
    assert_eq!(texts(&store, "one.example").await, ["2", "4", "5", "6"]);
    assert_eq!(texts(&store, "two.example").await, ["3"]);
}

pub(crate) async fn no_more_than_so_many(store: Arc<dyn Store>) {
    queue(&store, vec![edu("two.example", None, "other")]).await;
    let many = (0..MAX_EDUS_PER_DESTINATION / 50).map(|_| edu("one.example", None, "x")).collect::<Vec<_>>();
    for _ in 0..51 {
        queue(&store, many.clone()).await;
    }
    queue(&store, vec![edu("one.example", None, "last")]).await;
    let found = texts(&store, "one.example").await;
    assert_eq!((found.len(), found.last().unwrap().as_str()), (MAX_EDUS_PER_DESTINATION, "last"));
    assert_eq!(texts(&store, "two.example").await, ["other"]);
}
