//! `POST /oauth2/link`: what the user says to a device that waits.

use axum::response::Response;

use super::link_get::{UNKNOWN, ask, enter, find};
use super::{authenticate, limit};
use crate::endpoint::{Caller, RawRequest};
use crate::error::ApiResult;
use crate::oauth::{self, Browser, Page, Parameters, user_code_hash};
use crate::state::{Api, now_ms};

pub(super) async fn link_post(api: Api, caller: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    limit(&api, caller)?;
    let browser = Browser::of(&api, request.head())?;
    let form = Parameters::of_form(request).await?;
    if !browser.sent(&form) {
        return browser.refuse(&api);
    }
    let code = form.get("user_code").unwrap_or_default();
    let Some((waiting, client)) = find(&api, code).await? else { return enter(&api, &browser, Some(UNKNOWN)) };
    let (user_id, text) = if form.get("answer") == Some("allow") {
        match authenticate(&api, caller, &form).await? {
            Ok(user_id) => (Some(user_id), "Your other device goes on by itself. You can close this page."),
            Err(problem) => return ask(&api, &browser, code, &waiting, &client, Some(&problem)),
        }
    } else {
        (None, "The device is told that you do not want it. You can close this page.")
    };
    if let Some(user_id) = &user_id {
        api.limits.changes.take(user_id.as_str())?;
    }
    if !api.store.answer_device_authorization(&user_code_hash(code), user_id.as_ref(), now_ms()).await? {
        return enter(&api, &browser, Some(UNKNOWN));
    }
    browser.show(&api, Page::new("Done", format!("<p>{text}</p>")))
}
