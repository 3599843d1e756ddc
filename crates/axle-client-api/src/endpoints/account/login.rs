//! `POST /_matrix/client/v3/login`

use axle_protocol::{MatrixError, UserId};
use ruma::OwnedDeviceId;
use ruma::api::auth_scheme::NoAccessToken;
use ruma::api::client::session::login::v3 as ruma_login;
use serde::Deserialize;

use crate::accounts::chosen_user;
use crate::endpoint::Caller;
use crate::error::ApiResult;
use crate::json_request::json_request;
use crate::limiter::address_key;
use crate::session::{self, Login, NewSession, token_hash};
use crate::state::{Api, now_ms};

/// ruma's own request type panics when there is no `type`.
#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(rename = "type")]
    login_type: String,
    identifier: Option<Identifier>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    identifier_type: String,
    user: Option<String>,
}

pub(crate) async fn login(api: Api, caller: Caller, request: Request) -> ApiResult<ruma_login::Response> {
    session::check_device(request.device_id.as_ref(), request.initial_device_display_name.as_deref())?;
    let user_id = match request.login_type.as_str() {
        "m.login.password" => {
            let user_id = user(&api, &request)?;
            let password = request.password.ok_or_else(|| MatrixError::missing_param("There is no password."))?;
            check_password(&api, caller, &user_id, password).await?;
            user_id
        }
        "m.login.token" => {
            let token = request.token.ok_or_else(|| MatrixError::missing_param("There is no token."))?;
            by_token(&api, caller, &token).await?
        }
        "m.login.application_service" => by_service(&api, caller, user(&api, &request)?).await?,
        _ => return Err(MatrixError::new(400, "M_UNKNOWN", "This way to log in is not offered.").into()),
    };
    if let Some(user) = api.store.user(&user_id).await? {
        session::require_unlocked(user.standing)?;
    }
    let login = Login {
        device_id: request.device_id,
        name: request.initial_device_display_name,
        refresh: request.refresh_token,
        address: caller.address,
    };
    let NewSession { user_id, device_id, tokens } = session::start(&api, &user_id, login).await?;
    let mut response = ruma_login::Response::new(user_id, tokens.access_token, device_id);
    (response.refresh_token, response.expires_in) = (tokens.refresh_token, tokens.expires_in);
    Ok(response)
}

/// Whom the request names: a localpart or a whole id, in the place of today or of old clients.
fn user(api: &Api, request: &Request) -> Result<UserId, MatrixError> {
    let name = match &request.identifier {
        Some(identifier) if identifier.identifier_type == "m.id.user" => identifier.user.as_deref(),
        Some(_) => return Err(MatrixError::new(400, "M_UNKNOWN", "Only the identifier m.id.user is known here.")),
        None => request.user.as_deref(),
    };
    named(api, name.ok_or_else(|| MatrixError::missing_param("There is no user."))?)
}

/// The user of this server with this localpart or whole id. People may write it with capitals, as when they register.
pub(crate) fn named(api: &Api, name: &str) -> Result<UserId, MatrixError> {
    let (localpart, server) = match name.strip_prefix('@') {
        Some(id) => id.split_once(':').ok_or_else(wrong)?,
        None => (name, api.config.server_name.as_str()),
    };
    if server != api.config.server_name.as_str() {
        return Err(wrong());
    }
    chosen_user(&api.config.server_name, localpart).map_err(|_| wrong())
}

/// Whose a login token is. Now it is used up. Only wrong tokens count, for the address.
async fn by_token(api: &Api, caller: Caller, token: &str) -> ApiResult<UserId> {
    let address = address_key(caller.address);
    api.limits.login_address.take(&address)?;
    let taken = api.store.take_login_token(&token_hash(token), now_ms()).await;
    if !matches!(taken, Ok(None)) {
        api.limits.login_address.give_back(&address);
    }
    let taken = taken?.ok_or_else(|| MatrixError::forbidden("The token is not valid, or was used before."))?;
    Ok(taken.user_id)
}

/// An application service logs in one of its users. 403 `M_EXCLUSIVE` for one that is none of its own.
async fn by_service(api: &Api, caller: Caller, user_id: UserId) -> ApiResult<UserId> {
    let service = caller.service.and_then(|index| api.config.services.get(index));
    let service =
        service.ok_or_else(|| MatrixError::missing_token("Only an application service logs in like this."))?;
    if !service.has_user(user_id.as_str()) {
        return Err(MatrixError::new(403, "M_EXCLUSIVE", "This user is none of the application service's.").into());
    }
    match api.store.user(&user_id).await? {
        Some(user) if user.deactivated => Err(session::deactivated().into()),
        Some(_) => Ok(user_id),
        None => Err(MatrixError::forbidden("The application service has not registered this user.").into()),
    }
}

/// Refuses a wrong password. Only wrong passwords count. They count for the address, and for the account as seen from
/// this address: were an account limited as such, anybody could lock its owner out.
pub(crate) async fn check_password(api: &Api, caller: Caller, user_id: &UserId, password: String) -> ApiResult<()> {
    let address = address_key(caller.address);
    let account = format!("{address} {user_id}");
    // Taken before the password is checked, so that guesses made at the same time count, too.
    api.limits.login_address.take(&address)?;
    if let Err(error) = api.limits.login_account.take(&account) {
        // Refused unread: it was no guess.
        api.limits.login_address.give_back(&address);
        return Err(error.into());
    }
    let checked = verify(api, user_id, password).await;
    if !matches!(&checked, Ok(Checked::Wrong(_))) {
        api.limits.login_address.give_back(&address);
        api.limits.login_account.give_back(&account);
    }
    match checked? {
        Checked::Right => Ok(()),
        Checked::Wrong(error) => Err(error.into()),
    }
}

/// What came of a password; a failure of ours is neither.
enum Checked {
    Right,
    Wrong(MatrixError),
}

async fn verify(api: &Api, user_id: &UserId, password: String) -> ApiResult<Checked> {
    let user = api.store.user(user_id).await?;
    let deactivated = user.as_ref().is_some_and(|user| user.deactivated);
    let hash = user.filter(|user| !user.deactivated).and_then(|user| user.password_hash);
    Ok(if api.passwords.verify(password, hash).await? {
        Checked::Right
    } else if deactivated {
        Checked::Wrong(session::deactivated())
    } else {
        Checked::Wrong(wrong())
    })
}

fn wrong() -> MatrixError {
    MatrixError::forbidden("The user name or the password is wrong.")
}

json_request!(Request, like ruma_login::Request, authentication: NoAccessToken, response: ruma_login::Response);
