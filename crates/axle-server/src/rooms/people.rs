//! Who is in a room, for what is no event.

use std::time::Duration;

use axle_protocol::{MatrixError, RoomId, ServerName, UserId};

use super::{Rooms, errors};

impl Rooms {
    /// The other servers with users in a room.
    pub(crate) async fn other_servers(&self, room_id: &RoomId) -> Result<Vec<ServerName>, MatrixError> {
        let me = self.0.me.name.clone();
        self.with(room_id, move |turn| {
            let servers = turn.slot.iter().flat_map(|room| room.state().joined_servers());
            servers.filter(|server| **server != me).cloned().collect()
        })
        .await
    }

    /// Whether a user, of whatever server, is in a room that is not blocked.
    pub(crate) async fn is_member(&self, room_id: &RoomId, user_id: &UserId) -> Result<bool, MatrixError> {
        let blocked = self.0.blocks.now(&*self.0.store).await.map_err(errors::broken)?;
        if blocked.check_room(room_id).is_err() {
            return Ok(false);
        }
        let joined = self.0.store.joined_among(user_id, vec![room_id.clone()]).await.map_err(errors::broken)?;
        Ok(!joined.is_empty())
    }

    /// Whether the server ACL of a room lets a server speak there. A room that is not known here has none.
    pub(crate) async fn allows(&self, room_id: &RoomId, server: &ServerName) -> Result<bool, MatrixError> {
        let server = server.clone();
        self.with(room_id, move |turn| turn.slot.iter().all(|room| room.check_server(server.as_str()).is_ok())).await
    }

    /// Waits. `false`: the server stops.
    pub(crate) async fn pause(&self, duration: Duration) -> bool {
        self.0.registry.pause(duration).await
    }
}
