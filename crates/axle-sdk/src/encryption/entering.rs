//! Joining a room and its group with one stroke, so that there is no time in which a user is in the room and none of their
//! devices can read or be removed.

use axle_mls::Layering;
use axle_protocol::RoomId;
use serde_json::json;

use super::EncryptionError;
use super::books::PendingBook;
use super::commits::Outcome;
use super::core::Sending;
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
        if self.has_entered(id).await? {
            return Ok(true);
        }
        for tries in 0..MAX_TRIES {
            let pending = match self.prepare_to_enter(id).await {
                Ok(Some(pending)) => pending,
                Ok(None) => return Ok(false),
                Err(error) => {
                    tracing::debug!(%error, room = %id, "does not join with the group");
                    return Ok(false);
                }
            };
            tracing::debug!(room = %id, "joins the room and its group");
            match self.submit_pair(id, &pending).await {
                Ok(Outcome::Taken) => return Ok(self.enters(id)),
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

    /// Makes the commit that comes with the join. `None`: there is nothing to join but the room.
    async fn prepare_to_enter(&self, id: &RoomId) -> Result<Option<PendingBook>, Error> {
        let group = self.group(id).await?;
        let Some(group) = group.filter(|group| group.layering == Some(Layering::Bound)) else { return Ok(None) };
        let own = self.core().own_user();
        let member = json!({ "user_id": own.as_str(), "membership": "join" });
        // Refused to who is in the room, or may not join it like this.
        let binding = self.binding(id, &[own], Some(member)).await?;
        let member = Some(binding.member.as_ref().ok_or(EncryptionError::Answer("member"))?);
        let pending = self.core().unit(|core| {
            let pending = core.member.join_external(id, Layering::Bound, &group.state, &binding.binding)?;
            core.keep_pending(id, &pending, Sending { member, joins: true, updates: true }, &[])
        })?;
        Ok(Some(pending))
    }

    /// Whether it was done by a request of before, of which no answer came.
    async fn has_entered(&self, id: &RoomId) -> Result<bool, Error> {
        let asked = self.core().books.pending(id)?.is_some_and(|pending| pending.joins && pending.member.is_some());
        if !asked {
            return Ok(false);
        }
        match self.settle_old(id).await {
            Err(error) if !is_definite(&error) => return Err(error),
            _ => {}
        }
        Ok(self.core().is_in(id)? && self.enters(id))
    }

    /// This device is in the group of a room of which no sync has told.
    fn enters(&self, id: &RoomId) -> bool {
        self.core().room(id).cipher = Some(Cipher::Mls(Layering::Bound));
        true
    }
}
