//! OAuth 2.0: what clients ask, and the pages for people.

mod account_get;
mod account_post;
mod authorize_get;
mod authorize_post;
mod device;
mod issuer;
mod keys;
mod link_get;
mod link_post;
mod metadata;
mod register;
mod revoke;
mod style;
mod token;

use axle_protocol::{MatrixError, UserId};
use http::Method;

use super::account::login;
use super::account::register::sign_up;
use crate::config::Registration;
use crate::endpoint::{Caller, Endpoints};
use crate::error::{ApiError, ApiResult};
use crate::limiter::address_key;
use crate::oauth::{Client, Parameters, escape};
use crate::password::MIN_PASSWORD_CHARS;
use crate::state::Api;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints
        .open_raw(Method::GET, &metadata::PATHS, metadata::metadata)
        .open_raw(Method::GET, &["/_matrix/client/unstable/org.matrix.msc2965/auth_issuer"], issuer::issuer)
        .open_raw(Method::GET, &["/oauth2/keys.json"], keys::keys)
        .open_raw(Method::POST, &["/oauth2/register"], register::register)
        .open_raw(Method::GET, &["/oauth2/authorize"], authorize_get::authorize_get)
        .open_raw(Method::POST, &["/oauth2/authorize"], authorize_post::authorize_post)
        .open_raw(Method::POST, &["/oauth2/device"], device::device)
        .open_raw(Method::GET, &["/oauth2/link"], link_get::link_get)
        .open_raw(Method::POST, &["/oauth2/link"], link_post::link_post)
        .open_raw(Method::POST, &["/oauth2/token"], token::token)
        .open_raw(Method::POST, &["/oauth2/revoke"], revoke::revoke)
        .open_raw(Method::GET, &["/oauth2/account"], account_get::account_get)
        .open_raw(Method::POST, &["/oauth2/account"], account_post::account_post)
        .open_raw(Method::GET, &["/oauth2/style.css"], style::style)
}

/// Takes from what an address may ask without being logged in.
fn limit(api: &Api, caller: Caller) -> Result<(), MatrixError> {
    api.limits.lookups.take(&address_key(caller.address))
}

/// The fields in which people say who they are.
fn credentials(name: &str) -> String {
    format!(
        "<label>User name <input name=\"username\" value=\"{}\" autocomplete=\"username\" autocapitalize=\"none\" \
         required></label>\n<label>Password <input name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" required></label>",
        escape(name)
    )
}

/// The fields in which people say who they want to be.
fn new_credentials(api: &Api, name: &str) -> String {
    let token = match api.config.registration {
        Registration::Token => {
            "\n<label>Registration token <input name=\"token\" autocomplete=\"off\" required></label>"
        }
        Registration::Open | Registration::Closed => "",
    };
    format!(
        "<label>User name <input name=\"username\" value=\"{}\" autocomplete=\"username\" autocapitalize=\"none\" \
         required></label>\n<label>Password, of {MIN_PASSWORD_CHARS} characters at least <input name=\"password\" \
         type=\"password\" autocomplete=\"new-password\" minlength=\"{MIN_PASSWORD_CHARS}\" required></label>\n\
         <label>The same again <input name=\"repeated\" type=\"password\" autocomplete=\"new-password\" \
         required></label>{token}",
        escape(name)
    )
}

/// Whether people can make accounts for themselves.
fn may_register(api: &Api) -> bool {
    api.config.registration != Registration::Closed
}

/// What people are told of a client before they allow it anything.
fn about(api: &Api, client: &Client, device_id: &str) -> String {
    let link = |(uri, text): (&Option<String>, &str)| {
        let uri = uri.as_deref()?;
        Some(format!("<a href=\"{}\" rel=\"noreferrer\">{text}</a>", escape(uri)))
    };
    let links = [(&client.tos_uri, "Terms of service"), (&client.policy_uri, "Privacy policy")];
    let links = links.into_iter().filter_map(link).collect::<Vec<_>>().join(", ");
    format!(
        "<p><strong>{}</strong>, an app of <strong>{}</strong>, wants to use your account on <strong>{}</strong>: to read \
         and send everything that you can, as the new device <code>{}</code>.</p>\n<p>{links}</p>",
        escape(client.name()),
        escape(client.host()),
        escape(api.config.server_name.as_str()),
        escape(device_id)
    )
}

/// Who fills in a form, if the password is right; otherwise what to tell them.
async fn authenticate(api: &Api, caller: Caller, form: &Parameters) -> ApiResult<Result<UserId, String>> {
    let (Some(name), Some(password)) = (form.get("username"), form.get("password")) else {
        return Ok(Err("Both are needed, the user name and the password.".into()));
    };
    let user_id = match login::named(api, name) {
        Ok(user_id) => user_id,
        Err(error) => return Ok(Err(error.error)),
    };
    match login::check_password(api, caller, &user_id, password.to_owned()).await {
        Ok(()) => Ok(Ok(user_id)),
        Err(error) => problem_of(error).map(Err),
    }
}

/// What to tell people of an error that is not this server's.
fn problem_of(error: ApiError) -> ApiResult<String> {
    match error {
        ApiError::Matrix(error) if error.status < 500 => Ok(error.error),
        error => Err(error),
    }
}

/// Who has made an account by filling in a form; otherwise what to tell them.
async fn register_person(api: &Api, caller: Caller, form: &Parameters) -> ApiResult<Result<UserId, String>> {
    let (Some(name), Some(password)) = (form.get("username"), form.get("password")) else {
        return Ok(Err("Both are needed, the user name and the password.".into()));
    };
    if form.get("repeated") != Some(password) {
        return Ok(Err("The two passwords are not the same.".into()));
    }
    match sign_up(api, caller, name, password.to_owned(), form.get("token")).await {
        Ok(user_id) => Ok(Ok(user_id)),
        Err(error) => problem_of(error).map(Err),
    }
}

/// A problem, above a form that is shown again.
fn complaint(problem: Option<&str>) -> String {
    problem.map(|problem| format!("<p class=\"error\">{}</p>\n", escape(problem))).unwrap_or_default()
}
