//! What a server keeps of devices: those that users publish, KeyPackages, Welcomes, and EDUs on their way.

use std::collections::{BTreeMap, BTreeSet};

use axle_mls::Credential;
use axle_mls::event::WelcomeContent;
use axle_protocol::UserId;

use crate::wire::{Edu, NodeId};

/// By how much the versions of what is published go on in an older copy.
const RESTORED_STEP: u64 = 1_000;

/// Devices and what is theirs. Those of this server are named by their index.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    published: BTreeMap<UserId, (u64, Vec<Credential>)>,
    packages: BTreeMap<usize, Packages>,
    mail: BTreeMap<usize, Vec<WelcomeContent>>,
    /// EDUs that their destination has not taken yet.
    pub outbox: BTreeMap<u64, (NodeId, Edu)>,
    next_edu: u64,
}

#[derive(Debug, Clone, Default)]
struct Packages {
    once: Vec<Vec<u8>>,
    last_resort: Option<Vec<u8>>,
}

/// Something to be written.
#[derive(Debug, Clone)]
pub enum DeviceWrite {
    /// The devices that a user publishes, and the servers that are told.
    Publish {
        /// The user.
        user: UserId,
        /// Counts changes.
        version: u64,
        /// All of them.
        devices: Vec<Credential>,
        /// Whom to tell.
        tell: Vec<NodeId>,
    },
    /// KeyPackages of a device: those to be used once, the one of last resort. Another credential makes earlier ones void.
    Upload(usize, Vec<Vec<u8>>, Option<Vec<u8>>, bool),
    /// A KeyPackage was claimed.
    Claimed(usize, Vec<u8>),
    /// A Welcome for a device of this server.
    Mail(usize, WelcomeContent),
    /// A Welcome for a device of another server.
    Post(NodeId, usize, WelcomeContent),
    /// An EDU was taken.
    Taken(u64),
}

impl Devices {
    /// What is published of these users.
    pub fn of(&self, users: &BTreeSet<UserId>) -> axle_room::Devices {
        let mut devices = axle_room::Devices::default();
        for user in users {
            if let Some((_, published)) = self.published.get(user) {
                devices.put(user.clone(), published.clone());
            }
        }
        devices
    }

    /// The devices of a user; `None`: nothing is known.
    pub fn published(&self, user: &UserId) -> Option<&[Credential]> {
        self.published.get(user).map(|(_, devices)| devices.as_slice())
    }

    /// How often that has changed.
    pub fn version(&self, user: &UserId) -> u64 {
        self.published.get(user).map_or(0, |(version, _)| *version)
    }

    /// A KeyPackage of a device that is not among these, which have been given out.
    pub fn package(&self, device: usize, given: &BTreeSet<Vec<u8>>) -> Option<Vec<u8>> {
        let packages = self.packages.get(&device)?;
        packages.once.iter().find(|package| !given.contains(*package)).or(packages.last_resort.as_ref()).cloned()
    }

    /// How many KeyPackages of a device are left, besides the one of last resort.
    pub fn packages_left(&self, device: usize) -> usize {
        self.packages.get(&device).map_or(0, |packages| packages.once.len())
    }

    /// What has come for a device. Then it is gone from here.
    pub fn fetch_mail(&mut self, device: usize) -> Vec<WelcomeContent> {
        self.mail.remove(&device).unwrap_or_default()
    }

    /// This is a copy of an earlier time, of this server: keys of it may have been given out since. Others are told of its
    /// users' devices anew, and have told it of theirs.
    pub fn put_back(&mut self, newer: Self, server: &str, others: &[NodeId]) {
        self.packages.values_mut().for_each(|packages| packages.once.clear());
        self.published.retain(|user, _| user.server_str() == server);
        for (user, (version, devices)) in self.published.clone() {
            let version = version + RESTORED_STEP;
            self.apply(&DeviceWrite::Publish { user, version, devices, tell: others.to_vec() });
        }
        let of_others = newer.published.into_iter().filter(|(user, _)| user.server_str() != server);
        self.published.extend(of_others);
    }

    pub(super) fn apply(&mut self, write: &DeviceWrite) {
        match write {
            DeviceWrite::Publish { user, version, devices, tell } => {
                let known = self.published.get(user).map_or(0, |(version, _)| *version);
                if *version > known {
                    self.published.insert(user.clone(), (*version, devices.clone()));
                }
                for node in tell {
                    let edu = Edu::Devices { user: user.clone(), version: *version, devices: devices.clone() };
                    self.post(*node, edu);
                }
            }
            DeviceWrite::Upload(device, once, last_resort, anew) => {
                let packages = self.packages.entry(*device).or_default();
                if *anew {
                    *packages = Packages::default();
                }
                packages.once.extend(once.iter().cloned());
                packages.last_resort = last_resort.clone().or(packages.last_resort.take());
            }
            DeviceWrite::Claimed(device, package) => {
                self.packages.entry(*device).or_default().once.retain(|other| other != package);
            }
            DeviceWrite::Mail(device, welcome) => self.mail.entry(*device).or_default().push(welcome.clone()),
            DeviceWrite::Post(node, device, welcome) => self.post(*node, Edu::Welcome(*device, welcome.clone())),
            DeviceWrite::Taken(id) => drop(self.outbox.remove(id)),
        }
    }

    fn post(&mut self, node: NodeId, edu: Edu) {
        self.next_edu += 1;
        self.outbox.insert(self.next_edu, (node, edu));
    }
}
