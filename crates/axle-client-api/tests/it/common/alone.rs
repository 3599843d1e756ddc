//! A server that reaches no other one.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use axle_client_api::{MessageElsewhere, OtherServers, PresenceUpdate};
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use axle_store::{ClaimedKey, NewEdu, Receipt, UserKeys, WantedKey};

#[derive(Default)]
pub struct Alone {
    /// Servers that were to be tried again.
    tried: Mutex<Vec<ServerName>>,
}

impl Alone {
    /// Those since the last look.
    pub fn tried(&self) -> Vec<ServerName> {
        std::mem::take(&mut self.tried.lock().unwrap())
    }
}

fn unreachable() -> MatrixError {
    MatrixError::bad_gateway("There is no such server.")
}

#[async_trait]
impl OtherServers for Alone {
    async fn user_keys(
        &self,
        _: &ServerName,
        _: &UserId,
        _: BTreeMap<UserId, Vec<String>>,
    ) -> Result<Vec<UserKeys>, MatrixError> {
        Err(unreachable())
    }

    async fn claim_keys(&self, _: &ServerName, _: &UserId, _: Vec<WantedKey>) -> Result<Vec<ClaimedKey>, MatrixError> {
        Err(unreachable())
    }

    fn to_device(&self, _: &UserId, _: &str, _: &[MessageElsewhere]) -> Vec<NewEdu> {
        Vec::new()
    }

    fn queued(&self, _: &[ServerName]) {}

    fn try_again(&self, destination: &ServerName) {
        self.tried.lock().unwrap().push(destination.clone());
    }

    async fn devices_changed(&self) {}

    async fn typing(&self, _: &RoomId, _: &UserId, _: bool) {}

    async fn read(&self, _: &RoomId, _: &Receipt) {}

    async fn presence(&self, _: Vec<PresenceUpdate>) {}
}
