//! Who types and who has read what, on other servers.

use std::collections::HashMap;
use std::time::Duration;

use axle_federation::edu::{ReadReceipt, Typing};
use axle_protocol::{MatrixError, RoomId, ServerName};
use axle_store::{Receipt, ReceiptType};

use super::{Incoming, broken};
use crate::rooms::now_ms;

/// A receipt may be here before its event, which goes by way of the hub: it is looked at again after each of these.
const LOOK_AGAIN: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];
/// Receipts that wait for their event; others are dropped.
pub(super) const MAX_EARLY: usize = 1_000;

/// A user types, or does not any more.
pub(super) async fn typing(incoming: &Incoming, origin: &ServerName, typing: Typing) -> Result<(), MatrixError> {
    let Typing { room_id, user_id, typing } = typing;
    let rooms = &incoming.between.rooms;
    if rooms.is_member(&room_id, &user_id).await? && rooms.allows(&room_id, origin).await? {
        incoming.clients.typing_elsewhere(&room_id, &user_id, typing).await;
    }
    Ok(())
}

/// Users have read rooms.
pub(super) async fn receipts(
    incoming: &Incoming,
    origin: &ServerName,
    receipts: Vec<ReadReceipt>,
) -> Result<(), MatrixError> {
    let rooms = &incoming.between.rooms;
    let mut allowed: HashMap<RoomId, bool> = HashMap::new();
    for receipt in receipts {
        if !rooms.is_member(&receipt.room_id, &receipt.user_id).await? {
            continue;
        }
        let is_allowed = match allowed.get(&receipt.room_id) {
            Some(is_allowed) => *is_allowed,
            None => rooms.allows(&receipt.room_id, origin).await?,
        };
        allowed.insert(receipt.room_id.clone(), is_allowed);
        if !is_allowed {
            continue;
        }
        if !store(incoming, &receipt).await?
            && let Ok(place) = incoming.early.clone().try_acquire_owned()
        {
            let incoming = incoming.clone();
            tokio::spawn(async move {
                let _place = place;
                for pause in LOOK_AGAIN {
                    if !incoming.between.rooms.pause(pause).await || store(&incoming, &receipt).await.unwrap_or(true) {
                        break;
                    }
                }
            });
        }
    }
    Ok(())
}

/// Stores a receipt. `false`: its event is not here.
async fn store(incoming: &Incoming, receipt: &ReadReceipt) -> Result<bool, MatrixError> {
    let between = &incoming.between;
    let event = between.store.event(&receipt.event_id).await.map_err(broken)?;
    let Some(event) = event.filter(|event| event.room_id == receipt.room_id) else { return Ok(false) };
    let Some(position) = event.position else { return Ok(false) };
    let stored = Receipt {
        user_id: receipt.user_id.clone(),
        receipt_type: ReceiptType::Read,
        thread: receipt.thread.clone(),
        event_id: receipt.event_id.clone(),
        position,
        ts: receipt.ts.min(now_ms()),
        stream: 0,
    };
    if between.store.put_receipt(&receipt.room_id, stored).await.map_err(broken)?.is_some() {
        between.rooms.wake_members(&receipt.room_id).await?;
    }
    Ok(true)
}
