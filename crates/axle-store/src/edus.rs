//! EDUs that other servers are still to get.

use std::sync::Arc;

use async_trait::async_trait;
use axle_protocol::ServerName;

use crate::StoreError;

/// EDUs that wait for one destination. When there are more, the oldest are lost.
pub const MAX_EDUS_PER_DESTINATION: usize = 10_000;

/// An EDU to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEdu {
    /// Who is to get it.
    pub destination: ServerName,
    /// What it is about: it takes the place of one about the same that still waits. `None`: of none.
    pub subject: Option<String>,
    /// The EDU, in canonical form.
    pub json: String,
}

/// An EDU that a destination has not acknowledged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEdu {
    /// Its place in the queue: what is acknowledged.
    pub id: i64,
    /// The exact bytes.
    pub json: Arc<str>,
}

/// Queues of EDUs towards other servers.
#[async_trait]
pub trait EduQueues {
    /// Destinations that EDUs wait for.
    async fn edu_destinations(&self) -> Result<Vec<ServerName>, StoreError>;

    /// The first EDUs of a destination beyond this place, in order.
    async fn pending_edus(
        &self,
        destination: &ServerName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<PendingEdu>, StoreError>;

    /// A destination has all up to this place, or is not to get them.
    async fn remove_edus(&self, destination: &ServerName, until: i64) -> Result<(), StoreError>;
}
