//! What who is not in the group can read: with a device's store as it was when its user was put out and everything that
//! servers saw since, with the stores as they are in the end, and with what was not there yet when it was said.

use axle_mls::limits::MAX_PAST_EPOCHS;
use axle_mls::member::MemoryStore;
use axle_mls::{DeviceKey, Layering, Member};
use axle_protocol::RoomId;

use super::groups::{Groups, Message};
use crate::device::Device;

/// Messages that each store is tried with, and stores of who was put out.
const TRIED_MESSAGES: usize = 24;
const TRIED_THIEVES: usize = 8;
/// Welcomes that a thief tries.
const TRIED_WELCOMES: usize = 3;

/// Who has a device's store as it was once.
pub(super) struct Thief {
    device: usize,
    key: DeviceKey,
    store: MemoryStore,
    /// How many commits the log had then.
    commits: usize,
}

impl Thief {
    pub(super) fn of(device: &Device, commits: usize) -> Self {
        Self { device: device.index, key: device.key().clone(), store: device.store.copy(), commits }
    }
}

impl Groups {
    /// Nobody reads what was said while they were not in the group, nor again what was read, nor what is too old.
    pub(super) fn check_thieves(
        &self,
        room: &RoomId,
        messages: &[Message<'_>],
        devices: &[&mut Device],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for device in devices {
            let newest = (&device.store, TRIED_MESSAGES);
            let images = device.images.iter().map(|image| (image, usize::MAX));
            for (store, tries) in images.chain([newest]) {
                let mut thief = Member::open(device.key().clone(), store.copy());
                wrong.extend(self.reads(device.index, &mut thief, room, messages, tries));
            }
        }
        // The last ones have most before them.
        for stolen in self.thieves.iter().rev().take(TRIED_THIEVES) {
            let mut thief = Member::open(stolen.key.clone(), stolen.store.copy());
            self.follow_as_thief(&mut thief, stolen.device, room, stolen.commits);
            wrong.extend(self.reads_of_others(stolen.device, &mut thief, room, messages));
            let welcomes = devices.iter().find(|device| device.index == stolen.device).map(|it| it.welcomes.as_slice());
            for welcome in welcomes.unwrap_or_default().iter().rev().take(TRIED_WELCOMES) {
                let mut thief = Member::open(stolen.key.clone(), stolen.store.copy());
                let Some(commit) = self.commits.iter().position(|(id, _)| *id == welcome.commit_event_id) else {
                    continue;
                };
                let tree = self.epochs.get(&welcome.commit_event_id).map(|epoch| epoch.tree.as_slice());
                if thief.join(room, Layering::OnTop, welcome, tree.unwrap_or_default()).is_ok() {
                    self.follow_as_thief(&mut thief, stolen.device, room, commit + 1);
                    wrong.extend(self.reads_of_others(stolen.device, &mut thief, room, messages));
                }
            }
        }
        wrong
    }

    /// Processes every commit since, as long as the device was in the group. Its own removal it leaves out: that would make
    /// it forget.
    fn follow_as_thief(&self, thief: &mut Member, device: usize, room: &RoomId, from: usize) {
        for (id, content) in self.commits.iter().skip(from) {
            if self.epochs.get(id).is_some_and(|epoch| epoch.members.contains(&device)) {
                thief.process(room, content, id).ok();
            }
        }
    }

    /// What a store that belongs to a device opens of what it must not.
    fn reads(
        &self,
        device: usize,
        thief: &mut Member,
        room: &RoomId,
        messages: &[Message<'_>],
        tries: usize,
    ) -> Vec<String> {
        let current = thief.epoch(room).ok();
        let may = |message: &&Message<'_>| {
            let epoch = self.epochs.get(&message.content.commit_event_id);
            epoch.is_some_and(|epoch| {
                let is_late = current.is_some_and(|current| epoch.number + (MAX_PAST_EPOCHS as u64) < current);
                let is_read = self.has_read(device, message.event_id);
                epoch.members.contains(&device) && !is_late && !is_read
            })
        };
        let forbidden = messages.iter().rev().filter(|message| !may(message)).take(tries);
        let opened = forbidden.filter(|message| thief.decrypt(room, &message.content).is_ok());
        opened.map(|_| format!("what d{device} keeps opens a message that it must not open (any more)")).collect()
    }

    /// What a thief opens of what was said in epochs in which the device was not in the group.
    fn reads_of_others(
        &self,
        device: usize,
        thief: &mut Member,
        room: &RoomId,
        messages: &[Message<'_>],
    ) -> Vec<String> {
        let is_outside = |message: &&Message<'_>| {
            let epoch = self.epochs.get(&message.content.commit_event_id);
            epoch.is_none_or(|epoch| !epoch.members.contains(&device))
        };
        let outside = messages.iter().rev().filter(is_outside).take(TRIED_MESSAGES);
        let opened = outside.filter(|message| thief.decrypt(room, &message.content).is_ok());
        opened.map(|_| format!("who was put out with d{device} reads a later message")).collect()
    }
}
