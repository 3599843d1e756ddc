//! Members that commit what must not be taken, or what nobody can apply.

use axle_mls::event::{CommitContent, RoomBinding};
use axle_mls::member::CommitPlan;
use axle_mls::{CheckedKeyPackage, Credential, DeviceKey, Layering};
use axle_protocol::{EventId, KeyId, SigningKey, UserId, base64};

use super::World;
use crate::device::Device;
use crate::node::{ClientRequest, Deed, refusal_code};

/// A vector with an Ed25519 signature, and its length.
const SIGNATURE_BYTES: usize = 2 + 64;
/// The last byte of a commit's confirmation tag stands so far from its end: before the membership tag.
const AFTER_TAG_BYTES: usize = 33;
/// The same in a GroupInfo without its signature: before the signer's leaf.
const SIGNER_BYTES: usize = 4;

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
}

impl Malice {
    /// The code that it is refused with, if nothing else is in its way.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::FlippedTag => Some("group_info"),
            Self::SignedTag => None,
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
        }
    }
}

impl World {
    pub(super) fn malice(&mut self) {
        let (Some(room), Some(plan)) = (self.rooms.first().cloned(), self.plan.rooms.first().cloned()) else { return };
        let kinds = [Malice::FlippedTag, Malice::SignedTag, Malice::WrongBinding, Malice::Stranger, Malice::Removal];
        let is_bound = self.plan.encrypted.as_ref().is_some_and(|group| group.layering == Layering::Bound);
        let kind = *self.rng.pick(&kinds).unwrap_or(&Malice::FlippedTag);
        let group = self.nodes.get(plan.hub).and_then(|node| node.disk.group(&room));
        let (Some(group), Some(creator)) = (group, self.creator()) else { return };
        let mut able = self.ready();
        able.retain(|index| {
            let device = self.devices.get_mut(*index).and_then(Option::as_mut);
            device.is_some_and(|it| it.user != creator && it.commit().as_ref() == group.last_commit())
        });
        let Some(index) = self.rng.pick(&able).copied().filter(|_| is_bound || kind != Malice::WrongBinding) else {
            return;
        };
        let queued = if is_bound { group.queued() } else { Vec::new() };
        let plan_of_commit = CommitPlan {
            queued,
            update: true,
            ..self.wrong_plan(kind, index, &group.members().cloned().collect::<Vec<_>>())
        };
        let Some((mut content, key)) = self.commit_of(index, plan_of_commit, kind) else { return };
        match kind {
            Malice::FlippedTag => flip(&mut content.message, AFTER_TAG_BYTES),
            Malice::SignedTag => {
                let sender = key.credential().user_id.clone();
                let mut preview = None;
                self.with(plan.hub, |node, ctx| preview = node.preview(ctx, &room, &sender, &content));
                let Some(altered) = preview.and_then(|info| sign_another_tag(&content, &info, &key, is_bound)) else {
                    return;
                };
                content = altered;
            }
            _ => {}
        }
        self.send_malice(index, kind, &content);
    }

    pub(super) fn malice_answered(&mut self, kind: Malice, outcome: Result<EventId, String>) {
        let code = outcome.as_ref().err().and_then(|reason| refusal_code(reason)).map(str::to_owned);
        self.course(|| format!("{kind:?} is answered {}", code.as_deref().unwrap_or("otherwise")));
        let is_taken = outcome.is_ok();
        if is_taken && kind != Malice::SignedTag {
            self.checker.violations.push(format!("a malicious commit was taken: {kind:?}"));
        }
        if (is_taken && kind == Malice::SignedTag) || (code.is_some() && code.as_deref() == kind.code()) {
            self.checker.coverage.note(kind.situation());
        }
    }

    fn wrong_plan(&mut self, kind: Malice, by: usize, members: &[Credential]) -> CommitPlan {
        let mut plan = CommitPlan::default();
        let others = self.devices.iter_mut().flatten().filter(|device| device.index != by && device.is_alive);
        match kind {
            Malice::Stranger => {
                let mut strangers = others.filter(|it| !members.iter().any(|member| member.user_id == it.user));
                let package = strangers.next().and_then(|device| device.member.key_package(false).ok());
                plan.add = package.and_then(|bytes| CheckedKeyPackage::parse(&bytes).ok()).into_iter().collect();
            }
            Malice::Removal => {
                let user = self.devices.get(by).and_then(|it| Some(it.as_ref()?.user.clone()));
                plan.remove = members.iter().filter(|it| Some(&it.user_id) != user.as_ref()).take(1).cloned().collect();
            }
            _ => {}
        }
        plan
    }

    /// A commit of a device, which does not wait for it.
    fn commit_of(&mut self, index: usize, plan: CommitPlan, kind: Malice) -> Option<(CommitContent, DeviceKey)> {
        let room = self.rooms.first()?.clone();
        let added: Vec<UserId> = plan.add.iter().map(|package| package.credential().user_id.clone()).collect();
        // Without it, it would be an honest commit.
        let is_wrong = match kind {
            Malice::Stranger => !plan.add.is_empty(),
            Malice::Removal => !plan.remove.is_empty(),
            _ => true,
        };
        let mut made = None;
        self.with_device(index, |device, node, ctx| {
            let binding = match kind {
                Malice::WrongBinding => Some(RoomBinding::default()),
                _ => node.binding(ctx, &room, &device.user, &added, None).map(|it| it.binding),
            };
            let Some(binding) = binding.filter(|_| is_wrong) else { return };
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
