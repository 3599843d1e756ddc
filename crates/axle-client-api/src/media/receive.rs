//! Taking an upload in: from the network to a file, piece by piece.

use axle_media::NewFile;
use axle_protocol::{MatrixError, UserId};
use axum::body::HttpBody as _;
use http::{HeaderMap, header};
use serde::Deserialize;

use super::over_quota;
use super::pieces::{Pieces, Stopped};
use super::uploading::OnItsWay;
use crate::endpoint::RawRequest;
use crate::error::ApiResult;
use crate::state::Api;

/// The longest content type that is kept.
pub(super) const MAX_CONTENT_TYPE_BYTES: usize = 255;
/// The longest file name that is kept.
pub(super) const MAX_FILE_NAME_BYTES: usize = 1024;
#[derive(Deserialize)]
struct Query {
    filename: Option<String>,
}

/// An upload that has arrived. If it is dropped, nothing is left of it.
pub(crate) struct Upload {
    pub(super) file: NewFile,
    pub(super) content_type: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) on_its_way: OnItsWay,
}

/// Writes the body to a file. 413 `M_TOO_LARGE` beyond the largest upload, 403 `M_FORBIDDEN` beyond the user's quota, 429
/// `M_LIMIT_EXCEEDED` while too many others of theirs are on their way, 408 if it stalls; then nothing is left of it.
pub(crate) async fn receive(api: &Api, uploader: &UserId, request: RawRequest) -> ApiResult<Upload> {
    let content_type = content_type(&request.head().headers)?;
    let file_name = file_name(request.query::<Query>()?)?;
    let on_its_way = OnItsWay::begin(api, uploader)?;
    let limit = Limit::of(api, uploader).await?;
    // What is announced to be too large need not be sent first.
    limit.check(request.body.size_hint().lower())?;
    let mut file = api.media.begin().await?;
    let mut pieces = Pieces::new(request.body.into_data_stream(), api.config.media.stall_timeout);
    while let Some(piece) = pieces.next().await.map_err(stopped)? {
        limit.check(file.size().saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX)))?;
        file.write(&piece).await?;
    }
    Ok(Upload { file, content_type, file_name, on_its_way })
}

fn stopped(stopped: Stopped<axum::Error>) -> MatrixError {
    match stopped {
        Stopped::Stalled => MatrixError::new(408, "M_UNKNOWN", "The upload stalled."),
        Stopped::Broken(error) => MatrixError::new(400, "M_UNKNOWN", format!("The upload broke off: {error}.")),
    }
}

fn content_type(headers: &HeaderMap) -> Result<Option<String>, MatrixError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if text.len() <= MAX_CONTENT_TYPE_BYTES => Ok(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
        _ => {
            let error = format!("A content type has at most {MAX_CONTENT_TYPE_BYTES} bytes, all of them ASCII.");
            Err(MatrixError::invalid_param(error))
        }
    }
}

fn file_name(query: Query) -> Result<Option<String>, MatrixError> {
    let name = query.filename.filter(|name| !name.is_empty());
    match name {
        Some(name) if name.len() > MAX_FILE_NAME_BYTES => {
            Err(MatrixError::invalid_param(format!("A file name has at most {MAX_FILE_NAME_BYTES} bytes.")))
        }
        name => Ok(name),
    }
}

/// How large an upload may be.
struct Limit {
    max_bytes: u64,
    /// What is left of the user's quota. That is looked at again when the upload is kept: there may be others meanwhile.
    quota_left: Option<u64>,
}

impl Limit {
    async fn of(api: &Api, uploader: &UserId) -> ApiResult<Self> {
        let config = api.config.media;
        let quota_left = match config.quota_bytes_per_user {
            Some(quota) => Some(quota.saturating_sub(api.store.media_bytes(uploader).await?)),
            None => None,
        };
        Ok(Self { max_bytes: config.max_upload_bytes, quota_left })
    }

    fn check(&self, bytes: u64) -> Result<(), MatrixError> {
        if bytes > self.max_bytes {
            return Err(MatrixError::too_large(format!("An upload has at most {} bytes.", self.max_bytes)));
        }
        match self.quota_left {
            Some(left) if bytes > left => Err(over_quota()),
            _ => Ok(()),
        }
    }
}
