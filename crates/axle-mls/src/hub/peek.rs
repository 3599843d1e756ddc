//! Whom a message would bring into a group, read before anything is checked: so that the hub can ask about their devices
//! first.

use std::collections::BTreeSet;

use axle_protocol::UserId;
use openmls::framing::Sender;
use openmls::prelude::{KeyPackageIn, ProposalIn, ProposalOrRefIn};
use tls_codec::{DeserializeBytes as _, VLByteVec};

use crate::credential::Credential;
use crate::limits::{MAX_ADDED_DEVICES, MAX_MESSAGE_BYTES};
use crate::wire::{WireFormat, bare};

const PROPOSAL: u8 = 2;
const COMMIT: u8 = 3;
/// `ProposalOrRefType`.
const BY_VALUE: u8 = 1;
/// `ProposalType`.
const ADD: [u8; 2] = [0, 1];

/// The users of the devices that a commit or a proposal, a PublicMessage, adds by value. Nothing of it is believed: the
/// message may be anything, and then there are none.
pub fn added_users(message: &[u8]) -> BTreeSet<UserId> {
    if message.len() > MAX_MESSAGE_BYTES {
        return BTreeSet::new();
    }
    read(bare(message, WireFormat::PublicMessage)).unwrap_or_default()
}

fn read(message: &[u8]) -> Option<BTreeSet<UserId>> {
    let (_group_id, rest) = VLByteVec::tls_deserialize_bytes(message).ok()?;
    let (_epoch, rest) = u64::tls_deserialize_bytes(rest).ok()?;
    let (_sender, rest) = Sender::tls_deserialize_bytes(rest).ok()?;
    let (_authenticated_data, rest) = VLByteVec::tls_deserialize_bytes(rest).ok()?;
    match rest.split_first()? {
        (&PROPOSAL, proposal) => Some(added(proposal).into_iter().collect()),
        (&COMMIT, commit) => {
            let (proposals, _) = VLByteVec::tls_deserialize_bytes(commit).ok()?;
            listed(proposals.as_slice())
        }
        _ => None,
    }
}

/// The users in a list of `ProposalOrRef`.
fn listed(mut proposals: &[u8]) -> Option<BTreeSet<UserId>> {
    let mut users = BTreeSet::new();
    for _ in 0..MAX_ADDED_DEVICES {
        if proposals.is_empty() {
            break;
        }
        let (item, rest) = ProposalOrRefIn::tls_deserialize_bytes(proposals).ok()?;
        if let ProposalOrRefIn::Proposal(proposal) = item
            && matches!(*proposal, ProposalIn::Add(_))
        {
            users.extend(proposals.strip_prefix(&[BY_VALUE]).and_then(added));
        }
        proposals = rest;
    }
    Some(users)
}

/// The user of the device that a proposal adds.
fn added(proposal: &[u8]) -> Option<UserId> {
    let (key_package, _) = KeyPackageIn::tls_deserialize_bytes(proposal.strip_prefix(&ADD)?).ok()?;
    let leaf = key_package.unverified_credential();
    Some(Credential::of_leaf(&leaf.credential, leaf.signature_key.as_slice()).ok()?.user_id)
}
