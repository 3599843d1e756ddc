//! How far a user has read: receipts, and the marker of what they have read in full.

use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::{Expected, PutAccountData, Receipt, ReceiptType, StoredEvent};
use ruma::events::receipt::ReceiptThread;
use serde::{Deserialize, Serialize};

use crate::account_data::{self, Key};
use crate::error::ApiResult;
use crate::ids;
use crate::session::Session;
use crate::state::{Api, now_ms};
use crate::thread;
use crate::visibility::Access;

/// The type of the account data that the marker is.
pub(crate) const FULLY_READ: &str = "m.fully_read";
/// The name of the main timeline among threads.
pub(crate) const MAIN: &str = "main";

/// The content of `m.fully_read`.
#[derive(Debug, Deserialize, Serialize)]
struct FullyRead {
    event_id: String,
}

/// What a user marks as read. Whether they may is known.
pub(crate) struct Reading<'a> {
    api: &'a Api,
    session: &'a Session,
    room_id: RoomId,
    access: Access,
}

impl<'a> Reading<'a> {
    /// Refuses who is not in the room, or does this too often.
    pub(crate) async fn begin(api: &'a Api, session: &'a Session, room_id: &str) -> ApiResult<Self> {
        let room_id = ids::room(room_id)?;
        api.limits.changes.take(session.user_id.as_str())?;
        let access = Access::of(api, &session.user_id, &room_id).await?;
        access.require_joined()?;
        Ok(Self { api, session, room_id, access })
    }

    /// The event that is read. 404 `M_NOT_FOUND`: there is none that the user sees in the room.
    pub(crate) async fn event(&self, event_id: &str) -> ApiResult<StoredEvent> {
        let found = self.api.store.event(&ids::event(event_id)?).await?;
        match found {
            Some(event) if self.access.sees(self.api, &event).await? => Ok(event),
            _ => Err(ids::unknown_event().into()),
        }
    }

    /// Everything up to an event is read, in a thread or in the room. What was read before stays read: a receipt for an
    /// earlier event than the last one changes nothing.
    pub(crate) async fn receipt(
        &self,
        event: &StoredEvent,
        receipt_type: ReceiptType,
        thread: ReceiptThread,
    ) -> ApiResult<()> {
        let thread = self.check_thread(event, thread).await?;
        let receipt = Receipt {
            user_id: self.session.user_id.clone(),
            receipt_type,
            thread,
            event_id: event.event_id.clone(),
            position: place_of(event),
            ts: now_ms(),
            stream: 0,
        };
        if self.api.store.put_receipt(&self.room_id, receipt.clone()).await?.is_some() {
            match receipt_type {
                ReceiptType::Read => {
                    self.api.servers.read(&self.room_id, &receipt).await;
                    self.api.rooms.wake_members(&self.room_id).await?;
                }
                ReceiptType::ReadPrivate => self.api.notifier.wake(&self.session.user_id),
            }
        }
        Ok(())
    }

    /// Moves the marker to an event, unless it is there or beyond already.
    pub(crate) async fn fully_read(&self, event: &StoredEvent) -> ApiResult<()> {
        let key = Key { user_id: &self.session.user_id, room_id: Some(&self.room_id), event_type: FULLY_READ };
        let content = serde_json::to_string(&FullyRead { event_id: event.event_id.to_string() })
            .map_err(|error| MatrixError::unknown(error.to_string()))?;
        for _ in 0..account_data::MAX_ATTEMPTS {
            let known = account_data::get(self.api, key).await?;
            let marked = known.as_ref().and_then(|known| serde_json::from_str::<FullyRead>(&known.content).ok());
            if let Some(marked) = marked
                && self.is_marked(&marked, event).await?
            {
                return Ok(());
            }
            let expected = known.map_or(Expected::Nothing, |known| Expected::Stream(known.stream));
            match account_data::store(self.api, key, &content, expected).await? {
                PutAccountData::Stored(_) => return Ok(()),
                PutAccountData::Full => return Err(account_data::full().into()),
                PutAccountData::Unexpected => {}
            }
        }
        Err(account_data::busy().into())
    }

    /// Whether an event is before or at the marker.
    async fn is_marked(&self, marked: &FullyRead, event: &StoredEvent) -> ApiResult<bool> {
        let Ok(marked) = EventId::parse(&marked.event_id) else { return Ok(false) };
        let marked = self.api.store.event(&marked).await?;
        Ok(marked.is_some_and(|marked| place_of(&marked) >= place_of(event)))
    }

    /// The thread of a receipt as it is stored. 400 `M_INVALID_PARAM`: the event is not in it.
    async fn check_thread(&self, event: &StoredEvent, thread: ReceiptThread) -> ApiResult<Option<String>> {
        let (name, root) = match &thread {
            ReceiptThread::Unthreaded => return Ok(None),
            ReceiptThread::Main => (MAIN.to_owned(), None),
            ReceiptThread::Thread(root) => {
                let root = EventId::parse(root).map_err(|_| not_in_thread())?;
                (root.to_string(), Some(root))
            }
            _ => return Err(MatrixError::invalid_param("thread_id is \"main\" or an event's id.").into()),
        };
        // A redacted event has lost what it was about for those clients that have seen it only since.
        if event.redacted_by.is_some() {
            return Ok(Some(name));
        }
        let place = thread::place(self.api, event).await?;
        let is_in = root.map_or(place.thread.is_none(), |root| place.may_be_read_in(&root));
        if is_in { Ok(Some(name)) } else { Err(not_in_thread().into()) }
    }
}

/// Where an event stands in its room. State that came with a join has no place in the room's order: it is older than all
/// that has.
fn place_of(event: &StoredEvent) -> i64 {
    event.position.unwrap_or(i64::MIN)
}

fn not_in_thread() -> MatrixError {
    MatrixError::invalid_param("The event is not in this thread.")
}
