//! Following the log of encrypted rooms: what syncs bring, and what they leave out.

use axle_mls::algorithm::{KEY_PACKAGE_ALGORITHM, WELCOME_ALGORITHM};
use axle_mls::event::WelcomeContent;
use axle_protocol::{RoomId, UserId};

use super::books::WaitingWelcome;
use super::core::Core;
use super::engine::Engine;
use super::incoming::{Course, GROUP_EVENTS};
use super::keys;
use crate::{Error, Event, JoinedRoom, LeftRoom, MessagesPage, PageFrom, SyncResponse, ToDeviceEvent};

/// Pages of history that are fetched to close a gap. What is older than that is not decrypted any more.
const MAX_GAP_PAGES: usize = 50;

/// What history has of a room's group after what is known of it.
struct Earlier {
    /// The oldest first.
    events: Vec<Event>,
    /// Whether that is all of it, or the newest of too much.
    is_all: bool,
}

impl Engine {
    pub(super) async fn take_in(&self, response: &mut SyncResponse) -> Result<(), Error> {
        self.take_devices(response);
        // First the Welcomes: they are gone from the server with the next sync.
        for event in &response.to_device.events {
            self.core().take_to_device(event)?;
        }
        for (room_id, room) in &mut response.rooms.join {
            if let Ok(id) = RoomId::parse(room_id) {
                self.take_joined(&id, room).await?;
            }
        }
        for (room_id, room) in &mut response.rooms.leave {
            if let Ok(id) = RoomId::parse(room_id) {
                self.core().take_left(&id, room)?;
            }
        }
        Ok(())
    }

    pub(super) fn take_in_history(&self, room_id: &str, page: &mut MessagesPage) -> Result<(), Error> {
        let Ok(id) = RoomId::parse(room_id) else { return Ok(()) };
        let mut core = self.core();
        if core.room(&id).layering().is_none() {
            return Ok(());
        }
        // Newest first; keys are used up in the order of the log.
        for event in page.chunk.iter_mut().rev().filter(|event| event.event_type == GROUP_EVENTS[1]) {
            core.take_message(&id, event, Course::History)?;
        }
        Ok(())
    }

    /// Processes what the room's newest history has that is not known yet.
    pub(super) async fn catch_up(&self, id: &RoomId) -> Result<(), Error> {
        let earlier = self.fetch_unknown(id, PageFrom::Newest).await?;
        let mut core = self.core();
        core.take_earlier(id, earlier)?;
        core.room(id).is_read = true;
        Ok(core.try_waiting(id)?)
    }

    fn take_devices(&self, response: &SyncResponse) {
        let mut core = self.core();
        for user in &response.device_lists.changed {
            let Ok(user) = UserId::parse(user) else { continue };
            core.published.remove(&user);
            core.asked_for.remove(&user);
            for room in core.rooms.values_mut().filter(|room| room.joined.contains_key(&user)) {
                room.work = true;
                room.try_again(&user);
            }
        }
        for user in response.device_lists.left.iter().filter_map(|user| UserId::parse(user).ok()) {
            core.published.remove(&user);
        }
        drop(core);
        let Some(counts) = &response.device_one_time_keys_count else { return };
        let left = counts.get(KEY_PACKAGE_ALGORITHM).copied().unwrap_or(0);
        let unused = response.device_unused_fallback_key_types.as_ref();
        let has_last_resort = unused.is_none_or(|kinds| kinds.iter().any(|kind| kind == KEY_PACKAGE_ALGORITHM));
        if left < keys::FEW_PACKAGES || !has_last_resort || self.core().last_resort_is_old() {
            self.chores().keys = Some((left, has_last_resort));
        }
    }

    async fn take_joined(&self, id: &RoomId, joined: &mut JoinedRoom) -> Result<(), Error> {
        let timeline = &mut joined.timeline;
        let (is_first, has_gap) = {
            let mut core = self.core();
            let own = core.own_user();
            let room = core.room(id);
            let is_first = !std::mem::replace(&mut room.synced, true);
            joined.state.events.iter().for_each(|event| room.fold(event));
            room.joined.entry(own).or_default();
            room.work |= is_first;
            let may_have = room.layering().is_some() && (is_first || timeline.limited) && timeline.prev_batch.is_some();
            let has_gap = may_have && core.books.room(id)?.is_some() && !core.knows_any(id, &timeline.events)?;
            (is_first, has_gap)
        };
        let mut is_read = is_first.then_some(true);
        if let (true, Some(before)) = (has_gap, &timeline.prev_batch) {
            let earlier = self.fetch_unknown(id, PageFrom::Before(before.clone())).await;
            is_read = Some(earlier.is_ok());
            match earlier {
                Ok(earlier) => self.core().take_earlier(id, earlier)?,
                Err(error) => {
                    tracing::debug!(%error, room = %id, "a gap cannot be closed now");
                    let mut core = self.core();
                    core.room(id).behind = true;
                    core.room(id).work = true;
                }
            }
        }
        let mut core = self.core();
        core.take_events(id, &mut timeline.events, true)?;
        core.room(id).is_read = is_read.unwrap_or(core.room(id).is_read);
        core.try_waiting(id)?;
        core.tell_status(id);
        Ok(())
    }

    /// The events of a group, oldest first, that come before a point and after what is known.
    async fn fetch_unknown(&self, id: &RoomId, mut from: PageFrom) -> Result<Earlier, Error> {
        let (mut events, mut is_all) = (Vec::new(), false);
        for _ in 0..MAX_GAP_PAGES {
            let page = self.server.history(id.as_str(), &from, &GROUP_EVENTS).await?;
            let is_known = self.core().knows_any(id, &page.chunk)?;
            events.extend(page.chunk);
            let Some(end) = page.end.filter(|_| !is_known) else {
                is_all = true;
                break;
            };
            from = PageFrom::Before(end);
        }
        events.reverse();
        Ok(Earlier { events, is_all })
    }
}

impl Core {
    fn take_earlier(&mut self, id: &RoomId, Earlier { mut events, is_all }: Earlier) -> Result<(), Error> {
        self.take_events(id, &mut events, false)?;
        if !is_all {
            self.note_unread(id)?;
        }
        Ok(())
    }

    fn take_to_device(&mut self, event: &ToDeviceEvent) -> Result<(), Error> {
        let is_welcome = event.event_type == WelcomeContent::MESSAGE_TYPE
            && event.content.get("algorithm").and_then(|name| name.as_str()) == Some(WELCOME_ALGORITHM);
        if !is_welcome || WelcomeContent::parse(&event.content).is_err() {
            return Ok(());
        }
        self.books.add_to_inbox(WaitingWelcome { sender: event.sender.clone(), content: event.content.clone() })?;
        for room in self.rooms.values_mut().filter(|room| room.layering().is_some()) {
            room.work = true;
        }
        Ok(())
    }

    /// The user is not in the room any more: what came up to then is read, then the keys are forgotten.
    fn take_left(&mut self, id: &RoomId, left: &mut LeftRoom) -> Result<(), Error> {
        let is_known = self.rooms.contains_key(id) || self.books.room(id)?.is_some();
        if !is_known {
            return Ok(());
        }
        let room = self.room(id);
        left.state.events.iter().for_each(|event| room.fold(event));
        self.take_events(id, &mut left.timeline.events, true)?;
        self.forget(id)?;
        self.rooms.remove(id);
        Ok(())
    }

    /// Forgets the group of a room. What was decrypted stays.
    pub(super) fn forget(&mut self, id: &RoomId) -> Result<(), Error> {
        self.unit(|core| {
            core.books.drop_pending(id)?;
            core.note_gone(id)?;
            Ok(core.member.forget(id)?)
        })?;
        Ok(())
    }
}
