//! What must hold of the group of an encrypted room.
//!
//! - Devices that a commit of the log has led somewhere have the same secrets there, and the hub's group is where the
//!   newest commit of its log led, unless it has gone back since.
//! - When all is well, the group has exactly the devices that the room wants, and they are where the hub is.
//! - What is said is read as it was said, by devices that were in the group then, and the last words by all of them.
//! - Nobody is in quarantine whose commits were good.
//! - Half of a pair is never in the log. An honest device is refused because of what others do, never for what it has made.
//! - Of several that commit at once: on top, N are refused N(N-1)/2 times at most, and once more for each commit between; bound,
//!   see [`Races`].

use std::collections::{BTreeMap, BTreeSet};

use axle_mls::event::{CommitContent, EncryptedContent};
use axle_mls::hub::OWN_FAULTS;
use axle_mls::{Credential, HubGroup};
use axle_protocol::{EventId, RoomId};

use super::thieves::Thief;
use crate::device::{Device, DeviceFact, index_of};
use crate::disk::RoomLog;
use crate::node::{Node, REQUEST};
use crate::world::LAST_WORD;

/// Collects what devices do.
#[derive(Default)]
pub struct Groups {
    /// The group after each commit of the log.
    pub(super) epochs: BTreeMap<EventId, Epoch>,
    /// The commits, in the order of the log.
    pub(super) commits: Vec<(EventId, CommitContent)>,
    pub(super) thieves: Vec<Thief>,
    followed: i64,
    has_gone_back: bool,
    arrived: BTreeMap<EventId, (usize, u64, Vec<u8>)>,
    said: BTreeMap<Vec<u8>, (usize, String)>,
    read: Vec<(usize, EventId, Vec<u8>, Credential)>,
    refused_pairs: BTreeSet<String>,
    races: BTreeMap<usize, Race>,
}

/// The group after a commit.
pub(super) struct Epoch {
    pub number: u64,
    pub members: BTreeSet<usize>,
    pub tree: Vec<u8>,
}

/// A message of the hub's log.
pub(super) struct Message<'a> {
    pub event_id: &'a EventId,
    pub content: EncryptedContent,
}

/// Several devices that committed at once.
#[derive(Debug, Default, Clone)]
struct Race {
    devices: u64,
    commits: u64,
    lost: u64,
    losers: BTreeSet<usize>,
    done: u64,
    /// How many commits the log had when it began.
    began_at: u64,
    /// The same, when the last of them was through.
    ended_at: u64,
    /// How often the hub crashed before that: others were refused for a commit that it then had not kept.
    crashes: u64,
}

/// What all races of a run came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Races {
    /// How many times a device's commit was too late.
    pub lost: u64,
    /// How many commits were made after the first.
    pub retries: u64,
    /// How many devices lost at least once.
    pub losers: u64,
}

impl Races {
    /// Adds those of another run.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.retries += other.retries;
        self.losers += other.losers;
    }
}

impl Groups {
    /// Notes what a device has done. Returns what is wrong with it.
    pub fn fact(&mut self, device: usize, fact: &DeviceFact) -> Option<String> {
        match fact {
            DeviceFact::Arrived { commit, epoch, authenticator } => {
                let here = (device, *epoch, authenticator.clone());
                let (first, number, expected) = &*self.arrived.entry(commit.clone()).or_insert(here);
                let is_same = (number, expected) == (epoch, authenticator);
                return (!is_same).then(|| format!("d{device} has other secrets in epoch {epoch} than d{first}"));
            }
            DeviceFact::Said(ciphertext, text) => drop(self.said.insert(ciphertext.clone(), (device, text.clone()))),
            DeviceFact::Read(event_id, text, sender) => {
                self.read.push((device, event_id.clone(), text.clone(), sender.clone()));
            }
            DeviceFact::Refused(code) if OWN_FAULTS.contains(&code.as_str()) => {
                return Some(format!("d{device} is honest, and refused: {code}"));
            }
            DeviceFact::PairRefused(mark) => drop(self.refused_pairs.insert(mark.clone())),
            DeviceFact::RaceCommit(race) => self.race(*race).commits += 1,
            DeviceFact::RaceLost(race) => {
                let race = self.race(*race);
                race.lost += 1;
                race.losers.insert(device);
            }
            DeviceFact::RaceDone(race) => {
                let now = self.commits.len() as u64;
                let race = self.race(*race);
                (race.done, race.ended_at) = (race.done + 1, now);
            }
            DeviceFact::Failed(what) => return Some(format!("d{device}: {what}")),
            DeviceFact::Refused(_) | DeviceFact::Line(_) | DeviceFact::Covered(_) => {}
        }
        None
    }

    /// So many devices are about to commit at once.
    pub fn race_begins(&mut self, race: usize, devices: usize) {
        let began_at = self.commits.len() as u64;
        *self.race(race) = Race { devices: devices as u64, began_at, ended_at: began_at, ..Race::default() };
    }

    /// The hub has an older disk: until the next commit its group may be where an earlier one has led.
    pub fn put_back(&mut self) {
        self.has_gone_back = true;
    }

    /// The hub crashes.
    pub fn hub_crashes(&mut self) {
        let open = self.races.values_mut().filter(|race| race.done < race.devices);
        open.for_each(|race| race.crashes += 1);
    }

    /// Somebody takes a device's store as it is now.
    pub fn steal(&mut self, device: &Device) {
        self.thieves.push(Thief::of(device, self.commits.len()));
    }

    /// Follows the hub's log, which has grown durably. Returns what is wrong.
    pub fn follow(&mut self, hub: &Node, room: &RoomId, devices: &[&Device]) -> Option<String> {
        let log = hub.disk.rooms.get(room)?;
        let from = self.followed;
        for (position, id) in log.timeline.range(from..) {
            self.followed = position + 1;
            let Some(event) = log.event(id) else { continue };
            if let (Some("leave" | "ban"), Some(user)) = (event.membership(), event.state_key()) {
                devices.iter().filter(|device| device.user.as_str() == user).for_each(|device| self.steal(device));
            }
            if event.event_type() == CommitContent::EVENT_TYPE
                && let Ok(content) = CommitContent::parse(event.content())
            {
                self.has_gone_back = false;
                self.commits.push((id.clone(), content));
                self.note_epoch(log, id);
            }
        }
        let (number, newest) = log.groups.last_key_value()?;
        let group = HubGroup::from_bytes(&newest.state).ok();
        let quarantine = group.as_ref().map_or(&[][..], HubGroup::quarantine);
        let is_good = |credential: &&Credential| {
            let device = devices.iter().find(|device| index_of(credential) == Some(device.index));
            device.is_some_and(|device| !device.is_culprit)
        };
        if let Some(honest) = quarantine.iter().find(is_good) {
            return Some(format!("{} of {} is in quarantine for nothing", honest.device_id, honest.user_id));
        }
        if self.commits.last().is_none_or(|(id, _)| *id != newest.commit) {
            // Who has made it go back is in quarantine.
            self.has_gone_back |= newest.is_back || !quarantine.is_empty();
            let wrong = format!("the hub's group is in epoch {number}, and its log has a commit after that");
            return (!self.has_gone_back).then_some(wrong);
        }
        None
    }

    /// Checks everything that was said and read, when all is over.
    pub fn finish(&mut self, hub: &Node, room: &RoomId, devices: &mut [&mut Device]) -> Vec<String> {
        let Some(log) = hub.disk.rooms.get(room) else { return Vec::new() };
        let messages = messages(log);
        let mut wrong = self.check_reading(&messages);
        wrong.extend(self.check_last_words(hub, room, &messages));
        wrong.extend(self.check_pairs(log));
        wrong.extend(self.check_races(devices));
        wrong.extend(self.check_thieves(room, &messages, devices));
        wrong
    }

    /// What all races came to.
    pub fn races(&self) -> Races {
        let races = self.races.values();
        let retries = |race: &Race| race.commits.saturating_sub(race.devices);
        races.fold(Races::default(), |mut sum, race| {
            sum.add(Races { lost: race.lost, retries: retries(race), losers: race.losers.len() as u64 });
            sum
        })
    }

    /// The newest commit of the log, and the epoch that it led to.
    pub fn newest(&self) -> Option<(u64, &CommitContent)> {
        let (id, content) = self.commits.last()?;
        Some((self.epochs.get(id)?.number, content))
    }

    pub(super) fn has_read(&self, device: usize, event_id: &EventId) -> bool {
        self.read.iter().any(|(reader, id, ..)| (*reader, id) == (device, event_id))
    }

    fn race(&mut self, race: usize) -> &mut Race {
        self.races.entry(race).or_default()
    }

    fn note_epoch(&mut self, log: &RoomLog, commit: &EventId) {
        let kept = log.groups.values().find(|group| group.commit == *commit);
        let group = kept.and_then(|kept| HubGroup::from_bytes(&kept.state).ok());
        // It was taken back before it could be seen.
        let gone = Epoch { number: 0, members: BTreeSet::new(), tree: Vec::new() };
        let epoch = group.map_or(gone, |group| Epoch {
            number: group.epoch(),
            members: group.members().filter_map(index_of).collect(),
            tree: group.ratchet_tree(),
        });
        self.epochs.insert(commit.clone(), epoch);
    }

    fn check_reading(&self, messages: &[Message<'_>]) -> Vec<String> {
        let by_id: BTreeMap<&EventId, &Message<'_>> = messages.iter().map(|it| (it.event_id, it)).collect();
        let mut wrong = Vec::new();
        for (reader, event_id, text, sender) in &self.read {
            let Some(message) = by_id.get(event_id) else {
                wrong.push(format!("d{reader} has read what the hub does not have"));
                continue;
            };
            let said = self.said.get(&message.content.ciphertext);
            if said.is_none_or(|(device, said)| index_of(sender) != Some(*device) || said.as_bytes() != text) {
                wrong.push(format!("d{reader} has read something else than was said"));
            }
            let epoch = self.epochs.get(&message.content.commit_event_id);
            if epoch.is_none_or(|epoch| !epoch.members.contains(reader)) {
                wrong.push(format!("d{reader} was not in the group and has read a message"));
            }
        }
        wrong
    }

    fn check_last_words(&self, hub: &Node, room: &RoomId, messages: &[Message<'_>]) -> Vec<String> {
        let Some(group) = hub.disk.group(room) else { return Vec::new() };
        let members: BTreeSet<usize> = group.members().filter_map(index_of).collect();
        let mut wrong = Vec::new();
        let mut spoken = BTreeSet::new();
        for message in messages {
            let Some((speaker, text)) = self.said.get(&message.content.ciphertext) else { continue };
            if !text.starts_with(LAST_WORD) {
                continue;
            }
            spoken.insert(*speaker);
            let deaf = members.iter().filter(|device| *device != speaker && !self.has_read(**device, message.event_id));
            wrong.extend(deaf.map(|device| format!("d{device} has not read the last word of d{speaker}")));
        }
        wrong.extend(members.difference(&spoken).map(|device| format!("d{device} could not say a last word")));
        wrong
    }

    fn check_pairs(&self, log: &RoomLog) -> Vec<String> {
        let marks = log.ordered().filter(|(_, event)| event.membership().is_some());
        let marks = marks.filter_map(|(_, event)| event.content().get(REQUEST)?.as_str().map(str::to_owned));
        let halves = marks.filter(|mark| self.refused_pairs.contains(mark));
        halves.map(|mark| format!("half of the pair {mark} is in the log, which was refused")).collect()
    }

    /// A device of a race loses once at most to each commit of the time: those of the race, others, and those that were lost in
    /// a crash.
    fn check_races(&self, devices: &[&mut Device]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, race) in &self.races {
            let others = race.ended_at.saturating_sub(race.began_at).saturating_sub(race.done);
            let most = race.devices * race.devices.saturating_sub(1) / 2 + race.devices * (others + race.crashes);
            if race.done == race.devices && race.lost > most {
                wrong.push(format!("race {number}: {} refusals, {most} at most expected: {race:?}", race.lost));
            }
        }
        let waiting = devices.iter().filter(|device| device.is_alive && device.intent.is_some());
        wrong.extend(waiting.map(|device| format!("d{} never got what it wanted in a race", device.index)));
        wrong
    }
}

/// Whether hub and devices agree on the group, and it is what the room wants.
pub fn is_together(hub: &Node, room: &RoomId, devices: &mut [&mut Device]) -> Vec<String> {
    let (Some(log), Some(group)) = (hub.disk.rooms.get(room), hub.disk.group(room)) else {
        return vec!["there is no group".into()];
    };
    let members: BTreeSet<usize> = group.members().filter_map(index_of).collect();
    let is_wanted = |device: &Device| device.is_alive && log.is_joined(device.user.as_str());
    let wanted: BTreeSet<usize> = devices.iter().filter(|it| is_wanted(it)).map(|it| it.index).collect();
    let mut wrong = Vec::new();
    if members != wanted {
        wrong.push(format!("the group has {members:?}, and the room wants {wanted:?}"));
    }
    let mut authenticators = BTreeSet::new();
    for device in devices.iter_mut().filter(|device| wanted.contains(&device.index)) {
        let (index, is_in, commit) = (device.index, device.is_in(), device.commit());
        let epoch = device.member.epoch(room).unwrap_or(0);
        if !is_in || commit.as_ref() != group.last_commit() || epoch != group.epoch() {
            wrong.push(format!("d{index} is in epoch {epoch} (in the group: {is_in}), the hub in {}", group.epoch()));
        }
        authenticators.extend(device.member.epoch_authenticator(room).ok());
    }
    if authenticators.len() > 1 {
        wrong.push(format!("there are {} authenticators", authenticators.len()));
    }
    wrong
}

fn messages(log: &RoomLog) -> Vec<Message<'_>> {
    let events = log.ordered().filter(|(_, event)| event.event_type() == EncryptedContent::EVENT_TYPE);
    let messages = events.filter_map(|(_, event)| {
        Some(Message { event_id: event.event_id(), content: EncryptedContent::parse(event.content()).ok()? })
    });
    messages.collect()
}
