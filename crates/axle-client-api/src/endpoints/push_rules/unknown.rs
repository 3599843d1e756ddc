//! What is no rule, no kind of rule and no part of one. Clients expect 400 there, as of a parameter that is wrong.

use axle_protocol::MatrixError;
use axum::response::Response as HttpResponse;

use crate::endpoint::RawRequest;
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) async fn unknown(_: Api, _: Session, _: RawRequest) -> ApiResult<HttpResponse> {
    Err(unknown_path().into())
}

pub(super) fn unknown_path() -> MatrixError {
    MatrixError::new(400, "M_UNRECOGNIZED", "There is no such scope, kind or part of push rules.")
}
