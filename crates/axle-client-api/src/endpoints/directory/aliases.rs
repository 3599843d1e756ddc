//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`

use ruma::OwnedRoomAliasId;
use ruma::api::client::room::aliases::v3::{Request, Response};

use crate::endpoints::synapse::is_admin;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn aliases(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    // Who has left sees nothing that came after; of aliases it is not known when they came. Administrators of this server can
    // remove them.
    if !access.joined() && !is_admin(&api, &session).await? {
        access.require_world_readable(&api).await?;
    }
    let aliases = api.store.room_aliases(&room_id).await?;
    Ok(Response::new(aliases.into_iter().filter_map(|alias| OwnedRoomAliasId::try_from(alias).ok()).collect()))
}
