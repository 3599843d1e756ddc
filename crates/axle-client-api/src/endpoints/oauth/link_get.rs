//! `GET /oauth2/link`: where people go who want to allow a device without a browser.

use axle_store::DeviceAuthorization;
use axum::response::Response;
use http::StatusCode;

use super::{about, complaint, credentials, limit};
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, Browser, Client, Page, Parameters, escape, user_code_hash};
use crate::state::{Api, now_ms};

pub(super) async fn link_get(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    let browser = Browser::of(&api, request.head())?;
    let parameters = Parameters::of_query(&request)?;
    let Some(code) = parameters.get("user_code") else { return enter(&api, &browser, None) };
    limit(&api, caller)?;
    match find(&api, code).await? {
        Some((waiting, client)) => ask(&api, &browser, code, &waiting, &client, None),
        None => enter(&api, &browser, Some(UNKNOWN)),
    }
}

/// What people are told whose code is not one.
pub(super) const UNKNOWN: &str = "No device waits with this code. It may have taken too long.";

/// The device that waits under a code, and the client on it.
pub(super) async fn find(api: &Api, code: &str) -> ApiResult<Option<(DeviceAuthorization, Client)>> {
    let waiting = api.store.device_authorization(&user_code_hash(code), now_ms()).await?;
    let Some(waiting) = waiting else { return Ok(None) };
    match oauth::find_client(api, &waiting.client_id).await {
        Ok(client) => Ok(Some((waiting, client))),
        Err(ApiError::OAuth(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for the code.
pub(super) fn enter(api: &Api, browser: &Browser, problem: Option<&str>) -> ApiResult<Response> {
    let body = format!(
        "{}<form method=\"get\" action=\"{}\">\n<label>The code that your device shows <input name=\"user_code\" \
         autocomplete=\"off\" autocapitalize=\"characters\" required></label>\n<button>Go on</button>\n</form>",
        complaint(problem),
        escape(&oauth::url(api, "/oauth2/link")?),
    );
    let status = if problem.is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    browser.show(api, Page { status, ..Page::new("Log in on another device", body) })
}

/// Asks whether the device is to be allowed.
pub(super) fn ask(
    api: &Api,
    browser: &Browser,
    code: &str,
    waiting: &DeviceAuthorization,
    client: &Client,
    problem: Option<&str>,
) -> ApiResult<Response> {
    let body = format!(
        "{}{}\n<p>Go on only if you began this yourself, on a device that shows <code>{}</code> now. Somebody who sent \
         you here gets into your account.</p>\n<form method=\"post\" action=\"{}\">\n{}\n\
         <input type=\"hidden\" name=\"user_code\" value=\"{}\">\n{}\n\
         <button name=\"answer\" value=\"allow\">Allow</button>\n\
         <button name=\"answer\" value=\"deny\" formnovalidate>Do not allow</button>\n</form>",
        complaint(problem),
        about(api, client, &waiting.device_id),
        escape(code),
        escape(&oauth::url(api, "/oauth2/link")?),
        browser.field(),
        escape(code),
        credentials(""),
    );
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    browser.show(api, Page { status, ..Page::new("Log in on another device", body) })
}
