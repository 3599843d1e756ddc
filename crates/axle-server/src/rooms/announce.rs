//! Tells the servers of invited users of invites that are in the room already.
//!
//! What is to be told is stored with the invite, and stays until the other server has answered or the invite is over.

use std::time::Duration;

use axle_protocol::{Event, MatrixError, ServerName};
use axle_store::{Announcement, StoreError};

use super::background::{LONGEST_PAUSE, Pauses};
use super::{PeerError, Rooms, stripped};

/// Invites read at a time.
const PAGE: usize = 50;
/// The first pause after a failure; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Tells a server of all that is stored for it, in the background, unless that is under way.
pub(crate) fn tell(rooms: &Rooms, destination: &ServerName) {
    if !rooms.0.announcing.begin(destination) {
        return;
    }
    let (rooms, destination) = (rooms.clone(), destination.clone());
    tokio::spawn(async move {
        let mut pauses = Pauses::new(FIRST_PAUSE);
        loop {
            match tell_all(&rooms, &destination).await {
                Ok(()) if rooms.0.announcing.finished(&destination) => return,
                Ok(()) => pauses.begin_anew(),
                Err(wait) => {
                    if !pauses.wait(&rooms, wait).await {
                        return;
                    }
                }
            }
        }
    });
}

/// To be tried again, after this long if the other server said so.
type TryAgain = Option<Duration>;

async fn tell_all(rooms: &Rooms, destination: &ServerName) -> Result<(), TryAgain> {
    let broken = |error: StoreError| {
        tracing::error!(%destination, %error, "what a server is to be told of cannot be read or stored");
        None
    };
    loop {
        let announcements = rooms.0.store.announcements(destination, PAGE).await.map_err(broken)?;
        if announcements.is_empty() {
            return Ok(());
        }
        for announcement in announcements {
            if let Some(invite) = current(rooms, &announcement).await.map_err(broken)? {
                tell_one(rooms, destination, &invite).await?;
            }
            rooms.0.store.announced(&announcement).await.map_err(broken)?;
        }
    }
}

/// The invite, unless it was answered or withdrawn since.
async fn current(rooms: &Rooms, announcement: &Announcement) -> Result<Option<Event>, StoreError> {
    let store = &*rooms.0.store;
    let Some(stored) = store.event(&announcement.event_id).await? else { return Ok(None) };
    let Ok(invite) = Event::parse(stored.json.as_bytes(), stored.room_version) else { return Ok(None) };
    let target = invite.state_key().unwrap_or_default();
    let member = store.state_event(invite.room_id(), "m.room.member", target).await?;
    Ok(member.is_some_and(|member| member.event_id == announcement.event_id).then_some(invite))
}

async fn tell_one(rooms: &Rooms, destination: &ServerName, invite: &Event) -> Result<(), TryAgain> {
    let blocked = rooms.0.blocks.now(&*rooms.0.store).await.map_err(|_| None)?;
    if blocked.check_server(destination).is_err() {
        return Err(Some(LONGEST_PAUSE));
    }
    let state = stripped::state(&*rooms.0.store, invite.room_id(), invite.sender().as_str()).await.map_err(|_| None)?;
    match rooms.0.peers.invite(destination, invite, &state).await {
        Ok(_) => Ok(()),
        Err(PeerError::Refused(error)) if is_definitive(&error) => {
            tracing::info!(%destination, event_id = %invite.event_id(), %error, "an invite was refused");
            Ok(())
        }
        Err(PeerError::Refused(error)) => Err(error.retry_after_ms.map(Duration::from_millis)),
        Err(PeerError::Unreachable(_)) => Err(None),
    }
}

/// Whether an answer is about the invite, not about the moment.
fn is_definitive(refusal: &MatrixError) -> bool {
    matches!(refusal.status, 400 | 403 | 404 | 405 | 413)
        && !matches!(&*refusal.errcode, "M_BAD_STATE" | "M_LIMIT_EXCEEDED")
}
