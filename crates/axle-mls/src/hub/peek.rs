//! What can be told of a message without the group that it is for: whom it would bring in, and what it is bound to. A hub asks
//! about their devices before it checks the message; a participant, which does not follow the group, checks that much.

use std::collections::BTreeSet;

use axle_protocol::UserId;
use openmls::framing::Sender;
use openmls::prelude::{KeyPackageIn, ProposalIn, ProposalOrRefIn};
use tls_codec::{DeserializeBytes as _, VLByteVec};

use crate::credential::Credential;
use crate::event::RoomBinding;
use crate::limits::{MAX_ADDED_DEVICES, MAX_MESSAGE_BYTES};
use crate::wire::{WireFormat, bare};

const PROPOSAL: u8 = 2;
const COMMIT: u8 = 3;
/// `ProposalOrRefType`.
const BY_VALUE: u8 = 1;
/// `ProposalType`.
const ADD: [u8; 2] = [0, 1];

/// What a message says about the room. Nothing of it is believed: the message may be anything, and then it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// The users of the devices that it adds by value.
    pub added: BTreeSet<UserId>,
    /// What it is bound to, if to anything.
    pub binding: Option<RoomBinding>,
}

/// Looks at a commit or a proposal, a PublicMessage.
pub fn glance(message: &[u8]) -> Glance {
    if message.len() > MAX_MESSAGE_BYTES {
        return Glance::default();
    }
    read(bare(message, WireFormat::PublicMessage)).unwrap_or_default()
}

/// The users of the devices that a commit or a proposal, a PublicMessage, adds by value.
pub fn added_users(message: &[u8]) -> BTreeSet<UserId> {
    glance(message).added
}

fn read(message: &[u8]) -> Option<Glance> {
    let (_group_id, rest) = VLByteVec::tls_deserialize_bytes(message).ok()?;
    let (_epoch, rest) = u64::tls_deserialize_bytes(rest).ok()?;
    let (_sender, rest) = Sender::tls_deserialize_bytes(rest).ok()?;
    let (authenticated_data, rest) = VLByteVec::tls_deserialize_bytes(rest).ok()?;
    let added = match rest.split_first()? {
        (&PROPOSAL, proposal) => added(proposal).into_iter().collect(),
        (&COMMIT, commit) => {
            let (proposals, _) = VLByteVec::tls_deserialize_bytes(commit).ok()?;
            listed(proposals.as_slice())?
        }
        _ => return None,
    };
    Some(Glance { added, binding: RoomBinding::decode(authenticated_data.as_slice()) })
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
