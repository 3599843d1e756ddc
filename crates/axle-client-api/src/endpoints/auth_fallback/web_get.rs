//! `GET /_matrix/client/v3/auth/{authType}/fallback/web`

use axum::response::Response;

use super::{asked, page};
use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::state::Api;

pub(super) async fn web_get(api: Api, _: Caller, request: RawRequest) -> ApiResult<Response> {
    let (stage, _) = asked(&api, &request)?;
    Ok(page::ask(&stage, None))
}
