//! What openmls alone takes for a commit: the floor under what a hub needs.

use openmls::framing::PublicMessageIn;
use openmls::group::{ProposalStore, PublicGroup};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{ProtocolMessage, RatchetTreeIn};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use tls_codec::DeserializeBytes as _;

use super::Result;
use super::group::Group;

/// A group as openmls follows it.
pub(super) struct Floor {
    provider: OpenMlsRustCrypto,
    group: PublicGroup,
}

impl Floor {
    pub(super) fn of(group: &Group) -> Result<Self> {
        let provider = OpenMlsRustCrypto::default();
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(&group.hub.ratchet_tree())?;
        let group_info = VerifiableGroupInfo::tls_deserialize_exact_bytes(group.hub.group_info())?;
        let (crypto, storage) = (provider.crypto(), provider.storage());
        let (group, _) = PublicGroup::from_external(crypto, storage, tree, group_info, ProposalStore::new())?;
        Ok(Self { provider, group })
    }

    /// Reads and checks a commit.
    pub(super) fn check(&self, message: &[u8]) -> Result<()> {
        let message = PublicMessageIn::tls_deserialize_exact_bytes(message)?;
        let processed = self.group.process_message(self.provider.crypto(), ProtocolMessage::from(message))?;
        std::hint::black_box(processed);
        Ok(())
    }
}
