//! Answers: JSON always, with its content type, errors too.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A finished JSON text with its status. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// What a handler returns when it fails.
#[derive(Debug, Clone)]
pub(super) struct Failure(pub(super) MatrixError);

impl Answer {
    /// 200.
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, body: body.into() }
    }

    /// 200 with something serialised.
    pub(super) fn json(value: &impl serde::Serialize) -> Result<Self, Failure> {
        let body = serde_json::to_vec(value).map_err(|error| Failure(MatrixError::unknown(error.to_string())))?;
        Ok(Self::ok(body))
    }
}

impl From<MatrixError> for Failure {
    fn from(error: MatrixError) -> Self {
        Self(error)
    }
}

impl From<&MatrixError> for Answer {
    fn from(error: &MatrixError) -> Self {
        let body = serde_json::to_vec(error).unwrap_or_else(|_| br#"{"errcode":"M_UNKNOWN","error":""}"#.to_vec());
        Self { status: error.status, body: body.into() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, JSON)], self.body).into_response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        Answer::from(&self.0).into_response()
    }
}

/// A JSON object of arrays of texts that are JSON already.
pub(super) fn object_of_arrays(fields: &[(&str, &[Arc<str>])]) -> String {
    let size: usize = fields.iter().flat_map(|(_, items)| items.iter().map(|item| item.len() + 1)).sum();
    let mut out = String::with_capacity(size + 32 * fields.len());
    for (i, (name, items)) in fields.iter().enumerate() {
        out.push(if i == 0 { '{' } else { ',' });
        push_array(&mut out, name, items);
    }
    out.push('}');
    out
}

/// `"name":[...]`.
pub(super) fn push_array(out: &mut String, name: &str, items: &[Arc<str>]) {
    out.push('"');
    out.push_str(name);
    out.push_str("\":[");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays() {
        let items: Vec<Arc<str>> = vec!["{}".into(), r#"{"a":1}"#.into()];
        assert_eq!(object_of_arrays(&[("x", &items), ("y", &[])]), r#"{"x":[{},{"a":1}],"y":[]}"#);
    }
}
