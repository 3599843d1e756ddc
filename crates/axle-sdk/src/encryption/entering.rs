//! Joining a room and its group with one stroke, so that there is no time in which a user is in the room and none of their
//! devices can read or be removed.

use axle_mls::Layering;
use axle_protocol::RoomId;
use serde_json::json;

use super::EncryptionError;
use super::commits::Outcome;
use super::engine::{Engine, MAX_TRIES, is_definite};
use super::rooms::Cipher;
use crate::Error;

impl Engine {
    /// Joins a room: as one with its group where the server can do that, and else without it.
    pub(super) async fn enter(&self, room: &str, via: &[String]) -> Result<String, Error> {
        if let Ok(id) = super::parse_room(room) {
            let _lock = self.lock(&id).await;
            if self.enter_as_one(&id).await? {
                return Ok(room.to_owned());
            }
        }
        // The room is not known to the server, or not by this name; it is not encrypted, or has no group yet; or this user
        // may not join, which will be answered now.
        self.server.join(room, via).await
    }

    /// `false` if that cannot be done.
    async fn enter_as_one(&self, id: &RoomId) -> Result<bool, Error> {
        for tries in 0..MAX_TRIES {
            let group = match self.group(id).await {
                Ok(Some(group)) if group.layering == Some(Layering::Bound) => group,
                Ok(_) => return Ok(false),
                Err(error) if is_definite(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let own = self.core().own_user();
            let member = json!({ "user_id": own.as_str(), "membership": "join" });
            let binding = match self.binding(id, &[own], Some(member)).await {
                Ok(binding) => binding,
                // They are in the room, or may not join it like this.
                Err(error) if is_definite(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let lpdu = binding.member.clone().ok_or(EncryptionError::Answer("member"))?;
            let pending = self.core().unit(|core| {
                let pending = core.member.join_external(id, Layering::Bound, &group.state, &binding.binding)?;
                core.keep_pending(id, &pending, (true, true, true), &[])
            })?;
            tracing::debug!(room = %id, "joins the room and its group");
            match self.submit_pair(id, &pending, &lpdu).await {
                Ok(Outcome::Taken) => {
                    self.core().room(id).cipher = Some(Cipher::Mls(Layering::Bound));
                    return Ok(true);
                }
                Ok(Outcome::Lost) => {}
                // What the group refuses in one who joins with it, it may yet take from one who has joined.
                Ok(Outcome::Refused(_)) => return Ok(false),
                Err(error) if is_definite(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(self.pause(tries)).await;
        }
        Ok(false)
    }
}
