//! Browsers, told apart by a cookie, so that no other site can send this one's forms in the name of a user.

use axle_protocol::MatrixError;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::{Page, Parameters, same, url};
use crate::error::ApiResult;
use crate::session::random_token;
use crate::state::Api;

/// The cookie with the secret of a browser.
const COOKIE: &str = "axle-oauth2";
/// The field of a form that repeats it.
const FIELD: &str = "secret";
/// Random bytes in a secret.
const SECRET_BYTES: usize = 18;

/// A browser that has a page of this server.
pub(crate) struct Browser(String);

impl Browser {
    /// The browser that makes a request: known already, or new.
    pub(crate) fn of(api: &Api, head: &Parts) -> ApiResult<Self> {
        match cookie(head, &name(api, COOKIE)?) {
            Some(secret) if secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) => {
                Ok(Self(secret.to_owned()))
            }
            _ => Ok(Self(random_token(SECRET_BYTES)?)),
        }
    }

    /// Whether a form comes from a page that this browser was given.
    pub(crate) fn sent(&self, form: &Parameters) -> bool {
        form.get(FIELD).is_some_and(|secret| same(secret, &self.0))
    }

    /// What a form has to have in it.
    pub(crate) fn field(&self) -> String {
        format!("<input type=\"hidden\" name=\"{FIELD}\" value=\"{}\">", self.0)
    }

    /// Answers with a page, and lets the browser be known by it.
    pub(crate) fn show(&self, api: &Api, page: Page) -> ApiResult<Response> {
        let mut response = page.respond(api)?;
        set_cookie(api, &mut response, COOKIE, &self.0)?;
        Ok(response)
    }

    /// Answers a form that comes from elsewhere.
    pub(crate) fn refuse(&self, api: &Api) -> ApiResult<Response> {
        let text =
            "This form is too old, or came from another site. Go back and load the page again. It needs cookies.";
        self.show(api, Page { status: StatusCode::FORBIDDEN, ..Page::problem(text) })
    }
}

/// The value of a cookie.
pub(super) fn cookie<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let all = head.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Sets a cookie that is gone with the browser, and that neither scripts nor other sites' requests get at.
pub(super) fn set_cookie(api: &Api, response: &mut Response, cookie: &str, value: &str) -> ApiResult<()> {
    let secure = if is_secure(api)? { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}", name(api, cookie)?);
    let value = HeaderValue::from_str(&text).map_err(|_| MatrixError::unknown("A cookie cannot be set."))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// The name of a cookie. Where there is TLS, one that no other host can set.
pub(super) fn name(api: &Api, cookie: &str) -> ApiResult<String> {
    Ok(if is_secure(api)? { format!("__Host-{cookie}") } else { cookie.to_owned() })
}

fn is_secure(api: &Api) -> ApiResult<bool> {
    Ok(url(api, "")?.starts_with("https:"))
}
