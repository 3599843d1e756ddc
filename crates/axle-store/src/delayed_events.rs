//! Events that are sent later, unless their sender says otherwise (Matrix's proposal 4140).

use async_trait::async_trait;
use axle_protocol::{EventId, RoomId, UserId};

use crate::{ClientTxnKey, StoreError};

/// Events of a user that wait to be sent, at most.
pub const MAX_DELAYED_EVENTS_PER_USER: usize = 100;
/// Of those that wait no longer, so many of a user are kept, the newest.
pub const MAX_FINISHED_DELAYED_EVENTS_PER_USER: usize = 100;

/// An event to be sent. All times are in milliseconds, moments since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedEvent {
    /// By what it is known. Who knows it may change when it is sent.
    pub delay_id: String,
    /// Who sends it.
    pub user_id: UserId,
    /// Where.
    pub room_id: RoomId,
    /// Its type.
    pub event_type: String,
    /// Of a state event.
    pub state_key: Option<String>,
    /// Its content, a JSON object.
    pub content: String,
    /// How long it waits.
    pub delay_ms: i64,
    /// Since when it waits.
    pub running_since: i64,
}

/// What became of an event that waits no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DelayedOutcome {
    /// It was sent.
    Sent(EventId),
    /// Somebody did not want it sent.
    Cancelled,
    /// It could not be sent; the error, a JSON object.
    Failed(String),
}

/// An event that waits no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedDelayedEvent {
    /// The event.
    pub event: DelayedEvent,
    /// What became of it.
    pub outcome: DelayedOutcome,
    /// When.
    pub at: i64,
}

/// What became of an event that was to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutDelayedEvent {
    /// It waits.
    Scheduled,
    /// The client's transaction was done before, and made the event with this id.
    Known(String),
    /// The user has too many of them.
    Full,
}

/// Events that wait to be sent.
#[async_trait]
pub trait DelayedEvents {
    /// Schedules an event.
    async fn put_delayed_event(
        &self,
        event: DelayedEvent,
        txn: Option<ClientTxnKey>,
    ) -> Result<PutDelayedEvent, StoreError>;

    /// An event that waits.
    async fn delayed_event(&self, delay_id: &str) -> Result<Option<DelayedEvent>, StoreError>;

    /// Events of a user that wait, in the order in which they were scheduled.
    async fn delayed_events(&self, user_id: &UserId) -> Result<Vec<DelayedEvent>, StoreError>;

    /// Events of a user that wait no longer, the newest first.
    async fn finished_delayed_events(&self, user_id: &UserId) -> Result<Vec<FinishedDelayedEvent>, StoreError>;

    /// Lets an event wait from now on. `false`: it does not wait.
    async fn restart_delayed_event(&self, delay_id: &str, now: i64) -> Result<bool, StoreError>;

    /// Tries an event again that could not be sent just now. It still counts as waiting since it was scheduled.
    async fn postpone_delayed_event(&self, delay_id: &str, until: i64) -> Result<(), StoreError>;

    /// An event waits no longer. `false`: it did not before.
    async fn finish_delayed_event(&self, delay_id: &str, outcome: DelayedOutcome, now: i64)
    -> Result<bool, StoreError>;

    /// Events whose time has come, the longest due first, at most so many.
    async fn due_delayed_events(&self, now: i64, limit: usize) -> Result<Vec<DelayedEvent>, StoreError>;

    /// When the next event is due.
    async fn next_delayed_event(&self) -> Result<Option<i64>, StoreError>;
}
