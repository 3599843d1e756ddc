//! Events: send, redact, state, members, history.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Client;
use super::request::Call;
use crate::event::lenient;
use crate::{Error, Event};

/// A server may fetch history from another before it answers.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(90);

/// A page of a room's history.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct MessagesPage {
    /// In the direction of reading: newest first when read backwards.
    #[serde(deserialize_with = "lenient")]
    pub chunk: Vec<Event>,
    /// Where this page began.
    #[serde(default)]
    pub start: String,
    /// Where the next page begins; `None`: there is no more.
    #[serde(default)]
    pub end: Option<String>,
}

/// Where a page of history begins, and which way it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest events, going back.
    Newest,
    /// Older than this token.
    Before(String),
    /// From the beginning of the room, going forward.
    Oldest,
    /// Newer than this token.
    After(String),
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Who.
    pub user_id: String,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: String,
    /// The member event.
    pub event: Event,
}

#[derive(Deserialize)]
struct EventIdAnswer {
    event_id: String,
}

impl Client {
    /// Sends an event. Returns its id. Sent again with the same transaction id, it is not sent twice: this is how it
    /// is tried again by itself when the answer got lost, and how a caller may go on after an error that is
    /// [transient](Error::is_transient).
    pub async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        content: &Map<String, Value>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        let path = ["v3", "rooms", room_id, "send", event_type, transaction_id];
        Ok(self.call::<EventIdAnswer>(Call::put(&path, json!(content)).repeatable()).await?.event_id)
    }

    /// Sends a text message. Returns its id.
    pub async fn send_text(&self, room_id: &str, text: &str, transaction_id: &str) -> Result<String, Error> {
        let mut content = Map::new();
        content.insert("msgtype".to_owned(), json!("m.text"));
        content.insert("body".to_owned(), json!(text));
        self.send(room_id, "m.room.message", &content, transaction_id).await
    }

    /// Redacts an event. Returns the id of the redaction.
    pub async fn redact(
        &self,
        room_id: &str,
        event_id: &str,
        reason: Option<&str>,
        transaction_id: &str,
    ) -> Result<String, Error> {
        let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        let path = ["v3", "rooms", room_id, "redact", event_id, transaction_id];
        Ok(self.call::<EventIdAnswer>(Call::put(&path, body).repeatable()).await?.event_id)
    }

    /// Sets state. Returns the id of the event. It has no transaction id: a lost answer is an error, not tried again.
    pub async fn put_state(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content: &Map<String, Value>,
    ) -> Result<String, Error> {
        let path = state_path(room_id, event_type, state_key);
        Ok(self.call::<EventIdAnswer>(Call::put(&path, json!(content))).await?.event_id)
    }

    /// The content of a piece of state.
    pub async fn state_event(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
    ) -> Result<Map<String, Value>, Error> {
        self.call(Call::get(&state_path(room_id, event_type, state_key))).await
    }

    /// An event of a room.
    pub async fn event(&self, room_id: &str, event_id: &str) -> Result<Event, Error> {
        self.call(Call::get(&["v3", "rooms", room_id, "event", event_id])).await
    }

    /// The whole state of a room.
    pub async fn state(&self, room_id: &str) -> Result<Vec<Event>, Error> {
        Ok(self.call::<Events>(Call::get(&["v3", "rooms", room_id, "state"])).await?.0)
    }

    /// Everyone with a membership in a room.
    pub async fn members(&self, room_id: &str) -> Result<Vec<Member>, Error> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(deserialize_with = "lenient")]
            chunk: Vec<Event>,
        }
        let members: Members = self.call(Call::get(&["v3", "rooms", room_id, "members"])).await?;
        Ok(members.chunk.into_iter().filter_map(member).collect())
    }

    /// A page of a room's history.
    pub async fn messages(&self, room_id: &str, from: &PageFrom, limit: usize) -> Result<MessagesPage, Error> {
        self.messages_of_types(room_id, from, limit, &[]).await
    }

    /// A page of a room's history, of events of these types only; of all if none are named.
    pub async fn messages_of_types(
        &self,
        room_id: &str,
        from: &PageFrom,
        limit: usize,
        types: &[&str],
    ) -> Result<MessagesPage, Error> {
        let (direction, token) = match from {
            PageFrom::Newest => ("b", None),
            PageFrom::Before(token) => ("b", Some(token)),
            PageFrom::Oldest => ("f", None),
            PageFrom::After(token) => ("f", Some(token)),
        };
        let path = ["v3", "rooms", room_id, "messages"];
        let mut call = Call::get(&path).query("dir", direction).query("limit", limit.to_string());
        if let Some(token) = token {
            call = call.query("from", token);
        }
        if !types.is_empty() {
            call = call.query("filter", json!({ "types": types }).to_string());
        }
        self.call(call.timeout(HISTORY_TIMEOUT)).await
    }
}

#[derive(Deserialize)]
struct Events(#[serde(deserialize_with = "lenient")] Vec<Event>);

fn member(event: Event) -> Option<Member> {
    let membership = event.membership()?.to_owned();
    Some(Member { user_id: event.state_key.clone()?, membership, event })
}

/// The path of an empty state key ends with the type: no trailing slash.
fn state_path<'a>(room_id: &'a str, event_type: &'a str, state_key: &'a str) -> Vec<&'a str> {
    let mut path = vec!["v3", "rooms", room_id, "state", event_type];
    if !state_key.is_empty() {
        path.push(state_key);
    }
    path
}
