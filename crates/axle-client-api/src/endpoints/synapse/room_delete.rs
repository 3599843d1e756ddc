//! `DELETE /_synapse/admin/v1/rooms/{roomId}`; `DELETE /_synapse/admin/v2/rooms/{roomId}` with
//! `GET /_synapse/admin/v2/rooms/delete_status/{deleteId}` and `GET /_synapse/admin/v2/rooms/{roomId}/delete_status`

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, UserId};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::jobs::Jobs;
use super::room_get::PATHS as FIRST;
use super::{admin, no_such_room, room_id};
use crate::endpoint::{Endpoints, RawRequest, respond};
use crate::error::ApiResult;
use crate::event_content::add_reason;
use crate::json_response::JsonResponse;
use crate::session::random_token;
use crate::state::Api;

const SECOND: [&str; 1] = ["/_synapse/admin/v2/rooms/{room_id}"];
const STATUS: [&str; 1] = ["/_synapse/admin/v2/rooms/delete_status/{delete_id}"];
const STATUSES: [&str; 1] = ["/_synapse/admin/v2/rooms/{room_id}/delete_status"];
/// Users that leave a room at once.
const LEAVES_AT_ONCE: usize = 8;
/// Random bytes in the id of a deletion.
const ID_BYTES: usize = 12;

pub(super) fn routes(endpoints: Endpoints) -> Endpoints {
    let endpoints = admin(admin(endpoints, Method::DELETE, &FIRST, first), Method::DELETE, &SECOND, second);
    admin(admin(endpoints, Method::GET, &STATUS, status), Method::GET, &STATUSES, statuses)
}

/// What is to be done. Whether events are to be purged is not read: they are kept, and nobody here is in the room to see
/// them.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    block: bool,
    /// Told to those who have to leave.
    message: Option<String>,
    /// Who would make a room for them.
    new_room_user_id: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, Serialize)]
struct ShutDown {
    kicked_users: Vec<UserId>,
    failed_to_kick_users: Vec<UserId>,
    local_aliases: Vec<String>,
    new_room_id: Option<RoomId>,
}

/// Deletions that were begun since the server was started.
pub(crate) type Deletions = Jobs<Deletion>;

/// A deletion.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Deletion {
    delete_id: String,
    #[serde(skip)]
    room_id: RoomId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    shutdown_room: ShutDown,
}

async fn first(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (room_id, request) = begin(&api, request).await?;
    Ok(respond(JsonResponse(shut_down(&api, &room_id, request).await?)))
}

async fn second(api: Api, request: RawRequest) -> ApiResult<Response> {
    let (room_id, request) = begin(&api, request).await?;
    let delete_id = random_token(ID_BYTES)?;
    let begun = Deletion {
        delete_id: delete_id.clone(),
        room_id: room_id.clone(),
        status: "shutting_down",
        error: None,
        shutdown_room: ShutDown::default(),
    };
    api.deletions.put(&delete_id, begun);
    let (id, here) = (delete_id.clone(), api.clone());
    api.background.spawn(async move {
        let api = here;
        let done = shut_down(&api, &room_id, request).await;
        api.deletions.change(&id, |deletion| deletion.finish(done.map_err(|error| format!("{error:?}"))));
    });
    Ok(respond(JsonResponse(json!({ "delete_id": delete_id }))))
}

async fn status(api: Api, request: RawRequest) -> ApiResult<Response> {
    let wanted = request.path(0).unwrap_or_default();
    let found = api.deletions.get(wanted);
    Ok(respond(JsonResponse(found.ok_or_else(|| MatrixError::not_found("There is no such deletion."))?)))
}

async fn statuses(api: Api, request: RawRequest) -> ApiResult<Response> {
    let room_id = room_id(&request)?;
    let found = api.deletions.find(|deletion| deletion.room_id == room_id);
    match found.is_empty() {
        true => Err(MatrixError::not_found("No deletion of this room is known.").into()),
        false => Ok(respond(JsonResponse(json!({ "results": found })))),
    }
}

async fn begin(api: &Api, request: RawRequest) -> ApiResult<(RoomId, Request)> {
    let room_id = room_id(&request)?;
    let request: Request = request.json_or_empty().await?;
    if request.new_room_user_id.is_some() {
        return Err(MatrixError::new(400, "M_UNKNOWN", "Nobody is moved to a new room here.").into());
    }
    let is_known = api.store.state_event(&room_id, "m.room.create", "").await?.is_some();
    // A room can be blocked before anybody here knows of it.
    if !is_known && !request.block {
        return Err(no_such_room().into());
    }
    Ok((room_id, request))
}

/// Takes this server's users out of a room, and the room out of the directory.
async fn shut_down(api: &Api, room_id: &RoomId, request: Request) -> ApiResult<ShutDown> {
    let server = api.config.server_name.as_str();
    let mut inside = Vec::new();
    for membership in [Membership::Join, Membership::Invite, Membership::Knock] {
        let users = api.store.members(room_id, membership).await?;
        inside.extend(users.into_iter().filter(|user| user.server_str() == server));
    }
    let mut content = Map::new();
    add_reason(&mut content, request.message);
    let leave = async |user: UserId| {
        let left = api.rooms.leave(&user, room_id, content.clone()).await;
        (user, left)
    };
    let mut done = ShutDown::default();
    let mut leaving = stream::iter(inside).map(leave).buffer_unordered(LEAVES_AT_ONCE);
    while let Some((user, left)) = leaving.next().await {
        match left {
            Ok(()) => done.kicked_users.push(user),
            Err(error) => {
                tracing::warn!(%user, %room_id, ?error, "a user could not be taken out of a room");
                done.failed_to_kick_users.push(user);
            }
        }
    }
    done.local_aliases = api.store.room_aliases(room_id).await?;
    for alias in &done.local_aliases {
        api.store.remove_alias(alias).await?;
    }
    api.store.set_listed(room_id, false).await?;
    // Last: in a blocked room nobody can do anything, leaving included.
    if request.block {
        api.store.block_room(room_id, true).await?;
    }
    Ok(done)
}

impl Deletion {
    fn finish(&mut self, done: Result<ShutDown, String>) {
        match done {
            Ok(done) => (self.status, self.shutdown_room) = ("complete", done),
            Err(error) => (self.status, self.error) = ("failed", Some(error)),
        }
    }
}
