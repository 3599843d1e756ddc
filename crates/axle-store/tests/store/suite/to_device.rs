use std::sync::Arc;

use axle_store::{ClientTxnKey, MAX_RECEIVED_TO_DEVICE, NewEdu, NewToDevice, ReceivedToDevice, Store};

use super::fixtures::*;

fn txn(id: &str) -> ClientTxnKey {
    ClientTxnKey { user_id: user("b"), device_id: "X".into(), scope: "t".into(), txn_id: id.into() }
}

fn message(device_id: Option<&str>, json: &str) -> NewToDevice {
    NewToDevice { user_id: user("a"), device_id: device_id.map(str::to_owned), json: json.into() }
}

async fn log_in(store: &Arc<dyn Store>, device_id: &str, token: u8) {
    store.put_device(device("a", device_id, token)).await.unwrap();
}

async fn waiting(store: &Arc<dyn Store>, device_id: &str, until: i64, limit: usize) -> Vec<String> {
    let found = store.to_device(&user("a"), device_id, -1, until, limit).await.unwrap();
    found.into_iter().map(|message| message.json).collect()
}

pub(crate) async fn queued_once_and_removed(store: Arc<dyn Store>) {
    log_in(&store, "ONE", 1).await;
    log_in(&store, "TWO", 2).await;
    let messages = vec![message(None, "1"), message(Some("ONE"), "2"), message(Some("NOSUCH"), "3")];
    assert!(store.send_to_device(txn("1"), messages.clone(), vec![]).await.unwrap());
    assert!(!store.send_to_device(txn("1"), messages, vec![]).await.unwrap(), "the same transaction");
    let until = store.max_stream().await.unwrap();
    assert!(store.send_to_device(txn("2"), vec![message(Some("ONE"), "4")], vec![]).await.unwrap());
    assert_eq!(waiting(&store, "ONE", i64::MAX, 9).await, ["1", "2", "4"]);
    assert_eq!(waiting(&store, "ONE", until, 9).await, ["1", "2"]);
    let later = store.to_device(&user("a"), "ONE", until, i64::MAX, 9).await.unwrap();
    assert_eq!(later.iter().map(|message| message.json.as_str()).collect::<Vec<_>>(), ["4"]);
    assert_eq!(waiting(&store, "ONE", i64::MAX, 1).await, ["1"]);
    assert_eq!(waiting(&store, "TWO", i64::MAX, 9).await, ["1"]);
    assert!(waiting(&store, "NOSUCH", i64::MAX, 9).await.is_empty());
    store.remove_to_device(&user("a"), "ONE", until).await.unwrap();
    store.remove_to_device(&user("a"), "ONE", until).await.unwrap();
    assert_eq!(waiting(&store, "ONE", i64::MAX, 9).await, ["4"]);
    assert_eq!(waiting(&store, "TWO", i64::MAX, 9).await, ["1"]);
}

pub(crate) async fn a_device_takes_its_messages_with_it(store: Arc<dyn Store>) {
    log_in(&store, "ONE", 1).await;
    store.send_to_device(txn("1"), vec![message(None, "1")], vec![]).await.unwrap();
    store.remove_devices(&user("a"), Some("ONE")).await.unwrap();
    log_in(&store, "ONE", 1).await;
    assert!(waiting(&store, "ONE", i64::MAX, 9).await.is_empty());
}

pub(crate) async fn what_goes_elsewhere_is_queued_with_it(store: Arc<dyn Store>) {
    let edu = NewEdu { destination: server("one.example"), subject: None, json: "{}".into() };
    for _ in 0..2 {
        store.send_to_device(txn("1"), vec![], vec![edu.clone()]).await.unwrap();
    }
    assert_eq!(store.pending_edus(&edu.destination, 0, 9).await.unwrap().len(), 1);
}

pub(crate) async fn received_once_and_not_without_end(store: Arc<dyn Store>) {
    log_in(&store, "ONE", 1).await;
    log_in(&store, "TWO", 2).await;
    let received = |message_id: Option<&str>, json: &str| ReceivedToDevice {
        message_id: message_id.map(str::to_owned),
        messages: vec![message(Some("ONE"), json)],
    };
    let [one, two] = ["one.example", "two.example"].map(server);
    let messages = vec![received(Some("m"), "1"), received(Some("m"), "2"), received(None, "3"), received(None, "3")];
    store.receive_to_device(&one, messages).await.unwrap();
    store.receive_to_device(&one, vec![received(Some("m"), "4")]).await.unwrap();
    store.receive_to_device(&two, vec![received(Some("m"), "5")]).await.unwrap();
    assert_eq!(waiting(&store, "ONE", i64::MAX, 9).await, ["1", "3", "3", "5"]);
    let flood = (0..MAX_RECEIVED_TO_DEVICE).map(|number| received(Some(&number.to_string()), "x")).collect();
    store.receive_to_device(&one, flood).await.unwrap();
    assert_eq!(waiting(&store, "ONE", i64::MAX, usize::MAX).await.len(), MAX_RECEIVED_TO_DEVICE);
    // Only other servers are stopped by that, and only for this device.
    assert!(store.send_to_device(txn("1"), vec![message(Some("ONE"), "local")], vec![]).await.unwrap());
    let to_two = ReceivedToDevice { message_id: None, messages: vec![message(Some("TWO"), "6")] };
    store.receive_to_device(&one, vec![to_two]).await.unwrap();
    assert_eq!(waiting(&store, "ONE", i64::MAX, usize::MAX).await.last().unwrap(), "local");
    assert_eq!(waiting(&store, "TWO", i64::MAX, 9).await, ["6"]);
}
