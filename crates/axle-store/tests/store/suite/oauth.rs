use std::sync::Arc;

use axle_store::{
    Device, DeviceAuthorization, MAX_OAUTH_CLIENTS, OAuthCode, OAuthGrant, PolledAuthorization, Store, TakenCode,
    TokenOwner, Tokens,
};

use super::fixtures::*;

fn grant(name: &str) -> OAuthGrant {
    OAuthGrant { user_id: user(name), client_id: "c".into(), device_id: "D".into(), scope: "s".into() }
}

fn code(name: &str, expires_ts: i64) -> OAuthCode {
    let nonce = Some(format!("of {name}"));
    OAuthCode { grant: grant(name), redirect_uri: "https://c/".into(), challenge: "x".into(), nonce, expires_ts }
}

fn waiting(expires_ts: i64) -> DeviceAuthorization {
    DeviceAuthorization { client_id: "c".into(), device_id: "D".into(), scope: "s".into(), expires_ts }
}

pub(crate) async fn codes_are_good_once(store: Arc<dyn Store>) {
    store.put_oauth_code(&[1; 32], code("a", 100), 10).await.unwrap();
    store.put_oauth_code(&[2; 32], code("b", 50), 10).await.unwrap();
    assert_eq!(store.take_oauth_code(&[3; 32], 20).await.unwrap(), TakenCode::Unknown);
    assert_eq!(store.take_oauth_code(&[1; 32], 20).await.unwrap(), TakenCode::Fresh(code("a", 100)));
    assert_eq!(store.take_oauth_code(&[1; 32], 21).await.unwrap(), TakenCode::Used(code("a", 100)));
    assert_eq!(store.take_oauth_code(&[2; 32], 50).await.unwrap(), TakenCode::Unknown, "ended");
    // Used ones are known until they would have ended.
    store.put_oauth_code(&[4; 32], code("b", 200), 99).await.unwrap();
    assert_eq!(store.take_oauth_code(&[1; 32], 99).await.unwrap(), TakenCode::Used(code("a", 100)));
    store.put_oauth_code(&[5; 32], code("b", 200), 100).await.unwrap();
    assert_eq!(store.take_oauth_code(&[1; 32], 99).await.unwrap(), TakenCode::Unknown, "forgotten");
}

pub(crate) async fn a_device_waits_for_its_user(store: Arc<dyn Store>) {
    let put = async |device: u8, user: u8, ends| {
        store.put_device_authorization(&[device; 32], &[user; 32], waiting(ends), 10).await.unwrap()
    };
    let poll = async |device: u8, now| store.poll_device_authorization(&[device; 32], now).await.unwrap();
    let answer = async |user: u8, who: Option<&str>, now| {
        let who = who.map(super::fixtures::user);
        store.answer_device_authorization(&[user; 32], who.as_ref(), now).await.unwrap()
    };
    assert!(put(1, 101, 100).await && put(2, 102, 100).await && put(3, 103, 50).await);
    assert!(!put(4, 101, 100).await && !put(1, 104, 100).await, "taken");
    assert_eq!(store.device_authorization(&[101; 32], 20).await.unwrap(), Some(waiting(100)));
    assert_eq!(poll(1, 20).await, PolledAuthorization::Pending);
    assert!(!answer(99, Some("a"), 20).await && !answer(103, Some("a"), 50).await);
    assert!(answer(101, Some("a"), 20).await && !answer(101, Some("b"), 20).await, "once");
    assert_eq!(store.device_authorization(&[101; 32], 20).await.unwrap(), None);
    assert_eq!(poll(1, 20).await, PolledAuthorization::Granted(grant("a")));
    assert_eq!(poll(1, 20).await, PolledAuthorization::Unknown, "told once");
    assert!(answer(102, None, 20).await);
    assert_eq!((poll(2, 20).await, poll(2, 20).await), (PolledAuthorization::Denied, PolledAuthorization::Unknown));
    assert_eq!(poll(3, 50).await, PolledAuthorization::Unknown, "ended");
}

pub(crate) async fn clients_that_nobody_uses_go_first(store: Arc<dyn Store>) {
    let put = async |id: &str, now| store.put_oauth_client(id, &format!("{{\"n\":\"{id}\"}}"), now).await.unwrap();
    let known = async |id: &str| store.oauth_client(id).await.unwrap().is_some();
    for (now, id) in (1..).zip(["allowed", "old", "renewed"]) {
        put(id, now).await;
    }
    assert_eq!(store.oauth_client("old").await.unwrap().as_deref(), Some(r#"{"n":"old"}"#));
    assert!(!known("nosuch").await);
    let grant = OAuthGrant { client_id: "allowed".into(), ..grant("a") };
    store.put_oauth_code(&[1; 32], OAuthCode { grant, ..code("a", 9) }, 1).await.unwrap();
    for n in 3..MAX_OAUTH_CLIENTS {
        put(&format!("c{n}"), 10).await;
    }
    put("renewed", 11).await;
    assert!(known("old").await);
    put("one more", 12).await;
    assert!(!known("old").await && known("allowed").await && known("renewed").await && known("one more").await);
}

pub(crate) async fn whose_a_token_is(store: Arc<dyn Store>) {
    let tokens = |n: u8| Tokens { access_hash: [n; 32], expires_ts: Some(1), refresh_hash: Some([n + 100; 32]) };
    store.put_device(Device { tokens: tokens(1), ..device("a", "ONE", 1) }).await.unwrap();
    store.put_device(device("a", "TWO", 9)).await.unwrap();
    store.put_oauth_session(&user("a"), "ONE", "c").await.unwrap();
    assert!(store.refresh_tokens(&[101; 32], tokens(2)).await.unwrap());
    let owner = async |hash: u8| store.token_owner(&[hash; 32]).await.unwrap();
    let one = |is_refresh| {
        Some(TokenOwner { user_id: user("a"), device_id: "ONE".into(), client_id: Some("c".into()), is_refresh })
    };
    for (hash, is_refresh) in [(1, false), (2, false), (101, true), (102, true)] {
        assert_eq!(owner(hash).await, one(is_refresh), "{hash}");
    }
    assert_eq!(owner(9).await.map(|owner| (owner.device_id, owner.client_id)), Some(("TWO".into(), None)));
    assert_eq!(owner(77).await, None);
    store.remove_devices(&user("a"), Some("ONE")).await.unwrap();
    store.put_device(device("a", "ONE", 1)).await.unwrap();
    assert_eq!(owner(1).await.map(|owner| owner.client_id), Some(None), "it is another device");
}

pub(crate) async fn one_key_signs_id_tokens(store: Arc<dyn Store>) {
    assert_eq!(store.id_token_key().await.unwrap(), None);
    assert_eq!(store.put_id_token_key(vec![1, 2]).await.unwrap(), [1, 2]);
    assert_eq!(store.put_id_token_key(vec![3]).await.unwrap(), [1, 2], "the first stays");
    assert_eq!(store.id_token_key().await.unwrap(), Some(vec![1, 2]));
}
