//! Rooms that this server is not in, as other servers tell of them.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axle_protocol::auth::Membership;
use axle_protocol::{MatrixError, RoomId, ServerName, UserId};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use crate::cache::Cache;
use crate::error::ApiResult;
use crate::spaces::Child;
use crate::state::Api;

/// Answers that are remembered, how long, and how long that there was none of use.
const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(500).unwrap();
const REMEMBERED: Duration = Duration::from_secs(300);
const ABSENCE_REMEMBERED: Duration = Duration::from_secs(60);
/// A larger answer is not remembered, in bytes of JSON.
const MAX_REMEMBERED_BYTES: usize = 64 * 1024;
/// Servers that are asked about one room.
const MAX_SERVERS: usize = 3;
/// Children of a room that are looked at.
const MAX_CHILDREN: usize = 100;
/// The longest text of a summary, in bytes.
const MAX_TEXT_BYTES: usize = 4 * 1024;
/// Rooms that let others in.
const MAX_ALLOWED: usize = 20;
/// What a summary tells besides its id: texts, switches.
const TEXTS: [&str; 8] =
    ["name", "topic", "canonical_alias", "avatar_url", "join_rule", "room_type", "room_version", "encryption"];
const SWITCHES: [&str; 2] = ["world_readable", "guest_can_join"];
/// The largest number of members that clients can read: 2^53 - 1.
const MAX_MEMBERS: u64 = (1 << 53) - 1;

/// What servers told of rooms a short while ago; `None`: nothing. One server's lies are not told for another's words.
pub(crate) struct RemoteRooms(Cache<Question, Option<Arc<RemoteRoom>>>);

/// Who is asked about which room, and whether only about children that are suggested.
type Question = (ServerName, RoomId, bool);

impl Default for RemoteRooms {
    fn default() -> Self {
        Self(Cache::new(MAX_REMEMBERED))
    }
}

/// A room as another server tells of it.
#[derive(Debug)]
pub(crate) struct RemoteRoom {
    /// What clients are shown of it.
    pub(crate) summary: Map<String, Value>,
    /// Its children, in their order.
    pub(crate) children: Vec<Child>,
    /// Summaries of some of them.
    pub(crate) known: HashMap<RoomId, Map<String, Value>>,
    /// Those that this server may not know.
    pub(crate) hidden: HashSet<RoomId>,
}

/// Asks other servers about a room, one after the other, until one tells. `None`: none did before the deadline.
pub(crate) async fn ask(
    api: &Api,
    room_id: &RoomId,
    servers: &[ServerName],
    suggested_only: bool,
    deadline: Instant,
) -> Option<Arc<RemoteRoom>> {
    let others = servers.iter().filter(|server| **server != api.config.server_name).take(MAX_SERVERS);
    for server in others {
        let question = (server.clone(), room_id.clone(), suggested_only);
        let told = match api.remote_rooms.0.get(&question) {
            Some(told) => told,
            // Whoever comes next has more time: nothing is remembered.
            None => timeout_at(deadline, ask_one(api, question)).await.ok()?,
        };
        if told.is_some() {
            return told;
        }
    }
    None
}

/// Asks one server, and remembers what it told.
async fn ask_one(api: &Api, question: Question) -> Option<Arc<RemoteRoom>> {
    let (server, room_id, suggested_only) = &question;
    let answer = match api.remote.hierarchy(server, room_id, *suggested_only).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%room_id, %server, %error, "a server did not tell of a room");
            api.remote_rooms.0.put(question, None, ABSENCE_REMEMBERED);
            return None;
        }
    };
    let is_small = serde_json::to_vec(&answer).is_ok_and(|json| json.len() <= MAX_REMEMBERED_BYTES);
    let told = parse(answer, room_id).map(Arc::new);
    if is_small || told.is_none() {
        api.remote_rooms.0.put(question, told.clone(), if told.is_some() { REMEMBERED } else { ABSENCE_REMEMBERED });
    }
    told
}

/// Whether a user may see what was told of a room: anyone may of a room that they could enter, or ask to, or read; of
/// others who is invited, or in a room whose members may enter.
pub(crate) async fn is_for(
    api: &Api,
    user_id: &UserId,
    room_id: &RoomId,
    summary: &Map<String, Value>,
) -> ApiResult<bool> {
    let join_rule = summary.get("join_rule").and_then(Value::as_str).unwrap_or_default();
    let is_open = summary.get("world_readable") == Some(&Value::Bool(true));
    if is_open || matches!(join_rule, "public" | "knock" | "knock_restricted") {
        return Ok(true);
    }
    let allowed = summary.get("allowed_room_ids").and_then(Value::as_array).into_iter().flatten();
    let allowed: Vec<RoomId> = allowed.filter_map(Value::as_str).filter_map(|id| RoomId::parse(id).ok()).collect();
    if !allowed.is_empty() && !api.store.joined_among(user_id, allowed).await?.is_empty() {
        return Ok(true);
    }
    let outside = api.store.out_of_room_in(user_id, room_id).await?;
    Ok(outside.is_some_and(|entry| entry.membership == Membership::Invite))
}

/// The answer for what is not there and for what is hidden.
pub(crate) fn unknown() -> MatrixError {
    MatrixError::not_found("There is no such room, or you may not see it.")
}

/// What is good of an answer about a room.
fn parse(mut answer: Map<String, Value>, room_id: &RoomId) -> Option<RemoteRoom> {
    let mut room = answer.remove("room")?;
    let children = room.as_object_mut()?.remove("children_state");
    let summary = summary(room)?;
    if summary.get("room_id").and_then(Value::as_str) != Some(room_id.as_str()) {
        return None;
    }
    let list = |value: Option<Value>| match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let mut children: Vec<Child> = list(children).into_iter().take(MAX_CHILDREN).filter_map(Child::told).collect();
    children.sort_by(Child::compare);
    let known = list(answer.remove("children")).into_iter().take(MAX_CHILDREN).filter_map(|room| {
        let summary = self::summary(room)?;
        let room_id = RoomId::parse(summary.get("room_id")?.as_str()?).ok()?;
        Some((room_id, summary))
    });
    let known = known.collect();
    let hidden = list(answer.remove("inaccessible_children"));
    let hidden = hidden.iter().take(MAX_CHILDREN).filter_map(Value::as_str).filter_map(|id| RoomId::parse(id).ok());
    Some(RemoteRoom { summary, children, known, hidden: hidden.collect() })
}

/// What is good of a room's summary; `None`: it names no room.
pub(crate) fn summary(room: Value) -> Option<Map<String, Value>> {
    let Value::Object(mut told) = room else { return None };
    let room_id = RoomId::parse(told.get("room_id")?.as_str()?).ok()?;
    let mut summary = Map::new();
    summary.insert("room_id".into(), room_id.as_str().into());
    for name in TEXTS {
        let is_good =
            |value: &Value| value.as_str().is_some_and(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES);
        if let Some(value) = told.remove(name).filter(is_good) {
            summary.insert(name.into(), value);
        }
    }
    for name in SWITCHES {
        summary.insert(name.into(), (told.get(name) == Some(&Value::Bool(true))).into());
    }
    let members = told.get("num_joined_members").and_then(Value::as_u64).unwrap_or(0);
    summary.insert("num_joined_members".into(), members.min(MAX_MEMBERS).into());
    if let Some(Value::Array(mut allowed)) = told.remove("allowed_room_ids") {
        allowed.retain(|id| id.as_str().is_some_and(|id| RoomId::parse(id).is_ok()));
        allowed.truncate(MAX_ALLOWED);
        summary.insert("allowed_room_ids".into(), allowed.into());
    }
    Some(summary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn summaries_have_known_fields_of_the_right_kind() {
        let told = json!({
            "room_id": "!r:a.test", "name": 7, "topic": "T", "num_joined_members": -1, "world_readable": "yes",
            "guest_can_join": true, "allowed_room_ids": ["!s:a.test", "x", 1], "other": {}, "avatar_url": "",
        });
        let expected = json!({
            "room_id": "!r:a.test", "topic": "T", "num_joined_members": 0, "world_readable": false,
            "guest_can_join": true, "allowed_room_ids": ["!s:a.test"],
        });
        assert_eq!(Value::Object(summary(told).unwrap()), expected);
        for nothing in [json!([]), json!({}), json!({"room_id": "r"}), json!({"room_id": 1})] {
            assert!(summary(nothing).is_none());
        }
    }

    #[test]
    fn an_answer_about_another_room_is_none() {
        let answer = json!({"room": {"room_id": "!other:a.test"}, "children": []});
        let Value::Object(answer) = answer else { unreachable!() };
        assert!(parse(answer.clone(), &RoomId::parse("!r:a.test").unwrap()).is_none());
        assert!(parse(answer, &RoomId::parse("!other:a.test").unwrap()).is_some());
        assert!(parse(Map::new(), &RoomId::parse("!r:a.test").unwrap()).is_none());
    }
}
