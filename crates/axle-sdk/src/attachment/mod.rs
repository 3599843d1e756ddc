//! Files in messages: what an event says of one, and how it is encrypted where the room is.

mod encrypted;

use serde_json::{Map, Value, json};

pub use encrypted::EncryptedFile;

/// A file that is sent or fetched, in bytes: it is held in memory as a whole.
pub const MAX_FILE_BYTES: usize = 100 * 1024 * 1024;
/// What is said of a file of which nothing is known, or nothing is to be known.
pub(crate) const OCTET_STREAM: &str = "application/octet-stream";
/// The messages that have a file.
const MESSAGE_TYPES: [&str; 4] = ["m.file", "m.image", "m.audio", "m.video"];
/// The longest name of a file that is kept, in bytes: what file systems take.
const MAX_NAME_BYTES: usize = 200;
/// The longest ending of a name that is kept where the name is too long, in bytes, with its dot.
const MAX_ENDING_BYTES: usize = 16;

/// A file to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct NewFile {
    /// What it is called, without folders.
    pub name: String,
    /// Its media type, such as `image/png`.
    pub mimetype: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A file that a message has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What its sender calls it. Of others, so not to be used as a path: see [`Attachment::file_name`].
    pub name: String,
    /// Its media type, if the sender says.
    pub mimetype: Option<String>,
    /// How many bytes it has, if the sender says.
    pub size: Option<u64>,
    /// Where it lies.
    pub source: Source,
}

/// Where a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the clear, at this `mxc://` address.
    Plain(String),
    /// Encrypted.
    Encrypted(EncryptedFile),
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// The message is none that has a file.
    #[error("the message has no file")]
    NoFile,
    /// What the message says of the file is not what it should be.
    #[error("the message does not say properly where its file is: {0}")]
    Malformed(&'static str),
    /// It is larger than it may be.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// How many bytes it may have.
        limit: u64,
    },
    /// What the server has is not what was sent. Nothing of it was decrypted.
    #[error("the file that the server has is not the one that was sent")]
    Altered,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// The content of a message that sends a file of this many bytes.
pub(crate) fn message_content(name: &str, mimetype: &str, size: usize, source: &Source) -> Map<String, Value> {
    let (key, place) = match source {
        Source::Plain(uri) => ("url", json!(uri)),
        Source::Encrypted(file) => ("file", file.to_json()),
    };
    let mut content = Map::new();
    content.insert("msgtype".to_owned(), json!("m.file"));
    content.insert("body".to_owned(), json!(name));
    content.insert("filename".to_owned(), json!(name));
    content.insert("info".to_owned(), json!({ "mimetype": mimetype, "size": size }));
    content.insert(key.to_owned(), place);
    content
}

impl Attachment {
    /// Reads the content of an `m.room.message`.
    pub fn of(content: &Map<String, Value>) -> Result<Self, AttachmentError> {
        let text = |key: &str| content.get(key).and_then(Value::as_str);
        if !text("msgtype").is_some_and(|kind| MESSAGE_TYPES.contains(&kind)) {
            return Err(AttachmentError::NoFile);
        }
        let source = match (content.get("file"), text("url")) {
            (Some(file), _) => Source::Encrypted(EncryptedFile::read(file)?),
            (None, Some(uri)) => Source::Plain(uri.to_owned()),
            (None, None) => return Err(AttachmentError::Malformed("url")),
        };
        let info = content.get("info");
        Ok(Self {
            name: text("filename").or_else(|| text("body")).unwrap_or_default().to_owned(),
            mimetype: info.and_then(|info| Some(info.get("mimetype")?.as_str()?.to_owned())),
            size: info.and_then(|info| info.get("size")?.as_u64()),
            source,
        })
    }

    /// A name to keep it under: whatever its sender calls it, it leads out of no folder and hides nowhere.
    pub fn file_name(&self) -> String {
        let last = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let safe = |c: char| if c.is_control() || r#":*?"<>|"#.contains(c) { '_' } else { c };
        let name: String = last.trim_start_matches(['.', ' ']).chars().map(safe).collect();
        // What kind of file it is shows in the end.
        let ending = name.rfind('.').filter(|dot| name.len() - dot <= MAX_ENDING_BYTES);
        let (stem, end) = name.split_at(ending.unwrap_or(name.len()));
        let name = format!("{}{end}", &stem[..stem.floor_char_boundary(MAX_NAME_BYTES - end.len())]);
        let name = name.trim_end_matches(['.', ' ']);
        if name.is_empty() { "file".to_owned() } else { name.to_owned() }
    }
}

impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewFile({:?}, {}, {} bytes)", self.name, self.mimetype, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: Value) -> Result<Attachment, AttachmentError> {
        Attachment::of(content.as_object().unwrap_or(&Map::new()))
    }

    #[test]
    fn what_a_message_says_of_its_file() {
        let plain = json!({
            "msgtype": "m.image", "body": "at the lake", "filename": "lake.png", "url": "mxc://hub.test/abc",
            "info": {"mimetype": "image/png", "size": 7, "w": 2},
        });
        let file = read(plain).unwrap();
        assert_eq!((file.name.as_str(), file.mimetype.as_deref(), file.size), ("lake.png", Some("image/png"), Some(7)));
        assert_eq!(file.source, Source::Plain("mxc://hub.test/abc".into()));
        assert_eq!(read(json!({"msgtype": "m.text", "body": "x", "url": "mxc://a/b"})), Err(AttachmentError::NoFile));
        assert_eq!(read(json!({"body": "x"})), Err(AttachmentError::NoFile));
        assert_eq!(read(json!({"msgtype": "m.file", "body": "x"})), Err(AttachmentError::Malformed("url")));
        // What should be encrypted is not taken in the clear.
        let both = json!({"msgtype": "m.file", "body": "x", "url": "mxc://a/b", "file": {}});
        assert!(matches!(read(both), Err(AttachmentError::Malformed(_))));
    }

    #[test]
    fn names_lead_nowhere() {
        let named =
            |name: &str| read(json!({"msgtype": "m.file", "body": name, "url": "mxc://a/b"})).unwrap().file_name();
        assert_eq!(named("report 1.pdf"), "report 1.pdf");
        assert_eq!(named("../../.ssh/authorized_keys"), "authorized_keys");
        assert_eq!(named("C:\\Windows\\win.ini"), "win.ini");
        assert_eq!(named(".profile"), "profile");
        assert_eq!(named("a\u{1b}[2J\nb"), "a_[2J_b");
        for nothing in ["", "..", "/", ". .", "a/"] {
            assert_eq!(named(nothing), "file", "{nothing:?}");
        }
        assert_eq!(named(&"漢".repeat(500)).len(), 198);
        assert_eq!(named(&format!("{}.tar.gz", "漢".repeat(500))), format!("{}.gz", "漢".repeat(65)));
        assert_eq!(named(&format!("a.{}", "b".repeat(500))).len(), 200);
    }
}
