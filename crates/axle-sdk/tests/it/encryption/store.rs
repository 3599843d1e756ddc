//! The file that keys are kept in.

use std::path::Path;

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

const SECRET: &[u8] = b"a key that is used up";

/// Whether the secret is in a file of this folder.
fn is_in(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).unwrap();
    let bytes: Vec<u8> = files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

/// A store that had the secret and has it no more.
fn with_a_used_key(folder: &Path) -> FileStore {
    let mut store = FileStore::open(&folder.join("session.keys")).unwrap();
    store.apply(&[(b"key".to_vec(), Some(SECRET.repeat(20)))]).unwrap();
    assert!(is_in(folder));
    store.apply(&[(b"key".to_vec(), None)]).unwrap();
    store
}

/// What was replaced is in no file any more, while the store is in use and when it is not.
#[test]
fn it_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = with_a_used_key(folder.path());
    store.forget().unwrap();
    assert!(!is_in(folder.path()));
    drop(store);
    let store = with_a_used_key(folder.path());
    drop(store);
    assert!(!is_in(folder.path()));
}

/// The files of a process that was killed.
#[test]
fn it_forgets_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let _store = with_a_used_key(folder.path());
    let killed = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), killed.path().join(file.file_name())).unwrap();
    }
    let store = FileStore::open(&killed.path().join("session.keys")).unwrap();
    assert_eq!(store.get(b"key").unwrap(), None);
    assert!(!is_in(killed.path()));
}

/// Earlier versions kept a journal instead of a log.
#[test]
fn a_file_with_a_journal_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.keys");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "PRAGMA journal_mode = TRUNCATE;
         CREATE TABLE kept (name BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
         INSERT INTO kept VALUES (x'6b6579', x'31');",
    )
    .unwrap();
    drop(old);
    let mut store = FileStore::open(&path).unwrap();
    assert_eq!(store.get(b"key").unwrap(), Some(b"1".to_vec()));
    store.apply(&[(b"key".to_vec(), Some(b"2".to_vec()))]).unwrap();
    drop(store);
    assert_eq!(FileStore::open(&path).unwrap().get(b"key").unwrap(), Some(b"2".to_vec()));
}
