//! What users report to the operator.

use async_trait::async_trait;
use axle_protocol::{RoomId, UserId};
use serde::Serialize;

use crate::StoreError;

/// How many reports a user has at most; the oldest make room for new ones.
pub const MAX_REPORTS_PER_USER: usize = 1_000;

/// Something that a user finds unfit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Who reports it.
    pub reporter: UserId,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The room that is reported, or that has the event.
    pub room_id: Option<RoomId>,
    /// The event that is reported.
    pub event_id: Option<String>,
    /// The user who is reported.
    pub user_id: Option<UserId>,
    /// Why.
    pub reason: String,
}

/// Reports.
#[async_trait]
pub trait Reports {
    /// Stores a report.
    async fn put_report(&self, report: Report) -> Result<(), StoreError>;

    /// All of them, the oldest first.
    async fn reports(&self) -> Result<Vec<Report>, StoreError>;
}
