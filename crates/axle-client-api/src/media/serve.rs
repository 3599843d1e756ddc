//! Giving media out: from a file to the network, piece by piece.

use std::ops::Range;

use axle_media::FileReader;
use axle_protocol::{MatrixError, base64};
use axle_store::MediaContent;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::try_unfold;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::headers::describe;
use super::range::{Wanted, wanted};
use crate::error::{ApiError, ApiResult};
use crate::session::Session;
use crate::state::Api;

/// Who may keep a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Who asked, with their token.
    Private,
    /// Anyone.
    Public,
}

impl Audience {
    /// Who asks where a token is not needed.
    pub(crate) fn of(session: Option<&Session>) -> Self {
        if session.is_some() { Self::Private } else { Self::Public }
    }

    /// Whether other servers may be asked for what is not here: by nobody who is not logged in, or this server would fetch
    /// whatever anyone wants.
    pub(crate) fn may_fetch(self) -> bool {
        self == Self::Private
    }

    /// What is uploaded never changes; after a day it may be gone.
    fn cache_control(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Private => "private, max-age=86400, immutable",
            Self::Public => "public, max-age=86400, immutable",
        })
    }
}

/// The content, or the part of it that the request wants. `name` is how the client wants it to be called.
pub(crate) async fn serve(
    api: &Api,
    content: &MediaContent,
    name: Option<&str>,
    head: &Parts,
    audience: Audience,
) -> ApiResult<Response> {
    let etag = format!("\"{}\"", base64::encode_url(content.hash));
    // Ranges are of GET only (RFC 9110, section 14.2).
    let wanted = match head.method {
        Method::GET => wanted(&head.headers, content.size, &etag),
        _ => Wanted::Whole,
    };
    let mut response = match wanted {
        _ if is_known(&head.headers, &etag) => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Unsatisfiable => return Ok(unsatisfiable(content.size)),
        Wanted::Whole => {
            let reader = open(api, content, 0..content.size).await?;
            body(reader, content.size)
        }
        Wanted::Part(bytes) => {
            let reader = open(api, content, bytes.clone()).await?;
            let mut response = body(reader, bytes.end - bytes.start);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let part = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, content.size);
            insert(&mut response, header::CONTENT_RANGE, &part);
            response
        }
    };
    describe(response.headers_mut(), content, name);
    insert(&mut response, header::ETAG, &etag);
    response.headers_mut().insert(header::CACHE_CONTROL, audience.cache_control());
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

/// These bytes of the content.
pub(crate) async fn open(api: &Api, content: &MediaContent, bytes: Range<u64>) -> ApiResult<FileReader> {
    let reader = api.media.read(&content.hash, bytes).await?;
    Ok(reader.ok_or_else(|| lost(content))?)
}

/// The file of something that is kept is not there.
pub(super) fn lost(content: &MediaContent) -> MatrixError {
    tracing::error!(hash = base64::encode_url(content.hash), "the file of an upload is missing");
    MatrixError::unknown("The server has lost this file.")
}

fn body(reader: FileReader, bytes: u64) -> Response {
    let mut response = Body::from_stream(try_unfold(reader, next)).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    response
}

async fn next(mut reader: FileReader) -> std::io::Result<Option<(Bytes, FileReader)>> {
    Ok(reader.next().await?.map(|piece| (piece, reader)))
}

fn unsatisfiable(size: u64) -> Response {
    let error = format!("The file has {size} bytes: none of those that were asked for.");
    let mut response = ApiError::from(MatrixError::new(416, "M_UNKNOWN", error)).into_response();
    insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// Whether the client has it already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// Sets a header to ASCII text of this server's.
fn insert(response: &mut Response, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}
