//! Members that commit what must not be taken, or what nobody can apply.

use std::collections::BTreeSet;

use axle_mls::event::{CommitContent, RoomBinding};
use axle_mls::hub::Verdict;
use axle_mls::member::CommitPlan;
use axle_mls::{CheckedKeyPackage, DeviceKey, Layering};
use axle_protocol::{EventId, KeyId, SigningKey, UserId, base64};

use super::World;
use crate::device::Device;
use crate::node::{Asker, ClientRequest, Deed, refusal_code};
use crate::wire::GroupAsk;

/// A vector with an Ed25519 signature, and its length.
const SIGNATURE_BYTES: usize = 2 + 64;
/// The last byte of a commit's confirmation tag stands so far from its end: before the membership tag.
const AFTER_TAG_BYTES: usize = 33;
/// The same in a GroupInfo without its signature: before the signer's leaf.
const SIGNER_BYTES: usize = 4;

/// A question of this number no device has asked.
const UNASKED: u64 = 0;
/// The numbers of devices of strangers begin here.
const STRANGERS: usize = 1_000;
/// Users who have to be there for a commit that only members can judge: with the committer and two others.
const USERS_FOR_A_SIGNED_TAG: usize = 3;

/// What is wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malice {
    /// Its confirmation tag is another.
    FlippedTag,
    /// The same, and signed: only members can tell.
    SignedTag,
    /// It names other events of the room than those it was made under.
    WrongBinding,
    /// It adds a device of somebody who is not in the room.
    Stranger,
    /// It removes a device that may stay.
    Removal,
    /// It is none: the device says of the newest commit, which is good, that it cannot be applied.
    FalseReport,
}

impl Malice {
    /// The code that it is refused with, if nothing else is in its way.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::FlippedTag => Some("group_info"),
            Self::SignedTag | Self::FalseReport => None,
            Self::WrongBinding => Some("wrong_auth_events"),
            Self::Stranger => Some("not_joined"),
            Self::Removal => Some("removal_not_allowed"),
        }
    }

    fn situation(self) -> &'static str {
        match self {
            Self::FlippedTag => "a commit with a wrong tag is refused",
            Self::SignedTag => "a commit that nobody can apply is taken",
            Self::WrongBinding => "a commit with a wrong binding is refused",
            Self::Stranger => "a commit that adds a stranger is refused",
            Self::Removal => "a commit that removes who may stay is refused",
            Self::FalseReport => "somebody says falsely that a commit cannot be applied",
        }
    }
}

impl World {
    pub(super) fn malice(&mut self) {
        let (Some(room), Some(hub)) = (self.rooms.first().cloned(), self.plan.rooms.first().map(|room| room.hub))
        else {
            return;
        };
        let Some(group) = self.nodes.get(hub).and_then(|node| node.disk.group(&room)) else { return };
        let is_bound = group.layering() == Layering::Bound;
        let Some((index, kind)) = self.choose_malice(group.last_commit(), is_bound) else { return };
        if kind == Malice::FalseReport {
            return self.report_falsely(index);
        }
        let plan = CommitPlan {
            queued: if is_bound { group.queued() } else { Vec::new() },
            update: true,
            ..self.wrong_plan(kind, index)
        };
        let Some((mut content, key)) = self.commit_of(index, plan, kind) else { return };
        match kind {
            Malice::FlippedTag => flip(&mut content.message, AFTER_TAG_BYTES),
            Malice::SignedTag => {
                let sender = key.credential().user_id.clone();
                let mut preview = None;
                self.with(hub, |node, ctx| preview = node.preview(ctx, &room, &sender, &content));
                let altered = preview.and_then(|info| sign_another_tag(&content, &info, &key, is_bound));
                let Some(altered) = altered else { return };
                content = altered;
            }
            _ => {}
        }
        self.send_malice(index, kind, &content);
    }

    /// A device that knows the newest commit, and what it does.
    fn choose_malice(&mut self, newest: Option<&EventId>, is_bound: bool) -> Option<(usize, Malice)> {
        let creator = self.creator()?;
        let mut able = self.ready();
        let mut users = BTreeSet::new();
        able.retain(|index| {
            let Some(device) = self.devices.get_mut(*index).and_then(Option::as_mut) else { return false };
            users.insert(device.user.clone());
            device.user != creator && device.commit().as_ref() == newest
        });
        let index = *self.rng.pick(&able)?;
        // Who cannot apply it, can do something about it only together.
        if users.len() >= USERS_FOR_A_SIGNED_TAG && self.rng.per_mille(500) {
            return Some((index, Malice::SignedTag));
        }
        let kinds = [Malice::FlippedTag, Malice::Stranger, Malice::Removal, Malice::FalseReport, Malice::WrongBinding];
        // Only in a bound room there is something to be bound to.
        let kinds = kinds.get(..kinds.len() - usize::from(!is_bound))?;
        Some((index, *self.rng.pick(kinds)?))
    }

    /// With all devices of its user: a person counts once.
    fn report_falsely(&mut self, index: usize) {
        let Some(room) = self.rooms.first().cloned() else { return };
        if self.slanderer.is_none() {
            self.slanderer = self.device_mut(index).map(|device| device.user.clone());
        }
        let Some(user) = self.slanderer.clone() else { return };
        let newest = self.checker.groups.newest().map(|(epoch, content)| (epoch, content.message.clone()));
        let Some((epoch, message)) = newest else { return };
        let liars = self.ready();
        let liars: Vec<usize> =
            liars.into_iter().filter(|it| self.device_mut(*it).is_some_and(|device| device.user == user)).collect();
        self.course(|| format!("{user} reports falsely, with {liars:?}"));
        for liar in liars {
            self.checker.coverage.note(Malice::FalseReport.situation());
            self.with_device(liar, |device, node, ctx| {
                let report = device.member.report(&room, epoch, &message, Verdict::CannotApply).to_json();
                // What is answered to a question that the device has not asked, it does not hear.
                node.ask_group(ctx, Asker::Device(liar, UNASKED), &room, &user, &GroupAsk::Report(report));
            });
        }
    }

    pub(super) fn malice_answered(&mut self, kind: Malice, outcome: Result<EventId, String>) {
        let code = outcome.as_ref().err().and_then(|reason| refusal_code(reason)).map(str::to_owned);
        self.course(|| format!("{kind:?} is answered {}", code.as_deref().unwrap_or("otherwise")));
        let is_taken = outcome.is_ok();
        // Who has got another key meanwhile, has to leave with the old one.
        let is_due =
            kind == Malice::Removal && self.devices.first().and_then(Option::as_ref).is_some_and(|it| it.keys() > 1);
        if is_taken && kind != Malice::SignedTag && !is_due {
            self.checker.violations.push(format!("a malicious commit was taken: {kind:?}"));
        }
        if (is_taken && kind == Malice::SignedTag) || (code.is_some() && code.as_deref() == kind.code()) {
            self.checker.coverage.note(kind.situation());
        }
    }

    fn wrong_plan(&mut self, kind: Malice, by: usize) -> CommitPlan {
        let mut plan = CommitPlan::default();
        match kind {
            Malice::Stranger => plan.add.extend(self.stranger(by)),
            Malice::Removal => {
                // It is not logged out, and its user stays.
                let victim = self.devices.first().and_then(Option::as_ref);
                plan.remove.extend(victim.map(|device| device.credential().clone()));
            }
            _ => {}
        }
        plan
    }

    /// A KeyPackage of somebody who never comes into the room.
    fn stranger(&self, by: usize) -> Option<CheckedKeyPackage> {
        let hub = self.plan.rooms.first()?.hub;
        let user = UserId::parse(format!("@stranger:s{hub}.example")).ok()?;
        let mut device = Device::new(by + STRANGERS, hub, user, self.rooms.first()?, &self.plan)?;
        CheckedKeyPackage::parse(&device.member.key_package(false).ok()?).ok()
    }

    /// A commit of a device, which does not wait for it.
    fn commit_of(&mut self, index: usize, plan: CommitPlan, kind: Malice) -> Option<(CommitContent, DeviceKey)> {
        let room = self.rooms.first()?.clone();
        let added: Vec<UserId> = plan.add.iter().map(|package| package.credential().user_id.clone()).collect();
        let mut made = None;
        self.with_device(index, |device, node, ctx| {
            let binding = match kind {
                Malice::WrongBinding => Some(RoomBinding::default()),
                _ => node.binding(ctx, &room, &device.user, &added, None).map(|it| it.binding),
            };
            let Some(binding) = binding else { return };
            if let Ok(pending) = device.member.commit(&room, CommitPlan { binding, ..plan }) {
                device.member.discard(&room).ok();
                made = Some((pending.content, device.key().clone()));
            }
        });
        made
    }

    fn send_malice(&mut self, index: usize, kind: Malice, content: &CommitContent) {
        let (Some(room_id), Some(plan)) = (self.rooms.first().cloned(), self.plan.rooms.first().cloned()) else {
            return;
        };
        let txn = format!("x{index}-{}", self.malices.len());
        self.malices.insert(txn.clone(), kind);
        self.course(|| format!("d{index} commits with {kind:?}"));
        self.with_device(index, |device: &mut Device, node, ctx| {
            device.is_culprit |= kind == Malice::SignedTag;
            let deed = Deed::Send(CommitContent::EVENT_TYPE, content.to_content());
            let request = ClientRequest { room_id, sender: device.user.clone(), deed, txn };
            node.act(ctx, &plan, &request);
        });
    }
}

/// Another confirmation tag in a commit and in the GroupInfo that it leads to, signed.
fn sign_another_tag(content: &CommitContent, info: &[u8], key: &DeviceKey, is_bound: bool) -> Option<CommitContent> {
    let mut signed = info.get(..info.len().checked_sub(SIGNATURE_BYTES)?)?.to_vec();
    flip(&mut signed, SIGNER_BYTES);
    let signature = sign_with_label(key, "GroupInfoTBS", &signed)?;
    let mut content = content.clone();
    flip(&mut content.message, AFTER_TAG_BYTES);
    let state = &content.public_group_state;
    let parts = match is_bound {
        true => state.get(..state.len().checked_sub(SIGNATURE_BYTES)?)?.to_vec(),
        false => signed,
    };
    content.public_group_state = [parts, vec![0x40, 0x40], signature].concat();
    Some(content)
}

/// SignWithLabel (RFC 9420, section 5.1.2).
fn sign_with_label(key: &DeviceKey, label: &str, content: &[u8]) -> Option<Vec<u8>> {
    let label = format!("MLS 1.0 {label}");
    let length = u16::try_from(content.len()).ok()? | 0x4000;
    let bytes = [&[u8::try_from(label.len()).ok()?], label.as_bytes(), &length.to_be_bytes(), content].concat();
    let id = KeyId::parse(format!("ed25519:{}", key.credential().device_id)).ok()?;
    base64::decode(&SigningKey::from_seed(id, &key.seed()).sign(&bytes))
}

/// Changes a bit of the byte before the last so many.
fn flip(bytes: &mut [u8], after: usize) {
    let at = bytes.len().checked_sub(after + 1);
    at.and_then(|at| bytes.get_mut(at)).into_iter().for_each(|byte| *byte ^= 1);
}
