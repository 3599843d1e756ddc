//! A member that does with openmls what no client of ours would do.

use axle_mls::event::{CommitContent, WelcomeContent};
use axle_mls::hub::Refusal;
use axle_mls::member::MemberError;
use axle_mls::{DeviceKey, HubGroup, Layering};
use axle_protocol::UserId;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CommitMessageBundle, CredentialWithKey, Extension, ExtensionType,
    Extensions, GroupId, KeyPackage, KeyPackageIn, LeafNodeParameters, MlsGroup, NewSignerBundle,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion, RequiredCapabilitiesExtension, UnknownExtension,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::{DeserializeBytes as _, Serialize as _};

use crate::common::sim::{LAYERINGS, Sim};
use crate::common::{ALICE, BOB, CAROL, key, user};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// `ProtocolVersion` and `WireFormat` of an MLSMessage.
const HEADER_BYTES: usize = 4;

/// Alice's device, alone in the room, with a group of openmls itself.
struct Rogue {
    sim: Sim,
    provider: OpenMlsRustCrypto,
    key: DeviceKey,
    group: MlsGroup,
    /// Of the last commit.
    welcome: Option<Vec<u8>>,
}

fn credential(key: &DeviceKey) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(key.credential().encode()).into(),
        signature_key: key.credential().signature_key.as_slice().into(),
    }
}

fn capabilities(extensions: &[ExtensionType]) -> Capabilities {
    Capabilities::builder().ciphersuites(vec![SUITE]).extensions(extensions.to_vec()).build()
}

impl Rogue {
    fn with_context(layering: Layering, extensions: Vec<Extension>) -> Self {
        let mut sim = Sim::empty(layering);
        sim.device(ALICE, "A");
        let (provider, key) = (OpenMlsRustCrypto::default(), key(ALICE, "A"));
        let types: Vec<_> = extensions.iter().map(Extension::extension_type).collect();
        let group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(sim.id.as_str().as_bytes()))
            .ciphersuite(SUITE)
            .with_capabilities(capabilities(&types))
            .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .with_group_context_extensions(Extensions::from_vec(extensions).unwrap())
            .build(&provider, &key, credential(&key))
            .unwrap();
        Self { sim, provider, key, group, welcome: None }
    }

    /// A room whose first commit was honest.
    fn new(layering: Layering) -> Self {
        let mut rogue = Self::with_context(layering, vec![]);
        let content = rogue.commit(Commit { state: State::Whole, ..Default::default() });
        let created = rogue.create(&content).unwrap();
        let event_id = rogue.sim.room.event_id();
        rogue.sim.replace_hub(created.confirm(event_id));
        rogue.group.merge_pending_commit(&rogue.provider).unwrap();
        rogue
    }

    fn create(&self, content: &CommitContent) -> Result<axle_mls::hub::Created, Refusal> {
        let (id, layering) = (&self.sim.id, self.sim.layering);
        HubGroup::create(id, layering, &self.sim.hub_sender(), content, &user(ALICE), &self.sim.room)
    }

    fn commit(&mut self, commit: Commit) -> CommitContent {
        let added: Vec<UserId> = commit.added.clone();
        if self.sim.layering == Layering::Bound {
            self.group.set_aad(self.sim.room.binding(&user(ALICE), &added).encode());
        }
        let mut builder = self.group.commit_builder().force_self_update(true).propose_adds(commit.add);
        if let Some(context) = commit.context {
            builder = builder.propose_group_context_extensions(Extensions::from_vec(context).unwrap()).unwrap();
        }
        let bundle = builder
            .leaf_node_parameters(commit.leaf)
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .use_ratchet_tree_extension(commit.tree)
            .build(self.provider.rand(), self.provider.crypto(), &self.key, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        self.welcome = bundle.welcome().map(|welcome| welcome.tls_serialize_detached().unwrap());
        self.content(&bundle, commit.state)
    }

    fn content(&self, bundle: &CommitMessageBundle, state: State) -> CommitContent {
        let group_info = bundle.group_info().unwrap();
        let whole = group_info.tls_serialize_detached().unwrap();
        let bound = self.sim.layering == Layering::Bound && state == State::Usual;
        let public_group_state = if bound {
            let extensions = group_info.extensions().tls_serialize_detached().unwrap();
            [extensions, group_info.signature().tls_serialize_detached().unwrap()].concat()
        } else {
            whole
        };
        CommitContent {
            message: bundle.commit().to_bytes().unwrap()[HEADER_BYTES..].to_vec(),
            public_group_state,
            prev_commit_event_id: match self.group.epoch().as_u64() {
                0 => None,
                _ => self.sim.hub().last_commit().cloned(),
            },
            proposals: vec![],
        }
    }

    /// A commit after which the leaf is that of another key.
    fn commit_as(&mut self, key: &DeviceKey) -> CommitContent {
        if self.sim.layering == Layering::Bound {
            self.group.set_aad(self.sim.room.binding(&user(ALICE), []).encode());
        }
        let new = NewSignerBundle { signer: key, credential_with_key: credential(key) };
        let builder = self.group.commit_builder().load_psks(self.provider.storage()).unwrap().create_group_info(true);
        let (rand, crypto) = (self.provider.rand(), self.provider.crypto());
        let built = builder.build_with_new_signer(rand, crypto, &self.key, new, |_| true).unwrap();
        let bundle = built.stage_commit(&self.provider).unwrap();
        self.content(&bundle, State::Usual)
    }

    /// What the hub makes of a commit of this device.
    fn refused(mut self, commit: Commit) -> Refusal {
        let content = self.commit(commit);
        let before = self.sim.hub().to_bytes().unwrap();
        let refusal = self.sim.check(0, &content).unwrap_err();
        assert_eq!(self.sim.hub().to_bytes().unwrap(), before);
        refusal
    }
}

#[derive(Default)]
struct Commit {
    add: Vec<KeyPackage>,
    added: Vec<UserId>,
    context: Option<Vec<Extension>>,
    leaf: LeafNodeParameters,
    tree: bool,
    state: State,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Usual,
    Whole,
}

fn unknown_extension() -> Extension {
    Extension::Unknown(0xff01, UnknownExtension(vec![1]))
}

#[test]
fn an_honest_commit_of_openmls_is_taken() {
    for layering in LAYERINGS {
        let mut rogue = Rogue::new(layering);
        let content = rogue.commit(Commit::default());
        rogue.sim.check(0, &content).unwrap();
    }
}

#[test]
fn nobody_changes_the_group_context() {
    for layering in LAYERINGS {
        let context = Some(vec![Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&[], &[], &[]))]);
        let refusal = Rogue::new(layering).refused(Commit { context, ..Default::default() });
        assert_eq!(refusal, Refusal::ProposalType);
    }
}

#[test]
fn a_group_has_no_context_that_others_would_have_to_live_with() {
    for layering in LAYERINGS {
        let eve = axle_mls::hub::HubSender::new(
            &"eve.test".parse().unwrap(),
            &axle_protocol::VerifyKey::from_base64(&axle_protocol::base64::encode(
                &key(BOB, "A").credential().signature_key,
            ))
            .unwrap(),
        );
        // Somebody else as external sender, and an extension that devices do not know.
        let mut sim = Sim::empty(Layering::Bound);
        sim.device(ALICE, "A");
        let (id, binding) = (sim.id.clone(), sim.room.binding(&user(ALICE), []));
        let foreign = sim.member(0).create_group(&id, Layering::Bound, Some(&eve), &binding).unwrap();
        assert_eq!(sim.establish(&foreign).unwrap_err(), Refusal::GroupInfo);
        let mut rogue = Rogue::with_context(layering, vec![unknown_extension()]);
        let content = rogue.commit(Commit { state: State::Whole, ..Default::default() });
        assert_eq!(rogue.create(&content).unwrap_err(), Refusal::GroupInfo);
    }
}

#[test]
fn no_tree_travels_in_an_event() {
    for layering in LAYERINGS {
        let mut rogue = Rogue::with_context(layering, vec![]);
        let content = rogue.commit(Commit { state: State::Whole, tree: true, ..Default::default() });
        assert_eq!(rogue.create(&content).unwrap_err(), Refusal::GroupInfo);
        let refusal = Rogue::new(layering).refused(Commit { tree: true, ..Default::default() });
        assert_eq!(refusal, Refusal::GroupInfo);
    }
}

#[test]
fn the_state_has_the_form_of_the_layering() {
    let whole = Commit { state: State::Whole, ..Default::default() };
    assert_eq!(Rogue::new(Layering::Bound).refused(whole), Refusal::Malformed("the public group state"));
}

#[test]
fn a_leaf_does_not_become_another_device_s() {
    for layering in LAYERINGS {
        let mut rogue = Rogue::new(layering);
        rogue.sim.device(BOB, "A");
        let mut other = credential(&key(ALICE, "A"));
        other.credential = credential(&key(BOB, "A")).credential;
        let leaf = LeafNodeParameters::builder().with_credential_with_key(other).build();
        assert_eq!(rogue.refused(Commit { leaf, ..Default::default() }), Refusal::Credential);
        // Nor another of the same user, whose key it has.
        let mut rogue = Rogue::new(layering);
        rogue.sim.device(ALICE, "LAPTOP");
        let content = rogue.commit_as(&key(ALICE, "LAPTOP"));
        assert_eq!(rogue.sim.check(0, &content).unwrap_err(), Refusal::Credential);
        // The same device may take another key, if it has published that.
        let mut rogue = Rogue::new(layering);
        let newer = DeviceKey::from_seed(user(ALICE), "A", &[3; 32]).unwrap();
        let content = rogue.commit_as(&newer);
        assert_eq!(rogue.sim.check(0, &content).unwrap_err().code(), "device_invalid");
    }
}

/// A member that has a liar as its hub, and one more in the group.
#[test]
fn a_member_lets_nobody_in_under_another_s_name() {
    let mut rogue = Rogue::new(Layering::OnTop);
    let bob = rogue.sim.device(BOB, "A");
    let id = rogue.sim.id.clone();
    let package = rogue.sim.member(bob).key_package(false).unwrap();
    let package = KeyPackageIn::tls_deserialize_exact_bytes(&package).unwrap();
    let package = package.validate(rogue.provider.crypto(), ProtocolVersion::Mls10).unwrap();
    rogue.commit(Commit { add: vec![package], ..Default::default() });
    rogue.group.merge_pending_commit(&rogue.provider).unwrap();
    let event_id = rogue.sim.room.event_id();
    let welcome = WelcomeContent { welcome: rogue.welcome.take().unwrap(), commit_event_id: event_id.clone() };
    let tree = rogue.group.export_ratchet_tree().tls_serialize_detached().unwrap();
    rogue.sim.member(bob).join(&id, Layering::OnTop, &welcome, &tree).unwrap();
    let epoch = rogue.sim.member(bob).epoch(&id);
    // Carol's credential, with the key of somebody else.
    let eve = key("@eve:a.test", "A");
    let mut carol = credential(&eve);
    carol.credential = credential(&key(CAROL, "A")).credential;
    let provider = OpenMlsRustCrypto::default();
    let fake = KeyPackage::builder().leaf_node_capabilities(capabilities(&[])).build(SUITE, &provider, &eve, carol);
    let content = rogue.commit(Commit { add: vec![fake.unwrap().key_package().clone()], ..Default::default() });
    let error = rogue.sim.member(bob).process(&id, &content, &event_id).unwrap_err();
    assert!(matches!(error, MemberError::CannotApply(_)), "{error}");
    // Nor under the committer's own.
    rogue.group.clear_pending_commit(rogue.provider.storage()).unwrap();
    let mut other = credential(&key(ALICE, "A"));
    other.credential = credential(&key(CAROL, "A")).credential;
    let leaf = LeafNodeParameters::builder().with_credential_with_key(other).build();
    let content = rogue.commit(Commit { leaf, ..Default::default() });
    let error = rogue.sim.member(bob).process(&id, &content, &event_id).unwrap_err();
    assert!(matches!(error, MemberError::CannotApply(_)), "{error}");
    assert_eq!(rogue.sim.member(bob).epoch(&id), epoch);
}

fn key_package(suite: Ciphersuite, key: &DeviceKey, lifetime: openmls::prelude::Lifetime) -> KeyPackage {
    let provider = OpenMlsRustCrypto::default();
    let bundle = KeyPackage::builder()
        .leaf_node_capabilities(Capabilities::builder().ciphersuites(vec![SUITE, suite]).build())
        .key_package_lifetime(lifetime)
        .build(suite, &provider, key, credential(key))
        .unwrap();
    bundle.key_package().clone()
}

#[test]
fn a_key_package_that_lives_for_ever_is_not_added() {
    for layering in LAYERINGS {
        let mut rogue = Rogue::new(layering);
        rogue.sim.device(BOB, "A");
        let forever = openmls::prelude::Lifetime::init(0, u64::MAX);
        let add = vec![key_package(SUITE, &key(BOB, "A"), forever)];
        let refusal = rogue.refused(Commit { add, added: vec![user(BOB)], ..Default::default() });
        assert_eq!(refusal.code(), "invalid");
    }
}

#[test]
fn a_device_of_another_ciphersuite_does_not_wait_to_be_added() {
    let mut rogue = Rogue::new(Layering::Bound);
    rogue.sim.device(BOB, "A");
    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let package = key_package(suite, &key(BOB, "A"), Default::default());
    rogue.group.set_aad(rogue.sim.room.binding(&user(ALICE), [&user(BOB)]).encode());
    let (message, _) = rogue.group.propose_add_member(&rogue.provider, &rogue.key, &package).unwrap();
    let message = message.to_bytes().unwrap()[HEADER_BYTES..].to_vec();
    let proposal = axle_mls::event::ProposalContent { message };
    assert_eq!(rogue.sim.queue(0, &proposal).unwrap_err(), Refusal::Ciphersuite);
}
