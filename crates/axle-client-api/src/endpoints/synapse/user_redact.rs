//! `POST /_synapse/admin/v1/user/{userId}/redact`, `GET /_synapse/admin/v1/user/redact_status/{redactId}`

use std::collections::BTreeMap;

use axle_protocol::auth::Membership;
use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use axle_store::{Direction, EventStatus, StoredEvent};
use axum::response::Response;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::jobs::Jobs;
use super::{admin, impossible, require_admin};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::endpoints::redact::redact_as;
use crate::error::ApiResult;
use crate::ids;
use crate::json_response::JsonResponse;
use crate::page;
use crate::render::{event_type, origin_server_ts, sender};
use crate::session::{Session, random_token};
use crate::state::Api;
use crate::visibility::{MEMBER, member_of};

const BEGIN: [&str; 1] = ["/_synapse/admin/v1/user/{user_id}/redact"];
const STATUS: [&str; 1] = ["/_synapse/admin/v1/user/redact_status/{redact_id}"];
/// What is redacted; of memberships, joins only, which show a name and a picture.
const TYPES: [&str; 3] = [MEMBER, "m.room.message", "m.room.encrypted"];
/// Events that are redacted in a room, the newest, if the caller does not say.
const DEFAULT_LIMIT: usize = 1_000;
/// Events of a room that are looked at, the newest, and how many of them at once.
const MAX_EVENTS: usize = 100_000;
const BATCH: usize = 500;
/// Random bytes in the id of a job.
const ID_BYTES: usize = 12;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    admin(endpoints.authed_raw(Method::POST, &BEGIN, begin), Method::GET, &STATUS, status)
}

#[derive(Deserialize)]
struct Request {
    /// Where; in all rooms that the user is in or banned from, if there are none.
    rooms: Vec<String>,
    reason: Option<String>,
    /// How many events in each room.
    limit: Option<i64>,
    /// Whether it is the administrator who redacts, and not the user, of whom that can be said only if they are of this
    /// server.
    #[serde(default)]
    use_admin: bool,
    /// Only what was sent before, or after, this time, in milliseconds since the Unix epoch.
    before_ts: Option<i64>,
    after_ts: Option<i64>,
}

/// What is to be done.
struct Work {
    /// Whose events.
    user_id: UserId,
    /// By whom they are redacted.
    by: UserId,
    rooms: Vec<RoomId>,
    limit: usize,
    asked: Request,
}

/// Redactions of users that were begun since the server was started.
pub(crate) type Redactions = Jobs<Redaction>;

/// The redaction of a user.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Redaction {
    #[serde(skip)]
    user_id: UserId,
    status: &'static str,
    /// Why these events could not be redacted; when it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_redactions: Option<BTreeMap<EventId, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn begin(api: Api, session: Session, request: RawRequest) -> ApiResult<Response> {
    require_admin(&api, &session).await?;
    let user_id = ids::user(request.path(0).unwrap_or_default());
    let asked: Request = request.json().await?;
    let work = plan(&api, session, user_id?, asked).await?;
    let redact_id = random_token(ID_BYTES)?;
    let job = Redaction { user_id: work.user_id.clone(), status: "active", failed_redactions: None, error: None };
    let is_active = |other: &Redaction| other.user_id == work.user_id && other.status == "active";
    if !api.redactions.put_unless(&redact_id, job, is_active) {
        return Err(impossible(&format!("Redact already in progress for user {}", work.user_id)).into());
    }
    // The administrator has as many redacted as they want.
    let (id, here) = (redact_id.clone(), api.clone().unlimited());
    api.background.spawn(async move {
        let api = here;
        let done = redact_all(&api, &work).await;
        api.redactions.change(&id, |redaction| redaction.finish(done));
    });
    Ok(respond(JsonResponse(json!({ "redact_id": redact_id }))))
}

async fn status(api: Api, request: RawRequest) -> ApiResult<Response> {
    let found = api.redactions.get(request.path(0).unwrap_or_default());
    Ok(respond(JsonResponse(found.ok_or_else(|| MatrixError::not_found("There is no such redaction."))?)))
}

async fn plan(api: &Api, session: Session, user_id: UserId, asked: Request) -> ApiResult<Work> {
    let limit = match asked.limit {
        None | Some(0) => DEFAULT_LIMIT,
        Some(limit) => usize::try_from(limit).map_err(|_| impossible("limit is how many events, at least one."))?,
    };
    let mut rooms = asked.rooms.iter().map(ids::room).collect::<Result<Vec<_>, _>>()?;
    if rooms.is_empty() {
        let theirs = api.store.user_rooms(&user_id).await?.into_iter();
        let theirs = theirs.filter(|room| matches!(room.membership, Membership::Join | Membership::Ban));
        rooms = theirs.map(|room| room.room_id).collect();
    }
    let is_elsewhere = user_id.server_str() != api.config.server_name.as_str();
    let by = if asked.use_admin || is_elsewhere { session.user_id } else { user_id.clone() };
    Ok(Work { user_id, by, rooms, limit, asked })
}

/// Redacts one event after the other; what cannot be redacted does not keep the others.
async fn redact_all(api: &Api, work: &Work) -> ApiResult<BTreeMap<EventId, String>> {
    let mut failed = BTreeMap::new();
    for room_id in &work.rooms {
        for event_id in events(api, work, room_id).await? {
            let (room_id, reason) = (room_id.clone(), work.asked.reason.clone());
            if let Err(error) = redact_as(api, &work.by, room_id, event_id.clone(), reason, None).await {
                failed.insert(event_id, error.into_matrix_error().error);
            }
        }
    }
    Ok(failed)
}

/// What is to be redacted in a room, the newest first.
async fn events(api: &Api, work: &Work, room_id: &RoomId) -> ApiResult<Vec<EventId>> {
    let (mut found, mut from, mut seen) = (Vec::new(), None, 0);
    while seen < MAX_EVENTS {
        let events = api.store.timeline(room_id, from, Direction::Backward, BATCH).await?;
        let Some(oldest) = events.last() else { break };
        seen += events.len();
        found.extend(events.iter().filter(|event| work.is_wanted(event)).map(|event| event.event_id.clone()));
        from = page::next(oldest, Direction::Backward).checked_sub(1);
        if found.len() >= work.limit || from.is_none() {
            break;
        }
    }
    found.truncate(work.limit);
    Ok(found)
}

impl Work {
    fn is_wanted(&self, event: &StoredEvent) -> bool {
        let is_theirs = event.status == EventStatus::Accepted
            && event.redacted_by.is_none()
            && sender(event).as_deref() == Some(self.user_id.as_str())
            && event_type(event).is_some_and(|event_type| TYPES.contains(&event_type.as_str()));
        is_theirs
            && member_of(event).is_none_or(|(_, membership)| membership == Membership::Join)
            && origin_server_ts(event).is_ok_and(|sent| {
                self.asked.before_ts.is_none_or(|before| sent < before)
                    && self.asked.after_ts.is_none_or(|after| sent > after)
            })
    }
}

impl Redaction {
    fn finish(&mut self, done: ApiResult<BTreeMap<EventId, String>>) {
        match done {
            Ok(failed) => (self.status, self.failed_redactions) = ("complete", Some(failed)),
            Err(error) => (self.status, self.error) = ("failed", Some(error.into_matrix_error().error)),
        }
    }
}
