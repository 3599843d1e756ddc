//! What has to be done for a group: devices that are missing are added, those that have to leave removed, keys renewed.

use std::time::{Duration, Instant};

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::{CheckedKeyPackage, Credential, Layering};
use axle_protocol::{RoomId, UserId, base64};
use serde_json::Value;

use super::commits::Wanted;
use super::core::{Core, now};
use super::engine::{Engine, MAX_TRIES, Step, part_of, refused};
use super::{EncryptionError, Notice};
use crate::Error;

/// Steps that are taken for a group at a time.
const MAX_STEPS: u32 = 100;
/// How long a device may be in a group before anybody is told that its user's server does not know it.
const STRANGER: Duration = Duration::from_secs(30);
/// Devices that one commit adds at most; more follow in the next.
const MAX_ADDED: usize = 50;
/// After how long this device takes new keys, in seconds, so that who has stolen its keys cannot read on for ever.
const UPDATE_AFTER_SECONDS: u64 = 7 * 24 * 60 * 60;
/// How long a device that has no KeyPackage left is not asked for one again.
const WITHOUT_PACKAGE: Duration = Duration::from_secs(60);
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
        wanted.add = self.claim(id, &lack.missing).await?;
        wanted.update = lack.update;
        if wanted.add.is_empty() && wanted.remove.is_empty() && wanted.queued.is_empty() && !wanted.update {
            return Ok(Step::Done);
        }
        let mut added: Vec<UserId> = wanted.add.iter().map(|it| it.credential().user_id.clone()).collect();
        added.extend(wanted.queued_adds.iter().cloned());
        let binding = self.binding(id, &added, None).await?;
        let pending = self.make_commit(id, wanted, &binding, false)?;
        Ok(self.submit(id, &pending).await?.next())
    }

    /// Claims a KeyPackage for each of these devices. Those that have none are left out.
    async fn claim(&self, id: &RoomId, devices: &[Credential]) -> Result<Vec<CheckedKeyPackage>, Error> {
        let devices = devices.get(..MAX_ADDED).unwrap_or(devices);
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let named: Vec<_> = devices.iter().map(|it| (it.user_id.as_str().to_owned(), it.device_id.clone())).collect();
        let claimed = self.server.claim_keys(KEY_PACKAGE_ALGORITHM, &named).await?;
        let mut packages = Vec::new();
        for device in devices {
            let keys = claimed.get(device.user_id.as_str()).and_then(|devices| devices.get(&device.device_id));
            match keys.and_then(package).filter(|package| package.credential() == device) {
                Some(package) => packages.push(package),
                None => {
                    let name = (device.user_id.clone(), device.device_id.clone());
                    self.core().room(id).without_package.insert(name, Instant::now());
                }
            }
        }
        Ok(packages)
    }
}

impl Core {
    /// What a group lacks, as far as is known here.
    fn lack(&mut self, id: &RoomId) -> Result<Lack, EncryptionError> {
        let own = self.member.credential().clone();
        let members = self.member.members(id)?;
        let update =
            self.books.room(id)?.is_some_and(|book| now().saturating_sub(book.updated_at) > UPDATE_AFTER_SECONDS);
        let Some(room) = self.rooms.get_mut(id) else { return Err(EncryptionError::NotInGroup) };
        room.without_package.retain(|_, since| since.elapsed() < WITHOUT_PACKAGE);
        let (mut missing, mut is_ours) = (Vec::new(), room.creator.as_ref() == Some(&own.user_id));
        for (user, joined) in &room.joined {
            let devices = self.published.get(user).into_iter().flat_map(|devices| devices.values());
            let is_missing = |device: &&Credential| {
                let name = (device.user_id.clone(), device.device_id.clone());
                !members.contains(device) && !room.without_package.contains_key(&name)
            };
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
        is_ours |= missing.is_empty() && !surplus;
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
        room.look_again = Some(Instant::now() + STRANGER);
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
        let queued_adds = proposed.adds.into_iter().map(|device| device.user_id).collect();
        Ok(Some(Wanted { remove, queued, queued_adds, ..Wanted::default() }))
    }
}

/// The KeyPackage among the keys that were claimed of a device.
fn package(keys: &Value) -> Option<CheckedKeyPackage> {
    let key = keys.as_object()?.iter().find(|(id, _)| id.starts_with(KEY_PACKAGE_ALGORITHM))?.1;
    let text = key.as_str().or_else(|| key.get("key")?.as_str())?;
    CheckedKeyPackage::parse(&base64::decode(text)?).ok()
}
