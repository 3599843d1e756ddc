//! `GET /oauth2/style.css`: how the pages for people look.

use axum::response::{IntoResponse as _, Response};
use http::header;

use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::oauth::{self, STYLE};
use crate::state::Api;

pub(super) async fn style(api: Api, _: Caller, _: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    Ok((headers, STYLE).into_response())
}
