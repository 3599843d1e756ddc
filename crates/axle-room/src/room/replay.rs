//! What a hub does that was restored from a backup: it takes the end of its own log back, from a server that has it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axle_mls::HubGroup;
use axle_mls::event::CommitContent;
use axle_mls::hub::{self, Merged};
use axle_mls::member::commit_epoch;
use axle_protocol::{Event, EventKind};

use super::change::{Change, Refusal};
use super::group::hub_sender;
use super::known::Known;
use super::place::FirstEvent;
use super::verified::Verified;
use super::{Identity, Room};

/// What came of events that a hub was told to have made.
#[derive(Debug)]
pub struct Replayed {
    /// What to store: as many of them as follow on the log.
    pub change: Change,
    /// Why the next one was not taken.
    pub refused: Option<Refusal>,
    /// A commit that is in the log again, and that the group did not take: the group stays in the epoch before it, and members
    /// have to come back to it by themselves.
    pub commit_refused: Option<hub::Refusal>,
}

impl Room {
    /// Appends events that this hub has made and forgotten, in their order, up to the first that is not the next of this very
    /// log. Each has our signature, so that nobody can make one up; and as there is only one order, whoever has it may tell.
    pub fn replay(&mut self, me: &Identity, events: &[Verified], known: &Known) -> Replayed {
        let mut replayed = Replayed { change: self.change(), refused: None, commit_refused: None };
        for event in events {
            if let Err(refusal) = self.replay_one(me, event.event(), known, &mut replayed) {
                replayed.refused = Some(refusal);
                break;
            }
        }
        if !replayed.change.events.is_empty()
            && let Err(refusal) = self.follow_membership(me, &Known::default(), &mut replayed.change)
        {
            replayed.refused.get_or_insert(refusal);
        }
        replayed
    }

    /// The epochs in which commits of these events were made, as far as the group has been in them: where it had gone back to one
    /// of them, it has to do so again.
    pub fn replay_epochs<'a>(&self, events: impl IntoIterator<Item = &'a Event>) -> BTreeSet<u64> {
        let Some(group) = self.group() else { return BTreeSet::new() };
        let commits = events.into_iter().filter(|event| event.event_type() == CommitContent::EVENT_TYPE);
        let contents = commits.filter_map(|event| CommitContent::parse(event.content()).ok());
        contents.filter_map(|content| commit_epoch(&content)).filter(|epoch| *epoch <= group.epoch()).collect()
    }

    fn replay_one(
        &mut self,
        me: &Identity,
        event: &Event,
        known: &Known,
        replayed: &mut Replayed,
    ) -> Result<(), Refusal> {
        self.check_own(event)?;
        self.judge(event, known).map_err(|kind| Refusal::Unfit(kind.to_string()))?;
        if event.event_type() == CommitContent::EVENT_TYPE && self.has_group() {
            match self.replay_commit(me, event, known, &replayed.change) {
                Ok((group, merged)) => {
                    let is_back = self.group().is_some_and(|before| group.epoch() <= before.epoch());
                    self.group = Some(Box::new(group));
                    match merged {
                        Some(merged) => self.note_merged(event.event_id(), merged, is_back, &mut replayed.change),
                        None => self.note_group(&mut replayed.change, false)?,
                    }
                }
                Err(refusal) => {
                    replayed.commit_refused.get_or_insert(refusal);
                }
            }
        }
        let position = self.next_position();
        self.place(event, position, known, FirstEvent::Join, &mut replayed.change);
        Ok(())
    }

    /// Whether an event is the next that we made in this room.
    fn check_own(&self, event: &Event) -> Result<(), Refusal> {
        self.check_hub()?;
        if *event.room_id() != self.id || event.version() != self.version || event.kind() != EventKind::Pdu {
            return Err(Refusal::Unfit("the event is no finished event of this room".into()));
        }
        // What somebody else has signed, and not we, anybody may have made at any time.
        let is_ours = event.sender().server_str() == self.us.as_str() || event.hub_server() == Some(&self.us);
        if !is_ours {
            return Err(Refusal::Unfit("the event was not made by this hub".into()));
        }
        let head = self.head.as_ref().map(|head| &head.event_id);
        if event.prev_events().len() != 1 || event.prev_events().first() != head {
            return Err(Refusal::Unfit("the event does not follow on this log".into()));
        }
        Ok(())
    }

    /// The group after a commit, and what the commit came to, if it is not the first.
    fn replay_commit(
        &self,
        me: &Identity,
        event: &Event,
        known: &Known,
        change: &Change,
    ) -> Result<(HubGroup, Option<Merged>), hub::Refusal> {
        let content = CommitContent::parse(event.content()).map_err(|_| hub::Refusal::Malformed("the commit"))?;
        let broken = |error: &dyn std::error::Error| hub::Refusal::Invalid(error.to_string());
        let Some(group) = self.group() else {
            let layering = self.encryption().ok_or(hub::Refusal::NoGroup)?.layering;
            let (created, _) = HubGroup::found(&self.id, layering, &hub_sender(me), &content)?;
            return Ok((created.confirm(event.event_id().clone()), None));
        };
        // On a copy: what fails half-way leaves nothing that can be used. What the last commit came to is written down already.
        let bytes = match change.groups.last() {
            Some(last) => Cow::Borrowed(&last.state),
            None => Cow::Owned(group.to_bytes().map_err(|error| broken(&error))?),
        };
        let mut copy = HubGroup::from_bytes(&bytes).map_err(|error| broken(&error))?;
        if let Some(epoch) = commit_epoch(&content).filter(|epoch| *epoch < copy.epoch()) {
            let of_change = change.groups.iter().find(|group| group.epoch == epoch).map(|group| &group.state);
            let state = of_change.or_else(|| known.groups.get(&epoch)).ok_or(hub::Refusal::Outdated)?;
            copy = copy.replay_back(epoch, state).map_err(|error| broken(&error))?;
        }
        let merged = copy.replay(&content, &self.group_view(&Known::default().devices), event.event_id().clone())?;
        Ok((copy, Some(merged)))
    }
}
