//! `POST /_matrix/client/v3/register`

use std::time::Duration;

use axle_protocol::{MatrixError, UserId};
use axle_store::{Standing, StoreError, User};
use ruma::OwnedDeviceId;
use ruma::api::client::account::register::v3::Request;
use ruma::api::client::account::register::{LoginType, RegistrationKind};
use ruma::api::client::uiaa::{AuthData, AuthFlow, AuthType, UiaaInfo};
use ruma::api::error::{ErrorKind, StandardErrorBody};
use serde::Serialize;

use super::{register_by_service, register_guest};
use crate::accounts::{self, chosen_user, in_use};
use crate::config::Registration;
use crate::endpoint::Caller;
use crate::error::{ApiError, ApiResult};
use crate::fallback::MAX_SESSION_BYTES;
use crate::json_response::JsonResponse;
use crate::limiter::address_key;
use crate::password::check_password;
use crate::registering::{Registering, Wanted};
use crate::session::{self, Login, random_token, token_hash};
use crate::state::{Api, now_ms};

/// Random bytes in the id of an authentication session.
const UIA_SESSION_BYTES: usize = 18;
/// Random bytes in a user name that this server makes up, each two letters.
const RANDOM_NAME_BYTES: usize = 8;
/// What people are told whose registration token is not one.
const INVALID_TOKEN: &str = "This registration token is not valid.";

/// ruma's own says that there is a device, of no name, where nobody is logged in.
#[derive(Serialize)]
pub(crate) struct Registered {
    user_id: UserId,
    #[serde(flatten)]
    login: Option<LoggedIn>,
}

#[derive(Serialize)]
struct LoggedIn {
    access_token: String,
    device_id: OwnedDeviceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in_ms: Option<u64>,
}

pub(crate) async fn register(api: Api, caller: Caller, mut request: Request) -> ApiResult<JsonResponse<Registered>> {
    if request.kind == RegistrationKind::Guest {
        return register_guest::register(api, caller, request).await;
    }
    if request.login_type == Some(LoginType::ApplicationService) {
        return register_by_service::register(api, caller, request).await;
    }
    let stage = stage(api.config.registration)?;
    let begun = session_of(&request).and_then(|session| api.registrations.of(session));
    match begun {
        Some(Registering::Made(user_id, wanted)) if is_name_of(request.username.as_deref(), &user_id) => {
            wanted.complete(&mut request);
            return again(&api, caller, &user_id, request).await;
        }
        Some(Registering::Begun(wanted)) => wanted.complete(&mut request),
        _ => {}
    }
    let name = request.username.clone().map_or_else(random_name, Ok)?;
    let user_id = chosen_user(&api.config.server_name, &name)?;
    session::check_device(request.device_id.as_ref(), request.initial_device_display_name.as_deref())?;
    api.config.services.check_user(None, &user_id)?;
    if let Some(password) = &request.password {
        check_password(password).map_err(MatrixError::from)?;
    }
    let stays = is_guest_to_stay(&api, &stage, &user_id, &request).await?;
    if !stays && api.store.user(&user_id).await?.is_some() {
        return Err(in_use(&user_id).into());
    }
    let Some(auth) = &request.auth else { return Err(challenge(&api, stage, &request, None)?) };
    let token = finished(&api, &stage, auth, &request)?;
    let password = request.password.clone().ok_or_else(|| MatrixError::missing_param("There is no password."))?;
    if stays {
        keep(&api, caller, &user_id, password).await?;
    } else if !create(&api, caller, &user_id, password, token.as_deref()).await? {
        return Err(challenge(&api, stage, &request, Some(INVALID_TOKEN))?);
    }
    made(&api, caller, &user_id, request).await
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
        erased: false,
        standing: Standing::default(),
        created_ts: now_ms(),
    };
    match accounts::make(&*api.store, user, token).await {
        Ok(made) => Ok(made),
        Err(StoreError::Exists(_)) => Err(in_use(user_id).into()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a guest's account that of a full user.
async fn keep(api: &Api, caller: Caller, user_id: &UserId, password: String) -> ApiResult<()> {
    api.limits.registrations.take(&address_key(caller.address))?;
    let hash = api.passwords.hash(password).await?;
    if api.store.keep_guest(user_id, &hash).await? { Ok(()) } else { Err(in_use(user_id).into()) }
}

/// Notes for the session that the account was made.
async fn made(api: &Api, caller: Caller, user_id: &UserId, request: Request) -> ApiResult<JsonResponse<Registered>> {
    if let Some(session) = session_of(&request).filter(|session| api.registrations.of(session).is_some()) {
        let wanted = Box::new(Wanted::of(&request).without_password());
        api.registrations.note(session, Registering::Made(user_id.clone(), wanted));
    }
    answer(api, caller, user_id, request).await
}

/// Answers a request whose session has made an account already: the answer may have been lost.
async fn again(api: &Api, caller: Caller, user_id: &UserId, request: Request) -> ApiResult<JsonResponse<Registered>> {
    session::check_device(request.device_id.as_ref(), request.initial_device_display_name.as_deref())?;
    api.limits.registrations.take(&address_key(caller.address))?;
    let hash = api.store.user(user_id).await?.filter(|user| !user.deactivated).and_then(|user| user.password_hash);
    let password = request.password.clone().unwrap_or_default();
    if !api.passwords.verify(password, hash).await? {
        return Err(in_use(user_id).into());
    }
    answer(api, caller, user_id, request).await
}

/// Whether the account is that of a guest who wants to keep it, which their access token proves.
async fn is_guest_to_stay(api: &Api, stage: &AuthType, user_id: &UserId, request: &Request) -> ApiResult<bool> {
    // Guests are let in where nobody needs a token to register. If that has changed since, they do.
    let Some(token) = request.guest_access_token.as_ref().filter(|_| *stage == AuthType::Dummy) else {
        return Ok(false);
    };
    let known = api.store.device_by_token(&token_hash(token)).await?;
    Ok(known.is_some_and(|(device, standing)| device.user_id == *user_id && standing.guest && !standing.locked))
}

fn session_of(request: &Request) -> Option<&str> {
    request.auth.as_ref().and_then(AuthData::session)
}

fn is_name_of(name: Option<&str>, user_id: &UserId) -> bool {
    name.is_none_or(|name| name.eq_ignore_ascii_case(user_id.localpart()))
}

/// Tells that an account was made, and logs its user in, if that is wanted.
pub(super) async fn answer(
    api: &Api,
    caller: Caller,
    user_id: &UserId,
    request: Request,
) -> ApiResult<JsonResponse<Registered>> {
    let mut registered = Registered { user_id: user_id.clone(), login: None };
    if !request.inhibit_login {
        let login = Login {
            device_id: request.device_id,
            name: request.initial_device_display_name,
            refresh: request.refresh_token,
            address: caller.address,
        };
        let new = session::start(api, user_id, login).await?;
        let in_ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        registered.login = Some(LoggedIn {
            access_token: new.tokens.access_token,
            device_id: new.device_id,
            refresh_token: new.tokens.refresh_token,
            expires_in_ms: new.tokens.expires_in.map(in_ms),
        });
    }
    Ok(JsonResponse(registered))
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
/// only, a session does not remember any, but for a stage that was passed on a page.
fn finished(api: &Api, stage: &AuthType, auth: &AuthData, request: &Request) -> ApiResult<Option<String>> {
    match (stage, auth) {
        (AuthType::Dummy, AuthData::Dummy(_)) => Ok(None),
        (AuthType::RegistrationToken, AuthData::RegistrationToken(token)) => Ok(Some(token.token.clone())),
        // Nothing but a session: the client asks how far it is.
        (_, AuthData::FallbackAcknowledgement(acknowledgement)) => {
            match api.fallbacks.of(&acknowledgement.session).filter(|passed| passed.stage == *stage) {
                Some(passed) => Ok(passed.token),
                None => Err(challenge(api, stage.clone(), request, None)?),
            }
        }
        _ => Err(challenge(api, stage.clone(), request, Some("This is not a stage of registration here."))?),
    }
}

/// What the client has to do, in its session or a new one, and why what it did was not it.
fn challenge(api: &Api, stage: AuthType, request: &Request, problem: Option<&str>) -> ApiResult<ApiError> {
    let mut info = UiaaInfo::new(vec![AuthFlow::new(vec![stage])]);
    info.params = serde_json::value::to_raw_value(&serde_json::Map::new()).ok();
    let (session, is_ours) = match session_of(request).filter(|session| session.len() <= MAX_SESSION_BYTES) {
        // One that is forgotten, after a restart, goes on all the same: a page may know it.
        Some(session) => (session.to_owned(), api.registrations.of(session).is_some()),
        None => (random_token(UIA_SESSION_BYTES)?, true),
    };
    if is_ours {
        api.registrations.note(&session, Registering::Begun(Box::new(Wanted::of(request))));
    }
    info.session = Some(session);
    info.auth_error = problem.map(|problem| Box::new(StandardErrorBody::new(ErrorKind::Forbidden, problem.to_owned())));
    Ok(ApiError::Authenticate(Box::new(info)))
}

/// A name that this server makes up.
pub(super) fn random_name() -> Result<String, MatrixError> {
    Ok(session::random(RANDOM_NAME_BYTES)?.into_iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses names that cannot be had.
pub(super) async fn check_free(api: &Api, name: &str) -> ApiResult<UserId> {
    stage(api.config.registration)?;
    free_user(api, name).await
}

/// The id that somebody chooses, if it is free for people, whether or not they may register themselves.
pub(in crate::endpoints) async fn free_user(api: &Api, name: &str) -> ApiResult<UserId> {
    let user_id = chosen_user(&api.config.server_name, name)?;
    api.config.services.check_user(None, &user_id)?;
    match api.store.user(&user_id).await? {
        Some(_) => Err(in_use(&user_id).into()),
        None => Ok(user_id),
    }
}
