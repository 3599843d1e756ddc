//! What has to be done for a group: devices that are missing are added, those that have to leave removed, keys renewed.

use std::time::{Duration, Instant};

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::{CheckedKeyPackage, Credential, Layering};
use axle_protocol::{RoomId, UserId, base64};
use serde_json::Value;

use super::commits::{Outcome, Wanted};
use super::core::Core;
use super::engine::{Engine, MAX_TRIES, Step, part_of, refused};
use super::rooms::Room;
use super::{EncryptionError, Notice};
use crate::Error;

/// Steps that are taken for a group at a time.
const MAX_STEPS: u32 = 100;
/// How long a device may be in a group before anybody is told that its user's server does not know it.
const STRANGER: Duration = Duration::from_secs(30);
/// Devices that one commit adds at most; more follow in the next.
const MAX_ADDED: usize = 50;
/// How many pauses after a refusal a device is left out at first that the hub does not take.
const PAUSES_LEFT_OUT: u32 = 16;
/// KeyPackages that are kept for the next try, in one room.
const MAX_CLAIMED: usize = 200;
/// Turns that a device may wait at most in a large group.
const MAX_TURNS: u32 = 5;
/// Members for whom there is one turn more.
const MEMBERS_A_TURN: usize = 8;

/// What a group lacks.
struct Lack {
    missing: Vec<Credential>,
    /// Whether devices are in it that should not be, as far as is known here.
    surplus: bool,
    update: bool,
    /// Whether this device should see to it at once.
    is_ours: bool,
    /// How many turns it leaves to others otherwise.
    turns: u32,
}

impl Engine {
    /// Does what has to be done for a group, until there is nothing more, or the hub has refused too often.
    pub(super) async fn tend(&self, id: &RoomId) -> Result<(), Error> {
        self.tend_until(id, false).await
    }

    /// The same, but leaves to others what is theirs to do first.
    pub(super) async fn tend_now(&self, id: &RoomId) -> Result<(), Error> {
        self.tend_until(id, true).await
    }

    async fn tend_until(&self, id: &RoomId, now: bool) -> Result<(), Error> {
        let (mut tries, mut steps, mut had_turn, mut refusal) = (0, 0, false, String::new());
        while tries < MAX_TRIES && steps < MAX_STEPS {
            let step = {
                let _lock = self.lock(id).await;
                self.next_step(id, had_turn).await?
            };
            match step {
                Step::Done => return Ok(()),
                Step::Again => steps += 1,
                Step::Wait(pause) => tokio::time::sleep(pause).await,
                Step::Turn(_) if now => return Ok(()),
                Step::Turn(pause) => {
                    had_turn = true;
                    tokio::time::sleep(pause).await;
                }
                Step::Refused(code) => {
                    tries += 1;
                    refusal = code;
                    tokio::time::sleep(self.pause(tries)).await;
                }
            }
        }
        Err(refused(refusal))
    }

    /// One step, while nobody else does anything to the group.
    async fn next_step(&self, id: &RoomId, had_turn: bool) -> Result<Step, Error> {
        let layering = {
            let mut core = self.core();
            let own = core.own_user();
            let room = core.room(id);
            room.layering().filter(|_| room.joined.contains_key(&own))
        };
        let Some(layering) = layering else { return Ok(Step::Done) };
        self.settle_old(id).await?;
        if !self.core().is_in(id)? {
            return self.step_in(id, layering).await;
        }
        self.send_reports(id).await?;
        let has_missed = {
            let mut core = self.core();
            let room = core.room(id);
            room.behind || room.lost
        };
        self.check_doubtful(id).await?;
        if has_missed { self.recover(id, layering).await } else { self.fill(id, layering, had_turn).await }
    }

    async fn fill(&self, id: &RoomId, layering: Layering, had_turn: bool) -> Result<Step, Error> {
        let users: Vec<UserId> = self.core().room(id).joined.keys().cloned().collect();
        self.learn_devices(&users).await?;
        let lack = self.core().lack(id)?;
        if lack.missing.is_empty() && !lack.surplus && !lack.update {
            return Ok(Step::Done);
        }
        if !lack.is_ours && !had_turn {
            return Ok(Step::Turn(self.pace.turn * lack.turns / 2 + part_of(self.pace.turn * lack.turns)));
        }
        let group = self.group_of(id).await?;
        if !self.is_at(id, &group)? {
            self.core().room(id).behind = true;
            return Ok(Step::Again);
        }
        let Some(mut wanted) = self.core().removals(id, layering, group.proposals, &group.removals_due)? else {
            return Ok(Step::Done);
        };
        let is_proposed = |device: &Credential| wanted.queued_adds.iter().any(|other| other.is_same_device(device));
        let missing: Vec<Credential> = lack.missing.into_iter().filter(|device| !is_proposed(device)).collect();
        wanted.add = self.claim(id, &missing).await?;
        wanted.update = lack.update;
        if wanted.add.is_empty() && wanted.remove.is_empty() && wanted.queued.is_empty() && !wanted.update {
            return Ok(Step::Done);
        }
        let binding = self.binding(id, &wanted.added_users(), None).await?;
        let packages = wanted.add.clone();
        let pending = self.make_commit(id, wanted, &binding)?;
        let outcome = self.submit(id, &pending).await?;
        let finds_out = self.core().room(id).note_adding(packages, &outcome, self.pace.retry * PAUSES_LEFT_OUT);
        Ok(if finds_out { Step::Again } else { outcome.next() })
    }

    /// Claims a KeyPackage for each of these devices. Those that have none are left out.
    async fn claim(&self, id: &RoomId, devices: &[Credential]) -> Result<Vec<CheckedKeyPackage>, Error> {
        let at_once = self.core().room(id).at_once.unwrap_or(MAX_ADDED);
        let devices = devices.get(..at_once).unwrap_or(devices);
        let mut packages = self.core().room(id).take_claimed(devices);
        let missing = |device: &&Credential| !packages.iter().any(|package| package.credential() == *device);
        let devices: Vec<&Credential> = devices.iter().filter(missing).collect();
        if devices.is_empty() {
            return Ok(packages);
        }
        let named: Vec<_> = devices.iter().map(|it| (it.user_id.as_str().to_owned(), it.device_id.clone())).collect();
        let claimed = self.server.claim_keys(KEY_PACKAGE_ALGORITHM, &named).await?;
        for device in devices {
            let keys = claimed.get(device.user_id.as_str()).and_then(|devices| devices.get(&device.device_id));
            match keys.and_then(package).filter(|package| package.credential() == device) {
                Some(package) => packages.push(package),
                None => self.core().room(id).has_no_package(device),
            }
        }
        Ok(packages)
    }
}

impl Room {
    /// KeyPackages of these devices that were claimed before.
    fn take_claimed(&mut self, devices: &[Credential]) -> Vec<CheckedKeyPackage> {
        let take = |device: &Credential| {
            let package = self.claimed.remove(&(device.user_id.clone(), device.device_id.clone()))?;
            Some(package).filter(|package| package.credential() == device)
        };
        devices.iter().filter_map(take).collect()
    }

    /// Notes what became of a commit that adds these devices. If the hub does not take one of them, fewer are added at once
    /// until it is known which; that one is left out for a while, so that it does not keep the others out. Returns whether
    /// this is so.
    fn note_adding(&mut self, packages: Vec<CheckedKeyPackage>, outcome: &Outcome, pause: Duration) -> bool {
        let is_about_a_device = matches!(outcome, Outcome::Refused(code) if is_about_a_device(code));
        match (outcome, packages.as_slice()) {
            (_, []) => return false,
            (Outcome::Taken, _) => {
                self.at_once = self.at_once.map(|count| count * 2).filter(|count| *count < MAX_ADDED);
                return false;
            }
            (_, [package]) if is_about_a_device => {
                self.is_not_taken(package.credential(), pause);
                return true;
            }
            (_, several) if is_about_a_device => self.at_once = Some(several.len() / 2),
            _ => {}
        }
        self.claimed.clear();
        for package in packages.into_iter().take(MAX_CLAIMED) {
            let device = package.credential();
            self.claimed.insert((device.user_id.clone(), device.device_id.clone()), package);
        }
        is_about_a_device
    }
}

/// Whether a refusal is about a device that a commit adds, and not about the state of the group.
fn is_about_a_device(code: &str) -> bool {
    matches!(
        code,
        "DEVICE_UNKNOWN"
            | "DEVICE_INVALID"
            | "CREDENTIAL"
            | "CAPABILITIES"
            | "CIPHERSUITE"
            | "ALREADY_MEMBER"
            | "INVALID"
    )
}

impl Core {
    /// What a group lacks, as far as is known here.
    fn lack(&mut self, id: &RoomId) -> Result<Lack, EncryptionError> {
        let own = self.member.credential().clone();
        let members = self.member.members(id)?;
        let update_at = self.update_at(id)?;
        let update = update_at.is_some_and(|at| at <= self.now());
        let is_stale = self.is_stale(id)?;
        let Some(room) = self.rooms.get_mut(id) else { return Err(EncryptionError::NotInGroup) };
        (room.look_again, room.update_at) = (room.next_try(), update_at);
        let (mut missing, mut is_ours) = (Vec::new(), room.creator.as_ref() == Some(&own.user_id));
        for (user, joined) in &room.joined {
            let devices = self.published.get(user).into_iter().flat_map(|devices| devices.values());
            let is_missing = |device: &&Credential| !members.contains(device) && !room.leaves_out(device);
            let before = missing.len();
            missing.extend(devices.filter(is_missing).cloned());
            is_ours |=
                missing.len() > before && (joined.inviter.as_ref() == Some(&own.user_id) || *user == own.user_id);
        }
        let is_published = |device: &Credential| {
            // Of a server that does not answer nothing is known.
            self.published.get(&device.user_id).is_none_or(|devices| devices.get(&device.device_id) == Some(device))
        };
        let strangers: Vec<&Credential> = members
            .iter()
            .filter(|device| **device != own && room.joined.contains_key(&device.user_id) && !is_published(device))
            .collect();
        let has_left = |device: &Credential| !room.joined.contains_key(&device.user_id);
        let surplus = !strangers.is_empty() || members.iter().any(has_left);
        is_ours |= members.iter().all(|device| device.user_id == own.user_id);
        // Nobody else's business.
        is_ours |= is_stale || (missing.is_empty() && !surplus);
        let names = strangers.iter().map(|device| (device.user_id.clone(), device.device_id.clone())).collect();
        self.note_strangers(id, names);
        let turns = u32::try_from(members.len() / MEMBERS_A_TURN + 1).unwrap_or(MAX_TURNS).min(MAX_TURNS);
        Ok(Lack { missing, surplus, update, is_ours, turns })
    }

    /// Tells of devices in a group that nobody publishes, if that lasts: what is published may be on its way.
    fn note_strangers(&mut self, id: &RoomId, names: Vec<(UserId, String)>) {
        let room = self.room(id);
        room.strangers.retain(|name, _| names.contains(name));
        if names.is_empty() {
            return;
        }
        let again = Instant::now() + STRANGER;
        room.look_again = Some(room.look_again.map_or(again, |at| at.min(again)));
        let mut notices = Vec::new();
        for name in &names {
            let (since, told) = room.strangers.entry(name.clone()).or_insert_with(|| (Instant::now(), false));
            if !*told && since.elapsed() >= STRANGER {
                *told = true;
                let (user_id, device_id) = (name.0.to_string(), name.1.clone());
                notices.push(Notice::Unpublished { room_id: id.to_string(), user_id, device_id });
            }
        }
        notices.into_iter().for_each(|notice| self.tell(notice));
        for (user, _) in names {
            self.published.remove(&user);
        }
    }

    /// What the hub wants removed, and what waits for a commit; `None` if this device has to leave itself, which others
    /// have to commit.
    pub(super) fn removals(
        &mut self,
        id: &RoomId,
        layering: Layering,
        queued: Vec<Vec<u8>>,
        due: &[(UserId, String)],
    ) -> Result<Option<Wanted>, EncryptionError> {
        let queued = if layering == Layering::Bound { queued } else { Vec::new() };
        let proposed = self.member.proposed(id, &queued)?;
        let own = self.member.credential().clone();
        let is_due =
            |device: &Credential| due.iter().any(|(user, id)| (user, id) == (&device.user_id, &device.device_id));
        if proposed.removes.contains(&own) || is_due(&own) {
            return Ok(None);
        }
        let members = self.member.members(id)?;
        let remove =
            members.into_iter().filter(|device| is_due(device) && !proposed.removes.contains(device)).collect();
        Ok(Some(Wanted { remove, queued, queued_adds: proposed.adds, ..Wanted::default() }))
    }
}

/// The KeyPackage among the keys that were claimed of a device.
fn package(keys: &Value) -> Option<CheckedKeyPackage> {
    let key = keys.as_object()?.iter().find(|(id, _)| id.starts_with(KEY_PACKAGE_ALGORITHM))?.1;
    let text = key.as_str().or_else(|| key.get("key")?.as_str())?;
    CheckedKeyPackage::parse(&base64::decode(text)?).ok()
}
