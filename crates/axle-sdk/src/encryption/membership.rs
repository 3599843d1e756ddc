//! Who is put out or leaves: the member event and what it means for the group, as one.

use axle_mls::event::RoomBinding;
use axle_mls::hub::without_adds_of;
use axle_mls::{Credential, Layering};
use axle_protocol::{RoomId, UserId, base64};
use serde_json::json;

use super::EncryptionError;
use super::commits::{Outcome, Wanted};
use super::engine::{Engine, MAX_TRIES, refusal_of, refused};
use crate::Error;

impl Engine {
    /// Kicks or bans a user. Devices of theirs are removed from the group with the same stroke.
    pub(super) async fn put_out(
        &self,
        room_id: &str,
        action: &str,
        user_id: &str,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        let id = super::parse_room(room_id)?;
        let (layering, user) = (self.encryption_of(&id).await?, UserId::parse(user_id));
        if let (Some(Layering::Bound), Ok(user)) = (layering, &user) {
            for tries in 0..MAX_TRIES {
                let _lock = self.lock(&id).await;
                let Some(devices) = self.devices_of(&id, user).await? else { break };
                match self.put_out_devices(&id, action, user, reason, devices).await? {
                    Outcome::Taken => return Ok(()),
                    Outcome::Lost => {}
                    Outcome::Refused(code) if tries + 1 == MAX_TRIES => return Err(refused(code)),
                    Outcome::Refused(_) => {}
                }
                drop(_lock);
                tokio::time::sleep(self.pause(tries)).await;
                if self.core().room(&id).behind {
                    self.tend_now(&id).await?;
                }
            }
        }
        // Nobody of theirs is in the group, or this device is not, or the group knows no such thing as one stroke.
        self.server.put_out(room_id, action, user_id, reason).await?;
        if let (Some(Layering::OnTop), Ok(user)) = (layering, &user) {
            self.core().room(&id).joined.remove(user);
            if let Err(error) = self.tend_now(&id).await {
                // They are out, and whoever is in the group removes what is left; this device tries it again.
                tracing::debug!(%error, room = %id, "devices that are put out are not removed yet");
                self.core().room(&id).work = true;
            }
        }
        Ok(())
    }

    /// Leaves a room. What is left of this user in the group is for others to remove.
    pub(super) async fn leave(&self, room_id: &str) -> Result<(), Error> {
        let id = super::parse_room(room_id)?;
        let is_known = self.core().rooms.contains_key(&id);
        let is_bound = is_known && self.core().room(&id).layering() == Some(Layering::Bound);
        if is_bound && self.core().is_in(&id)? {
            let _lock = self.lock(&id).await;
            match self.leave_with_proposal(&id).await {
                Ok(true) => return self.core().forget(&id),
                Ok(false) => {}
                Err(error) if is_without_hub(&error) => tracing::debug!(%error, room = %id, "a leave has no proposal"),
                Err(error) => return Err(error),
            }
        }
        self.server.leave(room_id).await?;
        if is_bound {
            self.core().forget(&id)?;
        }
        Ok(())
    }

    /// The devices of a user that are in the group; `None` if there are none, or this device is not in it.
    async fn devices_of(&self, id: &RoomId, user: &UserId) -> Result<Option<Vec<Credential>>, Error> {
        self.settle_old(id).await?;
        let mut core = self.core();
        if !core.is_in(id)? {
            return Ok(None);
        }
        let devices = core.member.members(id).map_err(EncryptionError::from)?;
        let devices: Vec<Credential> = devices.into_iter().filter(|device| device.user_id == *user).collect();
        Ok(Some(devices).filter(|devices| !devices.is_empty()))
    }

    async fn put_out_devices(
        &self,
        id: &RoomId,
        action: &str,
        user: &UserId,
        reason: Option<&str>,
        devices: Vec<Credential>,
    ) -> Result<Outcome, Error> {
        let group = self.group_of(id).await?;
        if !self.is_at(id, &group)? {
            self.core().room(id).behind = true;
            return Ok(Outcome::Lost);
        }
        let queued = without_adds_of(user, group.proposals);
        let wanted = self.core().removals(id, Layering::Bound, queued, &group.removals_due)?;
        let Some(mut wanted) = wanted else { return Err(EncryptionError::NotInGroup.into()) };
        self.add_removals(id, &mut wanted, devices)?;
        let membership = if action == "ban" { "ban" } else { "leave" };
        let mut member = json!({ "user_id": user.as_str(), "membership": membership });
        if let Some(reason) = reason {
            member["reason"] = json!(reason);
        }
        let binding = self.binding(id, &wanted.added_users(), Some(member)).await?;
        binding.member.as_ref().ok_or(EncryptionError::Answer("member"))?;
        let pending = self.make_commit(id, wanted, &binding)?;
        self.submit_pair(id, &pending).await
    }

    /// Adds those that nobody has proposed to remove.
    fn add_removals(&self, id: &RoomId, wanted: &mut Wanted, devices: Vec<Credential>) -> Result<(), EncryptionError> {
        let proposed = self.core().member.proposed(id, &wanted.queued)?;
        let known = |device: &Credential| wanted.remove.contains(device) || proposed.removes.contains(device);
        let new: Vec<Credential> = devices.into_iter().filter(|device| !known(device)).collect();
        wanted.remove.extend(new);
        Ok(())
    }

    /// Leaves with the proposal that removes this device. `false` if the hub does not take it; then a plain leave will do.
    async fn leave_with_proposal(&self, id: &RoomId) -> Result<bool, Error> {
        for tries in 0..MAX_TRIES {
            self.settle_old(id).await?;
            if !self.core().is_in(id)? {
                return Ok(false);
            }
            let own = self.core().own_user();
            let member = json!({ "user_id": own.as_str(), "membership": "leave" });
            let answer = self.binding(id, &[], Some(member)).await?;
            let lpdu = answer.member.clone().ok_or(EncryptionError::Answer("member"))?;
            let message = self.propose_leave(id, &answer.binding)?;
            let body = json!({ "member": lpdu, "proposal": { "message": base64::encode(message) } });
            let error = match self.server.pair(id.as_str(), &body).await {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            let Some(code) = refusal_of(&error) else { return Err(error) };
            if code == "PROPOSAL_CONFLICT" || code == "QUEUE_FULL" {
                return Ok(false);
            }
            tracing::debug!(code, room = %id, "a leave was refused");
            tokio::time::sleep(self.pause(tries)).await;
            self.catch_up(id).await?;
        }
        Ok(false)
    }

    fn propose_leave(&self, id: &RoomId, binding: &RoomBinding) -> Result<Vec<u8>, EncryptionError> {
        self.core().unit(|core| Ok(core.member.leave(id, binding)?.message))
    }
}

/// Whether the room's hub, which only its server can ask, does not answer.
fn is_without_hub(error: &Error) -> bool {
    matches!(error, Error::Api(answer) if matches!(answer.status, 502..=504))
}
