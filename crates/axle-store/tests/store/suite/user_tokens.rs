use std::sync::Arc;

use axle_protocol::UserId;
use axle_store::{MAX_USER_TOKENS_PER_ADMIN, Standing, Store, User, UserToken};

use super::fixtures::*;

async fn account(store: &Arc<dyn Store>, name: &str, admin: bool) -> UserId {
    let user = User {
        user_id: user(name),
        password_hash: None,
        admin,
        deactivated: false,
        erased: false,
        standing: Standing::default(),
        created_ts: 1,
    };
    let user_id = user.user_id.clone();
    store.create_user(user, None).await.unwrap();
    user_id
}

fn token(whom: &str, admin: &str, expires_ts: Option<i64>) -> UserToken {
    UserToken { user_id: user(whom), admin: user(admin), expires_ts }
}

pub(crate) async fn good_until_it_ends(store: Arc<dyn Store>) {
    let root = account(&store, "root", true).await;
    let alice = account(&store, "alice", false).await;
    let find = async |hash: u8| store.user_token(&[hash; 32]).await.unwrap();
    assert_eq!(find(1).await, None);
    assert!(store.put_user_token(&[1; 32], token("alice", "root", None), 10).await.unwrap());
    assert!(store.put_user_token(&[2; 32], token("alice", "root", Some(50)), 10).await.unwrap());
    assert!(!store.put_user_token(&[3; 32], token("nobody", "root", None), 10).await.unwrap());
    assert_eq!(find(2).await, Some((token("alice", "root", Some(50)), Standing::default())));
    assert_eq!(find(3).await, None);

    let locked = Standing { locked: true, ..Standing::default() };
    store.set_standing(&alice, locked).await.unwrap();
    assert_eq!(find(1).await, Some((token("alice", "root", None), locked)));
    store.set_standing(&root, locked).await.unwrap();
    assert_eq!(find(1).await, None, "the administrator is locked");
    store.set_standing(&root, Standing::default()).await.unwrap();
    store.set_admin(&root, false).await.unwrap();
    assert_eq!(find(1).await, None, "no administrator any more");
    store.set_admin(&root, true).await.unwrap();
    assert!(find(1).await.is_some());

    // Those that have ended are forgotten with the next.
    assert!(store.put_user_token(&[4; 32], token("alice", "root", None), 50).await.unwrap());
    assert_eq!((find(2).await, find(1).await.is_some()), (None, true));
    store.remove_user_token(&[1; 32]).await.unwrap();
    store.remove_user_token(&[1; 32]).await.unwrap();
    assert_eq!((find(1).await, find(4).await.is_some()), (None, true));
}

pub(crate) async fn gone_with_either_account(store: Arc<dyn Store>) {
    for admin in ["root", "toor"] {
        account(&store, admin, true).await;
    }
    let put = async |hash: u8, whom: &str, admin: &str| {
        assert!(store.put_user_token(&[hash; 32], token(whom, admin, None), 10).await.unwrap());
    };
    let good = async || {
        let mut good = Vec::new();
        for hash in 1..=4 {
            if store.user_token(&[hash; 32]).await.unwrap().is_some() {
                good.push(hash);
            }
        }
        good
    };
    for name in ["alice", "bob"] {
        account(&store, name, false).await;
    }
    put(1, "alice", "root").await;
    put(2, "alice", "toor").await;
    put(3, "bob", "root").await;
    put(4, "bob", "toor").await;
    // The user's own devices have nothing to do with it.
    store.remove_devices(&user("alice"), None).await.unwrap();
    store.change_password(&user("alice"), "hash", "").await.unwrap();
    store.remove_devices(&user("root"), Some("D")).await.unwrap();
    assert_eq!(good().await, [1, 2, 3, 4]);
    store.remove_devices(&user("root"), None).await.unwrap();
    assert_eq!(good().await, [2, 4]);
    store.deactivate_user(&user("alice"), false).await.unwrap();
    assert_eq!(good().await, [4]);
    assert!(!store.put_user_token(&[1; 32], token("alice", "toor", None), 10).await.unwrap());
    put(3, "bob", "root").await;
    store.change_password(&user("toor"), "hash", "").await.unwrap();
    assert_eq!(good().await, [3]);
    store.deactivate_user(&user("root"), false).await.unwrap();
    assert_eq!(good().await, [0; 0]);
}

pub(crate) async fn so_many_of_an_administrator(store: Arc<dyn Store>) {
    for admin in ["root", "toor"] {
        account(&store, admin, true).await;
    }
    account(&store, "alice", false).await;
    let hash = |number: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        hash
    };
    assert!(store.put_user_token(&[9; 32], token("alice", "toor", None), 10).await.unwrap());
    for number in 0..=MAX_USER_TOKENS_PER_ADMIN {
        assert!(store.put_user_token(&hash(number), token("alice", "root", None), 10).await.unwrap());
    }
    for number in 0..=MAX_USER_TOKENS_PER_ADMIN {
        assert_eq!(store.user_token(&hash(number)).await.unwrap().is_some(), number > 0);
    }
    assert!(store.user_token(&[9; 32]).await.unwrap().is_some());
}
