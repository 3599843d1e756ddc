//! `POST /_matrix/client/v3/join/{roomIdOrAlias}`

use ruma::api::client::membership::join_room_by_id_or_alias::v3::{Request, Response};

use crate::aliases;
use crate::endpoints::join::{Join, join_room};
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn join_by_id_or_alias(api: Api, session: Session, request: Join<Request>) -> ApiResult<Response> {
    let said = request.said()?;
    let request = request.request;
    let mut via = ids::servers(&request.via)?;
    api.limits.lookups.take(session.user_id.as_str())?;
    let resolved = aliases::resolve(&api, request.room_id_or_alias.as_str()).await?;
    via.extend(resolved.servers);
    let room_id = resolved.room_id;
    join_room(&api, &session, &room_id, &via, said).await?;
    Ok(Response::new(ids::ruma_room(&room_id)?))
}
