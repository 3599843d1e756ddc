//! A group as bytes: what the caller stores beside the room's log, one row for each of the last
//! [`KEPT_EPOCHS`](crate::limits::KEPT_EPOCHS) epochs and of those that are [awaited](HubGroup::awaited_epochs).

use axle_protocol::EventId;
use openmls::group::{GroupId, PublicGroup};
use serde::{Deserialize, Serialize};

use super::awaited::Awaited;
use super::queue::Queued;
use super::report::CommitRecord;
use super::storage::{Parts, Storage, StorageError, decode, encode};
use super::{HubGroup, Report};
use crate::credential::Credential;
use crate::layering::Layering;

/// Why bytes are not the state of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by another version of this program.
    #[error("the state has the version {0:?}")]
    Version(Option<u8>),
    /// Not what was written.
    #[error(transparent)]
    Encoding(#[from] StorageError),
    /// The parts do not fit together.
    #[error("the state is incomplete")]
    Incomplete,
    /// Another group's state, or another epoch's.
    #[error("the state is of another group or epoch")]
    WrongState,
}

/// The first byte. A change of any structure below, in openmls too, makes another version.
const VERSION: u8 = 2;
/// The one before it, which ends before `awaited`.
const WITHOUT_AWAITED: u8 = 1;
/// No epochs, encoded.
const NONE_AWAITED: u8 = 0;

#[derive(Serialize, Deserialize)]
struct State {
    layering: String,
    group_id: Vec<u8>,
    parts: Parts,
    queue: Vec<Queued>,
    group_info: Vec<u8>,
    last_commit: Option<String>,
    oldest_message_epoch: u64,
    commits: Vec<CommitRecord>,
    /// Encoded credentials.
    quarantine: Vec<Vec<u8>>,
    reports: Vec<String>,
    /// The last, so that it can be added to what was stored without it.
    awaited: Awaited,
}

impl HubGroup {
    /// The state of this epoch. It changes with a commit, and with what is queued, reported or released.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let state = State {
            layering: self.layering.as_str().into(),
            group_id: self.group.group_id().to_vec(),
            parts: self.storage.parts().clone(),
            queue: self.queue.clone(),
            group_info: self.group_info.clone(),
            last_commit: self.last_commit.as_ref().map(|id| id.as_str().into()),
            oldest_message_epoch: self.oldest_message_epoch,
            commits: self.commits.clone(),
            quarantine: self.quarantine.iter().map(Credential::encode).collect(),
            reports: self.reports.iter().map(Report::to_json).collect(),
            awaited: self.awaited.clone(),
        };
        let mut bytes = encode(&state)?;
        bytes.insert(0, VERSION);
        Ok(bytes)
    }

    /// Reads a state that [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let state: State = match bytes.split_first() {
            Some((&VERSION, rest)) => decode(rest)?,
            Some((&WITHOUT_AWAITED, rest)) => decode(&[rest, &[NONE_AWAITED]].concat())?,
            other => return Err(StateError::Version(other.map(|(version, _)| *version))),
        };
        let storage = Storage::new(state.parts);
        let group = PublicGroup::load(&storage, &GroupId::from_slice(&state.group_id))?;
        let event_id = |id: String| EventId::parse(id).map_err(|_| StateError::Incomplete);
        let credential = |bytes: &Vec<u8>| Credential::decode(bytes).map_err(|_| StateError::Incomplete);
        let report = |json: &String| Report::parse(json).map_err(|_| StateError::Incomplete);
        let mut group = Self {
            layering: Layering::parse(&state.layering).ok_or(StateError::Incomplete)?,
            group: group.ok_or(StateError::Incomplete)?,
            storage,
            members: [].into(),
            queue: state.queue,
            group_info: state.group_info,
            last_commit: state.last_commit.map(event_id).transpose()?,
            oldest_message_epoch: state.oldest_message_epoch,
            commits: state.commits,
            quarantine: state.quarantine.iter().map(credential).collect::<Result<_, _>>()?,
            reports: state.reports.iter().map(report).collect::<Result<_, _>>()?,
            awaited: state.awaited,
            generation: 0,
        };
        group.read_members().map_err(|_| StateError::Incomplete)?;
        Ok(group)
    }
}
