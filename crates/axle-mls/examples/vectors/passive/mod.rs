//! Clients that join by a Welcome and follow a group's commits. The vectors' groups are no rooms, and their credentials not
//! the draft's, so that `Member` would refuse them; but what it stands on follows them: openmls with this crate's storage,
//! from which the group is loaded anew before each epoch. A hub without keys follows the same commits.

#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/member/encoding.rs"]
mod encoding;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/hub/storage.rs"]
mod hub_storage;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/member/provider.rs"]
mod provider;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../src/member/store.rs"]
mod store;

use openmls::framing::{ProcessedMessage, ProcessedMessageContent, PublicMessageIn};
use openmls::group::{
    GroupId, MlsGroup, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, PublicGroup, StagedWelcome,
};
use openmls::messages::Welcome;
use openmls::prelude::{KeyPackage, KeyPackageBundle, KeyPackageIn, ProtocolMessage, RatchetTreeIn};
use openmls::schedule::PreSharedKeyId;
use openmls_traits::storage::StorageProvider as _;
use openmls_traits::types::HpkePrivateKey;
use serde_json::{Value, json};
use tls_codec::Serialize as _;

use crate::crypto::crypto;
use crate::wire::{WireFormat, bare, decode};
use crate::{Outcome, Result, bytes, ensure, is_ours};
use hub_storage::Storage as HubStorage;
use provider::{Provider, Storage};
use store::MemoryStore;

/// Epochs whose resumption PSKs are kept. Rooms have no use for these, vectors do.
const MAX_RESUMPTION_PSKS: usize = 16;

/// The client of a vector, and the hub beside it.
struct Follower {
    provider: Provider,
    group_id: GroupId,
    hub: PublicGroup,
    hub_storage: HubStorage,
}

pub(super) fn follow(vector: &Value) -> Result<Outcome> {
    if !is_ours(vector) {
        return Ok(Outcome::NotOurs);
    }
    let mut follower = Follower::join(vector)?;
    follower.compare(&bytes(vector, "initial_epoch_authenticator")?)?;
    for epoch in vector["epochs"].as_array().ok_or("epochs are missing")? {
        for proposal in epoch["proposals"].as_array().ok_or("proposals are missing")? {
            follower.hear(&bytes(&json!({"proposal": proposal}), "proposal")?)?;
        }
        follower.apply(&bytes(epoch, "commit")?)?;
        follower.compare(&bytes(epoch, "epoch_authenticator")?)?;
    }
    Ok(Outcome::Good)
}

impl Follower {
    fn join(vector: &Value) -> Result<Self> {
        let provider = Provider(Storage::new(Box::new(MemoryStore::default())));
        keep_key_package(vector, &provider)?;
        for psk in vector["external_psks"].as_array().ok_or("external_psks are missing")? {
            let id = PreSharedKeyId::external(bytes(psk, "psk_id")?, Vec::new());
            id.store(&provider, &bytes(psk, "psk")?)?;
        }
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .number_of_resumption_psks(MAX_RESUMPTION_PSKS)
            .build();
        let welcome = bytes(vector, "welcome")?;
        let welcome: Welcome = decode(bare(&welcome, WireFormat::Welcome)).ok_or("the Welcome is not read")?;
        let mut staged = StagedWelcome::build_from_welcome(&provider, &config, welcome)?.skip_lifetime_validation();
        if vector["ratchet_tree"].is_string() {
            let tree: RatchetTreeIn = decode(&bytes(vector, "ratchet_tree")?).ok_or("the tree is not read")?;
            staged = staged.with_ratchet_tree(tree);
        }
        let group = staged.build()?.into_group(&provider)?;
        provider.0.save()?;
        let group_id = group.group_id().clone();
        let hub = hub_of(&provider, &group_id)?;
        Ok(Self { provider, group_id, hub, hub_storage: HubStorage::default() })
    }

    /// The group as the store has it.
    fn group(&self) -> Result<MlsGroup> {
        Ok(MlsGroup::load(&self.provider.0, &self.group_id)?.ok_or("the group is not in the store")?)
    }

    fn hear(&mut self, message: &[u8]) -> Result<()> {
        let mut group = self.group()?;
        match group.process_message(&self.provider, protocol_message(message)?)?.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(&self.provider.0, *proposal)?;
            }
            _ => return Err("not a proposal".into()),
        }
        match self.hub_s(message)?.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                self.hub.add_proposal(&self.hub_storage, *proposal)?;
            }
            _ => return Err("not a proposal to the hub".into()),
        }
        Ok(self.provider.0.save()?)
    }

    fn apply(&mut self, message: &[u8]) -> Result<()> {
        let mut group = self.group()?;
        match group.process_message(&self.provider, protocol_message(message)?)?.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit)?
            }
            _ => return Err("not a commit".into()),
        }
        match self.hub_s(message)?.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                self.hub.merge_commit(&self.hub_storage, *commit)?
            }
            _ => return Err("not a commit to the hub".into()),
        }
        self.hub =
            PublicGroup::load(&self.hub_storage, &self.group_id)?.ok_or("the hub's group is not in its storage")?;
        Ok(self.provider.0.save()?)
    }

    /// What the hub makes of a message.
    fn hub_s(&self, message: &[u8]) -> Result<ProcessedMessage> {
        Ok(self.hub.process_message(crypto(), protocol_message(message)?)?)
    }

    /// The client has the secrets that the vector says, and the hub is where it is.
    fn compare(&self, authenticator: &[u8]) -> Result<()> {
        let group = self.group()?;
        ensure(group.epoch_authenticator().as_slice() == authenticator, "the epoch authenticator is another")?;
        let hub = self.hub.group_context().tls_serialize_detached()?;
        ensure(group.public_group().group_context().tls_serialize_detached()? == hub, "the hub has another context")
    }
}

fn protocol_message(message: &[u8]) -> Result<ProtocolMessage> {
    let message: PublicMessageIn = decode(bare(message, WireFormat::PublicMessage)).ok_or("a message is not read")?;
    Ok(message.into())
}

/// Stores the KeyPackage with its private keys, as if it had been made here. openmls has no other door for that than the
/// form in which it is stored.
fn keep_key_package(vector: &Value, provider: &Provider) -> Result<()> {
    let encoded = bytes(vector, "key_package")?;
    let incoming: KeyPackageIn = decode(bare(&encoded, WireFormat::KeyPackage)).ok_or("the KeyPackage is not read")?;
    let key_package: KeyPackage = serde_json::from_value(serde_json::to_value(&incoming)?)?;
    let bundle: KeyPackageBundle = serde_json::from_value(json!({
        "key_package": key_package,
        "private_init_key": HpkePrivateKey::from(bytes(vector, "init_priv")?),
        "private_encryption_key": {"key": HpkePrivateKey::from(bytes(vector, "encryption_priv")?)},
    }))?;
    let reference = key_package.hash_ref(crypto())?;
    Ok(provider.0.write_key_package(&reference, &bundle)?)
}

/// A hub that begins where the client has joined. openmls would not let it begin with a GroupInfo: the lifetimes of the
/// vectors' leaves are over.
fn hub_of(provider: &Provider, group_id: &GroupId) -> Result<PublicGroup> {
    Ok(PublicGroup::load(&provider.0, group_id)?.ok_or("the group is not in the store")?)
}
