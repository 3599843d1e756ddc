//! The GroupInfo that each commit leads to. A hub has no secrets, so it cannot check a confirmation tag; but it can check
//! that the committer has signed it.

use openmls::ciphersuite::signature::OpenMlsSignaturePublicKey;
use openmls::messages::group_info::{GroupInfo, VerifiableGroupInfo};
use openmls::prelude::{
    ConfirmationTag, Extensions, GroupContext, LeafNodeIndex, Signature, SignatureScheme, Verifiable as _,
};
use tls_codec::{Serialize as _, TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::Refusal;
use crate::crypto::crypto;
use crate::layering::Layering;
use crate::limits::MAX_GROUP_INFO_BYTES;
use crate::wire::{WireFormat, bare, decode};

/// What of a GroupInfo does not follow from the commit. (A structure of draft-ietf-mimi-protocol.)
///
/// ```text
/// struct {
///     Extension group_info_extensions<V>;
///     opaque signature<V>;
/// } PartialGroupInfo;
/// ```
#[derive(TlsSerialize, TlsDeserializeBytes, TlsSize)]
pub(crate) struct PartialGroupInfo {
    extensions: Extensions<GroupInfo>,
    signature: Signature,
}

impl PartialGroupInfo {
    pub(crate) fn of(group_info: &GroupInfo) -> Self {
        Self { extensions: group_info.extensions().clone(), signature: group_info.signature().clone() }
    }

    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        self.tls_serialize_detached().ok()
    }
}

/// What a commit leads to: everything that its GroupInfo has to say.
pub(super) struct Expected<'a> {
    pub context: &'a GroupContext,
    pub confirmation_tag: &'a ConfirmationTag,
    pub committer: LeafNodeIndex,
    /// The key that the committer's leaf has after the commit.
    pub key: &'a [u8],
}

impl Expected<'_> {
    fn rebuild(&self, extensions: Extensions<GroupInfo>, signature: Signature) -> VerifiableGroupInfo {
        let (context, tag) = (self.context.clone(), self.confirmation_tag.clone());
        VerifiableGroupInfo::new(context, extensions, tag, self.committer, signature)
    }

    fn verify(&self, group_info: VerifiableGroupInfo) -> Result<GroupInfo, Refusal> {
        let key = OpenMlsSignaturePublicKey::from_signature_key(self.key.into(), SignatureScheme::ED25519);
        group_info.verify(crypto(), &key).map_err(|_| Refusal::GroupInfo)
    }
}

/// Checks `public_group_state` and returns the whole GroupInfo, encoded.
pub(super) fn check(bytes: &[u8], layering: Layering, expected: &Expected<'_>) -> Result<Vec<u8>, Refusal> {
    let verified = match layering {
        Layering::Bound => check_partial(bytes, expected)?,
        Layering::OnTop => check_whole(bytes, expected)?,
    };
    check_extensions(verified.extensions())?;
    verified.tls_serialize_detached().map_err(|_| Refusal::GroupInfo)
}

fn check_partial(bytes: &[u8], expected: &Expected<'_>) -> Result<GroupInfo, Refusal> {
    let partial = Some(bytes).filter(|bytes| bytes.len() <= MAX_GROUP_INFO_BYTES).and_then(decode::<PartialGroupInfo>);
    let partial = partial.ok_or(Refusal::Malformed("the public group state"))?;
    expected.verify(expected.rebuild(partial.extensions, partial.signature))
}

fn check_whole(bytes: &[u8], expected: &Expected<'_>) -> Result<GroupInfo, Refusal> {
    let given = read(bytes)?;
    let verified = expected.verify(given.clone())?;
    if expected.rebuild(verified.extensions().clone(), verified.signature().clone()) != given {
        return Err(Refusal::GroupInfo);
    }
    Ok(verified)
}

/// Reads a whole GroupInfo, unverified.
pub(super) fn read(bytes: &[u8]) -> Result<VerifiableGroupInfo, Refusal> {
    let group_info = Some(bare(bytes, WireFormat::GroupInfo)).filter(|bytes| bytes.len() <= MAX_GROUP_INFO_BYTES);
    group_info.and_then(decode).ok_or(Refusal::Malformed("the public group state"))
}

/// External joiners need the public key that belongs to the epoch; a tree is not sent with every commit.
pub(super) fn check_extensions(extensions: &Extensions<GroupInfo>) -> Result<(), Refusal> {
    const X25519_KEY_BYTES: usize = 32;
    let key = extensions.external_pub().map(|extension| extension.external_pub().as_slice().len());
    if key != Some(X25519_KEY_BYTES) || extensions.ratchet_tree().is_some() {
        return Err(Refusal::GroupInfo);
    }
    Ok(())
}
