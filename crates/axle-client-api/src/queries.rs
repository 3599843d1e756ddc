//! What other servers are answered when they ask about users, rooms and media of this one. Who asks was authenticated.

use axle_media::FileReader;
use axle_protocol::{EventId, MatrixError, RoomId, ServerName, UserId};
use axle_store::{Direction, MediaContent};
use serde_json::{Map, Value, json};

use crate::aliases;
use crate::appservice;
use crate::by_time::{self, Reader};
use crate::error::{ApiError, ApiResult};
use crate::media;
use crate::profile;
use crate::remote_rooms;
use crate::room_description::{Detailed, describe_one};
use crate::room_list;
use crate::server_acl;
use crate::service::{ResolvedAlias, RoomListQuery};
use crate::spaces;
use crate::state::Api;

/// Children of a space that are told of.
const MAX_CHILDREN: usize = 100;

/// Answers other servers. Cheap to clone.
#[derive(Clone)]
pub struct Queries(Api);

/// A file that is given out.
pub struct FileOut {
    /// Its type.
    pub content_type: String,
    /// Whether it may be shown, and its name, as `Content-Disposition` has it.
    pub disposition: String,
    /// Bytes in it.
    pub size: u64,
    /// Those.
    pub reader: FileReader,
}

impl Queries {
    pub(crate) fn new(api: Api) -> Self {
        Self(api)
    }

    /// The fields of a user's profile, or one of them. 403 `M_FORBIDDEN` where that is told to no server, 404 if there is no
    /// such user or field.
    pub async fn profile(&self, user_id: &UserId, field: Option<&str>) -> Result<Map<String, Value>, MatrixError> {
        if !self.0.config.told_to_servers.profiles {
            return Err(MatrixError::forbidden("This server tells other servers no profiles."));
        }
        let mut profile = profile::read_own(&self.0, user_id).await.map_err(ApiError::into_matrix_error)?;
        match field {
            // One that is not set is empty, as it is for clients.
            Some(field @ ("displayname" | "avatar_url")) => profile.retain(|name, _| name == field),
            Some(field) => {
                profile.retain(|name, _| name == field);
                if profile.is_empty() {
                    return Err(MatrixError::not_found("The profile has no such field."));
                }
            }
            None => {}
        }
        Ok(profile)
    }

    /// Whether this server has such a user, or an application service makes them now that they are asked for.
    pub async fn has_user(&self, user_id: &UserId) -> Result<bool, MatrixError> {
        let user = appservice::known_user(&self.0, user_id).await.map_err(ApiError::into_matrix_error)?;
        Ok(user.is_some_and(|user| !user.deactivated))
    }

    /// What an alias of this server stands for. 404 if there is none.
    pub async fn alias(&self, alias: &str) -> Result<ResolvedAlias, MatrixError> {
        let resolve = async {
            let known = aliases::own(&self.0, alias).await?.ok_or_else(aliases::unknown)?;
            let servers = aliases::servers(&self.0, &known.room_id).await?;
            ApiResult::Ok(ResolvedAlias { room_id: known.room_id, servers })
        };
        resolve.await.map_err(ApiError::into_matrix_error)
    }

    /// A page of the list of rooms. 403 `M_FORBIDDEN` where that is told to no server.
    pub async fn public_rooms(&self, query: &RoomListQuery) -> Result<Value, MatrixError> {
        if !self.0.config.told_to_servers.public_rooms {
            return Err(MatrixError::forbidden("This server tells other servers no list of rooms."));
        }
        let page = room_list::read_own(&self.0, query).await.map_err(ApiError::into_matrix_error)?;
        serde_json::to_value(page).map_err(|error| MatrixError::unknown(error.to_string()))
    }

    /// A room and its children, as far as this server knows them and the other one may. 404 if it may not know the room,
    /// 403 `M_FORBIDDEN` if the room's server ACL keeps it out.
    pub async fn hierarchy(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        suggested_only: bool,
    ) -> Result<Value, MatrixError> {
        hierarchy(&self.0, server, room_id, suggested_only).await.map_err(ApiError::into_matrix_error)
    }

    /// The event of a room that is closest to a time, for a server that is in the room; and its own time. `ts` is in
    /// milliseconds since the Unix epoch. 404 if there is none.
    pub async fn timestamp_to_event(
        &self,
        room_id: &RoomId,
        ts: i64,
        direction: Direction,
    ) -> Result<(EventId, i64), MatrixError> {
        let closest = by_time::closest(&self.0, room_id, Reader::Server, ts, direction).await;
        match closest.map_err(ApiError::into_matrix_error)? {
            Some((at, event)) => Ok((event.event_id, at)),
            None => Err(MatrixError::not_found("There is no such event in this room.")),
        }
    }

    /// Whose token this is, by which a user proves who they are. 401 `M_UNKNOWN_TOKEN` if it is no good one.
    pub async fn openid_user(&self, token: &str) -> Result<UserId, MatrixError> {
        let unknown = || MatrixError::unknown_token("The token is unknown, or has ended.");
        let user_id = self.0.openid.owner(token).ok_or_else(unknown)?;
        let user = self.0.store.user(&user_id).await.map_err(|error| ApiError::from(error).into_matrix_error())?;
        user.filter(|user| !user.deactivated).map(|_| user_id).ok_or_else(unknown)
    }

    /// A file of this server. Waits for one that has not been uploaded yet; 504 `M_NOT_YET_UPLOADED` after that.
    pub async fn media(&self, media_id: &str, wait_ms: Option<u64>) -> Result<FileOut, MatrixError> {
        let open = async { open(&self.0, media::find(&self.0, media_id, wait_ms).await?).await };
        open.await.map_err(ApiError::into_matrix_error)
    }

    /// A thumbnail of a picture of this server.
    pub async fn thumbnail(
        &self,
        media_id: &str,
        method: Option<&str>,
        width: Option<&str>,
        height: Option<&str>,
        wait_ms: Option<u64>,
    ) -> Result<FileOut, MatrixError> {
        let size = media::thumbnail_size(method, width, height)?;
        let open = async {
            let content = media::find(&self.0, media_id, wait_ms).await?;
            open(&self.0, media::thumbnail(&self.0, &content, size).await?).await
        };
        open.await.map_err(ApiError::into_matrix_error)
    }
}

async fn open(api: &Api, content: MediaContent) -> ApiResult<FileOut> {
    Ok(FileOut {
        content_type: media::content_type(&content).to_owned(),
        disposition: media::disposition_of(&content, None),
        size: content.size,
        reader: media::open(api, &content, 0..content.size).await?,
    })
}

async fn hierarchy(api: &Api, server: &ServerName, room_id: &RoomId, suggested_only: bool) -> ApiResult<Value> {
    let description = match describe_one(api, room_id).await? {
        Some(description) if description.is_for_server(api, server).await? => description,
        // One answer for what is not there and for what is hidden.
        _ => return Err(remote_rooms::unknown().into()),
    };
    if !server_acl::allows(api, room_id, server).await? {
        return Err(MatrixError::forbidden("The room's server ACL does not allow this server.").into());
    }
    let mut of_room = Vec::new();
    if description.is_space() {
        of_room = spaces::children(api, room_id, suggested_only).await?;
        of_room.truncate(MAX_CHILDREN);
    }
    let (mut children, mut hidden) = (Vec::new(), Vec::new());
    for child in &of_room {
        let Some(description) = describe_one(api, &child.room_id).await? else { continue };
        let is_open = description.is_for_server(api, server).await?;
        match is_open && server_acl::allows(api, &child.room_id, server).await? {
            true => children.push(Detailed::from(description)),
            false => hidden.push(&child.room_id),
        }
    }
    let mut room = serde_json::to_value(Detailed::from(description)).unwrap_or_default();
    let children_state: Vec<_> = of_room.iter().map(|child| child.event.json()).collect();
    if let Value::Object(room) = &mut room {
        room.insert("children_state".into(), json!(children_state));
    }
    Ok(json!({"room": room, "children": children, "inaccessible_children": hidden}))
}
