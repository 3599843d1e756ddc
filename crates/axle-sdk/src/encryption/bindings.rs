//! What commits say of the room (`RoomBinding`), compared with the room as this device knows it.
//!
//! A hub that shows its members different rooms can have one of them let somebody in whom the others put out, or never saw
//! come. But a commit is signed over the events that it was made under: where they are not those that this device knows,
//! the user is told, and nothing is sent until the user says so.

use std::collections::BTreeSet;

use axle_mls::event::RoomBinding;
use axle_mls::member::Processed;
use axle_protocol::{EventId, RoomId, UserId};

use super::core::{Core, Result};
use super::engine::{Engine, is_not_found};
use super::rooms::Room;
use super::{EncryptionError, Notice};
use crate::{Error, Event};

/// Commits of one room that wait to be compared. Of more, the oldest are not.
const MAX_WAITING: usize = 32;

/// A commit that was made under other events than the newest that are known here.
#[derive(Debug, Clone)]
pub(super) struct Doubtful {
    event_id: EventId,
    binding: RoomBinding,
    /// Who has to be joined: the committer, and the users of the devices that it adds.
    users: BTreeSet<UserId>,
}

impl Core {
    /// Compares what a commit says with the room. `exact`: what is known here of the room is its state at this commit.
    pub(super) fn check_binding(&mut self, id: &RoomId, event: &Event, commit: &Processed, exact: bool) -> Result<()> {
        let Ok(event_id) = EventId::parse(&event.event_id) else { return Ok(()) };
        let mut users: BTreeSet<UserId> = commit.changes.added.iter().map(|device| device.user_id.clone()).collect();
        users.insert(commit.changes.committer.user_id.clone());
        if commit.changes.committer.user_id.as_str() != event.sender {
            let reason = format!("{} committed as {}", commit.changes.committer.user_id, event.sender);
            return self.mislead(id, &event_id, reason);
        }
        let Some(binding) = commit.binding.clone() else {
            return self.mislead(id, &event_id, "it does not say what room it was made in".to_owned());
        };
        let room = self.room(id);
        // Where everybody may read, somebody may be let in who is not in the room.
        users.retain(|user| !room.world_readable || room.joined.contains_key(user));
        let mut expected = room.expected(&users);
        let committer = &commit.changes.committer.user_id;
        // Who joins the room with the commit is bound to that member event by its hash: it had no id yet.
        let enters = commit.changes.external && binding.member_event.is_some();
        if let (true, Some(events)) = (enters, &mut expected) {
            let own = room.joined.get(committer).and_then(|joined| joined.event_id.as_ref());
            own.map(|id| events.remove(id));
        }
        let fits = |expected: &BTreeSet<EventId>| match room.world_readable {
            true => binding.auth_events.is_superset(expected),
            false => binding.auth_events == *expected,
        };
        if expected.as_ref().is_some_and(fits) {
            return Ok(());
        }
        let stranger = users.iter().find(|user| !room.joined.contains_key(*user));
        if exact && room.create.is_some() && (stranger.is_some() || expected.is_some()) {
            let reason = match stranger {
                Some(user) => format!("{user} is let in, who is not in the room"),
                None => "it was made under other events than this room has".to_owned(),
            };
            return self.mislead(id, &event_id, reason);
        }
        if enters {
            users.remove(committer);
        }
        // What is known here is newer than the commit, which was read from history.
        room.doubtful.push(Doubtful { event_id, binding, users });
        let surplus = room.doubtful.len().saturating_sub(MAX_WAITING);
        room.doubtful.drain(..surplus);
        room.work = true;
        Ok(())
    }

    /// Notes that a commit does not fit the room, and tells.
    fn mislead(&mut self, id: &RoomId, event_id: &EventId, reason: String) -> Result<()> {
        let Some(book) = self.books.room(id)? else { return Ok(()) };
        self.books.keep_room(id, &super::books::RoomBook { misled: Some(reason.clone()), ..book })?;
        self.tell(Notice::Misled { room_id: id.to_string(), event_id: event_id.to_string(), reason });
        Ok(())
    }

    /// Fails if a commit did not fit the room, and the user has not said that it is well.
    pub(super) fn check_not_misled(&self, id: &RoomId) -> Result<()> {
        match self.books.room(id)?.and_then(|book| book.misled) {
            Some(reason) => Err(EncryptionError::Misled(reason)),
            None => Ok(()),
        }
    }

    /// The user knows, and goes on.
    pub(super) fn proceed(&mut self, id: &RoomId) -> Result<()> {
        match self.books.room(id)? {
            Some(book) => self.books.keep_room(id, &super::books::RoomBook { misled: None, ..book }),
            None => Ok(()),
        }
    }
}

impl Room {
    /// The events that a commit is made under now that is by one of these users and adds devices of the others; `None` if
    /// one of them is not in the room, or too little is known of it.
    fn expected(&self, users: &BTreeSet<UserId>) -> Option<BTreeSet<EventId>> {
        let members = users.iter().map(|user| self.joined.get(user)?.event_id.clone());
        let create = std::iter::once(self.create.clone());
        create.chain(self.power_levels.clone().map(Some)).chain(members).collect()
    }
}

impl Engine {
    /// Compares commits that were read from history, with the events that they name.
    pub(super) async fn check_doubtful(&self, id: &RoomId) -> std::result::Result<(), Error> {
        let waiting = std::mem::take(&mut self.core().room(id).doubtful);
        for (at, commit) in waiting.iter().enumerate() {
            match self.misfit(id, commit).await {
                Ok(None) => {}
                Ok(Some(reason)) => self.core().mislead(id, &commit.event_id, reason)?,
                Err(error) => {
                    // It is asked again later.
                    self.core().room(id).doubtful.extend(waiting.get(at..).unwrap_or_default().iter().cloned());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What of a commit cannot be, whatever the state of the room was then.
    async fn misfit(&self, id: &RoomId, commit: &Doubtful) -> std::result::Result<Option<String>, Error> {
        let (mut seen, mut unseen) = (Vec::new(), false);
        for event_id in &commit.binding.auth_events {
            match self.server.event(id.as_str(), event_id.as_str()).await {
                Ok(event) => seen.push(event),
                Err(error) if is_not_found(&error) => unseen = true,
                Err(error) => return Err(error),
            }
        }
        let (create, hides) = {
            let mut core = self.core();
            let room = core.room(id);
            (room.create.clone(), room.hides_history)
        };
        if create.is_some_and(|create| !commit.binding.auth_events.contains(&create)) {
            return Ok(Some("it was made in another room".to_owned()));
        }
        let joins = |user: &UserId| {
            seen.iter()
                .any(|event| event.is_state("m.room.member", user.as_str()) && event.membership() == Some("join"))
        };
        if !unseen && let Some(user) = commit.users.iter().find(|user| !joins(user)) {
            return Ok(Some(format!("{user} is let in, who is not in the room")));
        }
        // What was before this user came may be hidden from them, and is not missing then.
        Ok((unseen && !hides).then(|| "it was made under events that this room does not have".to_owned()))
    }
}
