//! `GET /media/download/:mediaId`, and what older servers have instead.

use std::time::Duration;

use axle_protocol::ServerName;
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use tokio::time::timeout;

use super::connection::Body;
use super::multipart::{Found, Multipart};
use super::path::{FEDERATION, encode};
use super::request::Ask;
use super::{Client, ClientError, Refusal};
use crate::web::{https, redirected};

/// The part that is for what may be told of media one day.
const MAX_METADATA_BYTES: usize = 64 * 1024;
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// Redirections that are followed, one after the other.
const MAX_REDIRECTS: usize = 5;

/// A file of another server, on its way. Neither its size nor the time that it takes is limited here.
pub struct RemoteFile {
    /// Its `Content-Type`, as told.
    pub content_type: Option<String>,
    /// Its `Content-Disposition`, as told.
    pub disposition: Option<String>,
    body: Body,
    /// What is around the file.
    multipart: Option<Multipart>,
}

impl RemoteFile {
    fn new(headers: &HeaderMap, body: Body, multipart: Option<Multipart>) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self { content_type: text(CONTENT_TYPE), disposition: text(CONTENT_DISPOSITION), body, multipart }
    }

    /// The next piece; `None`: that was all. A file that is cut off is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(multipart) = &mut self.multipart else { return self.body.next().await };
        match next(&mut self.body, multipart).await? {
            Found::Content(piece) => Ok(Some(piece)),
            Found::Part(_) | Found::End => Ok(None),
        }
    }
}

impl Client {
    /// A file of a server, which may wait so long for one that it does not have yet.
    pub async fn media(&self, of: &ServerName, media_id: &str, wait: Duration) -> Result<RemoteFile, ClientError> {
        let (media_id, wait_ms) = (encode(media_id), wait.as_millis());
        let ask = self.long_get(MAX_REFUSAL_BYTES);
        let path = format!("{FEDERATION}/v1/media/download/{media_id}?timeout_ms={wait_ms}");
        match self.open(of, &path, &ask).await {
            Ok((head, body)) if head.status == StatusCode::OK => self.authenticated(&head.headers, body).await,
            Ok((head, _)) => Err(ClientError::Malformed(format!("status {}", head.status))),
            Err(ClientError::Refused(refusal)) if refusal.is_unknown_endpoint_of_old() => {
                let path = format!(
                    "/_matrix/media/v3/download/{}/{media_id}?allow_remote=false&allow_redirect=true&timeout_ms={wait_ms}",
                    encode(of.as_str())
                );
                self.open_to_all(of, &path, &Ask { signed: false, ..ask }).await
            }
            Err(error) => Err(error),
        }
    }

    /// Two parts, of which the second is the file or says where it is.
    async fn authenticated(&self, headers: &HeaderMap, mut body: Body) -> Result<RemoteFile, ClientError> {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let malformed = || ClientError::Malformed("an answer without two parts".into());
        let mut multipart = content_type.and_then(Multipart::of).ok_or_else(malformed)?;
        let read = async {
            let (mut parts, mut metadata) = (0, 0_usize);
            loop {
                match next(&mut body, &mut multipart).await? {
                    Found::Part(headers) if parts == 1 => return Ok(headers),
                    Found::Part(_) => parts += 1,
                    Found::Content(piece) => metadata = metadata.saturating_add(piece.len()),
                    Found::End => return Err(malformed()),
                }
                if metadata > MAX_METADATA_BYTES {
                    return Err(ClientError::TooLarge(MAX_METADATA_BYTES));
                }
            }
        };
        let limit = self.0.timeouts.request;
        let headers: HeaderMap = timeout(limit, read).await.map_err(|_| ClientError::Timeout(limit))??;
        match headers.get(LOCATION) {
            Some(location) => {
                let location = location.to_str().ok().and_then(https);
                self.elsewhere(location.ok_or_else(|| ClientError::Malformed("no https URL".into()))?).await
            }
            None => Ok(RemoteFile::new(&headers, body, Some(multipart))),
        }
    }

    /// From before media were told to servers only.
    async fn open_to_all(&self, of: &ServerName, path: &str, ask: &Ask) -> Result<RemoteFile, ClientError> {
        let (head, body) = self.open(of, path, ask).await?;
        if head.status == StatusCode::OK {
            return Ok(RemoteFile::new(&head.headers, body, None));
        }
        // A path alone stays on the server, which may not be where its name leads: it is not followed.
        let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok()).and_then(https);
        self.elsewhere(location.ok_or_else(|| ClientError::Malformed("a redirection to no https URL".into()))?).await
    }

    /// A file that a server says is at this URL.
    async fn elsewhere(&self, mut url: Uri) -> Result<RemoteFile, ClientError> {
        let limit = self.0.timeouts.request;
        for _ in 0..=MAX_REDIRECTS {
            let asked = timeout(limit, self.0.resolver.web(&url)).await;
            let answer = asked.map_err(|_| ClientError::Timeout(limit))??;
            if answer.head.status == StatusCode::OK {
                let headers = answer.head.headers.clone();
                return Ok(RemoteFile::new(&headers, answer.into(), None));
            }
            url = match redirected(&url, &answer.head) {
                Some(url) => url,
                None => return Err(ClientError::Refused(Refusal::read(answer.head.status, &answer.head.headers, b""))),
            };
        }
        Err(ClientError::Malformed("too many redirections".into()))
    }
}

/// What comes next of a body in parts.
async fn next(body: &mut Body, multipart: &mut Multipart) -> Result<Found, ClientError> {
    loop {
        if let Some(found) = multipart.next().map_err(|error| ClientError::Malformed(error.into()))? {
            return Ok(found);
        }
        match body.next().await? {
            Some(piece) => multipart.push(&piece),
            None => return Err(ClientError::Malformed("the answer is cut off".into())),
        }
    }
}
