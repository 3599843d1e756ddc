//! `GET /_synapse/admin/v1/rooms/{roomId}/messages`

use ruma::api::client::message::get_message_events::v3::{Request, Response};

use super::require_admin;
use crate::endpoint::Endpoints;
use crate::endpoints::timeline::{Capacity, EitherWay, messages_for};
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/messages"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_at(&PATHS, room_messages)
}

async fn room_messages(api: Api, session: Session, request: EitherWay<Request>) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    messages_for(api, session, request.0, Capacity::Admin).await
}
