//! `DELETE /_matrix/client/v3/directory/room/{roomAlias}`

use axle_protocol::MatrixError;
use axle_store::RoomAlias;
use ruma::api::client::alias::delete_alias::v3::{Request, Response};

use crate::aliases::{self, CANONICAL_ALIAS};
use crate::error::ApiResult;
use crate::power::may_send_state;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn alias_delete(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    session.require_active()?;
    let alias = request.room_alias.as_str();
    api.limits.changes.take(session.user_id.as_str())?;
    let known = api.store.alias(alias).await?.ok_or_else(aliases::unknown)?;
    let joined = Access::of(&api, &session.user_id, &known.room_id).await?.joined();
    if !may_delete(&api, &session, alias, &known, joined).await? {
        return Err(MatrixError::forbidden("Whoever made an alias, or may change its room's, can delete it.").into());
    }
    api.store.remove_alias(alias).await?;
    if joined {
        aliases::remove_from_canonical(&api, &session.user_id, &known.room_id, alias).await?;
    }
    Ok(Response::new())
}

async fn may_delete(api: &Api, session: &Session, name: &str, alias: &RoomAlias, joined: bool) -> ApiResult<bool> {
    let user_id = &session.user_id;
    let service = session.service().and_then(|index| api.config.services.get(index));
    if service.is_some_and(|service| service.has_alias(name)) {
        return Ok(true);
    }
    if alias.creator == *user_id || (joined && may_send_state(api, &alias.room_id, user_id, CANONICAL_ALIAS).await?) {
        return Ok(true);
    }
    Ok(api.store.user(user_id).await?.is_some_and(|user| user.admin))
}
