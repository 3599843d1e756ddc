use std::sync::Arc;

use axle_store::{BackupKey, KeyBackup, KeyQuality, PutAuthData, PutBackupKeys, Store, WhichKeys};

use super::fixtures::*;

const MOST: usize = 5;
const MOST_BYTES: u64 = 1000;

fn key(room: &str, session: &str, (is_verified, first_message_index, forwarded_count): (bool, i64, i64)) -> BackupKey {
    let quality = KeyQuality { is_verified, first_message_index, forwarded_count };
    let json = format!(r#"{{"é":"{is_verified} {first_message_index} {forwarded_count}"}}"#);
    BackupKey { room_id: room.into(), session_id: session.into(), quality, json }
}

fn good(room: &str, session: &str) -> BackupKey {
    key(room, session, (true, 0, 0))
}

async fn create(store: &Arc<dyn Store>, who: &str) -> Option<i64> {
    store.create_key_backup(&user(who), "m.test", "{}", MOST).await.unwrap()
}

async fn put(store: &Arc<dyn Store>, version: i64, keys: Vec<BackupKey>) -> KeyBackup {
    match store.put_backup_keys(&user("alice"), version, keys, MOST_BYTES).await.unwrap() {
        PutBackupKeys::Stored(backup) => backup,
        other => panic!("{other:?}"),
    }
}

async fn keys(store: &Arc<dyn Store>, version: i64, which: WhichKeys) -> Option<Vec<BackupKey>> {
    store.backup_keys(&user("alice"), version, which, None, 100).await.unwrap()
}

async fn current(store: &Arc<dyn Store>) -> Option<i64> {
    store.key_backup(&user("alice"), None).await.unwrap().map(|backup| backup.version)
}

pub(crate) async fn versions_are_given_out_once(store: Arc<dyn Store>) {
    let alice = user("alice");
    assert_eq!(current(&store).await, None);
    assert_eq!(store.put_backup_keys(&alice, 1, vec![], MOST_BYTES).await.unwrap(), PutBackupKeys::NoBackup);
    let (one, two) = (create(&store, "alice").await.unwrap(), create(&store, "alice").await.unwrap());
    assert_eq!(current(&store).await, Some(two));
    assert!(one < two);
    assert_eq!(create(&store, "bob").await, Some(one), "versions are a user's own");
    let first = store.key_backup(&alice, Some(one)).await.unwrap().unwrap();
    let expected =
        KeyBackup { version: one, algorithm: "m.test".into(), auth_data: "{}".into(), etag: first.etag, keys: 0 };
    assert_eq!(first, expected);
    assert_eq!(store.put_backup_keys(&alice, one, vec![], MOST_BYTES).await.unwrap(), PutBackupKeys::NotCurrent(two));
    put(&store, two, vec![good("r", "s")]).await;
    assert!(store.remove_key_backup(&alice, two).await.unwrap());
    assert!(store.remove_key_backup(&alice, two).await.unwrap(), "it is gone already");
    assert!(!store.remove_key_backup(&alice, two + 1).await.unwrap());
    assert!(!store.remove_key_backup(&alice, 0).await.unwrap());
    assert!(!store.remove_key_backup(&user("carol"), one).await.unwrap());
    assert_eq!(current(&store).await, Some(one));
    let three = create(&store, "alice").await.unwrap();
    assert!(three > two);
    assert_eq!(keys(&store, three, WhichKeys::All).await, Some(vec![]));
    assert_eq!(keys(&store, two, WhichKeys::All).await, None);
    for (version, algorithm, expected) in [
        (one, "m.test", PutAuthData::Stored),
        (one, "m.other", PutAuthData::OtherAlgorithm),
        (two, "m.test", PutAuthData::NoBackup),
    ] {
        let put = store.put_key_backup_auth_data(&alice, version, algorithm, r#"{"a":1}"#).await.unwrap();
        assert_eq!(put, expected);
    }
    let changed = store.key_backup(&alice, Some(one)).await.unwrap().unwrap();
    assert_eq!(changed, KeyBackup { auth_data: r#"{"a":1}"#.into(), ..first });
}

pub(crate) async fn the_better_key_stays(store: Arc<dyn Store>) {
    let version = create(&store, "alice").await.unwrap();
    let mut etag = store.key_backup(&user("alice"), None).await.unwrap().unwrap().etag;
    // Each of these with whether it replaces what is there then.
    for (quality, better) in [
        ((false, 5, 5), true),
        ((false, 5, 5), false),
        ((false, 5, 6), false),
        ((false, 6, 0), false),
        ((false, 5, 4), true),
        ((false, 4, 9), true),
        ((true, 9, 9), true),
        ((false, 0, 0), false),
        ((true, 9, 8), true),
        ((true, 8, 8), true),
    ] {
        let new = key("r", "s", quality);
        let before = keys(&store, version, WhichKeys::All).await.unwrap();
        let backup = put(&store, version, vec![new.clone()]).await;
        let expected = if better { vec![new] } else { before };
        assert_eq!(keys(&store, version, WhichKeys::All).await.unwrap(), expected, "{quality:?}");
        assert_eq!((backup.keys, backup.etag != etag), (1, better), "{quality:?}");
        etag = backup.etag;
    }
    let twice = put(&store, version, vec![key("r", "t", (false, 2, 0)), key("r", "t", (false, 1, 0))]).await;
    assert_eq!(twice.keys, 2);
    let of_t = keys(&store, version, WhichKeys::Session("r".into(), "t".into())).await.unwrap();
    assert_eq!(of_t, [key("r", "t", (false, 1, 0))]);
}

pub(crate) async fn some_keys_go(store: Arc<dyn Store>) {
    let alice = user("alice");
    let version = create(&store, "alice").await.unwrap();
    let all = vec![good("one", "a"), good("one", "b"), good("two", "a"), good("two", "b")];
    let mut etag = put(&store, version, all.clone()).await.etag;
    assert_eq!(keys(&store, version, WhichKeys::All).await.unwrap(), all);
    assert_eq!(keys(&store, version, WhichKeys::Room("two".into())).await.unwrap(), &all[2..]);
    assert_eq!(keys(&store, version, WhichKeys::Room("three".into())).await.unwrap(), []);
    for (after, limit, expected) in
        [(("one", "a"), 2, &all[1..3]), (("one", "x"), 9, &all[2..]), (("two", "b"), 9, &[])]
    {
        let after = Some((after.0.to_owned(), after.1.to_owned()));
        let found = store.backup_keys(&alice, version, WhichKeys::All, after, limit).await.unwrap().unwrap();
        assert_eq!(found, expected);
    }
    let after = Some(("one".to_owned(), "a".to_owned()));
    let of_one = store.backup_keys(&alice, version, WhichKeys::Room("one".into()), after, 9).await.unwrap().unwrap();
    assert_eq!(of_one, &all[1..2]);
    let later = create(&store, "alice").await.unwrap();
    put(&store, later, all.clone()).await;
    for (which, left, changes) in [
        (WhichKeys::Session("one".into(), "c".into()), 4, false),
        (WhichKeys::Session("one".into(), "a".into()), 3, true),
        (WhichKeys::Room("two".into()), 1, true),
        (WhichKeys::Room("two".into()), 1, false),
        (WhichKeys::All, 0, true),
    ] {
        let backup = store.remove_backup_keys(&alice, version, which.clone()).await.unwrap().unwrap();
        assert_eq!((backup.keys, backup.etag != etag), (left, changes), "{which:?}");
        assert_eq!(keys(&store, version, which).await.unwrap(), []);
        etag = backup.etag;
    }
    assert_eq!(keys(&store, later, WhichKeys::All).await.unwrap(), all, "another backup's");
    assert_eq!(store.remove_backup_keys(&alice, later + 1, WhichKeys::All).await.unwrap(), None);
    assert_eq!(store.remove_backup_keys(&user("bob"), version, WhichKeys::All).await.unwrap(), None);
}

pub(crate) async fn a_user_has_so_many(store: Arc<dyn Store>) {
    for _ in 0..MOST {
        assert!(create(&store, "alice").await.is_some());
    }
    assert_eq!(create(&store, "alice").await, None);
    assert!(create(&store, "bob").await.is_some());
    store.remove_key_backup(&user("alice"), 1).await.unwrap();
    put(&store, 5, vec![good(&"r".repeat(500), "s")]).await;
    let version = create(&store, "alice").await.unwrap();
    let large = vec![good("r", "s"), good(&"r".repeat(500), "s")];
    let full = store.put_backup_keys(&user("alice"), version, large, MOST_BYTES).await.unwrap();
    assert_eq!(full, PutBackupKeys::Full, "all backups count");
    assert_eq!(keys(&store, version, WhichKeys::All).await.unwrap(), []);
    assert_eq!(put(&store, version, vec![good("r", "s")]).await.keys, 1);
    // Again and again is no more than once; and what goes makes room.
    for _ in 0..100 {
        put(&store, version, vec![good("r", "s")]).await;
    }
    store.remove_key_backup(&user("alice"), 5).await.unwrap();
    put(&store, version, vec![good(&"r".repeat(500), "s")]).await;
}
