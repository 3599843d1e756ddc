//! `DELETE /_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}`: the same as to make a room private there. It
//! is not in the specification; services take rooms off their lists by it.

use axum::response::Response;
use http::Method;

use super::listed_put::{Entry, PATHS};
use crate::endpoint::{Endpoints, RawRequest};
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::DELETE, &PATHS, listed_delete)
}

async fn listed_delete(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    Entry::of(&api, &session, &request)?.set(&api, &session, false).await
}
