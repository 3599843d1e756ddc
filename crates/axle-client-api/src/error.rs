//! What a request that fails is answered with.

use axle_media::MediaError;
use axle_protocol::MatrixError;
use axle_store::StoreError;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ruma::api::client::uiaa::UiaaInfo;
use ruma::api::error::{DeserializationError, FromHttpRequestError};
use serde::Serialize;
use serde_json::error::Category;
use serde_json::{Value, json};

/// A handler's result.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// Why a request fails.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The error object of every Matrix API.
    Matrix(MatrixError),
    /// The same with further fields, a JSON object.
    Detailed(MatrixError, Value),
    /// The error object of OAuth 2.0 (RFC 6749, 5.2): a status, a code, and a sentence.
    OAuth(StatusCode, &'static str, String),
    /// The access token has ended; the session has not.
    Expired,
    /// The account is locked; the session stays.
    Locked,
    /// The client has to authenticate in stages first.
    Authenticate(Box<UiaaInfo>),
}

impl ApiError {
    /// For who is no client: the error without what only clients understand.
    pub(crate) fn into_matrix_error(self) -> MatrixError {
        match self {
            Self::Matrix(error) | Self::Detailed(error, _) => error,
            Self::Expired | Self::Locked | Self::Authenticate(_) | Self::OAuth(..) => {
                MatrixError::forbidden("This needs somebody who is logged in.")
            }
        }
    }
}

impl From<MatrixError> for ApiError {
    fn from(error: MatrixError) -> Self {
        Self::Matrix(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        MatrixError::unknown("The server could not read or write its storage.").into()
    }
}

impl From<MediaError> for ApiError {
    fn from(error: MediaError) -> Self {
        tracing::error!(%error, "a file of media failed");
        MatrixError::unknown("The server could not read or write its storage.").into()
    }
}

impl From<FromHttpRequestError> for ApiError {
    fn from(error: FromHttpRequestError) -> Self {
        let FromHttpRequestError::Deserialization(error) = error else {
            return MatrixError::method_not_allowed("This method is not allowed here.").into();
        };
        let text = error.to_string();
        match error {
            DeserializationError::Json(json) => match json.classify() {
                Category::Syntax | Category::Eof => MatrixError::not_json(text),
                Category::Data | Category::Io => MatrixError::bad_json(text),
            },
            DeserializationError::Utf8(_) => MatrixError::not_json(text),
            _ => MatrixError::invalid_param(text),
        }
        .into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Matrix(error) => matrix_error(error, None),
            Self::Detailed(error, details) => matrix_error(error, Some(details)),
            Self::OAuth(status, error, description) => {
                let body = json!({"error": error, "error_description": description});
                (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
            }
            Self::Expired => {
                let error = "The access token has ended. Refresh it, or log in again with the same device.";
                let body = json!({"errcode": "M_UNKNOWN_TOKEN", "error": error, "soft_logout": true});
                (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
            }
            Self::Locked => {
                let error = "This account is locked. Whoever runs the server can unlock it.";
                let body = json!({"errcode": "M_USER_LOCKED", "error": error, "soft_logout": true});
                (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
            }
            Self::Authenticate(info) => {
                // Clients rely on the list, also if it is empty; ruma leaves it out then.
                let completed = info.completed.is_empty().then_some([]);
                (StatusCode::UNAUTHORIZED, axum::Json(Challenge { info: *info, completed })).into_response()
            }
        }
    }
}

/// What is to be done, as a body.
#[derive(Serialize)]
struct Challenge {
    #[serde(flatten)]
    info: UiaaInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<[String; 0]>,
}

/// An error as a body.
#[derive(Serialize)]
struct ErrorBody {
    #[serde(flatten)]
    error: MatrixError,
    #[serde(flatten)]
    details: Option<Value>,
}

fn matrix_error(error: MatrixError, details: Option<Value>) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = error.retry_after_ms.map(|ms| ms.div_ceil(1000));
    let mut response = (status, axum::Json(ErrorBody { error, details })).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
