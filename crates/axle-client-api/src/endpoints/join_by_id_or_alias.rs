//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use ruma::api::client::membership::join_room_by_id_or_alias::v3::{Request, Response};

use crate::aliases;
use crate::endpoints::join::join_room;
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn join_by_id_or_alias(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = aliases::resolve(&api, request.room_id_or_alias.as_str()).await?;
    join_room(&api, &session, &room_id, &ids::servers(&request.via)?, request.reason).await?;
    Ok(Response::new(ids::ruma_room(&room_id)?))
}
