//! Files: upload, download, and messages that have one.

use std::time::Duration;

use axle_protocol::ServerName;
use serde::Deserialize;

use super::Client;
use super::request::Call;
use crate::attachment::{Attachment, AttachmentError, MAX_FILE_BYTES, NewFile, Source, message_content};
use crate::{Error, RetryPolicy};

/// How long a file may take, either way.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);

impl Client {
    /// How many bytes a file may have that is uploaded; `None` if the server does not say.
    pub async fn upload_limit(&self) -> Result<Option<u64>, Error> {
        #[derive(Deserialize)]
        struct Limits {
            #[serde(rename = "m.upload.size", default)]
            upload: Option<u64>,
        }
        Ok(self.call::<Limits>(Call::get(&["v1", "media", "config"])).await?.upload)
    }

    /// Uploads a file as it is. Returns its `mxc://` address. A server that takes no file of this size is not asked to.
    pub async fn upload(&self, bytes: Vec<u8>, mimetype: &str, name: Option<&str>) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Uploaded {
            content_uri: String,
        }
        let limit = match self.with_retry(RetryPolicy::NEVER).upload_limit().await {
            Ok(limit) => limit.unwrap_or(u64::MAX).min(MAX_FILE_BYTES as u64),
            Err(error) if error.is_logged_out() => return Err(error),
            // Then the server says so when it has the file.
            Err(_) => MAX_FILE_BYTES as u64,
        };
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(AttachmentError::TooLarge { limit }.into());
        }
        let path = ["v3", "upload"];
        let mut call = Call::upload(&path, bytes, mimetype).timeout(FILE_TIMEOUT);
        if let Some(name) = name {
            call = call.query("filename", name);
        }
        // Twice, it lies there under two addresses, of which one is forgotten.
        Ok(self.call::<Uploaded>(call.repeatable()).await?.content_uri)
    }

    /// Fetches a file as it lies with a server, by its `mxc://` address, also from another server. Fails if it is larger
    /// than `limit` bytes.
    pub async fn download(&self, uri: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let (server, id) = parse_uri(uri).ok_or(AttachmentError::Malformed("url"))?;
        let path = ["v1", "media", "download", server, id];
        self.call_for_file(Call::get(&path).timeout(FILE_TIMEOUT), limit).await
    }

    /// Sends a file in the clear, to a room that is not encrypted. Returns the id of the message; see [`Client::send`] for
    /// the transaction.
    pub async fn send_file(&self, room_id: &str, file: NewFile, transaction_id: &str) -> Result<String, Error> {
        let NewFile { name, mimetype, bytes } = file;
        let size = bytes.len();
        let source = Source::Plain(self.upload(bytes, &mimetype, Some(&name)).await?);
        let content = message_content(&name, &mimetype, size, &source);
        self.send(room_id, "m.room.message", &content, transaction_id).await
    }

    /// Fetches the file of a message, and decrypts it if it is encrypted, once it is sure that it is the one that was sent.
    pub async fn fetch(&self, attachment: &Attachment) -> Result<Vec<u8>, Error> {
        match &attachment.source {
            Source::Plain(uri) => self.download(uri, MAX_FILE_BYTES).await,
            Source::Encrypted(file) => Ok(file.decrypt(self.download(file.uri(), MAX_FILE_BYTES).await?)?),
        }
    }
}

/// Server and media id of an `mxc://` address.
fn parse_uri(uri: &str) -> Option<(&str, &str)> {
    let (server, id) = uri.strip_prefix("mxc://")?.split_once('/')?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_id && ServerName::parse(server).is_ok()).then_some((server, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_files() {
        assert_eq!(parse_uri("mxc://hub.example.org:8448/a-B_9"), Some(("hub.example.org:8448", "a-B_9")));
        for wrong in
            ["", "mxc://", "mxc://a", "mxc://a/", "mxc:///b", "https://a/b", "mxc://a/b/c", "mxc://a/..", "mxc://a b/c"]
        {
            assert_eq!(parse_uri(wrong), None, "{wrong}");
        }
    }
}
