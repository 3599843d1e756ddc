//! The way back from a commit that members cannot apply.
//!
//! A hub cannot check a confirmation tag, and of a path only that it has the right form. A malicious committer can sign
//! what nobody can decrypt, and the group would stand still. So members report, signed, whether they could apply a
//! commit; if they could not, the hub goes back to the state before it and takes no more commits of that device.

use std::collections::BTreeSet;

use axle_protocol::event::sha256;
use axle_protocol::{EventId, RoomId, base64, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::create::FIRST_EPOCH;
use super::{HubGroup, Refusal, RoomView};
use crate::credential::Credential;
use crate::device::{DeviceKey, check_signature, sign_object};
use crate::limits::{
    MAX_QUARANTINED, MAX_REPORT_BYTES, MAX_REPORTERS, MAX_REPORTS, MAX_USER_REPORTS, MIN_REPORTERS,
    MIN_REPORTING_SERVERS,
};

/// What a member says of a commit, signed by its device like a device object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    room_id: String,
    epoch: u64,
    commit_hash: [u8; 32],
    verdict: Verdict,
    user_id: String,
    device_id: String,
    object: Map<String, Value>,
}

/// Whether a member could apply a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It could.
    Applied,
    /// It could not: the confirmation tag is wrong, or what was encrypted to it cannot be decrypted.
    CannotApply,
}

/// What enough reports lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollBack {
    /// The epoch to go back to.
    pub to_epoch: u64,
    /// The device whose commits are void, and which is put in quarantine.
    pub committer: Credential,
}

/// A commit in the log, as far as reports are about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitRecord {
    /// The epoch that it led to.
    pub epoch: u64,
    /// The encoded credential.
    committer: Vec<u8>,
    message_hash: [u8; 32],
    pub event_id: String,
}

impl CommitRecord {
    pub(super) fn new(epoch: u64, committer: &Credential, message_hash: [u8; 32], event_id: &EventId) -> Self {
        Self { epoch, committer: committer.encode(), message_hash, event_id: event_id.as_str().into() }
    }

    pub(super) fn committer(&self) -> Option<Credential> {
        Credential::decode(&self.committer).ok()
    }

    pub(super) fn is_meant_by(&self, report: &Report) -> bool {
        (self.epoch, self.message_hash) == (report.epoch, report.commit_hash)
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::CannotApply => "cannot_apply",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Applied, Self::CannotApply].into_iter().find(|verdict| verdict.as_str() == name)
    }
}

impl Report {
    /// Says of a commit, the `message` of an event, that led to `epoch`, whether this device could apply it.
    pub fn sign(key: &DeviceKey, room: &RoomId, epoch: u64, message: &[u8], verdict: Verdict) -> Self {
        let mut object = Map::new();
        let (user_id, device_id) = (&key.credential().user_id, &key.credential().device_id);
        let commit_hash = sha256(message);
        object.insert("room_id".into(), room.as_str().into());
        object.insert("epoch".into(), epoch.into());
        object.insert("commit_sha256".into(), base64::encode(commit_hash).into());
        object.insert("verdict".into(), verdict.as_str().into());
        object.insert("user_id".into(), user_id.as_str().into());
        object.insert("device_id".into(), device_id.as_str().into());
        sign_object(&mut object, key);
        Self {
            room_id: room.as_str().into(),
            epoch,
            commit_hash,
            verdict,
            user_id: user_id.as_str().into(),
            device_id: device_id.clone(),
            object,
        }
    }

    /// Reads a report; its signature is checked by [`HubGroup::report`], which knows the key.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed("the report");
        if json.len() > MAX_REPORT_BYTES {
            return Err(malformed);
        }
        canonical_json::parse_object(json.as_bytes()).ok().and_then(Self::read).ok_or(malformed)
    }

    fn read(object: Map<String, Value>) -> Option<Self> {
        let text = |field: &str| Some(object.get(field)?.as_str()?.to_owned());
        Some(Self {
            room_id: text("room_id")?,
            epoch: canonical_json::as_integer(object.get("epoch")?)?.try_into().ok()?,
            commit_hash: base64::decode_array(&text("commit_sha256")?)?,
            verdict: Verdict::parse(&text("verdict")?)?,
            user_id: text("user_id")?,
            device_id: text("device_id")?,
            object,
        })
    }

    /// The JSON to be sent.
    pub fn to_json(&self) -> String {
        canonical_json::object_to_string(&self.object)
    }

    fn is_of(&self, device: &Credential) -> bool {
        (self.user_id.as_str(), &self.device_id) == (device.user_id.as_str(), &device.device_id)
    }
}

impl HubGroup {
    /// Takes a report of a member. With enough of them, the caller has to [`Self::roll_back`].
    ///
    /// Only the newest commits count, if all of them are of one device: a commit that another member has built on could
    /// be applied. Who counts, and how many it takes: see `is_void`. Reports are kept until then, as long as it takes.
    pub fn report(&mut self, report: Report, view: &dyn RoomView) -> Result<Option<RollBack>, Refusal> {
        if report.room_id.as_bytes() != self.group.group_id().as_slice() {
            return Err(Refusal::WrongGroup);
        }
        let committer = self.reported_committer(&report)?;
        let reporter = self.members.values().find(|device| report.is_of(device)).ok_or(Refusal::NotAMember)?;
        check_signature(&report.object, reporter).map_err(|_| Refusal::Signature)?;
        self.check_author(reporter, &reporter.user_id, view)?;
        if reporter.is_same_device(&committer) {
            return Err(Refusal::ReportUseless);
        }
        let (epoch, hash) = (report.epoch, report.commit_hash);
        self.keep_report(report);
        let decided = self.is_void(epoch, &hash, &committer, view);
        Ok(decided.then(|| RollBack { to_epoch: epoch.saturating_sub(1), committer }))
    }

    /// Goes back to the state before a commit that members cannot apply, which the caller has kept as `snapshot`. The
    /// commit stays in the log; who applied it all the same joins again by itself.
    pub fn roll_back(&self, roll_back: &RollBack, snapshot: &[u8]) -> Result<Self, super::StateError> {
        let mut group = Self::from_bytes(snapshot)?;
        if group.group.group_id() != self.group.group_id() || group.epoch() != roll_back.to_epoch {
            return Err(super::StateError::WrongState);
        }
        group.quarantine.clone_from(&self.quarantine);
        if !group.is_quarantined(&roll_back.committer) {
            group.quarantine.push(roll_back.committer.clone());
        }
        let surplus = group.quarantine.len().saturating_sub(MAX_QUARANTINED);
        group.quarantine.drain(..surplus);
        group.generation = self.generation + 1;
        Ok(group)
    }

    /// Lets a device change the group again.
    pub fn release(&mut self, device: &Credential) {
        self.quarantine.retain(|other| !other.is_same_device(device));
        self.generation += 1;
    }

    /// Whose the reported commit is, if everything after it is of the same device.
    fn reported_committer(&self, report: &Report) -> Result<Credential, Refusal> {
        let at = self.commits.iter().position(|commit| commit.is_meant_by(report)).ok_or(Refusal::ReportUseless)?;
        let commits = self.commits.get(at..).unwrap_or_default();
        let reported = commits.first().filter(|commit| commit.epoch > FIRST_EPOCH).ok_or(Refusal::ReportUseless)?;
        if commits.iter().any(|commit| commit.committer != reported.committer) {
            return Err(Refusal::ReportUseless);
        }
        reported.committer().ok_or(Refusal::ReportUseless)
    }

    /// Keeps a report, in the place of an earlier one of the same device on the same commit.
    fn keep_report(&mut self, report: Report) {
        self.reports.retain(|other| {
            (other.epoch, &other.user_id, &other.device_id) != (report.epoch, &report.user_id, &report.device_id)
        });
        let is_theirs = |other: &Report| (other.epoch, &other.user_id) == (report.epoch, &report.user_id);
        if self.reports.iter().filter(|other| is_theirs(other)).count() >= MAX_USER_REPORTS
            && let Some(oldest) = self.reports.iter().position(is_theirs)
        {
            // So that nobody drives out what others say.
            self.reports.remove(oldest);
        }
        self.reports.push(report);
        let surplus = self.reports.len().saturating_sub(MAX_REPORTS);
        self.reports.drain(..surplus);
    }

    /// Whether enough people say that they cannot apply a commit: so many of those who may say so as [`needed`] tells, of more
    /// than one server where there are several, and more than could apply it. A person counts once, whatever they say with
    /// how many devices; who says both has a device that could.
    fn is_void(&self, epoch: u64, commit_hash: &[u8; 32], committer: &Credential, view: &dyn RoomView) -> bool {
        // Who may not report any more is not waited for.
        let may_report = |device: &&Credential| self.check_author(device, &device.user_id, view).is_ok();
        let reporters: Vec<&Credential> = self.members.values().filter(may_report).collect();
        let alone = reporters.iter().all(|device| device.user_id == committer.user_id);
        let voter = |user_id: &str, device_id: &str| Voter::of(user_id, device_id, committer, alone);
        let voters: BTreeSet<Voter> =
            reporters.iter().filter_map(|device| voter(device.user_id.as_str(), &device.device_id)).collect();
        let with = |verdict| -> BTreeSet<Voter> {
            let reports =
                self.reports.iter().filter(|report| (report.epoch, &report.commit_hash) == (epoch, commit_hash));
            let said = reports.filter(|report| report.verdict == verdict);
            let said = said.filter_map(|report| voter(&report.user_id, &report.device_id));
            said.filter(|voter| voters.contains(voter)).collect()
        };
        let applied = with(Verdict::Applied);
        let against = &with(Verdict::CannotApply) - &applied;
        against.len() >= needed(voters.len())
            && against.len() > applied.len()
            && servers(&against) >= servers(&voters).min(MIN_REPORTING_SERVERS)
    }
}

/// Whether a hub heeds who says that a commit could be applied, in a group where so many people besides the committer's may say
/// something of it. Where it takes more than half of them to take a commit back, the others need not say anything.
pub fn heeds_applied(voters: usize) -> bool {
    needed(voters) <= voters / 2
}

/// How many of so many people have to say that they cannot apply a commit: more than half, but no more than are likely to be
/// there. One alone is never believed: where there are two people in a room, each could put the other's device in quarantine.
/// What they cannot apply, they leave behind by joining again by themselves.
fn needed(voters: usize) -> usize {
    (voters / 2 + 1).clamp(MIN_REPORTERS, MAX_REPORTERS)
}

/// Who counts once: a user other than the committer's; in a group of the committer's devices alone, another device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Voter(String);

impl Voter {
    fn of(user_id: &str, device_id: &str, committer: &Credential, alone: bool) -> Option<Self> {
        match (alone, user_id == committer.user_id.as_str()) {
            (true, true) => (device_id != committer.device_id).then(|| Self(device_id.to_owned())),
            (false, false) => Some(Self(user_id.to_owned())),
            _ => None,
        }
    }

    /// A device id has no colon: all devices of a user are of one server.
    fn server(&self) -> Option<&str> {
        Some(self.0.split_once(':')?.1)
    }
}

fn servers(voters: &BTreeSet<Voter>) -> usize {
    voters.iter().map(Voter::server).collect::<BTreeSet<_>>().len()
}
