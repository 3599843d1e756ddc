//! Groups of rooms whose hub another server is: `GET /group`, `POST /pair`, `/proposals`, `/reports`.

use axle_protocol::{Event, EventId, RoomId, ServerName, UserId, base64, canonical_json};
use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::path::{GROUPS, encode};
use super::request::Ask;
use super::{Client, ClientError, answer};
use crate::{PairedAtHub, PairedEvents};

/// The state of a group: most of it is the ratchet tree, of at most 2 MiB, in base64.
pub const MAX_GROUP_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Any other answer.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// Devices, or proposals, that an answer names of each kind.
const MAX_NAMED: usize = 10_000;

/// The state of a group as its hub tells it. What is in base64 is base64, no more has been checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// The epoch.
    pub epoch: u64,
    /// The commit that led to it.
    pub commit_event_id: EventId,
    /// The GroupInfo, in base64.
    pub group_info: String,
    /// The ratchet tree, in base64.
    pub ratchet_tree: String,
    /// What only the epoch that holds has.
    #[serde(flatten)]
    pub now: Option<GroupNow>,
}

/// What is told of the epoch that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNow {
    /// How the room layers MLS.
    pub layering: String,
    /// Proposals that wait, in base64, in the order they were queued.
    #[serde(default)]
    pub proposals: Vec<String>,
    /// Devices that have to be removed.
    #[serde(default)]
    pub removals_due: Vec<GroupDevice>,
    /// Devices whose commits are refused.
    #[serde(default)]
    pub quarantine: Vec<GroupDevice>,
}

/// A device in the state of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDevice {
    /// Whose.
    pub user_id: String,
    /// Its id.
    pub device_id: String,
}

impl Client {
    /// The state of a room's group; with a commit, that of the epoch which it led to.
    pub async fn group(
        &self,
        to: &ServerName,
        room: &RoomId,
        commit: Option<&EventId>,
    ) -> Result<GroupState, ClientError> {
        let mut path = format!("{GROUPS}/group/{}", encode(room.as_str()));
        if let Some(commit) = commit {
            path.push_str("?commit=");
            path.push_str(&encode(commit.as_str()));
        }
        let state: GroupState = answer::json(&self.ask(to, &path, &self.get(MAX_GROUP_ANSWER_BYTES)).await?)?;
        state.check(commit).map_err(|error| ClientError::Malformed(error.into()))?;
        Ok(state)
    }

    /// Has a hub append a member event, an LPDU, and what belongs to it.
    pub async fn pair(
        &self,
        to: &ServerName,
        room: &RoomId,
        member: &Event,
        with: PairedAtHub<'_>,
    ) -> Result<PairedEvents, ClientError> {
        let ask = self.group_post(pair_body(member, with).into());
        let path = format!("{GROUPS}/pair/{}", encode(room.as_str()));
        let paired: PairedEvents = answer::json(&self.ask(to, &path, &ask).await?)?;
        if matches!(with, PairedAtHub::Commit(_)) != paired.commit_event_id.is_some() {
            return Err(ClientError::Malformed("commit_event_id does not go with what was sent".into()));
        }
        Ok(paired)
    }

    /// Has a hub queue a proposal of one of our users.
    pub async fn propose(
        &self,
        to: &ServerName,
        room: &RoomId,
        sender: &UserId,
        message: &[u8],
    ) -> Result<(), ClientError> {
        let ask = self.group_post(canonical_json::to_string(&proposal(sender, message)).into());
        self.ask(to, &format!("{GROUPS}/proposals/{}", encode(room.as_str())), &ask).await.map(drop)
    }

    /// Tells a hub what a device of ours says of a commit. Returns the epoch that the group went back to, if it did.
    pub async fn report(
        &self,
        to: &ServerName,
        room: &RoomId,
        report: &Map<String, Value>,
    ) -> Result<Option<u64>, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            rolled_back_to: Option<u64>,
        }
        let ask = self.group_post(canonical_json::to_string(&json!({"report": report})).into());
        let path = format!("{GROUPS}/reports/{}", encode(room.as_str()));
        let answer: Answer = answer::json(&self.ask(to, &path, &ask).await?)?;
        Ok(answer.rolled_back_to)
    }

    /// A person waits for the answer.
    fn group_post(&self, body: Bytes) -> Ask {
        Ask { limit: self.0.timeouts.request, ..self.with_body(Method::POST, body, MAX_ANSWER_BYTES) }
    }
}

impl GroupState {
    /// What is wrong with an answer to who asked for the epoch that holds, or for the one after this commit.
    fn check(&self, commit: Option<&EventId>) -> Result<(), &'static str> {
        match (commit, &self.now) {
            (None, None) => return Err("layering is missing"),
            (Some(commit), _) if *commit != self.commit_event_id => return Err("the state is of another commit"),
            _ => {}
        }
        let now = self.now.iter();
        let counts = now.clone().flat_map(|now| [now.proposals.len(), now.removals_due.len(), now.quarantine.len()]);
        if counts.max() > Some(MAX_NAMED) {
            return Err("the answer names too much");
        }
        let mut texts = [&self.group_info, &self.ratchet_tree].into_iter().chain(now.flat_map(|now| &now.proposals));
        if texts.any(|text| text.is_empty() || base64::decode(text).is_none()) {
            return Err("what should be base64 is not");
        }
        Ok(())
    }
}

/// Canonical, with the events as they are.
fn pair_body(member: &Event, with: PairedAtHub<'_>) -> String {
    let mut body = String::from("{");
    if let PairedAtHub::Commit(commit) = with {
        body.push_str("\"commit\":");
        body.push_str(commit.json());
        body.push(',');
    }
    body.push_str("\"member\":");
    body.push_str(member.json());
    if let PairedAtHub::Proposal { sender, message } = with {
        body.push_str(",\"proposal\":");
        canonical_json::write_value(&mut body, &proposal(sender, message));
    }
    body.push('}');
    body
}

fn proposal(sender: &UserId, message: &[u8]) -> Value {
    json!({"sender": sender.as_str(), "message": base64::encode(message)})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(now: bool) -> Map<String, Value> {
        let commit = "$commit";
        let state = match now {
            true => json!({"epoch": 7, "layering": "bound", "commit_event_id": commit, "group_info": "AAAA",
                "ratchet_tree": "AAAA", "proposals": ["AAAA"], "quarantine": [],
                "removals_due": [{"user_id": "@a:b.test", "device_id": "A"}]}),
            false => json!({"epoch": 7, "commit_event_id": commit, "group_info": "AAAA", "ratchet_tree": "AAAA"}),
        };
        state.as_object().unwrap().clone()
    }

    fn read(state: &Map<String, Value>, commit: Option<&str>) -> Result<GroupState, String> {
        let read: GroupState = serde_json::from_value(json!(state)).map_err(|error| error.to_string())?;
        let commit = commit.map(|id| EventId::parse(id).unwrap());
        read.check(commit.as_ref()).map_err(str::to_owned)?;
        Ok(read)
    }

    #[test]
    fn states_are_what_was_asked_for() {
        for (now, commit) in [(true, None), (false, Some("$commit"))] {
            let read = read(&state(now), commit).unwrap();
            assert_eq!(json!(read), json!(state(now)), "nothing is lost or added");
        }
        assert!(read(&state(false), None).unwrap_err().contains("layering"));
        assert!(read(&state(false), Some("$other")).unwrap_err().contains("another commit"));
        for (field, wrong) in [
            ("epoch", json!(-1)),
            ("epoch", json!("7")),
            ("commit_event_id", json!("commit")),
            ("group_info", json!("!")),
            ("ratchet_tree", json!("")),
            ("proposals", json!(["="])),
            ("proposals", json!(vec!["AAAA"; MAX_NAMED + 1])),
            ("removals_due", json!([{"user_id": "@a:b.test"}])),
        ] {
            let mut wrong_state = state(true);
            wrong_state.insert(field.into(), wrong);
            assert!(read(&wrong_state, None).is_err(), "{field}");
        }
    }
}
