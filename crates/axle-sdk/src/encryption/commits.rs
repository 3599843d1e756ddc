//! Commits of this device on their way to the hub.

use axle_mls::member::CommitPlan;
use axle_mls::{CheckedKeyPackage, Credential};
use axle_protocol::{EventId, RoomId, UserId};
use serde_json::{Map, Value, json};

use super::EncryptionError;
use super::answers::{BindingAnswer, event_id};
use super::books::PendingBook;
use super::core::Sending;
use super::engine::{Engine, Step, is_definite, is_stale, refusal_of};
use crate::Error;

/// What became of a commit.
pub(super) enum Outcome {
    /// It is in the log.
    Taken,
    /// Another came first; the group has been brought up to date as far as the server tells.
    Lost,
    /// The hub did not take it, with this code.
    Refused(String),
}

impl Outcome {
    /// What comes next where the commit was all that was to be done.
    pub(super) fn next(self) -> Step {
        match self {
            Self::Taken => Step::Again,
            Self::Lost => Step::Refused("WRONG_EPOCH".to_owned()),
            Self::Refused(code) => Step::Refused(code),
        }
    }
}

/// What a commit of this device is to change.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) add: Vec<CheckedKeyPackage>,
    pub(super) remove: Vec<Credential>,
    pub(super) queued: Vec<Vec<u8>>,
    /// What queued proposals add.
    pub(super) queued_adds: Vec<Credential>,
    pub(super) update: bool,
}

impl Wanted {
    /// Devices that come in with it: they get its Welcome.
    fn added(&self) -> impl Iterator<Item = &Credential> {
        self.add.iter().map(CheckedKeyPackage::credential).chain(&self.queued_adds)
    }

    /// Whose they are.
    pub(super) fn added_users(&self) -> Vec<UserId> {
        self.added().map(|device| device.user_id.clone()).collect()
    }
}

impl Engine {
    /// What a commit has to say of the room now that adds devices of these users.
    pub(super) async fn binding(
        &self,
        id: &RoomId,
        add: &[UserId],
        member: Option<Value>,
    ) -> Result<BindingAnswer, Error> {
        let mut add: Vec<&str> = add.iter().map(UserId::as_str).collect();
        add.sort_unstable();
        add.dedup();
        let mut request = json!({ "add": add });
        if let Some(member) = member {
            request["member"] = member;
        }
        Ok(BindingAnswer::read(&self.server.binding(id.as_str(), &request).await?)?)
    }

    /// Makes a commit and keeps it, to be sent; with the member event that `binding` names, if it names one.
    pub(super) fn make_commit(
        &self,
        id: &RoomId,
        wanted: Wanted,
        binding: &BindingAnswer,
    ) -> Result<PendingBook, EncryptionError> {
        let added: Vec<Credential> = wanted.added().cloned().collect();
        // Whoever is put out knows the old keys.
        let update = wanted.update || !wanted.remove.is_empty();
        let plan = CommitPlan {
            add: wanted.add,
            remove: wanted.remove,
            queued: wanted.queued,
            update,
            binding: binding.binding.clone(),
        };
        self.core().unit(|core| {
            let pending = core.member.commit(id, plan)?;
            let sending = Sending { member: binding.member.as_ref(), updates: update, ..Sending::default() };
            core.keep_pending(id, &pending, sending, &added)
        })
    }

    /// Sends a commit that comes alone.
    pub(super) async fn submit(&self, id: &RoomId, pending: &PendingBook) -> Result<Outcome, Error> {
        let kind = axle_mls::event::CommitContent::EVENT_TYPE;
        let sent = self.server.send(id.as_str(), kind, &pending.content, &pending.transaction_id).await;
        self.settle(id, pending, sent).await
    }

    /// Sends a commit with the member event that it belongs to. The same again has the same answer.
    pub(super) async fn submit_pair(&self, id: &RoomId, pending: &PendingBook) -> Result<Outcome, Error> {
        let body = json!({ "member": pending.member, "commit": pending.content });
        let answer: Result<Map<String, Value>, Error> = self.server.pair(id.as_str(), &body).await;
        let sent = match answer {
            Ok(answer) => Ok(event_id(answer.get("commit_event_id"))?.to_string()),
            Err(error) => Err(error),
        };
        self.settle(id, pending, sent).await
    }

    /// Finds out about a commit whose answer never came, before anything else is done to the group.
    pub(super) async fn settle_old(&self, id: &RoomId) -> Result<(), Error> {
        let Some(pending) = self.core().books.pending(id)? else { return Ok(()) };
        match (pending.paired, &pending.member) {
            (false, _) => self.submit(id, &pending).await.map(drop),
            (true, Some(_)) => self.submit_pair(id, &pending).await.map(drop),
            // Kept by an earlier version of this program.
            (true, None) => self.find_or_discard(id, &pending).await,
        }
    }

    async fn settle(&self, id: &RoomId, pending: &PendingBook, sent: Result<String, Error>) -> Result<Outcome, Error> {
        let error = match sent {
            Ok(event_id) => {
                let event_id = EventId::parse(&event_id).map_err(|_| EncryptionError::Answer("an event id"))?;
                {
                    let mut core = self.core();
                    core.confirm(id, &event_id)?;
                    pending.member.iter().for_each(|member| core.room(id).fold_prepared(member));
                }
                self.send_welcomes().await;
                return Ok(Outcome::Taken);
            }
            Err(error) => error,
        };
        if let Some(code) = refusal_of(&error) {
            let code = code.to_owned();
            tracing::debug!(code, room = %id, "a commit was refused");
            if is_stale(&code) {
                self.find_or_discard(id, pending).await?;
                return Ok(Outcome::Lost);
            }
            self.discard_if_waiting(id, pending)?;
            return Ok(Outcome::Refused(code));
        }
        if is_definite(&error) {
            // Not every server answers twice.
            self.find_or_discard(id, pending).await?;
        }
        Err(error)
    }

    /// A commit that is not taken may be in the log all the same, when an answer was lost. If it is not, it is dropped. Who is
    /// not in the room has none to look at.
    async fn find_or_discard(&self, id: &RoomId, pending: &PendingBook) -> Result<(), Error> {
        match self.catch_up(id).await {
            Err(error) if !is_definite(&error) => Err(error),
            _ => self.discard_if_waiting(id, pending),
        }
    }

    fn discard_if_waiting(&self, id: &RoomId, pending: &PendingBook) -> Result<(), Error> {
        let mut core = self.core();
        let waits = core.books.pending(id)?.is_some_and(|other| other.transaction_id == pending.transaction_id);
        if waits {
            core.discard(id)?;
        }
        Ok(())
    }
}
