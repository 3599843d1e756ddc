//! The file that keys are kept in.

use axle_mls::member::{KeyValue, Sealed};
use axle_sdk::EncryptionError;
use axle_sdk::encryption::FileStore;

#[test]
fn it_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").join("session.keys");
    let mut store = FileStore::open(&path).unwrap();
    store.apply(&[(b"one".to_vec(), Some(b"1".to_vec())), (b"two".to_vec(), Some(b"2".to_vec()))]).unwrap();
    store.apply(&[(b"one".to_vec(), Some(b"3".to_vec())), (b"two".to_vec(), None)]).unwrap();
    drop(store);
    let store = FileStore::open(&path).unwrap();
    assert_eq!(store.get(b"one").unwrap(), Some(b"3".to_vec()));
    assert_eq!(store.get(b"two").unwrap(), None);
    drop(store);
    FileStore::remove(&path).unwrap();
    FileStore::remove(&path).unwrap();
    assert!(!path.exists());
}

#[test]
fn one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.keys");
    let first = FileStore::open(&path).unwrap();
    let error = FileStore::open(&path).unwrap_err();
    assert!(matches!(error, EncryptionError::InUse(_)), "{error}");
    drop(first);
    FileStore::open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_it_and_nothing_in_it_without_the_secret() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.keys");
    let mut store = Sealed::new(FileStore::open(&path).unwrap(), &[7; 32]).unwrap();
    store.apply(&[(b"sdk room !tea:hub.test".to_vec(), Some(b"leaves and water".to_vec()))]).unwrap();
    drop(store);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&path).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!has(b"leaves") && !has(b"tea:hub"));
    let other = Sealed::new(FileStore::open(&path).unwrap(), &[8; 32]).unwrap();
    assert_eq!(other.get(b"sdk room !tea:hub.test").unwrap(), None, "names are sealed, too");
}

/// What was replaced is not in the file any more.
#[test]
fn it_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.keys");
    let mut store = FileStore::open(&path).unwrap();
    let secret = b"a key that is used up".repeat(20);
    store.apply(&[(b"key".to_vec(), Some(secret.clone()))]).unwrap();
    store.apply(&[(b"key".to_vec(), None)]).unwrap();
    drop(store);
    let left: Vec<u8> = std::fs::read_dir(folder.path())
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!left.windows(21).any(|window| window == b"a key that is used up"));
}
