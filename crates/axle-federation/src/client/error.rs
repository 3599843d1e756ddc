//! What can go wrong with a request to another server.

use std::time::Duration;

use axle_protocol::MatrixError;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::connect::ConnectError;
use crate::resolve::ResolveError;
use crate::web::WebError;

/// Characters of another server's error message that are kept.
const MAX_ERROR_CHARS: usize = 500;
/// Characters of its error code.
const MAX_ERRCODE_CHARS: usize = 100;
/// Characters of a room's version.
const MAX_ROOM_VERSION_CHARS: usize = 100;

/// A request to another server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// Its name leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// There is no connection to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke, or what came over it was not HTTP/1.1.
    #[error("the connection broke: {0}")]
    Http1(#[from] hyper::Error),
    /// The connection broke, or the server ended it or the request.
    #[error("the connection broke: {0}")]
    Http2(#[from] h2::Error),
    /// The server did not answer a ping in time.
    #[error("the connection broke: no sign of life within {0:?}")]
    Silent(Duration),
    /// It did not answer in time. Whether it has processed the request is not known.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is larger than any honest one.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what the endpoint answers.
    #[error("a malformed answer: {0}")]
    Malformed(String),
    /// The request cannot be made.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// The server says that something is elsewhere, and it could not be had from there.
    #[error("where the server redirects to: {0}")]
    Web(#[from] WebError),
}

/// An error that a server answered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// Status, code, text and waiting time; `M_UNKNOWN` where the answer was not a Matrix error.
    pub error: MatrixError,
    /// Whether the answer was a Matrix error, rather than HTML from a proxy or a web framework.
    pub is_matrix: bool,
}

impl ClientError {
    /// The server's answer, if it gave one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the server has certainly not seen the request.
    pub fn never_arrived(&self) -> bool {
        matches!(self, Self::Resolve(_) | Self::Connect(_) | Self::Request(_))
    }

    /// For a failure of our own request on behalf of somebody else's.
    pub fn into_matrix_error(self) -> MatrixError {
        match self {
            Self::Refused(refusal) if refusal.is_matrix => refusal.error,
            Self::Timeout(_) => MatrixError::gateway_timeout(self.to_string()),
            other => MatrixError::bad_gateway(other.to_string()),
        }
    }
}

impl Refusal {
    /// Reads an error answer, whatever it holds.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            errcode: String,
            #[serde(default)]
            error: Option<String>,
            #[serde(default)]
            retry_after_ms: Option<f64>,
            #[serde(default)]
            room_version: Value,
        }
        let after_header = retry_after(headers);
        match serde_json::from_slice::<Body>(body) {
            Ok(body) => {
                let errcode = cut(&body.errcode, MAX_ERRCODE_CHARS);
                let text = cut(body.error.as_deref().unwrap_or_default(), MAX_ERROR_CHARS);
                let mut error = MatrixError::new(status.as_u16(), errcode, text);
                error.retry_after_ms = body.retry_after_ms.map(|ms| ms.max(0.0) as u64).or(after_header);
                error.room_version =
                    body.room_version.as_str().map(|version| cut(version, MAX_ROOM_VERSION_CHARS).into());
                Self { error, is_matrix: true }
            }
            Err(_) => {
                let mut error = MatrixError::new(status.as_u16(), "M_UNKNOWN", "the answer is not a Matrix error");
                error.retry_after_ms = after_header;
                Self { error, is_matrix: false }
            }
        }
    }

    /// Whether the server does not know the endpoint, as opposed to what was asked for.
    pub fn is_unknown_endpoint(&self) -> bool {
        matches!(self.error.status, 404 | 405) && self.tells_nothing()
    }

    /// The same of a server that may be old: such refuse what they do not know as a bad request, too.
    pub fn is_unknown_endpoint_of_old(&self) -> bool {
        matches!(self.error.status, 400 | 404 | 405) && self.tells_nothing()
    }

    /// Whether the answer is not about what was asked for.
    fn tells_nothing(&self) -> bool {
        !self.is_matrix || self.error.errcode == "M_UNRECOGNIZED"
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000))
}

fn cut(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Refusal {
        Refusal::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn matrix_errors() {
        let refusal = read(429, r#"{"errcode":"M_LIMIT_EXCEEDED","error":"wait","retry_after_ms":10254}"#);
        assert_eq!((refusal.error.status, refusal.error.retry_after_ms, refusal.is_matrix), (429, Some(10254), true));
        assert_eq!(read(403, r#"{"errcode":"M_FORBIDDEN"}"#).error.errcode, "M_FORBIDDEN");
        let long = read(400, &format!(r#"{{"errcode":"M_X","error":"{}"}}"#, "x".repeat(9000)));
        assert_eq!(long.error.error.len(), MAX_ERROR_CHARS);
        let of_room = read(400, r#"{"errcode":"M_INCOMPATIBLE_ROOM_VERSION","error":"no","room_version":"12"}"#);
        assert_eq!(of_room.error.room_version.as_deref(), Some("12"));
        assert_eq!(read(400, r#"{"errcode":"M_X","room_version":12}"#).error.room_version, None);
    }

    #[test]
    fn other_errors() {
        for body in ["<html>Cannot GET /</html>", "", "null", "[]", r#"{"error":"x"}"#, r#"{"errcode":7}"#] {
            let refusal = read(404, body);
            assert!(!refusal.is_matrix && refusal.is_unknown_endpoint(), "{body}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let refusal = Refusal::read(StatusCode::SERVICE_UNAVAILABLE, &headers, b"busy");
        assert_eq!(refusal.error.retry_after_ms, Some(7000));
    }

    #[test]
    fn unknown_endpoints() {
        assert!(read(404, r#"{"errcode":"M_UNRECOGNIZED"}"#).is_unknown_endpoint());
        assert!(read(405, r#"{"errcode":"M_UNRECOGNIZED"}"#).is_unknown_endpoint());
        assert!(!read(404, r#"{"errcode":"M_NOT_FOUND"}"#).is_unknown_endpoint());
        assert!(!read(500, "<html>").is_unknown_endpoint());
        for body in [r#"{"errcode":"M_UNRECOGNIZED"}"#, "<html>"] {
            assert!(!read(400, body).is_unknown_endpoint() && read(400, body).is_unknown_endpoint_of_old());
            assert!(read(404, body).is_unknown_endpoint_of_old());
        }
        assert!(!read(400, r#"{"errcode":"M_INVALID_PARAM"}"#).is_unknown_endpoint_of_old());
    }
}
