//! Requests that need not say which way to read.

use ruma::api::IncomingRequest;
use ruma::api::error::DeserializationError;

use crate::json_request::metadata_like;

/// A request of ruma's. Who does not say which way to read reads forward, as with other servers.
pub(in crate::endpoints) struct EitherWay<R>(pub(in crate::endpoints) R);

metadata_like!(around EitherWay);

impl<R: IncomingRequest> IncomingRequest for EitherWay<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        mut request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let query = request.uri().query().unwrap_or_default();
        if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "dir") {
            let path = request.uri().path();
            let separator = if query.is_empty() { "" } else { "&" };
            if let Ok(uri) = format!("{path}?{query}{separator}dir=f").parse() {
                *request.uri_mut() = uri;
            }
        }
        Ok(Self(R::try_from_http_request_inner(request, path_args)?))
    }
}
