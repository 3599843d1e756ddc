//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`

use axle_protocol::MatrixError;
use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use super::Capacity;
use crate::by_time::{self, Reader};
use crate::error::ApiResult;
use crate::ids;
use crate::page;
use crate::session::Session;
use crate::state::Api;

pub(crate) async fn timestamp_to_event(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    timestamp_to_event_for(api, session, request, Capacity::User).await
}

/// The same for who reads in some capacity.
pub(in crate::endpoints) async fn timestamp_to_event_for(
    api: Api,
    session: Session,
    request: Request,
    capacity: Capacity,
) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = capacity.access(&api, &session, &room_id).await?;
    access.require_some(&api).await?;
    let ts = i64::try_from(u64::from(request.ts.0)).unwrap_or(i64::MAX);
    let direction = page::direction(request.dir);
    by_time::reach_back(&api, &room_id, ts).await?;
    let Some((found, event)) = by_time::closest(&api, &room_id, Reader::User(&access), ts, direction).await? else {
        return Err(MatrixError::not_found("There is no such event in this room.").into());
    };
    let found = UInt::try_from(found).unwrap_or_default();
    Ok(Response::new(ids::ruma_event(&event.event_id)?, MilliSecondsSinceUnixEpoch(found)))
}
