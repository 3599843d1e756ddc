use std::sync::Arc;

use axle_store::{Device, LoginToken, MAX_LOGIN_TOKENS_PER_DEVICE, Store, Tokens};

use super::fixtures::*;

async fn log_in(store: &Arc<dyn Store>, device: u8) {
    let device = Device {
        user_id: user("a"),
        device_id: format!("D{device}"),
        tokens: Tokens { access_hash: [device; 32], expires_ts: None, refresh_hash: None },
        display_name: None,
        created_ts: 1,
        last_seen: None,
    };
    assert!(store.put_device(device).await.unwrap());
}

fn token(device: u8, expires_ts: i64) -> LoginToken {
    LoginToken { user_id: user("a"), device_id: format!("D{device}"), expires_ts }
}

pub(crate) async fn good_once(store: Arc<dyn Store>) {
    log_in(&store, 1).await;
    assert!(store.put_login_token(&[1; 32], token(1, 100), 10).await.unwrap());
    assert!(store.put_login_token(&[2; 32], token(1, 50), 10).await.unwrap());
    assert!(!store.put_login_token(&[3; 32], token(2, 100), 10).await.unwrap(), "no such device");
    let take = async |hash: u8, now| store.take_login_token(&[hash; 32], now).await.unwrap();
    assert_eq!(take(3, 20).await, None);
    assert_eq!(take(2, 50).await, None, "ended");
    assert_eq!(take(1, 20).await, Some(token(1, 100)));
    assert_eq!(take(1, 20).await, None, "used");
}

pub(crate) async fn gone_with_the_device(store: Arc<dyn Store>) {
    log_in(&store, 1).await;
    log_in(&store, 2).await;
    for device in [1, 2] {
        assert!(store.put_login_token(&[device; 32], token(device, 100), 10).await.unwrap());
    }
    store.remove_devices(&user("a"), Some("D1")).await.unwrap();
    assert_eq!(store.take_login_token(&[1; 32], 20).await.unwrap(), None);
    assert_eq!(store.take_login_token(&[2; 32], 20).await.unwrap(), Some(token(2, 100)));
}

pub(crate) async fn so_many_of_a_device(store: Arc<dyn Store>) {
    log_in(&store, 1).await;
    let most = u8::try_from(MAX_LOGIN_TOKENS_PER_DEVICE).unwrap();
    for number in 0..=most {
        assert!(store.put_login_token(&[number; 32], token(1, 100 + i64::from(number)), 10).await.unwrap());
    }
    assert_eq!(store.take_login_token(&[0; 32], 20).await.unwrap(), None, "the one that would have ended first");
    for number in 1..=most {
        assert!(store.take_login_token(&[number; 32], 20).await.unwrap().is_some());
    }
}
