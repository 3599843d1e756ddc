//! `POST /_synapse/admin/v1/join/{roomIdOrAlias}`

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, ServerName};
use axle_store::User;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{known, local_user, require_admin};
use crate::aliases;
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::guests;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::members::{self, Change};
use crate::profile;
use crate::session::{self, Session};
use crate::state::Api;
use crate::succession;
use crate::visibility::Access;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/join/{room_id_or_alias}"];
/// What names a server that knows the room, in a query; as often as there are such.
const VIA: [&str; 2] = ["server_name", "via"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_raw(Method::POST, &PATHS, room_join)
}

#[derive(Deserialize)]
struct Request {
    user_id: Option<String>,
}

/// Brings a user of this server into a room; into one that not everybody may join, by an invite of the administrator, who
/// has to be there. Who is there already stays there.
async fn room_join(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let (id_or_alias, via) = (request.path(0).unwrap_or_default().to_owned(), servers(&request));
    let Request { user_id } = request.json().await?;
    let user_id = user_id.ok_or_else(|| MatrixError::missing_param("user_id is missing: who is to join."))?;
    let user = known(&api, &local_user(&api, &user_id)?).await?;
    if user.deactivated {
        return Err(session::deactivated().into());
    }
    // The administrator brings in as many as they want.
    let api = api.unlimited();
    let resolved = aliases::resolve(&api, &id_or_alias).await?;
    let via = [via?, resolved.servers].concat();
    bring_in(&api, &session, &user, &resolved.room_id, &via).await?;
    Ok(respond(JsonResponse(json!({ "room_id": resolved.room_id }))))
}

async fn bring_in(api: &Api, session: &Session, user: &User, room_id: &RoomId, via: &[ServerName]) -> ApiResult<()> {
    let access = Access::of(api, &user.user_id, room_id).await?;
    if access.joined() {
        return Ok(());
    }
    if user.standing.guest && !guests::takes_guests(&*api.store, room_id).await? {
        return Err(session::no_guests("This room takes no guests.").into());
    }
    let is_known = api.store.state_event(room_id, "m.room.create", "").await?.is_some();
    if is_known && !access.may_join(api).await? && !is_invited_from_elsewhere(api, user, room_id).await? {
        let change = Change {
            room_id: room_id.as_str(),
            target: user.user_id.as_str(),
            membership: Membership::Invite,
            reason: None,
            from: None,
        };
        members::change(api, session, change).await?;
    }
    let content = profile::member_content(api, &user.user_id).await?;
    api.rooms.join(&user.user_id, room_id, via, content).await?;
    succession::follow(api, &user.user_id, room_id).await;
    Ok(())
}

/// Whether a user is invited to a room that this server was in once, and is not now.
async fn is_invited_from_elsewhere(api: &Api, user: &User, room_id: &RoomId) -> ApiResult<bool> {
    let outside = api.store.out_of_room_in(&user.user_id, room_id).await?;
    Ok(outside.is_some_and(|entry| entry.membership == Membership::Invite))
}

/// The servers that a query names.
fn servers(request: &RawRequest) -> Result<Vec<ServerName>, MatrixError> {
    let query = request.head().uri.query().unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| VIA.contains(&&**name));
    ids::servers(&pairs.map(|(_, server)| server).collect::<Vec<_>>())
}
