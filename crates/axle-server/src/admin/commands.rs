//! What each command does, except the long one, [`super::verify`].

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use axle_client_api::{create_user, hash_password};
use axle_protocol::{KeyId, RoomId, ServerName, UserId, base64};
use axle_store::{DestinationStatus, ParkedEvent, RegistrationToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Admin, AdminError, Request, failed, verify};
use crate::key_file::SigningKeys;

/// Random bytes of a registration token.
const TOKEN_BYTES: usize = 18;
/// The longest registration token: what Matrix allows.
const MAX_TOKEN_CHARS: usize = 64;

/// One account of `list-users`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountSummary {
    /// Its id.
    pub user_id: UserId,
    /// Whether the user may administer the server.
    pub admin: bool,
    /// Whether it was deactivated.
    pub deactivated: bool,
    /// Whether anybody can log in with a password.
    pub has_password: bool,
    /// Milliseconds since the Unix epoch.
    pub created_ts: i64,
}

/// One signing key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeySummary {
    /// Its id.
    pub key_id: KeyId,
    /// The public key in base64.
    pub key: String,
    /// When it was last used; `None`: it is in use.
    pub expired_ts: Option<i64>,
}

/// One registration token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenSummary {
    /// The token.
    pub token: String,
    /// How often it may still be used; `None`: any number of times.
    pub uses_left: Option<u32>,
}

/// What is blocked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockList {
    /// Servers.
    pub servers: Vec<ServerName>,
    /// Rooms.
    pub rooms: Vec<RoomId>,
}

/// The queues towards other servers.
#[derive(Debug, Clone, Serialize)]
pub struct DestinationList {
    /// Every server that events were ever queued for.
    pub destinations: Vec<DestinationStatus>,
    /// Events that were refused for good and set aside.
    pub parked: Vec<ParkedEvent>,
}

pub(super) async fn execute(admin: &Admin, request: Request) -> Result<Value, AdminError> {
    let store = &*admin.store;
    match request {
        Request::CreateUser { localpart, password, admin: may_administer } => {
            let made = create_user(store, &admin.server_name, &localpart, password.as_deref(), may_administer);
            answer(made.await.map_err(failed)?)
        }
        Request::ResetPassword { user_id, password } => reset_password(admin, &user_id, password).await,
        Request::ListUsers => answer(users(admin).await?),
        Request::ListRooms => answer(store.rooms().await.map_err(failed)?),
        Request::Backup { file } => backup(admin, &file).await,
        Request::Verify { room_id } => answer(verify::verify(admin, room_id).await?),
        Request::RotateKey => rotate_key(admin),
        Request::ListKeys => answer(keys(&SigningKeys::load(&admin.signing_keys).map_err(failed)?)),
        Request::BlockServer { server, blocked } => block_server(admin, &server, blocked).await,
        Request::BlockRoom { room_id, blocked } => block_room(admin, &room_id, blocked).await,
        Request::ListBlocks => answer(BlockList {
            servers: store.blocked_servers().await.map_err(failed)?,
            rooms: store.blocked_rooms().await.map_err(failed)?,
        }),
        Request::ListDestinations => answer(DestinationList {
            destinations: store.destinations().await.map_err(failed)?,
            parked: store.parked().await.map_err(failed)?,
        }),
        Request::ListFaults => answer(store.all_faults().await.map_err(failed)?),
        Request::ListReports => answer(store.reports().await.map_err(failed)?),
        Request::CreateToken { token, uses } => create_token(admin, token, uses).await,
        Request::ListTokens => {
            let tokens = store.registration_tokens().await.map_err(failed)?;
            answer(tokens.into_iter().map(summary).collect::<Vec<_>>())
        }
    }
}

fn answer(value: impl Serialize) -> Result<Value, AdminError> {
    serde_json::to_value(value).map_err(failed)
}

async fn reset_password(admin: &Admin, user_id: &UserId, password: String) -> Result<Value, AdminError> {
    let hash = tokio::task::spawn_blocking(move || hash_password(&password)).await.map_err(failed)?.map_err(failed)?;
    if !admin.store.set_password(user_id, &hash).await.map_err(failed)? {
        return Err(AdminError(format!("there is no user {user_id}; axle admin list-users shows those there are")));
    }
    // Whoever knew the old password is out.
    admin.store.remove_devices(user_id, None).await.map_err(failed)?;
    Ok(Value::Null)
}

async fn users(admin: &Admin) -> Result<Vec<AccountSummary>, AdminError> {
    let users = admin.store.users().await.map_err(failed)?;
    let summary = |user: axle_store::User| AccountSummary {
        has_password: user.password_hash.is_some(),
        user_id: user.user_id,
        admin: user.admin,
        deactivated: user.deactivated,
        created_ts: user.created_ts,
    };
    Ok(users.into_iter().map(summary).collect())
}

async fn backup(admin: &Admin, file: &Path) -> Result<Value, AdminError> {
    if !file.is_absolute() {
        return Err(AdminError("the file of a backup must be named by its whole path".into()));
    }
    admin.store.backup(file).await.map_err(failed)?;
    answer(std::fs::metadata(file).map_err(failed)?.len())
}

fn rotate_key(admin: &Admin) -> Result<Value, AdminError> {
    if admin.running {
        let problem = "the server is running and goes on signing with its key: stop it, rotate, start it again";
        return Err(AdminError(problem.into()));
    }
    let path = &admin.signing_keys;
    let rotated = SigningKeys::load(path).and_then(|keys| keys.rotate(path, now_ms())).map_err(failed)?;
    answer(keys(&rotated))
}

async fn block_server(admin: &Admin, server: &ServerName, blocked: bool) -> Result<Value, AdminError> {
    if blocked && *server == admin.server_name {
        return Err(AdminError("that is this server".into()));
    }
    if !blocked && !admin.store.blocked_servers().await.map_err(failed)?.contains(server) {
        return Err(AdminError(format!("the server {server} is not blocked; axle admin list-blocks shows what is")));
    }
    answer(admin.store.block_server(server, blocked).await.map_err(failed)?)
}

async fn block_room(admin: &Admin, room_id: &RoomId, blocked: bool) -> Result<Value, AdminError> {
    if !blocked && !admin.store.blocked_rooms().await.map_err(failed)?.contains(room_id) {
        return Err(AdminError(format!("the room {room_id} is not blocked; axle admin list-blocks shows what is")));
    }
    answer(admin.store.block_room(room_id, blocked).await.map_err(failed)?)
}

/// The key in use first.
fn keys(keys: &SigningKeys) -> Vec<KeySummary> {
    let current =
        KeySummary { key_id: keys.current.id().clone(), key: keys.current.verify_key().to_base64(), expired_ts: None };
    let old = keys.old.iter().map(|(key_id, old)| KeySummary {
        key_id: key_id.clone(),
        key: old.key.to_base64(),
        expired_ts: Some(old.expired_ts),
    });
    std::iter::once(current).chain(old).collect()
}

async fn create_token(admin: &Admin, token: Option<String>, uses_left: Option<u32>) -> Result<Value, AdminError> {
    let token = match token {
        Some(token) => token,
        None => {
            let mut random = [0; TOKEN_BYTES];
            getrandom::fill(&mut random).map_err(failed)?;
            base64::encode_url(random)
        }
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    if token.is_empty() || token.len() > MAX_TOKEN_CHARS || !token.bytes().all(legal) {
        let problem = format!("a token has 1 to {MAX_TOKEN_CHARS} letters, digits and ._~-");
        return Err(AdminError(problem));
    }
    if admin.store.registration_tokens().await.map_err(failed)?.iter().any(|known| known.token == token) {
        return Err(AdminError(format!(
            "there is a token {token} already; axle admin list-tokens shows those there are"
        )));
    }
    let token = RegistrationToken { token, uses_left, completed: 0, expires_ts: None };
    admin.store.put_registration_token(token.clone()).await.map_err(failed)?;
    answer(summary(token))
}

fn summary(token: RegistrationToken) -> TokenSummary {
    TokenSummary { token: token.token, uses_left: token.uses_left }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
