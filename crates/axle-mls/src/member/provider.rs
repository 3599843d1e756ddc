//! What openmls is given by a client: cryptography, and a storage whose changes become durable as one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoding::{self, decode, encode};
use super::store::{Change, KeyValue, StoreError};
use crate::crypto::crypto;

/// The storage of all groups of one device, over what the client keeps bytes in.
pub(super) struct Storage {
    kept: Mutex<Box<dyn KeyValue>>,
    /// Changes of the running operation.
    changes: Mutex<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

/// The provider for openmls.
pub(super) struct Provider(pub Storage);

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Storage;

    fn storage(&self) -> &Storage {
        &self.0
    }

    fn crypto(&self) -> &RustCrypto {
        crypto()
    }

    fn rand(&self) -> &RustCrypto {
        crypto()
    }
}

impl Storage {
    pub(super) fn new(kept: Box<dyn KeyValue>) -> Self {
        Self { kept: Mutex::new(kept), changes: Mutex::default() }
    }

    /// Makes the changes since the last call durable.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.is_empty() {
            return Ok(());
        }
        let list: Vec<Change> = changes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).apply(&list)?;
        changes.clear();
        Ok(())
    }

    /// Forgets the changes since then.
    pub(super) fn discard(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn read<T: DeserializeOwned>(&self, label: &str, key: &impl Serialize) -> Result<Option<T>, StoreError> {
        self.bytes(label, key)?.map(|bytes| decode(&bytes)).transpose()
    }

    pub(super) fn write(&self, label: &str, key: &impl Serialize, value: &impl Serialize) -> Result<(), StoreError> {
        self.change(name(label, key)?, Some(encode(value)?));
        Ok(())
    }

    /// The values of a list, each encoded by itself.
    fn items(&self, label: &str, key: &impl Serialize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.bytes(label, key)?.map_or(Ok(Vec::new()), |bytes| encoding::items(&bytes))
    }

    fn bytes(&self, label: &str, key: &impl Serialize) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name(label, key)?;
        let changed = self.changes.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        match changed {
            Some(changed) => Ok(changed),
            None => self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&name),
        }
    }

    pub(super) fn remove(&self, label: &str, key: &impl Serialize) -> Result<(), StoreError> {
        self.change(name(label, key)?, None);
        Ok(())
    }

    fn change(&self, name: Vec<u8>, value: Option<Vec<u8>>) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).insert(name, value);
    }
}

/// Labels, too, so that no two kinds of values meet. Names are JSON, as they always were, so that what was kept is found.
fn name(label: &str, key: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut name = label.as_bytes().to_vec();
    name.push(b' ');
    serde_json::to_writer(&mut name, key).map_err(|error| StoreError(error.to_string()))?;
    Ok(name)
}

const OWN_LEAVES: &str = "own_leaf_nodes";
/// References and proposals, in turn.
const PROPOSALS: &str = "proposals";
const EPOCH_KEYS: &str = "epoch_key_pairs";

/// One value under one key: how it is written, read and removed. The parameters stand in the order that the trait has.
macro_rules! values {
    ($($label:literal:
        $write:ident<$($wp:ident: $wt:ident),*>($wk:ident, $wv:ident),
        $read:ident<$($rp:ident: $rt:ident),*>($rk:ident) -> $rv:ident,
        $remove:ident<$dp:ident: $dt:ident>;)*) => {$(
        fn $write<$($wp: traits::$wt<V>),*>(&self, key: &$wk, value: &$wv) -> Result<(), StoreError> {
            self.write($label, key, value)
        }

        fn $read<$($rp: traits::$rt<V>),*>(&self, key: &$rk) -> Result<Option<$rv>, StoreError> {
            self.read($label, key)
        }

        fn $remove<$dp: traits::$dt<V>>(&self, key: &$dp) -> Result<(), StoreError> {
            self.remove($label, key)
        }
    )*};
}

impl StorageProvider<V> for Storage {
    type Error = StoreError;

    values! {
        "join_config": write_mls_join_config<G: GroupId, C: MlsGroupJoinConfig>(G, C),
            mls_group_join_config<G: GroupId, C: MlsGroupJoinConfig>(G) -> C, delete_group_config<G: GroupId>;
        "tree": write_tree<G: GroupId, T: TreeSync>(G, T), tree<G: GroupId, T: TreeSync>(G) -> T,
            delete_tree<G: GroupId>;
        "interim_transcript_hash": write_interim_transcript_hash<G: GroupId, H: InterimTranscriptHash>(G, H),
            interim_transcript_hash<G: GroupId, H: InterimTranscriptHash>(G) -> H,
            delete_interim_transcript_hash<G: GroupId>;
        "context": write_context<G: GroupId, C: GroupContext>(G, C), group_context<G: GroupId, C: GroupContext>(G) -> C,
            delete_context<G: GroupId>;
        "confirmation_tag": write_confirmation_tag<G: GroupId, T: ConfirmationTag>(G, T),
            confirmation_tag<G: GroupId, T: ConfirmationTag>(G) -> T, delete_confirmation_tag<G: GroupId>;
        "state": write_group_state<S: GroupState, G: GroupId>(G, S), group_state<S: GroupState, G: GroupId>(G) -> S,
            delete_group_state<G: GroupId>;
        "message_secrets": write_message_secrets<G: GroupId, S: MessageSecrets>(G, S),
            message_secrets<G: GroupId, S: MessageSecrets>(G) -> S, delete_message_secrets<G: GroupId>;
        "resumption_psks": write_resumption_psk_store<G: GroupId, S: ResumptionPskStore>(G, S),
            resumption_psk_store<G: GroupId, S: ResumptionPskStore>(G) -> S,
            delete_all_resumption_psk_secrets<G: GroupId>;
        "own_leaf_index": write_own_leaf_index<G: GroupId, I: LeafNodeIndex>(G, I),
            own_leaf_index<G: GroupId, I: LeafNodeIndex>(G) -> I, delete_own_leaf_index<G: GroupId>;
        "epoch_secrets": write_group_epoch_secrets<G: GroupId, S: GroupEpochSecrets>(G, S),
            group_epoch_secrets<G: GroupId, S: GroupEpochSecrets>(G) -> S, delete_group_epoch_secrets<G: GroupId>;
        "signature_key_pair": write_signature_key_pair<K: SignaturePublicKey, P: SignatureKeyPair>(K, P),
            signature_key_pair<K: SignaturePublicKey, P: SignatureKeyPair>(K) -> P,
            delete_signature_key_pair<K: SignaturePublicKey>;
        "encryption_key_pair": write_encryption_key_pair<K: EncryptionKey, P: HpkeKeyPair>(K, P),
            encryption_key_pair<P: HpkeKeyPair, K: EncryptionKey>(K) -> P, delete_encryption_key_pair<K: EncryptionKey>;
        "key_package": write_key_package<R: HashReference, K: KeyPackage>(R, K),
            key_package<R: HashReference, K: KeyPackage>(R) -> K, delete_key_package<R: HashReference>;
        "psk": write_psk<I: PskId, P: PskBundle>(I, P), psk<P: PskBundle, I: PskId>(I) -> P, delete_psk<I: PskId>;
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(
        &self,
        group: &G,
        leaf: &L,
    ) -> Result<(), StoreError> {
        let mut leaves = self.items(OWN_LEAVES, group)?;
        leaves.push(encode(leaf)?);
        self.write(OWN_LEAVES, group, &leaves)
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, group: &G) -> Result<Vec<L>, StoreError> {
        self.items(OWN_LEAVES, group)?.iter().map(|leaf| decode(leaf)).collect()
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(OWN_LEAVES, group)
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        group: &G,
        reference: &R,
        proposal: &P,
    ) -> Result<(), StoreError> {
        let mut waiting = self.items(PROPOSALS, group)?;
        waiting.extend([encode(reference)?, encode(proposal)?]);
        self.write(PROPOSALS, group, &waiting)
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
    ) -> Result<Vec<R>, StoreError> {
        self.items(PROPOSALS, group)?.as_chunks().0.iter().map(|[reference, _]| decode(reference)).collect()
    }

    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        group: &G,
    ) -> Result<Vec<(R, P)>, StoreError> {
        let waiting = self.items(PROPOSALS, group)?;
        waiting.as_chunks().0.iter().map(|[reference, proposal]| Ok((decode(reference)?, decode(proposal)?))).collect()
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
        reference: &R,
    ) -> Result<(), StoreError> {
        let (reference, mut kept) = (encode(reference)?, Vec::new());
        for waiting in self.items(PROPOSALS, group)?.as_chunks::<2>().0 {
            let [other, _] = waiting;
            // Read and written again: it may have been kept in another form.
            if encode(&decode::<R>(other)?)? != reference {
                kept.extend_from_slice(waiting);
            }
        }
        self.write(PROPOSALS, group, &kept)
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
    ) -> Result<(), StoreError> {
        self.remove(PROPOSALS, group)
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, P: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[P],
    ) -> Result<(), StoreError> {
        self.write(EPOCH_KEYS, &(group, epoch, leaf), &pairs)
    }

    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, P: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<Vec<P>, StoreError> {
        Ok(self.read(EPOCH_KEYS, &(group, epoch, leaf))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<(), StoreError> {
        self.remove(EPOCH_KEYS, &(group, epoch, leaf))
    }
}
