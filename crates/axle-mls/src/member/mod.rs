//! The member side: a client's device in the groups of its rooms.
//!
//! A commit of this device waits until the hub has appended it ([`Member::confirm`]) or has taken another
//! ([`Member::process`] of that one, or [`Member::discard`]). Each operation changes the store as a whole or not at all.

mod commit;
mod encoding;
mod error;
mod join;
mod message;
mod process;
mod propose;
mod proposed;
mod provider;
mod store;
mod verification;

use std::collections::{BTreeMap, HashMap};

use axle_protocol::event::sha256;
use axle_protocol::{EventId, RoomId};
use openmls::group::{GroupId, MlsGroup, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY};
use openmls::prelude::{LeafNode, SenderRatchetConfiguration};
use openmls_traits::storage::StorageProvider as _;
use serde::{Deserialize, Serialize};

pub use commit::{CommitPlan, PendingCommit};
pub use error::MemberError;
pub use join::HubState;
pub use message::{Decrypted, message_epoch};
pub use process::{Processed, commit_epoch};
pub use proposed::Proposed;
pub use store::{Change, KeyValue, MemoryStore, Sealed, StoreError};
pub use verification::{epoch_code, safety_code};

use crate::credential::Credential;
use crate::crypto::now;
use crate::device::{DeviceInfo, DeviceKey};
use crate::hub::{Report, Verdict};
use crate::layering::Layering;
use crate::limits::{
    KEPT_EPOCHS, MAX_FORWARD_MESSAGES, MAX_KEY_PACKAGE_LIFETIME_SECONDS, MAX_PAST_EPOCHS, MAX_SKIPPED_MESSAGES,
    MESSAGE_PADDING_BYTES,
};
use error::invalid;
use provider::{Provider, Storage};

/// A device with its groups.
pub struct Member {
    key: DeviceKey,
    provider: Provider,
    groups: HashMap<RoomId, MlsGroup>,
}

/// What is kept of a room besides its group.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Room {
    layering: String,
    /// The commits that led to the last epochs; the newest is the one before a next.
    commits: BTreeMap<u64, String>,
    pending: Pending,
    /// SHA-256 of the message of the commit that waits.
    pending_hash: [u8; 32],
}

/// A commit of this device that waits for the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Pending {
    Nothing,
    Commit,
    /// The group exists here already, but counts only with the commit.
    Group,
}

/// The label of [`Room`] in the store.
const ROOM: &str = "room";

/// How long before now a new KeyPackage is valid, for clocks that disagree, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 60 * 60;

impl Member {
    /// The device with this key, and the groups that the store has.
    pub fn open(key: DeviceKey, store: impl KeyValue + 'static) -> Self {
        Self { key, provider: Provider(Storage::new(Box::new(store))), groups: HashMap::new() }
    }

    /// This device's credential.
    pub fn credential(&self) -> &Credential {
        self.key.credential()
    }

    /// The object that this device publishes.
    pub fn device_info(&self) -> DeviceInfo {
        DeviceInfo::sign(&self.key)
    }

    /// Makes a KeyPackage, valid for 84 days, whose private half is in the store from now on.
    pub fn key_package(&mut self, last_resort: bool) -> Result<Vec<u8>, MemberError> {
        let from = now().saturating_sub(CLOCK_SKEW_SECONDS);
        let until = from + MAX_KEY_PACKAGE_LIFETIME_SECONDS;
        let result = self.key.key_package(&self.provider, (from, until), last_resort).map_err(invalid);
        self.finish(None, result)
    }

    /// Whether this device is in the room's group, as far as it knows.
    pub fn is_in(&mut self, room: &RoomId) -> bool {
        self.group(room).is_ok_and(|group| group.is_active())
    }

    /// The epoch that this device is in.
    pub fn epoch(&mut self, room: &RoomId) -> Result<u64, MemberError> {
        Ok(self.group(room)?.epoch().as_u64())
    }

    /// The commit that led to the epoch that this device is in.
    pub fn last_commit(&mut self, room: &RoomId) -> Result<Option<EventId>, MemberError> {
        let epoch = self.epoch(room)?;
        Ok(self.room(room)?.commit(epoch))
    }

    /// The devices in the group.
    pub fn members(&mut self, room: &RoomId) -> Result<Vec<Credential>, MemberError> {
        let group = self.group(room)?;
        let decode = |member: openmls::group::Member| Credential::of_leaf(&member.credential, &member.signature_key);
        group.members().map(decode).collect::<Result<_, _>>().map_err(invalid)
    }

    /// The epoch authenticator: equal on all devices of the group, unless somebody deceives them. See [`epoch_code`].
    pub fn epoch_authenticator(&mut self, room: &RoomId) -> Result<Vec<u8>, MemberError> {
        Ok(self.group(room)?.epoch_authenticator().as_slice().to_vec())
    }

    /// Says of a commit that led to `epoch`, to the hub, whether this device could apply it.
    pub fn report(&self, room: &RoomId, epoch: u64, message: &[u8], verdict: Verdict) -> Report {
        Report::sign(&self.key, room, epoch, message, verdict)
    }

    /// Forgets a room's group and all its keys.
    pub fn forget(&mut self, room: &RoomId) -> Result<(), MemberError> {
        let result = self.forget_group(room);
        self.finish(Some(room), result)?;
        self.groups.remove(room);
        Ok(())
    }

    fn forget_group(&mut self, room: &RoomId) -> Result<(), MemberError> {
        if let Some(mut group) = MlsGroup::load(&self.provider.0, &group_id(room))? {
            let updates = self.proposed_leaves(room)?;
            group.delete(&self.provider.0)?;
            self.forget_keys(&updates)?;
        }
        Ok(self.provider.0.remove(ROOM, room)?)
    }

    /// The leaves that this device has proposed for itself in this epoch.
    fn proposed_leaves(&self, room: &RoomId) -> Result<Vec<LeafNode>, MemberError> {
        Ok(self.provider.0.own_leaf_nodes(&group_id(room))?)
    }

    /// Forgets the keys of leaves that were proposed in an epoch that is over: if one of them was committed, its keys are
    /// among those of the new epoch. openmls leaves them.
    fn forget_keys(&self, leaves: &[LeafNode]) -> Result<(), MemberError> {
        for leaf in leaves {
            self.provider.0.delete_encryption_key_pair(leaf.encryption_key())?;
        }
        Ok(())
    }

    /// The group of a room, from the store if need be.
    fn group(&mut self, room: &RoomId) -> Result<&mut MlsGroup, MemberError> {
        if !self.groups.contains_key(room) {
            let group = MlsGroup::load(&self.provider.0, &group_id(room))?.ok_or(MemberError::NoGroup)?;
            self.groups.insert(room.clone(), group);
        }
        self.groups.get_mut(room).ok_or(MemberError::NoGroup)
    }

    fn room(&self, room: &RoomId) -> Result<Room, MemberError> {
        self.provider.0.read(ROOM, room)?.ok_or(MemberError::NoGroup)
    }

    fn keep_room(&self, id: &RoomId, room: &Room) -> Result<(), MemberError> {
        Ok(self.provider.0.write(ROOM, id, room)?)
    }

    /// Makes an operation's changes durable, or forgets them, with what the group in memory has become.
    fn finish<T>(&mut self, room: Option<&RoomId>, result: Result<T, MemberError>) -> Result<T, MemberError> {
        let result = result.and_then(|value| Ok(self.provider.0.save().map(|()| value)?));
        if result.is_err() {
            self.provider.0.discard();
            if let Some(room) = room {
                self.groups.remove(room);
            }
        }
        result
    }
}

impl Room {
    fn new(layering: Layering) -> Self {
        let (commits, pending) = (BTreeMap::new(), Pending::Nothing);
        Self { layering: layering.as_str().into(), commits, pending, pending_hash: [0; 32] }
    }

    /// Notes a commit that waits for the hub.
    fn wait_for(&mut self, pending: Pending, message: &[u8]) {
        self.pending = pending;
        self.pending_hash = sha256(message);
    }

    fn waits_for(&self, message: &[u8]) -> bool {
        self.pending != Pending::Nothing && self.pending_hash == sha256(message)
    }

    fn layering(&self) -> Result<Layering, MemberError> {
        Layering::parse(&self.layering).ok_or(MemberError::Malformed("the stored room"))
    }

    fn commit(&self, epoch: u64) -> Option<EventId> {
        EventId::parse(self.commits.get(&epoch)?).ok()
    }

    /// Notes the commit that led to an epoch.
    fn note(&mut self, epoch: u64, commit: &EventId) {
        self.commits.insert(epoch, commit.as_str().into());
        self.commits.retain(|other, _| *other <= epoch && other + KEPT_EPOCHS > epoch);
        self.pending = Pending::Nothing;
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({:?})", self.key)
    }
}

/// The room's id is the group's ("MLS Considerations").
fn group_id(room: &RoomId) -> GroupId {
    GroupId::from_slice(room.as_str().as_bytes())
}

/// Handshake messages are readable by the hub, messages are padded, and old keys are not kept for long.
fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(MESSAGE_PADDING_BYTES)
        .max_past_epochs(MAX_PAST_EPOCHS)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(MAX_SKIPPED_MESSAGES, MAX_FORWARD_MESSAGES))
        .use_ratchet_tree_extension(false)
        .build()
}
