//! One room, page by page.

use axle_store::{Direction, RoomSummary, StoreError};

use super::VerifyReport;
use super::group::Commits;
use super::keys::Keys;
use super::walk::{Place, Walk};
use super::{event, refused::Unplaced};
use crate::admin::Admin;

/// Events read at once.
const PAGE: usize = 500;

/// Walks along the room's order, as far as it went when this began, and through what has no place in it.
pub(super) async fn verify(
    admin: &Admin,
    room: &RoomSummary,
    keys: &mut Keys<'_>,
    report: &mut VerifyReport,
) -> Result<(), StoreError> {
    let (store, room_id) = (&*admin.store, &room.room_id);
    // In this order: what had been rejected by then was rejected on a state that is in the snapshot.
    let until = store.max_stream().await?;
    let Some(snapshot) = store.load_room(room_id).await? else { return Ok(()) };
    let unplaced = Unplaced::new(store, &snapshot, until);
    let mut walk = Walk::new(store, &admin.server_name, room, unplaced);
    let head = snapshot.head.as_ref().map(|head| head.position);
    let mut commits = Commits::default();
    let mut from = None;
    loop {
        let mut page = store.timeline(room_id, from, Direction::Forward, PAGE).await?;
        let is_last = page.len() < PAGE;
        page.retain(|event| event.position <= head);
        let mut places = Vec::with_capacity(page.len());
        for stored in page {
            let event = event::verify(store, &stored, keys, report).await?;
            places.push(Place { stored, event });
        }
        let Some(last) = places.last().and_then(|place| place.stored.position) else { break };
        let lpdus = walk.known_lpdus(&places).await?;
        for place in &places {
            commits.note(place);
            walk.step(place, &lpdus, keys, report).await?;
        }
        if is_last {
            break;
        }
        from = Some(last + 1);
    }
    commits.compare(&admin.server_name, &snapshot, report);
    walk.finish(&snapshot, keys, report).await
}
