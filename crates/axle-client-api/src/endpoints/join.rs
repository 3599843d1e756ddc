//! `POST /_matrix/client/v3/rooms/{roomId}/join`

use axle_protocol::{RoomId, ServerName};
use ruma::api::IncomingRequest;
use ruma::api::client::membership::join_room_by_id::v3::{Request, Response};
use ruma::api::error::DeserializationError;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::ApiResult;
use crate::event_content;
use crate::guests;
use crate::ids;
use crate::json_request::metadata_like;
use crate::profile;
use crate::session::Session;
use crate::state::Api;
use crate::succession;
use crate::visibility::Access;

/// What a client cannot say of its own join: it follows from what happens, or is for other kinds of joins.
const NOT_TO_SAY: [&str; 5] =
    ["membership", "third_party_signed", "third_party_invite", "join_authorised_via_users_server", "is_direct"];

/// A request of ruma's with all that its body says. What a client says beyond the reason goes into its member event as
/// well: some take a name for one room in that way.
pub(crate) struct Join<R> {
    pub(crate) request: R,
    body: Box<RawValue>,
}

pub(crate) async fn join(api: Api, session: Session, request: Join<Request>) -> ApiResult<Response> {
    let said = request.said()?;
    let room_id = ids::room(&request.request.room_id)?;
    join_room(&api, &session, &room_id, &[], said).await?;
    Ok(Response::new(request.request.room_id))
}

/// Joins a room. Who is in it already has joined it.
pub(super) async fn join_room(
    api: &Api,
    session: &Session,
    room_id: &RoomId,
    via: &[ServerName],
    said: Map<String, Value>,
) -> ApiResult<()> {
    session.require_active()?;
    api.limits.changes.take(session.user_id.as_str())?;
    if Access::of(api, &session.user_id, room_id).await?.joined() {
        return Ok(());
    }
    guests::check_join(api, session, room_id, via).await?;
    let mut content = profile::member_content(api, &session.user_id).await?;
    content.extend(said);
    api.rooms.join(&session.user_id, room_id, via, content).await?;
    guests::check_joined(api, session, room_id).await?;
    succession::follow(api, &session.user_id, room_id).await;
    Ok(())
}

impl<R> Join<R> {
    /// What the client says of its join.
    pub(crate) fn said(&self) -> ApiResult<Map<String, Value>> {
        Ok(sayable(event_content::parse(&self.body)?))
    }
}

/// What of this a client can say of its join.
pub(super) fn sayable(mut said: Map<String, Value>) -> Map<String, Value> {
    said.retain(|key, _| !NOT_TO_SAY.contains(&key.as_str()));
    said
}

metadata_like!(around Join);

impl<R: IncomingRequest> IncomingRequest for Join<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        Ok(Self { request: R::try_from_http_request_inner(request, path_args)?, body })
    }
}
