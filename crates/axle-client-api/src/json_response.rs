//! Responses for which ruma has no type that fits.

use bytes::BufMut;
use http::HeaderValue;
use ruma::api::error::IntoHttpError;
use ruma::api::{OutgoingBody, OutgoingResponse};
use serde::Serialize;

/// A response whose whole body is this value.
pub(crate) struct JsonResponse<T>(pub(crate) T);

/// Its body.
pub(crate) struct JsonBody<T>(T);

impl<T: Serialize> OutgoingResponse for JsonResponse<T> {
    type Body = JsonBody<T>;

    fn try_into_http_response_inner(self) -> Result<http::Response<JsonBody<T>>, IntoHttpError> {
        Ok(http::Response::new(JsonBody(self.0)))
    }
}

impl<T: Serialize> OutgoingBody for JsonBody<T> {
    type Error = IntoHttpError;

    fn content_type(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("application/json"))
    }

    fn try_into_buf<B: Default + BufMut + AsRef<[u8]>>(self) -> Result<B, IntoHttpError> {
        let mut buffer = B::default();
        buffer.put_slice(&serde_json::to_vec(&self.0)?);
        Ok(buffer)
    }
}
