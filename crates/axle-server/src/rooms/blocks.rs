//! The servers and rooms that the operator has blocked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::{MatrixError, RoomId, ServerName};
use axle_store::{Store, StoreError};

/// How soon a block takes effect at the latest. The administration writes to the store, from another process even.
const REFRESH: Duration = Duration::from_secs(2);

/// What is blocked, read again from the store every two seconds.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    last: Mutex<Option<(Instant, Arc<Blocked>)>>,
}

/// What is blocked.
#[derive(Debug, Default)]
pub(crate) struct Blocked {
    servers: HashSet<ServerName>,
    rooms: HashSet<RoomId>,
}

impl Blocks {
    /// What is blocked now.
    pub(crate) async fn now(&self, store: &dyn Store) -> Result<Arc<Blocked>, StoreError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((read_at, blocked)) = last
            && read_at.elapsed() < REFRESH
        {
            return Ok(blocked);
        }
        let servers = store.blocked_servers().await?.into_iter().collect();
        let rooms = store.blocked_rooms().await?.into_iter().collect();
        let blocked = Arc::new(Blocked { servers, rooms });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), blocked.clone()));
        Ok(blocked)
    }
}

impl Blocked {
    /// 403 if this server is blocked.
    pub(crate) fn check_server(&self, server: &ServerName) -> Result<(), MatrixError> {
        if self.servers.contains(server) {
            return Err(MatrixError::forbidden("This server is blocked here."));
        }
        Ok(())
    }

    /// 403 if this room is blocked.
    pub(crate) fn check_room(&self, room_id: &RoomId) -> Result<(), MatrixError> {
        if self.rooms.contains(room_id) {
            return Err(MatrixError::forbidden("This room is blocked on this server."));
        }
        Ok(())
    }
}
