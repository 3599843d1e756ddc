//! A PublicMessage from outside, read but not believed.

use axle_protocol::UserId;
use openmls::framing::{ContentType, ProcessedMessage, PublicMessageIn, Sender};
use openmls::prelude::{ConfirmationTag, ProtocolMessage};

use super::{HubGroup, Refusal, RoomView};
use crate::credential::Credential;
use crate::crypto::crypto;
use crate::event::RoomBinding;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::wire::{WireFormat, bare, decode};

/// Reads a PublicMessage.
pub(super) fn read(bytes: &[u8]) -> Result<PublicMessageIn, Refusal> {
    let bytes = Some(bare(bytes, WireFormat::PublicMessage)).filter(|bytes| bytes.len() <= MAX_MESSAGE_BYTES);
    bytes.and_then(decode).ok_or(Refusal::Malformed("the message"))
}

/// What can be told of a commit before its signature is checked.
pub(super) struct Incoming {
    pub message: PublicMessageIn,
    pub sender: Sender,
    pub confirmation_tag: Option<ConfirmationTag>,
}

impl HubGroup {
    /// Reads a message and checks that it is for this epoch of this group.
    pub(super) fn incoming(&self, bytes: &[u8], content: ContentType) -> Result<Incoming, Refusal> {
        let message = read(bytes)?;
        if message.group_id() != self.group.group_id() {
            return Err(Refusal::WrongGroup);
        }
        if message.epoch() != self.group.group_context().epoch() {
            return Err(Refusal::WrongEpoch { current: self.epoch() });
        }
        if message.content_type() != content {
            return Err(Refusal::Malformed("the message"));
        }
        let (sender, confirmation_tag) = (message.sender().clone(), message.confirmation_tag().cloned());
        Ok(Incoming { message, sender, confirmation_tag })
    }

    /// Has openmls check the message: its signature, and of a commit everything that RFC 9420 demands.
    pub(super) fn process(&self, message: PublicMessageIn) -> Result<ProcessedMessage, Refusal> {
        Ok(self.group.process_message(crypto(), ProtocolMessage::from(message))?)
    }

    /// Checks that a message was made by a device of the user who sent it, which the room allows to take part.
    pub(super) fn check_author(
        &self,
        author: &Credential,
        sender: &UserId,
        view: &dyn RoomView,
    ) -> Result<(), Refusal> {
        if author.user_id != *sender {
            return Err(Refusal::WrongSender(author.user_id.clone()));
        }
        if self.is_quarantined(author) {
            return Err(Refusal::Quarantined);
        }
        super::rules::check_device(author, view)
    }

    /// The device in a leaf.
    pub(super) fn member(&self, leaf: u32) -> Result<&Credential, Refusal> {
        self.members.get(&leaf).ok_or(Refusal::NotAMember)
    }
}

/// Checks that authenticated data binds a message to exactly these events of the room.
pub(super) fn check_binding<'a>(
    authenticated_data: &[u8],
    sender: &UserId,
    added: impl Iterator<Item = &'a UserId>,
    view: &dyn RoomView,
) -> Result<(), Refusal> {
    let binding = RoomBinding::decode(authenticated_data).ok_or(Refusal::Unbound)?;
    let paired = view.paired();
    if binding.member_event != paired.map(|paired| paired.lpdu_hash) {
        return Err(Refusal::WrongMemberEvent);
    }
    let mut events = view.auth_events(sender);
    events.extend(added.filter_map(|user| view.member_event(user)));
    if let Some(id) = paired.and_then(|paired| paired.event_id.as_ref()) {
        events.remove(id);
    }
    if binding.auth_events != events {
        return Err(Refusal::WrongAuthEvents(events.into_iter().collect()));
    }
    Ok(())
}
