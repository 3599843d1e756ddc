//! Messages of members, `m.room.encrypted`, as far as a hub can judge what it cannot read.

use axle_protocol::UserId;
use openmls::framing::{ContentType, PrivateMessageIn};

use super::{HubGroup, Refusal};
use crate::event::EncryptedContent;
use crate::limits::KEPT_EPOCHS;
use crate::wire::{WireFormat, bare, decode};

impl HubGroup {
    /// Checks that a message is encrypted for this group, in an epoch that nobody can read who was removed, by somebody
    /// who has a device in it. Whether the room lets the user send is decided elsewhere.
    pub fn check_message(&self, content: &EncryptedContent, sender: &UserId) -> Result<(), Refusal> {
        let message: PrivateMessageIn =
            decode(bare(&content.ciphertext, WireFormat::PrivateMessage)).ok_or(Refusal::Malformed("the message"))?;
        if message.group_id() != self.group.group_id() {
            return Err(Refusal::WrongGroup);
        }
        if message.content_type() != ContentType::Application {
            return Err(Refusal::Malformed("the message"));
        }
        let (epoch, current) = (message.epoch().as_u64(), self.epoch());
        let oldest = self.oldest_message_epoch.max(current.saturating_sub(KEPT_EPOCHS - 1));
        if !(oldest..=current).contains(&epoch) {
            return Err(Refusal::WrongEpoch { current });
        }
        let commit = self.commits.iter().find(|commit| commit.epoch == epoch);
        if commit.is_none_or(|commit| commit.event_id != content.commit_event_id.as_str()) {
            return Err(Refusal::WrongParent { current: self.last_commit.clone() });
        }
        if self.members.values().any(|device| device.user_id == *sender) { Ok(()) } else { Err(Refusal::NotAMember) }
    }
}
