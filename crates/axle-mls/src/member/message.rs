//! Messages to the group.

use axle_protocol::RoomId;
use openmls::framing::{PrivateMessageIn, ProcessedMessageContent};
use openmls::prelude::ProtocolMessage;

use super::error::invalid;
use super::process::author;
use super::{Member, MemberError, Pending};
use crate::credential::Credential;
use crate::event::EncryptedContent;
use crate::wire::{WireFormat, bare, bare_message, decode};

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decrypted {
    /// What was encrypted.
    pub plaintext: Vec<u8>,
    /// The device that encrypted it. That its user sent the event is for the caller to compare.
    pub sender: Credential,
    /// The epoch it was encrypted in.
    pub epoch: u64,
}

/// The epoch that a message was encrypted in. `None` if it is none.
pub fn message_epoch(content: &EncryptedContent) -> Option<u64> {
    let message: PrivateMessageIn = decode(bare(&content.ciphertext, WireFormat::PrivateMessage))?;
    Some(message.epoch().as_u64())
}

impl Member {
    /// Encrypts to the group as it is.
    pub fn encrypt(&mut self, room: &RoomId, plaintext: &[u8]) -> Result<EncryptedContent, MemberError> {
        let result = self.encrypt_message(room, plaintext);
        self.finish(Some(room), result)
    }

    /// Decrypts a message of another device. Each can be decrypted once; its key is gone afterwards.
    pub fn decrypt(&mut self, room: &RoomId, content: &EncryptedContent) -> Result<Decrypted, MemberError> {
        let result = self.decrypt_message(room, content);
        self.finish(Some(room), result)
    }

    fn encrypt_message(&mut self, room: &RoomId, plaintext: &[u8]) -> Result<EncryptedContent, MemberError> {
        let kept = self.room(room)?;
        if kept.pending == Pending::Group {
            return Err(MemberError::CommitPending);
        }
        self.group(room)?;
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        // What waits at the hub is the next committer's concern, not that of a message.
        group.clear_pending_proposals(&self.provider.0)?;
        let commit_event_id = kept.commit(group.epoch().as_u64()).ok_or(MemberError::NoGroup)?;
        let message = group.create_message(&self.provider, &self.key, plaintext).map_err(invalid)?;
        let ciphertext = bare_message(&message).ok_or(MemberError::Malformed("the message"))?;
        Ok(EncryptedContent { ciphertext, commit_event_id })
    }

    fn decrypt_message(&mut self, room: &RoomId, content: &EncryptedContent) -> Result<Decrypted, MemberError> {
        let message: PrivateMessageIn = decode(bare(&content.ciphertext, WireFormat::PrivateMessage))
            .ok_or(MemberError::Malformed("the message"))?;
        let epoch = message.epoch().as_u64();
        let current = self.epoch(room)?;
        if epoch > current {
            return Err(MemberError::WrongEpoch { current });
        }
        let group = self.groups.get_mut(room).ok_or(MemberError::NoGroup)?;
        let processed = group
            .process_message(&self.provider, ProtocolMessage::from(message))
            .map_err(|error| MemberError::CannotDecrypt(error.to_string()))?;
        let sender = author(&processed)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok(Decrypted { plaintext: message.into_bytes(), sender, epoch })
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(MemberError::OwnMessage),
            _ => Err(MemberError::CannotDecrypt("it is not an application message".into())),
        }
    }
}
