//! Keys of other servers.

use std::sync::Arc;

use async_trait::async_trait;
use axle_federation::keys::KeyRing;
use axle_protocol::Event;
use axle_protocol::signing::KeySource;

use crate::rooms::Keys;

/// The federation's key ring as the rooms use it.
pub(crate) struct FederationKeys(pub(crate) KeyRing);

#[async_trait]
impl Keys for FederationKeys {
    async fn keys_for(&self, events: &[Event]) -> Arc<dyn KeySource + Send + Sync> {
        Arc::new(self.0.keys_for(events).await)
    }
}
