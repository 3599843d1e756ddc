//! `GET /oauth2/authorize`: a client sends its user here, who is asked.

use axum::response::Response;
use http::StatusCode;

use super::{about, complaint, credentials, may_register, new_credentials};
use crate::endpoint::{Caller, RawRequest};
use crate::error::{ApiError, ApiResult};
use crate::oauth::{self, AuthorizationRequest, Browser, CREATE, Page, Parameters, Parsed, escape};
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
    let is_new = request.is_new && may_register(api);
    let (title, fields, answer, button) = match is_new {
        true => ("Make an account", new_credentials(api, hint), "register", "Make the account and allow"),
        false => ("Log in to an app", credentials(hint), "allow", "Allow"),
    };
    let body = format!(
        "{}{}\n<p>Then you go back to <code>{}</code>.</p>\n<form method=\"post\" action=\"{}\">\n{}\n\
         <input type=\"hidden\" name=\"request\" value=\"{}\">\n{fields}\n\
         <button name=\"answer\" value=\"{answer}\">{button}</button>\n\
         <button name=\"answer\" value=\"deny\" formnovalidate>Do not allow</button>\n</form>\n{}",
        complaint(problem),
        about(api, &request.client, &request.scope.device_id),
        escape(&request.back.place()),
        escape(&oauth::url(api, "/oauth2/authorize")?),
        browser.field(),
        escape(&parameters.encoded()),
        other_way(api, parameters, is_new)?,
    );
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let leads_to = Some(request.back.place());
    browser.show(api, Page { status, leads_to, ..Page::new(title, body) })
}

/// A link for who has an account already, or has none yet.
fn other_way(api: &Api, parameters: &Parameters, is_new: bool) -> ApiResult<String> {
    let (prompt, text) = match is_new {
        true => (None, "I have an account already"),
        false if may_register(api) => (Some(CREATE), "I have no account yet"),
        false => return Ok(String::new()),
    };
    let query = parameters.clone().with("prompt", prompt).encoded();
    let link = oauth::url(api, &format!("/oauth2/authorize?{query}"))?;
    Ok(format!("<p><a href=\"{}\">{text}</a></p>", escape(&link)))
}
