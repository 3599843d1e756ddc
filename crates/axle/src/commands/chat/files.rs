//! Files: those of this machine that are sent, and those of a room that are kept.

use std::io;
use std::path::{Path, PathBuf};

use axle_sdk::{Attachment, AttachmentError, Client, MAX_FILE_BYTES, NewFile, RoomView, TimelineItem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::command::WhichFile;
use super::lines::clean;
use super::request::{Answer, Failure};

/// Media types by the ends of names; of all else nothing is said.
const MEDIA_TYPES: [(&str, &str); 14] = [
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// A path as people write it.
pub(super) fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.into(),
    }
}

/// What a file is called, without its folders.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Reads a file to be sent.
pub(super) async fn read(path: &Path) -> Result<NewFile, Failure> {
    let failed = |error: io::Error| Failure::local(format!("{}: {error}", path.display()));
    // A pipe may never end.
    if !tokio::fs::metadata(path).await.map_err(failed)?.is_file() {
        return Err(Failure::local(format!("{} is not a file", path.display())));
    }
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() > MAX_FILE_BYTES {
        let error = AttachmentError::TooLarge { limit: MAX_FILE_BYTES as u64 };
        return Err(Failure::local(error.to_string()));
    }
    let name = name_of(path);
    let end = Path::new(&name).extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    let known = MEDIA_TYPES.iter().find(|(of, _)| *of == end);
    let mimetype = known.map_or("application/octet-stream", |(_, mimetype)| mimetype).to_owned();
    Ok(NewFile { name, mimetype, bytes })
}

/// Fetches a file and keeps it: under its own name if the path is a folder's. Nothing is overwritten.
pub(super) async fn save(client: &Client, file: &Attachment, path: &Path) -> Result<Answer, Failure> {
    let is_folder = tokio::fs::metadata(path).await.is_ok_and(|found| found.is_dir());
    let path = if is_folder { path.join(file.file_name()) } else { path.to_owned() };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::local(format!("{} is there already; name another", path.display())),
        _ => Failure::local(format!("{}: {error}", path.display())),
    };
    if tokio::fs::symlink_metadata(&path).await.is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let bytes = client.fetch(file).await?;
    let mut kept = tokio::fs::File::options().write(true).create_new(true).open(&path).await.map_err(failed)?;
    let written = async {
        kept.write_all(&bytes).await?;
        kept.flush().await
    };
    if let Err(error) = written.await {
        // Half a file is worse than none.
        tokio::fs::remove_file(&path).await.ok();
        return Err(failed(error));
    }
    Ok(Answer::Saved { size: bytes.len(), path })
}

/// The file of a message.
pub(super) fn attachment(item: &TimelineItem) -> Option<Attachment> {
    let is_message = item.event.event_type == "m.room.message" && item.redacted.is_none();
    is_message.then(|| Attachment::of(&item.event.content).ok()).flatten()
}

/// The files that are in sight, the newest first.
pub(super) fn of(room: &RoomView) -> impl Iterator<Item = Attachment> {
    room.timeline().items().rev().filter_map(attachment)
}

/// The file that is meant.
pub(super) fn find(room: &RoomView, which: &WhichFile) -> Result<Attachment, String> {
    let none = "there is no such file here; /history fetches older messages";
    match which {
        WhichFile::Number(number) => number.checked_sub(1).and_then(|at| of(room).nth(at)).ok_or(none.to_owned()),
        WhichFile::Event(id) => {
            let item = room.timeline().items().rev().find(|item| item.event.event_id == *id).ok_or(none)?;
            Attachment::of(&item.event.content).map_err(|error| error.to_string())
        }
    }
}

/// How a file is shown.
pub(super) fn label(number: usize, file: &Attachment) -> String {
    let size = file.size.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    format!("[file {number}: {}{size}]", clean(&file.file_name()))
}

/// How many bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    // In tenths of a unit.
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1000, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let sizes = [0, 999, 1000, 12_345, 999_999, 1_000_000, 104_857_600, u64::MAX].map(size);
        let last = sizes[7].clone();
        assert_eq!(sizes[..7], ["0 bytes", "999 bytes", "1.0 kB", "12.3 kB", "999.9 kB", "1.0 MB", "104.8 MB"]);
        assert!(last.ends_with(" TB"));
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Tea Time.PNG");
        std::fs::write(&path, b"leaves").unwrap();
        let file = read(&path).await.unwrap();
        assert_eq!((file.name.as_str(), file.mimetype.as_str()), ("Tea Time.PNG", "image/png"));
        assert!(read(folder.path()).await.unwrap_err().message.ends_with("is not a file"));
        assert!(read(&folder.path().join("none")).await.is_err());
    }
}
