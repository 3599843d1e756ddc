//! What a service needs to encrypt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axle_client_api::ApplicationService;
use serde_json::{Value, json};

use super::{Telling, bot, bridged, ghost, with_services};
use crate::common::services::{Got, TestService, registration};
use crate::common::{Person, TestServer, two_in_a_room};

const MESSAGES: &str = "de.sorunome.msc2409.to_device";
const LISTS: &str = "org.matrix.msc3202.device_lists";
const COUNTS: &str = "org.matrix.msc3202.device_one_time_keys_count";

async fn send(from: &Person, to: &Person, device: &str, text: &str) {
    let messages = json!({"messages": {to.user_id.as_str(): {device: {"text": text}}}});
    from.put(&format!("/_matrix/client/v3/sendToDevice/m.test/{text}"), messages).await.ok();
}

/// The messages of all transactions.
fn messages(service: &TestService) -> Vec<Value> {
    let of = |got: &Got| got.body[MESSAGES].as_array().cloned().unwrap_or_default();
    service.transactions().iter().flat_map(of).collect()
}

fn texts(service: &TestService) -> Vec<String> {
    messages(service).iter().map(|message| message["content"]["text"].as_str().unwrap().to_owned()).collect()
}

/// The users of all transactions in one of the lists of whose keys to look at.
fn listed(service: &TestService, list: &str) -> Vec<String> {
    let of = |got: &Got| got.body[LISTS][list].as_array().cloned().unwrap_or_default();
    service.transactions().iter().flat_map(of).map(|user| user.as_str().unwrap().to_owned()).collect()
}

async fn waiting(server: &TestServer, who: &Person) -> usize {
    server.store.to_device(&who.user_id, &who.device_id, 0, i64::MAX, 1000).await.unwrap().len()
}

fn keys(who: &Person) -> Value {
    let (user, device) = (&who.user_id, &who.device_id);
    json!({"device_keys": {
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": {format!("ed25519:{device}"): "a", format!("curve25519:{device}"): "b"},
        "signatures": {user.as_str(): {format!("ed25519:{device}"): "c"}},
    }})
}

#[tokio::test]
async fn a_service_gets_the_messages_for_its_users_once_each_in_order() {
    let (server, service, _telling) = bridged().await;
    let (alice, ghost) = (server.person("alice").await, ghost(&server, "irc_bob").await);
    let refuses = Arc::new(AtomicBool::new(true));
    let refusing = refuses.clone();
    service.answers(move |_| refusing.load(Ordering::SeqCst).then(|| (500, json!({}))));
    send(&alice, &alice, "*", "not-for-the-service").await;
    send(&alice, &ghost, &ghost.device_id, "one").await;
    service.until("a first try", |it| (!messages(it).is_empty()).then_some(())).await;
    assert_eq!(waiting(&server, &ghost).await, 1, "it is not known to have arrived");
    for n in 0..150 {
        send(&alice, &ghost, "*", &format!("m{n}")).await;
    }
    refuses.store(false, Ordering::SeqCst);
    let before = service.transactions().len();
    bot(&server).post("/_matrix/client/v1/appservice/irc/ping", json!({})).await.ok();
    service.until("the last", |it| texts(it).contains(&"m149".to_owned()).then_some(())).await;

    let arrived: Vec<Got> = service.transactions().split_off(before);
    let of = |got: &Got| got.body[MESSAGES].as_array().cloned().unwrap_or_default();
    let all: Vec<Value> = arrived.iter().flat_map(of).collect();
    let expected: Vec<String> = ["one".to_owned()].into_iter().chain((0..150).map(|n| format!("m{n}"))).collect();
    let heard: Vec<&str> = all.iter().map(|message| message["content"]["text"].as_str().unwrap()).collect();
    assert_eq!(heard, expected);
    let first = json!({
        "type": "m.test",
        "sender": "@alice:example.org",
        "content": {"text": "one"},
        "to_user_id": "@irc_bob:example.org",
        "to_device_id": ghost.device_id,
    });
    assert_eq!(all[0], first);
    assert!(arrived.iter().all(|got| of(got).len() <= 100));
    let counts = &arrived.last().unwrap().body[COUNTS]["@irc_bob:example.org"][&ghost.device_id];
    assert_eq!(counts["signed_curve25519"], 0);
    while waiting(&server, &ghost).await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting(&server, &alice).await, 1, "hers stays");
}

#[tokio::test]
async fn a_service_learns_whose_keys_changed() {
    let (server, service, _telling) = bridged().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let ghost = ghost(&server, "irc_bob").await;
    ghost.join(&room).await.ok();
    let stranger = server.person("stranger").await;
    for who in [&stranger, &alice, &ghost, &bob] {
        who.post("/_matrix/client/v3/keys/upload", keys(who)).await.ok();
    }
    service.until("bob", |it| listed(it, "changed").contains(&bob.user_id.to_string()).then_some(())).await;
    let mut all = listed(&service, "changed");
    all.sort();
    all.dedup();
    assert_eq!(all, ["@alice:example.org", "@bob:example.org", "@irc_bob:example.org"]);
}

#[tokio::test]
async fn a_service_learns_with_whom_it_shares_no_room_any_more() {
    let (server, service, _telling) = bridged().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    let (one, two) = (ghost(&server, "irc_one").await, ghost(&server, "irc_two").await);
    for (who, room) in [(&one, &room), (&two, &room), (&one, &other), (&bob, &other)] {
        who.join(room).await.ok();
    }
    let heard = async |text: &str| {
        alice.say(&other, text).await;
        service.hears(text).await;
    };
    bob.leave(&room).await.ok();
    two.leave(&room).await.ok();
    heard("bob is in the other one").await;
    assert!(listed(&service, "left").is_empty());
    bob.leave(&other).await.ok();
    heard("bob is gone").await;
    assert_eq!(listed(&service, "left"), ["@bob:example.org"]);
    // Nobody of the service's sees the rest any more.
    one.leave(&room).await.ok();
    heard("one is in the other one").await;
    one.leave(&other).await.ok();
    service.until("alice", |it| listed(it, "left").contains(&alice.user_id.to_string()).then_some(())).await;
    assert_eq!(listed(&service, "left"), ["@bob:example.org", "@alice:example.org"]);
}

#[tokio::test]
async fn who_does_not_encrypt_is_told_nothing_of_it() {
    let service = TestService::start().await;
    let plain = ApplicationService { encrypts: false, ..registration(Some(service.url.clone())) };
    let server = with_services(vec![plain]).await;
    let _telling = Telling::start(&server);
    server.store.service_progress("irc").await.unwrap();
    let (alice, _, room) = two_in_a_room(&server).await;
    let ghost = ghost(&server, "irc_bob").await;
    ghost.join(&room).await.ok();
    send(&alice, &ghost, "*", "one").await;
    alice.post("/_matrix/client/v3/keys/upload", keys(&alice)).await.ok();
    alice.say(&room, "hello").await;
    service.hears("hello").await;
    assert!(service.transactions().iter().all(|got| got.body[MESSAGES].is_null() && got.body[LISTS].is_null()));
    assert_eq!(waiting(&server, &ghost).await, 1);
}
