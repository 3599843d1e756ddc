//! Receipts in a sync.

use std::collections::{BTreeMap, HashSet};

use axle_protocol::{EventId, RoomId, UserId};
use axle_store::{Receipt, ReceiptType};
use ruma::events::AnySyncEphemeralRoomEvent;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fleeting_event;
use crate::error::ApiResult;
use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

/// The type of the events.
pub(crate) const EVENT_TYPE: &str = "m.receipt";
/// The most receipts of other users of one room in one answer: the newest ones.
const MAX_OTHERS: usize = 1_000;

/// What changed in a room between two moments.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Receipts that the client does not know.
    new: Vec<Receipt>,
    /// Whether there are new ones of who syncs.
    pub(crate) own_changed: bool,
}

/// What the content of an event says of one user.
#[derive(Serialize)]
struct Read<'a> {
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
}

/// The content of an event: by event, type and user.
type Content<'a> = BTreeMap<&'a str, BTreeMap<&'static str, BTreeMap<&'a str, Read<'a>>>>;

impl Changes {
    /// Reads those with `since < stream <= until`; `None`: all.
    pub(crate) async fn read(
        api: &Api,
        user_id: &UserId,
        room_id: &RoomId,
        since: Option<i64>,
        until: i64,
    ) -> ApiResult<Self> {
        let after = since.unwrap_or(BEFORE_EVERYTHING);
        if !api.store.has_receipts(room_id, after).await? {
            return Ok(Self::default());
        }
        let found = api.store.receipts(room_id, user_id, after, until, MAX_OTHERS).await?;
        let mut new = found.others;
        let others = new.len();
        new.extend(found.own.into_iter().filter(|receipt| receipt.stream > after));
        Ok(Self { own_changed: new.len() > others, new })
    }

    /// Leaves out the receipts of others for other events than these.
    pub(crate) fn of_others_only_for(&mut self, user_id: &UserId, events: &HashSet<EventId>) {
        self.new.retain(|receipt| receipt.user_id == *user_id || events.contains(&receipt.event_id));
    }

    /// As clients get them.
    pub(crate) fn render(&self) -> ApiResult<Vec<Raw<AnySyncEphemeralRoomEvent>>> {
        Ok(events(&self.new, None)?.into_iter().map(Raw::from_json).collect())
    }
}

/// Receipts as application services get them: the events name their room.
pub(crate) fn of_room(receipts: &[Receipt], room_id: &RoomId) -> ApiResult<Vec<Box<RawValue>>> {
    events(receipts, Some(room_id))
}

/// All receipts of a room that a user sees, as the endpoints before sync tell them: the events name their room.
pub(crate) async fn all_of_room(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<Vec<Box<RawValue>>> {
    let changes = Changes::read(api, user_id, room_id, None, i64::MAX).await?;
    of_room(&changes.new, room_id)
}

/// One event has room for one receipt of a user, type and event: where somebody read an event in the room and in a thread,
/// there are two.
fn events(receipts: &[Receipt], room_id: Option<&RoomId>) -> ApiResult<Vec<Box<RawValue>>> {
    let mut contents: Vec<Content<'_>> = Vec::new();
    for receipt in receipts {
        let (event_id, user_id) = (receipt.event_id.as_str(), receipt.user_id.as_str());
        let kind = name(receipt.receipt_type);
        let is_free = |content: &&mut Content<'_>| {
            let users = content.get(event_id).and_then(|kinds| kinds.get(kind));
            users.is_none_or(|users| !users.contains_key(user_id))
        };
        let read = Read { ts: receipt.ts, thread_id: receipt.thread.as_deref() };
        match contents.iter_mut().find(is_free) {
            Some(content) => {
                content.entry(event_id).or_default().entry(kind).or_default().insert(user_id, read);
            }
            None => {
                let users = BTreeMap::from([(user_id, read)]);
                contents.push(BTreeMap::from([(event_id, BTreeMap::from([(kind, users)]))]));
            }
        }
    }
    contents.iter().map(|content| fleeting_event(EVENT_TYPE, room_id, content)).collect()
}

fn name(receipt_type: ReceiptType) -> &'static str {
    match receipt_type {
        ReceiptType::Read => "m.read",
        ReceiptType::ReadPrivate => "m.read.private",
    }
}
