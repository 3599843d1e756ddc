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

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptReport {
    /// Its number; later ones have greater numbers.
    pub id: i64,
    /// What it says.
    #[serde(flatten)]
    pub report: Report,
}

/// Reports.
#[async_trait]
pub trait Reports {
    /// Stores a report.
    async fn put_report(&self, report: Report) -> Result<(), StoreError>;

    /// All of them, the oldest first.
    async fn reports(&self) -> Result<Vec<KeptReport>, StoreError>;

    /// The one with this number.
    async fn report(&self, id: i64) -> Result<Option<KeptReport>, StoreError>;

    /// Forgets one; `false`: there is none with this number.
    async fn remove_report(&self, id: i64) -> Result<bool, StoreError>;
}
