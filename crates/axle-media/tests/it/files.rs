//! Files in a folder: whole or not there, also when the process ends in between.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axle_media::{ContentHash, MediaFolder, StoredFile};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("media");
    (base, root)
}

async fn store(folder: &MediaFolder, pieces: &[&[u8]]) -> StoredFile {
    let mut file = folder.begin().await.unwrap();
    for piece in pieces {
        file.write(piece).await.unwrap();
    }
    file.finish().await.unwrap()
}

async fn read(folder: &MediaFolder, hash: &ContentHash, bytes: Range<u64>) -> Option<Vec<u8>> {
    let mut reader = folder.read(hash, bytes).await.unwrap()?;
    let mut content = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        content.extend_from_slice(&piece);
    }
    Some(content)
}

/// Every file below a folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn content_comes_back_whole_and_in_part() {
    let (_base, root) = folder();
    let folder = MediaFolder::open(&root).unwrap();
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let stored = store(&folder, &[&content[..1], &content[1..200_000], &content[200_000..]]).await;
    let hash: ContentHash = Sha256::digest(&content).into();
    assert_eq!(stored, StoredFile { hash, size: 300_000 });
    assert_eq!(read(&folder, &hash, 0..300_000).await.unwrap(), content);
    assert_eq!(read(&folder, &hash, 65_000..140_000).await.unwrap(), content[65_000..140_000]);
    assert_eq!(read(&folder, &hash, 299_999..300_000).await.unwrap(), content[299_999..]);
    assert_eq!(read(&folder, &[7; 32], 0..1).await, None);
    let mut too_far = folder.read(&hash, 299_999..300_001).await.unwrap().unwrap();
    assert_eq!(too_far.next().await.unwrap().unwrap().len(), 1);
    assert!(too_far.next().await.is_err(), "a file that ends too early is no success");
}

#[tokio::test]
async fn the_same_content_is_kept_once_and_for_its_owner_only() {
    let (_base, root) = folder();
    let folder = MediaFolder::open(&root).unwrap();
    let one = store(&folder, &[b"same"]).await;
    assert_eq!(store(&folder, &[b"sa", b"me"]).await, one);
    let empty = store(&folder, &[]).await;
    assert_eq!((empty.size, read(&folder, &empty.hash, 0..0).await.unwrap().len()), (0, 0));
    let files = files(&root);
    assert_eq!(files.len(), 2);
    for file in files {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let folder = std::fs::metadata(file.parent().unwrap()).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
    folder.remove(&empty.hash).await.unwrap();
    folder.remove(&empty.hash).await.unwrap();
    assert_eq!(read(&folder, &empty.hash, 0..0).await, None);
    // Another process finds it.
    let again = MediaFolder::open(&root).unwrap();
    assert_eq!(read(&again, &one.hash, 0..4).await.unwrap(), b"same");
}

#[tokio::test]
async fn what_is_not_finished_is_not_there() {
    let (_base, root) = folder();
    let folder = MediaFolder::open(&root).unwrap();
    let mut given_up = folder.begin().await.unwrap();
    given_up.write(b"half").await.unwrap();
    assert_eq!(files(&root).len(), 1);
    drop(given_up);
    assert!(files(&root).is_empty());

    // The process ends before it can tidy up.
    let mut cut_off = folder.begin().await.unwrap();
    cut_off.write(b"half").await.unwrap();
    std::mem::forget(cut_off);
    assert_eq!(files(&root).len(), 1);
    let hash: ContentHash = Sha256::digest(b"half").into();
    assert_eq!(read(&folder, &hash, 0..4).await, None);
    let folder = MediaFolder::open(&root).unwrap();
    assert!(files(&root).is_empty());
    store(&folder, &[b"whole"]).await;
    assert_eq!(files(&root).len(), 1);
}
