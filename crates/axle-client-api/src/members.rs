//! Changing a member of a room, for the endpoints that do: invite, kick, ban, unban.

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, UserId};
use serde_json::{Map, Value};

use crate::appservice;
use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::ids;
use crate::service::SendEvent;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::{self, Access};

/// What somebody may be who is kicked: who is banned would be let in again by it.
pub(crate) const KICKED_FROM: [Membership; 3] = [Membership::Join, Membership::Invite, Membership::Knock];

/// A change that one user makes of another's membership.
pub(crate) struct Change<'a> {
    /// Where.
    pub(crate) room_id: &'a str,
    /// Whose.
    pub(crate) target: &'a str,
    /// To what.
    pub(crate) membership: Membership,
    /// Why.
    pub(crate) reason: Option<String>,
    /// What the target may be before; `None`: anything that the auth rules allow.
    pub(crate) from: Option<&'a [Membership]>,
}

/// Makes it.
pub(crate) async fn change(api: &Api, session: &Session, change: Change<'_>) -> ApiResult<()> {
    session.require_active()?;
    let room_id = ids::room(change.room_id)?;
    let target = ids::user(change.target)?;
    api.limits.changes.take(session.user_id.as_str())?;
    Access::of(api, &session.user_id, &room_id).await?.require_joined()?;
    if let Some(from) = change.from {
        require(api, &room_id, &target, from, change.membership).await?;
    }
    let mut content = content(change.membership);
    if change.membership == Membership::Invite {
        content.extend(invitee_content(api, &target).await?);
    }
    add_reason(&mut content, change.reason);
    api.rooms
        .send(SendEvent {
            room_id,
            sender: session.user_id.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(target.to_string()),
            content,
            txn: None,
        })
        .await?;
    Ok(())
}

/// 403 unless somebody is one of these, and so can be made `to`.
pub(crate) async fn require(
    api: &Api,
    room_id: &RoomId,
    target: &UserId,
    from: &[Membership],
    to: Membership,
) -> ApiResult<()> {
    let now = current(api, room_id, target).await?;
    if now.is_some_and(|now| from.contains(&now)) {
        return Ok(());
    }
    Err(MatrixError::forbidden(format!("{target} cannot be made {} now.", to.as_str())).into())
}

/// The answer to an invite by an address: there is no identity server that would know whose it is.
pub(crate) fn no_third_party_invites() -> MatrixError {
    MatrixError::new(403, "M_THREEPID_DENIED", "Users are invited by their ids here.")
}

/// What an invite says about who is invited: the profile of a user of this server. 404 if there is no such user.
pub(crate) async fn invitee_content(api: &Api, target: &UserId) -> ApiResult<Map<String, Value>> {
    if target.server_str() != api.config.server_name.as_str() {
        return Ok(Map::new());
    }
    match appservice::known_user(api, target).await? {
        Some(user) if !user.deactivated => crate::profile::member_content(api, target).await,
        _ => Err(MatrixError::not_found(format!("There is no user {target}.")).into()),
    }
}

async fn current(api: &Api, room_id: &RoomId, target: &UserId) -> ApiResult<Option<Membership>> {
    let member = visibility::member_event(api, target, room_id).await?;
    Ok(member.as_ref().and_then(visibility::membership))
}

fn content(membership: Membership) -> Map<String, Value> {
    Map::from_iter([("membership".to_owned(), membership.as_str().into())])
}
