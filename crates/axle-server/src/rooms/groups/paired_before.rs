//! A client that asks again for a pair, because it has not heard the answer, is answered as it was the first time.
//!
//! A pair is two client transactions: that of the member event, and that of its commit. Those of our own users are kept by their
//! server; a hub recognises the pairs of other servers' users by their LPDUs.

use axle_client_api::Paired;
use axle_protocol::{EventId, MatrixError, RoomId};
use axle_store::{ClientTxn, ClientTxnKey, ClientTxnState};

use super::super::{Rooms, Turn, errors};

/// What an earlier request of the same transaction has come to, as the store has it.
pub(crate) async fn paired_before(rooms: &Rooms, txn: &ClientTxnKey) -> Result<Option<Paired>, MatrixError> {
    let store = &rooms.0.store;
    let Some(member_event_id) = event_id(store.client_txn(txn).await.map_err(errors::broken)?) else { return Ok(None) };
    let commit_event_id = event_id(store.client_txn(&commit_txn(txn)).await.map_err(errors::broken)?);
    Ok(Some(Paired { member_event_id, commit_event_id }))
}

/// The same within a room's turn, which has been told of [`txns`].
pub(super) fn paired_before_in(turn: &Turn<'_>, txn: &ClientTxnKey) -> Option<Paired> {
    let member_event_id = event_id(turn.txn(txn))?;
    Some(Paired { member_event_id, commit_event_id: event_id(turn.txn(&commit_txn(txn))) })
}

/// Keeps what another server, the room's hub, has made of a pair of our user.
pub(crate) async fn note_pair(
    rooms: &Rooms,
    room_id: &RoomId,
    txn: ClientTxnKey,
    paired: &Paired,
) -> Result<(), MatrixError> {
    let done = done(&txn, paired);
    let noted = rooms.with(room_id, move |turn| {
        let (room, batch) = turn.room()?;
        batch.finish_txns(room, done.clone());
        Ok(())
    });
    noted.await?
}

/// Everything that has to be looked up to recognise a pair.
pub(super) fn txns(txn: Option<&ClientTxnKey>) -> Vec<ClientTxnKey> {
    txn.into_iter().flat_map(|txn| [txn.clone(), commit_txn(txn)]).collect()
}

/// The transactions of a pair that is done.
pub(super) fn done(txn: &ClientTxnKey, paired: &Paired) -> Vec<ClientTxn> {
    let member = ClientTxn { key: txn.clone(), event_id: paired.member_event_id.clone() };
    let commit = paired.commit_event_id.clone().map(|event_id| ClientTxn { key: commit_txn(txn), event_id });
    std::iter::once(member).chain(commit).collect()
}

fn commit_txn(txn: &ClientTxnKey) -> ClientTxnKey {
    ClientTxnKey { scope: format!("{} commit", txn.scope), ..txn.clone() }
}

fn event_id(state: Option<ClientTxnState>) -> Option<EventId> {
    match state {
        Some(ClientTxnState::Done(event_id)) => Some(event_id),
        _ => None,
    }
}
