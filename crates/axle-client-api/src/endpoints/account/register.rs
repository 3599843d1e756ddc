//! `POST /_matrix/client/v3/register`

use axle_protocol::{MatrixError, UserId};
use axle_store::{Standing, StoreError, User};
use ruma::api::client::account::register::v3::{Request, Response};
use ruma::api::client::account::register::{LoginType, RegistrationKind};
use ruma::api::client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo};
use ruma::api::error::{ErrorKind, StandardErrorBody};

use super::register_by_service;
use crate::accounts::{chosen_user, in_use};
use crate::config::Registration;
use crate::endpoint::Caller;
use crate::error::{ApiError, ApiResult};
use crate::fallback::MAX_SESSION_BYTES;
use crate::ids;
use crate::limiter::address_key;
use crate::password::check_password;
use crate::session::{self, Login, random_token};
use crate::state::{Api, now_ms};

/// Random bytes in the id of an authentication session.
const UIA_SESSION_BYTES: usize = 18;
/// Random bytes in a user name that this server makes up, each two letters.
const RANDOM_NAME_BYTES: usize = 8;
/// What people are told whose registration token is not one.
const INVALID_TOKEN: &str = "This registration token is not valid.";

pub(crate) async fn register(api: Api, caller: Caller, request: Request) -> ApiResult<Response> {
    if request.kind == RegistrationKind::Guest {
        return Err(MatrixError::new(403, "M_GUEST_ACCESS_FORBIDDEN", "There are no guests here.").into());
    }
    if request.login_type == Some(LoginType::ApplicationService) {
        return register_by_service::register(api, caller, request).await;
    }
    let stage = stage(api.config.registration)?;
    let name = request.username.clone().map_or_else(random_name, Ok)?;
    let user_id = chosen_user(&api.config.server_name, &name)?;
    session::check_device(request.device_id.as_ref(), request.initial_device_display_name.as_deref())?;
    api.config.services.check_user(None, &user_id)?;
    if let Some(password) = &request.password {
        check_password(password).map_err(MatrixError::from)?;
    }
    if api.store.user(&user_id).await?.is_some() {
        return Err(in_use(&user_id).into());
    }
    let Some(auth) = &request.auth else { return Err(challenge(stage, None, None)?) };
    let token = finished(&api, &stage, auth)?;
    let password = request.password.clone().ok_or_else(|| MatrixError::missing_param("There is no password."))?;
    if !create(&api, caller, &user_id, password, token.as_deref()).await? {
        return Err(challenge(stage, None, Some(INVALID_TOKEN))?);
    }
    answer(&api, caller, &user_id, request).await
}

/// Makes an account for somebody who fills in a form of this server, by the same rules.
pub(in crate::endpoints) async fn sign_up(
    api: &Api,
    caller: Caller,
    name: &str,
    password: String,
    token: Option<&str>,
) -> ApiResult<UserId> {
    let user_id = check_free(api, name).await?;
    check_password(&password).map_err(MatrixError::from)?;
    let token = match stage(api.config.registration)? {
        AuthType::RegistrationToken => Some(token.unwrap_or_default()),
        _ => None,
    };
    match create(api, caller, &user_id, password, token).await? {
        true => Ok(user_id),
        false => Err(MatrixError::forbidden(INVALID_TOKEN).into()),
    }
}

/// Makes an account; `false`: the registration token is not valid.
async fn create(api: &Api, caller: Caller, user_id: &UserId, password: String, token: Option<&str>) -> ApiResult<bool> {
    api.limits.registrations.take(&address_key(caller.address))?;
    let user = User {
        user_id: user_id.clone(),
        password_hash: Some(api.passwords.hash(password).await?),
        admin: false,
        deactivated: false,
        standing: Standing::default(),
        created_ts: now_ms(),
    };
    match api.store.create_user(user, token).await {
        Ok(made) => Ok(made),
        Err(StoreError::Exists(_)) => Err(in_use(user_id).into()),
        Err(error) => Err(error.into()),
    }
}

/// Tells that an account was made, and logs its user in, if that is wanted.
pub(super) async fn answer(api: &Api, caller: Caller, user_id: &UserId, request: Request) -> ApiResult<Response> {
    let mut response = Response::new(ids::ruma_user(user_id)?);
    if !request.inhibit_login {
        let login = Login {
            device_id: request.device_id,
            name: request.initial_device_display_name,
            refresh: request.refresh_token,
            address: caller.address,
        };
        let new = session::start(api, user_id, login).await?;
        response.access_token = Some(new.tokens.access_token);
        response.device_id = Some(new.device_id);
        (response.refresh_token, response.expires_in) = (new.tokens.refresh_token, new.tokens.expires_in);
    }
    Ok(response)
}

/// The one stage that a registration goes through.
pub(in crate::endpoints) fn stage(registration: Registration) -> Result<AuthType, MatrixError> {
    match registration {
        Registration::Open => Ok(AuthType::Dummy),
        Registration::Token => Ok(AuthType::RegistrationToken),
        Registration::Closed => Err(MatrixError::forbidden("Registration is closed on this server.")),
    }
}

/// Whether the client has been through the stage; its registration token, if that is the stage. As there is one stage
/// only, a session has no state, but for a stage that was passed on a page.
fn finished(api: &Api, stage: &AuthType, auth: &AuthData) -> ApiResult<Option<String>> {
    match (stage, auth) {
        (AuthType::Dummy, AuthData::Dummy(_)) => Ok(None),
        (AuthType::RegistrationToken, AuthData::RegistrationToken(token)) => Ok(Some(token.token.clone())),
        // Nothing but a session: the client asks how far it is.
        (_, AuthData::FallbackAcknowledgement(acknowledgement)) => {
            match api.fallbacks.of(&acknowledgement.session).filter(|passed| passed.stage == *stage) {
                Some(passed) => Ok(passed.token),
                None => Err(challenge(stage.clone(), Some(&acknowledgement.session), None)?),
            }
        }
        _ => Err(challenge(stage.clone(), None, Some("This is not a stage of registration here."))?),
    }
}

/// What the client has to do, in its session or a new one, and why what it did was not it.
fn challenge(stage: AuthType, session: Option<&str>, problem: Option<&str>) -> ApiResult<ApiError> {
    let mut info = UiaaInfo::new(vec![AuthFlow::new(vec![stage])]);
    info.params = serde_json::value::to_raw_value(&serde_json::Map::new()).ok();
    let known = session.filter(|session| session.len() <= MAX_SESSION_BYTES);
    info.session = Some(known.map_or_else(|| random_token(UIA_SESSION_BYTES), |session| Ok(session.to_owned()))?);
    info.auth_error = problem.map(|problem| Box::new(StandardErrorBody::new(ErrorKind::Forbidden, problem.to_owned())));
    Ok(ApiError::Authenticate(Box::new(info)))
}

fn random_name() -> Result<String, MatrixError> {
    Ok(session::random(RANDOM_NAME_BYTES)?.into_iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses names that cannot be had.
pub(super) async fn check_free(api: &Api, name: &str) -> ApiResult<UserId> {
    stage(api.config.registration)?;
    let user_id = chosen_user(&api.config.server_name, name)?;
    api.config.services.check_user(None, &user_id)?;
    match api.store.user(&user_id).await? {
        Some(_) => Err(in_use(&user_id).into()),
        None => Ok(user_id),
    }
}
