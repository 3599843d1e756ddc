//! `GET /_matrix/federation/v1/media/download/:mediaId` and `.../thumbnail/:mediaId`: two parts, of which the first is
//! for what may be told of media one day.

use std::io;
use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use crate::endpoints::Federation;
use crate::endpoints::answer::Failure;
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, Search};
use crate::{ServedFile, ThumbnailQuery};

/// Random bytes in a boundary: no file holds it but by chance.
const BOUNDARY_BYTES: usize = 16;

pub(super) async fn download(
    State(federation): State<Arc<Federation>>,
    Params(media): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Response, Failure> {
    federation.limit(&origin)?;
    multipart(federation.queries()?.media(&media, search.integer("timeout_ms")?).await?)
}

pub(super) async fn thumbnail(
    State(federation): State<Arc<Federation>>,
    Params(media): Params<String>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Response, Failure> {
    federation.limit(&origin)?;
    let text = |name: &str| search.first(name).map(str::to_owned);
    let query = ThumbnailQuery { width: text("width"), height: text("height"), method: text("method") };
    multipart(federation.queries()?.thumbnail(&media, query, search.integer("timeout_ms")?).await?)
}

/// The file as `multipart/mixed`.
fn multipart(file: ServedFile) -> Result<Response, Failure> {
    let boundary = boundary()?;
    let ServedFile { content_type, disposition, size, content } = file;
    // A line break in a header would begin another one.
    let header = |text: String| text.replace(['\r', '\n'], "");
    let head = format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{boundary}\r\nContent-Type: {}\r\n\
         Content-Disposition: {}\r\n\r\n",
        header(content_type),
        header(disposition)
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let length = size.saturating_add(u64::try_from(head.len() + tail.len()).unwrap_or(u64::MAX));
    let piece = |text: String| stream::iter([io::Result::Ok(Bytes::from(text))]);
    let body = Body::from_stream(piece(head).chain(content).chain(piece(tail)));
    let headers =
        [(CONTENT_TYPE, format!("multipart/mixed; boundary={boundary}")), (CONTENT_LENGTH, length.to_string())];
    Ok((headers, body).into_response())
}

fn boundary() -> Result<String, MatrixError> {
    let mut random = [0; BOUNDARY_BYTES];
    getrandom::fill(&mut random).map_err(|error| MatrixError::unknown(format!("No random numbers: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}
