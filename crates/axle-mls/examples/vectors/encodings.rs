//! What is read, and is the only encoding of itself.

use openmls::framing::{PrivateMessageIn, PublicMessageIn};
use openmls::messages::Welcome;
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{KeyPackageIn, RatchetTreeIn};
use serde_json::Value;
use tls_codec::{DeserializeBytes, Serialize, VLByteVec};

use crate::wire::{WireFormat, bare, decode};
use crate::{Outcome, Result, bytes, ensure, is_ours};

/// Some lengths are as long as can be said at all, which would take a minute each.
const MAX_LENGTH_BYTES: usize = 1 << 20;

pub(super) fn messages(vector: &Value) -> Result<Outcome> {
    message::<Welcome>(vector, "mls_welcome", WireFormat::Welcome)?;
    message::<VerifiableGroupInfo>(vector, "mls_group_info", WireFormat::GroupInfo)?;
    message::<KeyPackageIn>(vector, "mls_key_package", WireFormat::KeyPackage)?;
    message::<PrivateMessageIn>(vector, "private_message", WireFormat::PrivateMessage)?;
    for field in ["public_message_proposal", "public_message_commit"] {
        message::<PublicMessageIn>(vector, field, WireFormat::PublicMessage)?;
    }
    read_tree(&bytes(vector, "ratchet_tree")?)?;
    Ok(Outcome::Good)
}

pub(super) fn length(vector: &Value) -> Result<Outcome> {
    let length = usize::try_from(vector["length"].as_u64().ok_or("length is missing")?)?;
    if length > MAX_LENGTH_BYTES {
        return Ok(Outcome::NotOurs);
    }
    let vector = [bytes(vector, "vlbytes_header")?, vec![0; length]].concat();
    ensure(decode::<VLByteVec>(&vector).is_some_and(|it| it.as_slice().len() == length), "the length is not read")?;
    Ok(Outcome::Good)
}

pub(super) fn tree(vector: &Value) -> Result<Outcome> {
    if !is_ours(vector) {
        return Ok(Outcome::NotOurs);
    }
    read_tree(&bytes(vector, "tree")?)?;
    Ok(Outcome::Good)
}

pub(super) fn changed_tree(vector: &Value) -> Result<Outcome> {
    if !is_ours(vector) {
        return Ok(Outcome::NotOurs);
    }
    read_tree(&bytes(vector, "tree_before")?)?;
    read_tree(&bytes(vector, "tree_after")?)?;
    Ok(Outcome::Good)
}

fn read_tree(tree: &[u8]) -> Result<()> {
    ensure(decode::<RatchetTreeIn>(tree).is_some(), "the tree is not read")
}

/// An MLSMessage is what it should be, and so is what it holds; every cut of it is not.
fn message<T: DeserializeBytes + Serialize>(vector: &Value, field: &str, format: WireFormat) -> Result<()> {
    let wrapped = bytes(vector, field)?;
    let inner = bare(&wrapped, format);
    ensure(inner.len() + 4 == wrapped.len(), &format!("{field} is not taken out of its MLSMessage"))?;
    ensure(bare(inner, format) == inner, &format!("{field} alone is taken for an MLSMessage"))?;
    ensure(decode::<T>(inner).is_some(), &format!("{field} is not read"))?;
    for end in (0..inner.len()).step_by(7) {
        let cut = inner.get(..end).unwrap_or_default();
        ensure(decode::<T>(cut).is_none(), &format!("{field} is read although its end is missing"))?;
    }
    ensure(decode::<T>(&[inner, &[0]].concat()).is_none(), &format!("{field} is read with more behind it"))
}
