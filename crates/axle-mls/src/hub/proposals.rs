//! Proposals of members, checked before they wait for the next commit ([`Layering::Bound`]). What waits has to be committed
//! as a whole, so nothing may get in that no commit could include.

use axle_protocol::UserId;
use openmls::framing::{ContentType, ProcessedMessageContent, Sender};
use openmls::prelude::{KeyPackage, Proposal, QueuedProposal};
use tls_codec::Serialize as _;

use super::incoming::check_binding;
use super::queue::{Change, Queued};
use super::rules::check_replaced;
use super::{HubGroup, Refusal, RoomView};
use crate::credential::Credential;
use crate::event::ProposalContent;
use crate::layering::Layering;
use crate::wire::{WireFormat, bare};

/// A proposal that may be queued.
#[derive(Debug)]
pub struct CheckedProposal {
    queued: Queued,
    proposal: QueuedProposal,
    generation: u64,
}

impl HubGroup {
    /// Checks a proposal of a member that `sender` sent. With a leave that `view` has as paired, the leaving device may
    /// propose its own removal.
    pub fn check_proposal(
        &self,
        content: &ProposalContent,
        sender: &UserId,
        view: &dyn RoomView,
    ) -> Result<CheckedProposal, Refusal> {
        if self.layering != Layering::Bound {
            return Err(Refusal::ProposalByReference);
        }
        let incoming = self.incoming(&content.message, ContentType::Proposal)?;
        let Sender::Member(by) = incoming.sender else { return Err(Refusal::NotAMember) };
        let author = self.member(by.u32())?;
        if author.user_id != *sender {
            return Err(Refusal::WrongSender(author.user_id.clone()));
        }
        let processed = self.process(incoming.message)?;
        let data = processed.aad().to_vec();
        let ProcessedMessageContent::ProposalMessage(proposal) = processed.into_content() else {
            return Err(Refusal::Malformed("the message"));
        };
        let checked = self.check_change(proposal.proposal(), by.u32(), author, view)?;
        check_binding(&data, sender, checked.added.iter().map(|device| &device.user_id), view)?;
        let queued = Queued {
            message: bare(&content.message, WireFormat::PublicMessage).to_vec(),
            change: checked.change,
            keys: checked.keys,
            by: Some(by.u32()),
            expires: checked.expires,
        };
        self.check_queue(&queued)?;
        Ok(CheckedProposal { queued, proposal: *proposal, generation: self.generation })
    }

    /// Queues a proposal that was checked on this very state.
    pub fn queue(&mut self, checked: CheckedProposal) -> Result<(), Refusal> {
        if checked.generation != self.generation {
            return Err(Refusal::Outdated);
        }
        self.add_to_queue(checked.queued, checked.proposal)
    }

    fn check_change(
        &self,
        proposal: &Proposal,
        by: u32,
        author: &Credential,
        view: &dyn RoomView,
    ) -> Result<CheckedChange, Refusal> {
        if let Proposal::Remove(remove) = proposal {
            let removed = remove.removed().u32();
            // Who leaves, and so is not in the room any more, may still say so.
            if removed != by {
                self.check_author(author, &author.user_id, view)?;
            }
            self.check_remove(removed, Some(&author.user_id), view)?;
            return Ok(CheckedChange { change: Change::Remove(removed), added: None, keys: Vec::new(), expires: None });
        }
        self.check_author(author, &author.user_id, view)?;
        match proposal {
            Proposal::Add(add) => self.check_added(add.key_package(), view),
            Proposal::Update(update) => {
                let leaf = update.leaf_node();
                check_replaced(leaf, author, view)?;
                let keys = vec![key_bytes(leaf.encryption_key())];
                Ok(CheckedChange { change: Change::Update(by), added: None, keys, expires: None })
            }
            _ => Err(Refusal::ProposalType),
        }
    }

    fn check_added(&self, key_package: &KeyPackage, view: &dyn RoomView) -> Result<CheckedChange, Refusal> {
        let device = self.check_add(key_package, |leaf| !self.is_removed(leaf), view)?;
        key_package.life_time().validate().map_err(|error| Refusal::Invalid(error.to_string()))?;
        if self.members.values().any(|member| member.signature_key == device.signature_key) {
            return Err(Refusal::Invalid("a key is in the group already".into()));
        }
        let keys = vec![
            device.signature_key.clone(),
            key_bytes(key_package.leaf_node().encryption_key()),
            key_package.hpke_init_key().as_slice().to_vec(),
        ];
        let expires = Some(key_package.life_time().not_after());
        Ok(CheckedChange { change: Change::Add(device.encode()), added: Some(device), keys, expires })
    }
}

struct CheckedChange {
    change: Change,
    added: Option<Credential>,
    keys: Vec<Vec<u8>>,
    expires: Option<u64>,
}

/// A public key, without the byte of its length.
fn key_bytes(key: &openmls::treesync::EncryptionKey) -> Vec<u8> {
    key.tls_serialize_detached().ok().and_then(|bytes| Some(bytes.get(1..)?.to_vec())).unwrap_or_default()
}
