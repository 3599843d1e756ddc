//! Coming into the group of a room: by making it, by a Welcome, or by itself.

use std::time::{Duration, Instant};

use axle_mls::event::WelcomeContent;
use axle_mls::{Layering, RoomEncryption};
use axle_protocol::{RoomId, RoomVersion};

use super::answers::GroupAnswer;
use super::books::{EventBook, WaitingWelcome};
use super::core::Sending;
use super::engine::{Engine, Step, is_not_found, part_of};
use super::rooms::Cipher;
use super::{EncryptionError, Notice, WELCOME_ROOM};
use crate::{CreateRoom, Error};

/// Between two looks for a Welcome.
const LOOK: Duration = Duration::from_millis(100);
/// How often the hub is asked for commits that the own server does not have yet, before this device joins anew.
const MAX_ASKED: u32 = 6;

impl Engine {
    /// Makes an encrypted room with its group.
    pub(super) async fn create_room(&self, room: &CreateRoom) -> Result<String, Error> {
        let version = match &room.room_version {
            Some(version) => version.clone(),
            None => self.server.default_room_version().await?,
        };
        if !RoomVersion::parse(&version).is_some_and(RoomVersion::is_linearized) {
            return self.server.create_room(room).await;
        }
        let mut room = room.clone();
        let bound = || RoomEncryption { layering: Layering::Bound }.to_json();
        room.creation_content.entry("encryption").or_insert_with(bound);
        let cipher = Cipher::of_linearized(&room.creation_content);
        let room_id = self.server.create_room(&room).await?;
        let id = super::parse_room(&room_id)?;
        {
            let mut core = self.core();
            let own = core.own_user();
            let room = core.room(&id);
            (room.cipher, room.creator) = (Some(cipher), Some(own.clone()));
            room.joined.entry(own).or_default();
        }
        // The room is there; if its group cannot be made now, it is tried again.
        if let Err(error) = self.tend(&id).await {
            let mut core = self.core();
            core.room(&id).work = true;
            core.tell(Notice::Trouble { room_id: Some(room_id.clone()), reason: error.to_string() });
        }
        Ok(room_id)
    }

    /// The next step of a device that is not in the group.
    pub(super) async fn step_in(&self, id: &RoomId, layering: Layering) -> Result<Step, Error> {
        if self.use_welcomes(id, layering).await? {
            return Ok(Step::Again);
        }
        if self.core().gives_way(id) {
            return Ok(Step::Done);
        }
        let (is_creator, waits) = {
            let mut core = self.core();
            let own = core.own_user();
            let room = core.room(id);
            let since = *room.outside_since.get_or_insert_with(Instant::now);
            let waits = if room.lost { Duration::ZERO } else { self.pace.welcome.saturating_sub(since.elapsed()) };
            (room.creator.as_ref() == Some(&own), waits)
        };
        if !waits.is_zero() && !is_creator {
            return Ok(Step::Wait(waits.min(LOOK)));
        }
        match self.group(id).await? {
            // Whoever has made the room will make its group; its first commit will be told of.
            None if !is_creator && !self.takes_over(id) => Ok(Step::Done),
            None => self.create_group(id, layering).await,
            Some(_) if !waits.is_zero() => Ok(Step::Wait(waits.min(LOOK))),
            Some(group) => self.join_by_itself(id, layering, &group).await,
        }
    }

    /// Whether this device makes the group in the place of who has made the room, and has not made it for long. If it may,
    /// and it is not time yet, it looks again later.
    fn takes_over(&self, id: &RoomId) -> bool {
        let mut core = self.core();
        let own = core.own_user();
        let room = core.room(id);
        if !room.may_commit(&own) {
            return false;
        }
        // Not all at once; who comes too late finds a group and joins it.
        let at =
            *room.takes_over_at.get_or_insert_with(|| Instant::now() + self.pace.creator + part_of(self.pace.creator));
        room.look_again = Some(at);
        at <= Instant::now()
    }

    /// The next step of a device that is in the group, and has missed something.
    pub(super) async fn recover(&self, id: &RoomId, layering: Layering) -> Result<Step, Error> {
        let mut group = self.group_of(id).await?;
        if !self.core().room(id).is_read || !self.is_at(id, &group)? {
            self.catch_up(id).await?;
            group = self.group_of(id).await?;
        }
        if self.is_at(id, &group)? {
            let mut core = self.core();
            let room = core.room(id);
            (room.behind, room.lost, room.asked) = (false, false, 0);
            core.try_waiting(id)?;
            core.tell_status(id);
            return Ok(Step::Again);
        }
        let asked = {
            let mut core = self.core();
            let room = core.room(id);
            room.asked = if room.lost { MAX_ASKED } else { room.asked + 1 };
            room.asked
        };
        // The own server may not have the newest yet. If that does not help, something could not be applied, or the hub
        // went back to before what was.
        if asked < MAX_ASKED {
            return Ok(Step::Wait(self.pause(asked)));
        }
        self.core().room(id).lost = true;
        if self.core().gives_way(id) {
            return Ok(Step::Done);
        }
        self.join_by_itself(id, layering, &group).await
    }

    /// Whether this device is where the hub is.
    pub(super) fn is_at(&self, id: &RoomId, group: &GroupAnswer) -> Result<bool, EncryptionError> {
        let last = self.core().member.last_commit(id)?;
        Ok(last.as_ref() == Some(&group.state.last_commit))
    }

    async fn create_group(&self, id: &RoomId, layering: Layering) -> Result<Step, Error> {
        let binding = self.binding(id, &[], None).await?;
        let hub = binding.hub.as_ref().filter(|_| layering == Layering::Bound);
        let pending = self.core().unit(|core| {
            core.member.forget(id)?;
            let pending = core.member.create_group(id, layering, hub, &binding.binding)?;
            core.keep_pending(id, &pending, Sending { joins: true, updates: true, member: None }, &[])
        })?;
        Ok(self.submit(id, &pending).await?.next())
    }

    async fn join_by_itself(&self, id: &RoomId, layering: Layering, group: &GroupAnswer) -> Result<Step, Error> {
        let own = self.core().own_user();
        let binding = self.binding(id, &[own], None).await?;
        let pending = self.core().unit(|core| {
            let pending = core.member.join_external(id, layering, &group.state, &binding.binding)?;
            core.keep_pending(id, &pending, Sending { joins: true, updates: true, member: None }, &[])
        })?;
        tracing::debug!(room = %id, "joins the group by itself");
        let outcome = self.submit(id, &pending).await?;
        self.core().try_waiting(id)?;
        Ok(outcome.next())
    }

    /// Joins by a Welcome, if one has come for this room.
    async fn use_welcomes(&self, id: &RoomId, layering: Layering) -> Result<bool, Error> {
        let inbox = self.core().books.inbox()?;
        let named = |welcome: &WaitingWelcome| {
            welcome.content.get(WELCOME_ROOM).and_then(|room| room.as_str()).map(str::to_owned)
        };
        // The newest is the likeliest to be of use.
        let of_room = inbox.iter().rev().filter(|it| named(it).is_none_or(|room| room == id.as_str()));
        for welcome in of_room {
            let joined = self.use_welcome(id, layering, welcome).await?;
            // Without a room's name it may be another room's.
            if joined || named(welcome).is_some() {
                self.core().books.drop_from_inbox(welcome)?;
            }
            if joined {
                self.catch_up(id).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn use_welcome(&self, id: &RoomId, layering: Layering, waiting: &WaitingWelcome) -> Result<bool, Error> {
        let Ok(welcome) = WelcomeContent::parse(&waiting.content) else { return Ok(false) };
        let commit = welcome.commit_event_id.clone();
        let answer = match self.server.group(id.as_str(), Some(commit.as_str())).await {
            Ok(answer) => answer,
            Err(error) if is_not_found(&error) => {
                self.core().note_late_welcome(id, &welcome)?;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let tree = answer.get("ratchet_tree").and_then(|tree| tree.as_str()).and_then(axle_protocol::base64::decode);
        let tree = tree.ok_or(EncryptionError::Answer("ratchet_tree"))?;
        let mut core = self.core();
        let joined = core.unit(|core| {
            core.member.join(id, layering, &welcome, &tree)?;
            core.books.drop_pending(id)?;
            let epoch = core.member.epoch(id)?;
            core.begin_book(id, epoch)?;
            core.books.note_event(id, commit.as_str(), &EventBook::Commit)?;
            let members = core.member.members(id)?;
            core.plan_renewal(id, members.len(), self.pace)?;
            Ok(members)
        });
        match joined {
            Ok(members) => {
                core.meet(id, &members)?;
                core.arrived(id);
                Ok(true)
            }
            Err(EncryptionError::Group(error)) => {
                tracing::debug!(%error, room = %id, sender = waiting.sender, "a Welcome that is of no use");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
