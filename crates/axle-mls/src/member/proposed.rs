//! What proposals that wait at the hub would change.

use axle_protocol::RoomId;
use openmls::prelude::Proposal;

use super::process::{credential_of, member_at};
use super::{Member, MemberError};
use crate::credential::Credential;

/// Devices that queued proposals are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposed {
    /// Those that they add. A commit that includes them is bound to their users' member events.
    pub adds: Vec<Credential>,
    /// Those that they remove.
    pub removes: Vec<Credential>,
}

impl Member {
    /// Reads the proposals that wait at the hub, as a commit of this epoch would include them.
    pub fn proposed(&mut self, room: &RoomId, queued: &[Vec<u8>]) -> Result<Proposed, MemberError> {
        let result = self.read_proposed(room, queued);
        self.finish(Some(room), result)
    }

    fn read_proposed(&mut self, room: &RoomId, queued: &[Vec<u8>]) -> Result<Proposed, MemberError> {
        let queued = self.hear_proposals(room, queued)?;
        let group = self.group(room)?;
        let mut proposed = Proposed::default();
        for queued in &queued {
            match queued.proposal() {
                Proposal::Add(add) => proposed.adds.extend(credential_of(add.key_package().leaf_node())),
                Proposal::Remove(remove) => proposed.removes.extend(member_at(group, remove.removed())),
                _ => {}
            }
        }
        Ok(proposed)
    }
}
