//! What administrators do to accounts ("Account moderation").

mod lock;
mod suspend;

use axle_protocol::MatrixError;
use axle_store::{Standing, User};

use super::synapse::require_admin;
use crate::endpoint::Endpoints;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

/// The routes of these.
pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    suspend::routes(lock::routes(endpoints))
}

/// The account that an administrator asks about. 403 `M_FORBIDDEN` for who is none, whatever there is; 400
/// `M_INVALID_PARAM` for users of other servers, 404 `M_NOT_FOUND` for who is not here, or not any more.
async fn account(api: &Api, session: &Session, user_id: &str) -> ApiResult<User> {
    require_admin(api, session).await?;
    let user_id = ids::user(user_id)?;
    if user_id.server_str() != api.config.server_name.as_str() {
        return Err(MatrixError::invalid_param("This is not a user of this server.").into());
    }
    let user = api.store.user(&user_id).await?.filter(|user| !user.deactivated);
    Ok(user.ok_or_else(|| MatrixError::not_found("There is no such user."))?)
}

/// Changes how an account stands; 403 `M_FORBIDDEN` for the administrator's own.
async fn change(
    api: &Api,
    session: &Session,
    user_id: &str,
    change: impl FnOnce(&mut Standing) + Send,
) -> ApiResult<()> {
    let user = account(api, session, user_id).await?;
    if user.user_id == session.user_id {
        return Err(MatrixError::forbidden("You would shut yourself out.").into());
    }
    let mut standing = user.standing;
    change(&mut standing);
    api.store.set_standing(&user.user_id, standing).await?;
    // Whoever is locked waits for nothing any more.
    api.notifier.wake(&user.user_id);
    Ok(())
}
