//! `GET /oauth2/authorize`: a client sends its user here, who is asked.

use axum::response::Response;
use http::StatusCode;

use super::{about, complaint, credentials};
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, AuthorizationRequest, Browser, Page, Parameters, Parsed, escape};
use crate::state::Api;

pub(super) async fn authorize_get(api: Api, _: Caller, request: RawRequest) -> ApiResult<Response> {
    oauth::url(&api, "")?;
    let browser = Browser::of(&api, request.head())?;
    let parameters = match Parameters::of_query(&request) {
        Ok(parameters) => parameters,
        Err(ApiError::OAuth(_, _, text)) => return browser.show(&api, Page::problem(&text)),
        Err(error) => return Err(error),
    };
    match AuthorizationRequest::parse(&api, &parameters).await? {
        Parsed::Good(request) => ask(&api, &browser, &parameters, &request, None),
        Parsed::SentBack(response) => Ok(response),
        Parsed::Refused(page) => browser.show(&api, page),
    }
}

/// Puts a request to the user; again, if there was a problem.
pub(super) fn ask(
    api: &Api,
    browser: &Browser,
    parameters: &Parameters,
    request: &AuthorizationRequest,
    problem: Option<&str>,
) -> ApiResult<Response> {
    let hint = request.hint.as_deref().map(|hint| hint.strip_prefix("mxid:").unwrap_or(hint)).unwrap_or_default();
    let body = format!(
        "{}{}\n<p>Then you go back to <code>{}</code>.</p>\n<form method=\"post\" action=\"{}\">\n{}\n\
         <input type=\"hidden\" name=\"request\" value=\"{}\">\n{}\n\
         <button name=\"answer\" value=\"allow\">Allow</button>\n\
         <button name=\"answer\" value=\"deny\" formnovalidate>Do not allow</button>\n</form>",
        complaint(problem),
        about(api, &request.client, &request.scope.device_id),
        escape(&request.back.place()),
        escape(&oauth::url(api, "/oauth2/authorize")?),
        browser.field(),
        escape(&parameters.encoded()),
        credentials(hint),
    );
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let leads_to = Some(request.back.place());
    browser.show(api, Page { status, leads_to, ..Page::new("Log in to an app", body) })
}
