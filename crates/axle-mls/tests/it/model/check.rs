//! What must hold, whatever happens.

use axle_mls::Member;
use axle_mls::limits::MAX_PAST_EPOCHS;

use super::world::World;
use crate::common::key;

impl World {
    /// All devices that are where a commit of the log leads have the same secrets.
    pub(super) fn check_authenticator(&mut self, device: usize, commit: usize) {
        let id = self.sim.id.clone();
        let authenticator = self.sim.member(device).epoch_authenticator(&id).unwrap();
        let expected = self.epochs[commit].authenticator.get_or_insert_with(|| authenticator.clone());
        assert_eq!(*expected, authenticator, "device {device} has other secrets after commit {commit}");
        assert_eq!(self.sim.member(device).epoch(&id).unwrap(), self.epochs[commit].number);
    }

    /// A device reads its next message: it can if it is one of its epoch and in time, and nobody else can. Afterwards the
    /// key is gone.
    pub(super) fn hear(&mut self, device: usize) {
        let (index, id) = (self.states[device].heard, self.sim.id.clone());
        self.states[device].heard += 1;
        let message = &self.messages[index];
        let (sender, content, text) = (message.sender, message.content.clone(), message.text.clone().into_bytes());
        let epoch = &self.epochs[message.commit];
        if sender == device || epoch.void {
            return;
        }
        let of_it = self.states[device].since.is_some_and(|since| since <= message.commit);
        let past = self.sim.member(device).epoch(&id).unwrap().saturating_sub(epoch.number);
        if of_it && self.rng.percent(10) {
            return self.states[device].unread.push(index);
        }
        let read = self.sim.member(device).decrypt(&id, &content);
        if !of_it || past > MAX_PAST_EPOCHS as u64 {
            assert!(read.is_err(), "device {device} reads message {index} of another epoch");
            return;
        }
        let read = read.unwrap_or_else(|error| panic!("device {device}, message {index}: {error}"));
        assert_eq!((read.plaintext, read.sender), (text, self.sim.credential(sender)));
        assert!(self.thief(device).decrypt(&id, &content).is_err(), "message {index} can be read twice");
    }

    /// Somebody who has a device's store as it is now.
    fn thief(&self, device: usize) -> Member {
        let own = self.sim.credential(device);
        Member::open(key(own.user_id.as_str(), &own.device_id), self.sim.devices[device].store.copy())
    }

    /// Messages of epochs that a device was not in cannot be read with what it has now, nor with what it had when its user
    /// was kicked and the whole log.
    pub(super) fn check_outsiders(&mut self) {
        let id = self.sim.id.clone();
        for device in 0..self.states.len() {
            let mut now = self.thief(device);
            let mut stolen = self.states[device].stolen.take().map(|(store, seen)| {
                let own = self.sim.credential(device);
                let mut thief = Member::open(key(own.user_id.as_str(), &own.device_id), store);
                for (commit, (event_id, content)) in self.sim.log.iter().enumerate().skip(seen) {
                    // Its own removal it leaves out.
                    if self.epochs[commit].members.contains(&device) {
                        let _ = thief.process(&id, content, event_id);
                    }
                }
                thief
            });
            for (index, message) in self.messages.iter().enumerate() {
                if self.epochs[message.commit].members.contains(&device) {
                    continue;
                }
                for thief in std::iter::once(&mut now).chain(&mut stolen) {
                    let read = thief.decrypt(&id, &message.content);
                    assert!(read.is_err(), "device {device} was not there and reads message {index}");
                }
            }
        }
    }

    /// What was not read in time cannot be read any more; what is not late, can.
    pub(super) fn check_what_was_not_read(&mut self) {
        let id = self.sim.id.clone();
        for device in 0..self.states.len() {
            for index in std::mem::take(&mut self.states[device].unread) {
                let message = &self.messages[index];
                let epoch = &self.epochs[message.commit];
                let mut thief = self.thief(device);
                let Ok(current) = thief.epoch(&id) else { continue };
                let late = current.saturating_sub(epoch.number) > MAX_PAST_EPOCHS as u64;
                let here = self.states[device].since.is_some_and(|since| since <= message.commit);
                let read = thief.decrypt(&id, &message.content);
                assert_eq!(read.is_ok(), here && !late && !epoch.void, "device {device}, message {index}");
            }
        }
    }
}
