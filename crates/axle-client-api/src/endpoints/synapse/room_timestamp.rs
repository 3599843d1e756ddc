//! `GET /_synapse/admin/v1/rooms/{roomId}/timestamp_to_event`

use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};

use super::require_admin;
use crate::endpoint::Endpoints;
use crate::endpoints::timeline::{Capacity, EitherWay, timestamp_to_event_for};
use crate::error::ApiResult;
use crate::session::Session;
use crate::state::Api;

const PATHS: [&str; 1] = ["/_synapse/admin/v1/rooms/{room_id}/timestamp_to_event"];

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    endpoints.authed_at(&PATHS, room_timestamp)
}

async fn room_timestamp(api: Api, session: Session, request: EitherWay<Request>) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    timestamp_to_event_for(api, session, request.0, Capacity::Admin).await
}
