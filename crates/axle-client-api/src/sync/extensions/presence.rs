//! Who is there, in a sync.

use std::collections::BTreeSet;

use axle_protocol::{MatrixError, UserId};
use ruma::api::client::filter::Filter;
use ruma::events::presence::PresenceEvent;
use ruma::presence::PresenceState;
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use crate::error::{ApiError, ApiResult};
use crate::event_filter::allows_type;
use crate::presence::Person;
use crate::state::Api;

/// The type of the events.
const EVENT_TYPE: &str = "m.presence";
/// Users whose changes are looked at for one answer, the newest: no answer costs more on a server with many users.
const MAX_CHANGES: usize = 500;

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    sender: &'a UserId,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    presence: PresenceState,
    currently_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_msg: Option<&'a str>,
}

/// What changed after a moment of this server's memory for a user and those who share a room with them, and what those are
/// who came into one since; at first, who is there.
pub(crate) async fn read(
    api: &Api,
    user_id: &UserId,
    filter: &Filter,
    since: Option<i64>,
    came: &BTreeSet<UserId>,
) -> ApiResult<Vec<Raw<PresenceEvent>>> {
    if !api.config.presence || !allows_type(filter, EVENT_TYPE) {
        return Ok(Vec::new());
    }
    let mut changed = api.presence.changed(since.unwrap_or(0), MAX_CHANGES);
    changed.retain(|sender| wants(filter, sender));
    let mut senders = BTreeSet::new();
    if !changed.is_empty() {
        senders.extend(Some(user_id).filter(|own| changed.contains(own)).cloned());
        senders.extend(api.store.sharing_rooms(user_id, changed).await?);
    }
    let is_there = |person: &Person| person.state != PresenceState::Offline;
    let changed = senders.iter().filter_map(|sender| Some((sender, Some(api.presence.of(sender)?))));
    // Who does not know the room takes for granted that they are not there of whom nothing is told.
    let changed = changed.filter(|(_, person)| since.is_some() || person.as_ref().is_some_and(is_there));
    let newcomers = came.iter().filter(|sender| !senders.contains(*sender) && wants(filter, sender));
    let newcomers = newcomers.map(|sender| (sender, api.presence.of(sender)));
    let (there, others): (Vec<_>, Vec<_>) = newcomers.partition(|(_, person)| person.as_ref().is_some_and(is_there));
    let limit = filter.limit.and_then(|limit| usize::try_from(u64::from(limit)).ok()).unwrap_or(MAX_CHANGES);
    let told = changed.chain(there).chain(others).take(limit.min(MAX_CHANGES));
    told.map(|(sender, person)| raw(sender, person.as_ref())).collect()
}

/// What users are, whether anything is known of them or not, as the endpoints before sync tell it.
pub(crate) fn of_users<'a>(api: &Api, users: impl Iterator<Item = &'a UserId>) -> ApiResult<Vec<Box<RawValue>>> {
    if !api.config.presence {
        return Ok(Vec::new());
    }
    let person = |user_id| api.presence.of(user_id).unwrap_or_else(|| Person::new(Instant::now()));
    users.map(|user_id| with_user_id(raw(user_id, Some(&person(user_id)))?)).collect()
}

/// An event with the user in its content, as the endpoints before sync have it.
pub(crate) fn with_user_id(event: Raw<PresenceEvent>) -> ApiResult<Box<RawValue>> {
    let unreadable = |error: serde_json::Error| {
        tracing::error!(%error, "who is there cannot be rendered");
        ApiError::from(MatrixError::unknown("The server cannot tell who is there."))
    };
    let mut event: Value = serde_json::from_str(event.json().get()).map_err(unreadable)?;
    let sender = event.get("sender").cloned().unwrap_or_default();
    if let Some(content) = event.get_mut("content").and_then(Value::as_object_mut) {
        content.insert("user_id".into(), sender);
    }
    to_raw_value(&event).map_err(unreadable)
}

fn wants(filter: &Filter, sender: &UserId) -> bool {
    let is = |other: &ruma::OwnedUserId| other.as_str() == sender.as_str();
    filter.senders.as_ref().is_none_or(|senders| senders.iter().any(is)) && !filter.not_senders.iter().any(is)
}

/// The event about somebody; `None`: nothing is known of them.
fn raw(sender: &UserId, person: Option<&Person>) -> ApiResult<Raw<PresenceEvent>> {
    let content = Content {
        presence: person.map_or(PresenceState::Offline, |person| person.state.clone()),
        currently_active: person.is_some_and(Person::is_active),
        last_active_ago: person.map(|it| u64::try_from(it.inactive_for().as_millis()).unwrap_or(u64::MAX)),
        status_msg: person.and_then(|person| person.status_msg.as_deref()),
    };
    let event = to_raw_value(&Event { event_type: EVENT_TYPE, sender, content }).map_err(|error| {
        tracing::error!(%error, "who is there cannot be rendered");
        ApiError::from(MatrixError::unknown("The server cannot tell who is there."))
    })?;
    Ok(Raw::from_json(event))
}
