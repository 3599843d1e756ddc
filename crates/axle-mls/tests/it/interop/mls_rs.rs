//! mls-rs, with RustCrypto.

use std::time::Duration;

use axle_mls::event::{CommitContent, RoomBinding};
use axle_mls::member::HubState;
use axle_mls::{Credential, Layering};
use axle_protocol::RoomId;
use mls_rs::client_builder::MlsConfig;
use mls_rs::group::{CommitEffect, ExportedTree, Group, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rs_codec::MlsEncode as _;
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::{CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, MlsMessage};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;

use super::scenarios::{in_a_group_of_ours, in_a_group_of_theirs};
use super::{Change, Foreign, Implementation, Made};
use crate::common::user;

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;
/// What a hub lets a KeyPackage live, less than mls-rs would.
const LIFETIME: Duration = Duration::from_secs(28 * 24 * 60 * 60);
/// `ProtocolVersion` and `WireFormat` of an MLSMessage.
const HEADER_BYTES: usize = 4;
/// A vector with an Ed25519 signature: the last of a GroupInfo.
const SIGNATURE_BYTES: usize = 2 + 64;

#[test]
fn mls_rs_on_top() {
    in_a_group_of_ours(Layering::OnTop, &mut MlsRs);
    in_a_group_of_theirs(Layering::OnTop, &mut MlsRs);
}

#[test]
fn mls_rs_bound() {
    in_a_group_of_ours(Layering::Bound, &mut MlsRs);
    in_a_group_of_theirs(Layering::Bound, &mut MlsRs);
}

struct MlsRs;

struct Device<C: MlsConfig> {
    client: Client<C>,
    credential: Credential,
    group: Option<Group<C>>,
    /// A group that counts only when the hub has taken the commit that makes it.
    pending: Option<Group<C>>,
}

impl Implementation for MlsRs {
    fn device(&mut self, user_id: &str, device_id: &str) -> Box<dyn Foreign> {
        let crypto = RustCryptoProvider::default();
        let (secret, public) = crypto.cipher_suite_provider(SUITE).unwrap().signature_key_generate().unwrap();
        let signature_key = public.as_bytes().to_vec();
        let credential = Credential { user_id: user(user_id), device_id: device_id.into(), signature_key };
        let identity = SigningIdentity::new(BasicCredential::new(credential.encode()).into_credential(), public);
        let commits = CommitOptions::new()
            .with_path_required(true)
            .with_ratchet_tree_extension(false)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true);
        let rules = DefaultMlsRules::new()
            .with_commit_options(commits)
            .with_encryption_options(EncryptionOptions::new(false, Default::default()));
        let client = Client::builder()
            .identity_provider(BasicIdentityProvider)
            .crypto_provider(crypto)
            .mls_rules(rules)
            .key_package_lifetime(LIFETIME)
            .signing_identity(identity, secret, SUITE)
            .build();
        Box::new(Device { client, credential, group: None, pending: None })
    }

    fn knows_external_senders(&self) -> bool {
        true
    }

    fn makes_the_paths_that_others_need(&self) -> bool {
        true
    }
}

impl<C: MlsConfig> Device<C> {
    fn group(&mut self) -> &mut Group<C> {
        self.group.as_mut().unwrap()
    }

    /// Has these proposals wait, and no others.
    fn hear(&mut self, proposals: &[Vec<u8>]) {
        let group = self.group();
        group.clear_proposal_cache();
        for proposal in proposals {
            let heard = group.process_incoming_message(wrapped(1, proposal)).unwrap();
            assert!(matches!(heard, ReceivedMessage::Proposal(_)));
        }
    }

    fn leaf(&mut self, device: &Credential) -> u32 {
        self.group().member_with_identity(&device.encode()).unwrap().index
    }
}

impl<C: MlsConfig + 'static> Foreign for Device<C> {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn key_package(&mut self) -> Vec<u8> {
        let package = self.client.generate_key_package_message(Default::default(), Default::default(), None);
        bare(&package.unwrap())
    }

    fn create(&mut self, room: &RoomId, binding: Option<&RoomBinding>) -> Made {
        let id = room.as_str().as_bytes().to_vec();
        let group = self.client.create_group_with_id(id, Default::default(), Default::default(), None);
        self.group = Some(group.unwrap());
        self.commit(&[], &[], binding)
    }

    fn join(&mut self, welcome: &[u8], ratchet_tree: &[u8]) {
        let tree = ExportedTree::from_bytes(ratchet_tree).unwrap();
        self.group = Some(self.client.join_group(Some(tree), &wrapped(3, welcome), None).unwrap().0);
    }

    fn join_external(&mut self, hub: &HubState, resync: bool, binding: Option<&RoomBinding>) -> Made {
        let tree = ExportedTree::from_bytes(&hub.ratchet_tree).unwrap().into_owned();
        let own = self.credential.clone();
        let mut builder = self.client.external_commit_builder().unwrap().with_tree_data(tree);
        if resync {
            builder = builder.with_removal(self.leaf(&own));
        }
        if let Some(binding) = binding {
            builder = builder.with_authenticated_data(binding.encode());
        }
        let (group, message) = builder.build(wrapped(4, &hub.group_info)).unwrap();
        let group_info = group.group_info_message_allowing_ext_commit(false).unwrap();
        self.pending = Some(group);
        Made { message: bare(&message), group_state: state(&group_info, binding.is_none()), welcome: None }
    }

    fn propose(&mut self, change: &Change, binding: Option<&RoomBinding>) -> Vec<u8> {
        let data = binding.map(RoomBinding::encode).unwrap_or_default();
        let proposal = match change {
            Change::Add(package) => self.group().propose_add(wrapped(5, package), data),
            Change::Remove(device) => {
                let leaf = self.leaf(device);
                self.group().propose_remove(leaf, data)
            }
        };
        bare(&proposal.unwrap())
    }

    fn commit(&mut self, changes: &[Change], queued: &[Vec<u8>], binding: Option<&RoomBinding>) -> Made {
        self.hear(queued);
        let leaves: Vec<Option<u32>> = changes
            .iter()
            .map(|change| match change {
                Change::Add(_) => None,
                Change::Remove(device) => Some(self.leaf(device)),
            })
            .collect();
        let first = self.group().current_epoch() == 0;
        let mut builder = self.group().commit_builder();
        for (change, leaf) in changes.iter().zip(leaves) {
            builder = match (change, leaf) {
                (Change::Add(package), _) => builder.add_member(wrapped(5, package)).unwrap(),
                (Change::Remove(_), leaf) => builder.remove_member(leaf.unwrap()).unwrap(),
            };
        }
        if let Some(binding) = binding {
            builder = builder.authenticated_data(binding.encode());
        }
        let output = builder.build().unwrap();
        assert!(output.unused_proposals.is_empty());
        let whole = binding.is_none() || first;
        Made {
            message: bare(&output.commit_message),
            group_state: state(&output.external_commit_group_info.unwrap(), whole),
            welcome: output.welcome_messages.first().map(bare),
        }
    }

    fn settle(&mut self, taken: bool) {
        match (self.pending.take(), taken) {
            (Some(group), true) => self.group = Some(group),
            (Some(_), false) => {}
            (None, true) => drop(self.group().apply_pending_commit().unwrap()),
            (None, false) => self.group().clear_pending_commit(),
        }
    }

    fn process(&mut self, content: &CommitContent) -> bool {
        self.hear(&content.proposals);
        let heard = self.group().process_incoming_message(wrapped(1, &content.message)).unwrap();
        let ReceivedMessage::Commit(commit) = heard else { panic!("{heard:?} is no commit") };
        matches!(commit.effect, CommitEffect::Removed { .. })
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.group().clear_proposal_cache();
        bare(&self.group().encrypt_application_message(plaintext, vec![]).unwrap())
    }

    fn decrypt(&mut self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        match self.group.as_mut()?.process_incoming_message(wrapped(2, ciphertext)).ok()? {
            ReceivedMessage::ApplicationMessage(message) => Some(message.data().to_vec()),
            _ => None,
        }
    }

    fn authenticator(&mut self) -> Vec<u8> {
        self.group().epoch_authenticator().unwrap().to_vec()
    }
}

fn wrapped(wire_format: u8, bytes: &[u8]) -> MlsMessage {
    MlsMessage::from_bytes(&[&[0, 1, 0, wire_format], bytes].concat()).unwrap()
}

fn bare(message: &MlsMessage) -> Vec<u8> {
    message.to_bytes().unwrap()[HEADER_BYTES..].to_vec()
}

fn state(group_info: &MlsMessage, whole: bool) -> Vec<u8> {
    let encoded = bare(group_info);
    if whole {
        return encoded;
    }
    let extensions = group_info.as_group_info().unwrap().extensions().mls_encode_to_vec().unwrap();
    [&extensions, &encoded[encoded.len() - SIGNATURE_BYTES..]].concat()
}
