//! Following the log of encrypted rooms: what syncs bring, and what they leave out.

use axle_mls::algorithm::{KEY_PACKAGE_ALGORITHM, WELCOME_ALGORITHM};
use axle_mls::event::WelcomeContent;
use axle_protocol::{RoomId, UserId};

use super::books::WaitingWelcome;
use super::core::Core;
use super::engine::Engine;
use super::incoming::{Course, GROUP_EVENTS};
use super::keys;
use crate::{Error, Event, EventEncryption, JoinedRoom, LeftRoom, MessagesPage, PageFrom, SyncResponse, ToDeviceEvent};

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
        self.close_gap(id, PageFrom::Newest).await?;
        let mut core = self.core();
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
            let may_have = room.layering().is_some()
                && (is_first || !room.is_read || timeline.limited)
                && timeline.prev_batch.is_some();
            let has_gap = may_have && core.books.room(id)?.is_some() && !core.knows_any(id, &timeline.events)?;
            (is_first, has_gap)
        };
        let mut is_read = is_first.then_some(true);
        if let (true, Some(before)) = (has_gap, &timeline.prev_batch) {
            is_read = Some(match self.close_gap(id, PageFrom::Before(before.clone())).await {
                Ok(()) => true,
                Err(error @ Error::Encryption(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, room = %id, "a gap cannot be closed now");
                    false
                }
            });
        }
        let mut core = self.core();
        let is_read = is_read.unwrap_or(core.room(id).is_read);
        core.room(id).is_read = is_read;
        if is_read {
            core.take_events(id, &mut timeline.events, true)?;
            core.try_waiting(id)?;
        } else {
            core.put_off(id, &mut timeline.events);
        }
        core.tell_status(id);
        Ok(())
    }
}

impl Core {
    /// Leaves the messages and commits of a timeline for later, when what came before them can be fetched, too. Whatever is
    /// known of them now would hide the gap.
    fn put_off(&mut self, id: &RoomId, events: &mut [Event]) {
        let room = self.room(id);
        for event in events {
            room.fold(event);
            if event.event_type == GROUP_EVENTS[1] && event.state_key.is_none() && room.layering().is_some() {
                room.wait(event);
                let reason = "what was said before it could not be fetched yet".to_owned();
                event.encryption = Some(EventEncryption::Failed { reason });
            }
        }
        (room.behind, room.work) = (true, true);
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
