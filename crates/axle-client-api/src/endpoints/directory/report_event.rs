//! `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`

use ruma::api::client::room::report_content::v3::{Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::reports::{self, Subject};
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

pub(crate) async fn report_event(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let event_id = ids::event(&request.event_id)?;
    api.limits.changes.take(session.user_id.as_str())?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    match api.store.event(&event_id).await? {
        Some(event) if access.sees(&api, &event).await? => {}
        _ => return Err(ids::unknown_event().into()),
    }
    let subject = Subject { room_id: Some(room_id), event_id: Some(event_id.to_string()), user_id: None };
    reports::store(&api, &session, subject, request.reason.unwrap_or_default()).await?;
    Ok(Response::new())
}
