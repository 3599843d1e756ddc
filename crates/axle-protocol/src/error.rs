//! The error object of every Matrix API ("Errors").

use serde::Serialize;

/// What a request is answered with when it fails: an HTTP status, a code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{status} {errcode}: {error}")]
pub struct MatrixError {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// For example `M_FORBIDDEN`.
    pub errcode: String,
    /// For people.
    pub error: String,
    /// With `M_LIMIT_EXCEEDED`: how long to wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `M_INCOMPATIBLE_ROOM_VERSION`: the version that the room has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_version: Option<Box<str>>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal;)*) => {
        impl MatrixError {
            $($(#[$doc])* pub fn $name(error: impl Into<String>) -> Self {
                Self::new($status, $code, error)
            })*
        }
    };
}

kinds! {
    /// 400 `M_NOT_JSON`.
    not_json = 400 "M_NOT_JSON";
    /// 400 `M_BAD_JSON`.
    bad_json = 400 "M_BAD_JSON";
    /// 400 `M_BAD_STATE`.
    bad_state = 400 "M_BAD_STATE";
    /// 400 `M_INVALID_PARAM`.
    invalid_param = 400 "M_INVALID_PARAM";
    /// 400 `M_MISSING_PARAM`.
    missing_param = 400 "M_MISSING_PARAM";
    /// 400 `M_WRONG_SERVER`.
    wrong_server = 400 "M_WRONG_SERVER";
    /// 400 `M_UNSUPPORTED_ROOM_VERSION`.
    unsupported_room_version = 400 "M_UNSUPPORTED_ROOM_VERSION";
    /// 401 `M_FORBIDDEN`: the request's signatures.
    unauthorized = 401 "M_FORBIDDEN";
    /// 401 `M_MISSING_TOKEN`.
    missing_token = 401 "M_MISSING_TOKEN";
    /// 401 `M_UNKNOWN_TOKEN`.
    unknown_token = 401 "M_UNKNOWN_TOKEN";
    /// 403 `M_FORBIDDEN`.
    forbidden = 403 "M_FORBIDDEN";
    /// 404 `M_NOT_FOUND`.
    not_found = 404 "M_NOT_FOUND";
    /// 404 `M_UNRECOGNIZED`.
    unrecognized = 404 "M_UNRECOGNIZED";
    /// 405 `M_UNRECOGNIZED`.
    method_not_allowed = 405 "M_UNRECOGNIZED";
    /// 413 `M_TOO_LARGE`.
    too_large = 413 "M_TOO_LARGE";
    /// 500 `M_UNKNOWN`.
    unknown = 500 "M_UNKNOWN";
    /// 502 `M_UNKNOWN`: another server failed us.
    bad_gateway = 502 "M_UNKNOWN";
    /// 504 `M_UNKNOWN`: another server did not answer in time.
    gateway_timeout = 504 "M_UNKNOWN";
}

impl MatrixError {
    /// Any status and code.
    pub fn new(status: u16, errcode: impl Into<String>, error: impl Into<String>) -> Self {
        Self { status, errcode: errcode.into(), error: error.into(), retry_after_ms: None, room_version: None }
    }

    /// 400 `M_INCOMPATIBLE_ROOM_VERSION` with the version that the room has.
    pub fn incompatible_room_version(version: impl Into<Box<str>>) -> Self {
        let version = version.into();
        let error = format!("The room's version is {version}.");
        Self { room_version: Some(version), ..Self::new(400, "M_INCOMPATIBLE_ROOM_VERSION", error) }
    }

    /// 429 `M_LIMIT_EXCEEDED` with how long to wait.
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(429, "M_LIMIT_EXCEEDED", "Too many requests. Try again later.")
        }
    }
}
