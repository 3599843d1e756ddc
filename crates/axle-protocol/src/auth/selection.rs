//! Which state events authorise an event ("Auth Events Selection").

use super::rules::deny;
use super::{AuthError, AuthState};
use crate::event::{Event, EventKind, Template};
use crate::id::EventId;

/// `type` and `state_key` of a state event.
type Key<'a> = (&'static str, &'a str);

const CREATE: Key<'_> = ("m.room.create", "");
const POWER_LEVELS: Key<'_> = ("m.room.power_levels", "");
const JOIN_RULES: Key<'_> = ("m.room.join_rules", "");

/// The `auth_events` of an event that is about to be made on this state, in the draft's order.
pub fn select(
    event_type: &str,
    state_key: Option<&str>,
    sender: &str,
    membership: Option<&str>,
    state: &dyn AuthState,
) -> Vec<EventId> {
    let keys = selected_keys(event_type, state_key, sender, membership);
    keys.iter().filter_map(|key| current(state, key).cloned()).collect()
}

/// Rule 4: whether a finished event names the auth events it should, as far as their kind goes. Those of the current
/// state are known; of others `resolve` tells `type` and `state_key`, or `None` if that event is not known either.
pub fn check_auth_events(
    event: &Event,
    state: &dyn AuthState,
    resolve: &dyn Fn(&EventId) -> Option<(String, String)>,
) -> Result<(), AuthError> {
    if event.kind() == EventKind::Lpdu || event.event_type() == "m.room.create" {
        return Ok(());
    }
    let keys = selected_keys(event.event_type(), event.state_key(), event.sender().as_str(), event.membership());
    let mut seen = vec![false; keys.len()];
    for id in event.auth_events() {
        let Some(position) = position(&keys, id, state, resolve)? else {
            return deny(format!("{id} is not an event that the selection of auth_events names"));
        };
        match seen.get_mut(position) {
            Some(seen) if !*seen => *seen = true,
            _ => return deny(format!("auth_events has {id} or another event of its kind twice")),
        }
    }
    // The create event is the first of the selection.
    if seen.first() != Some(&true) {
        return deny("auth_events lacks the create event");
    }
    Ok(())
}

impl Template {
    /// The `auth_events` this template gets on this state.
    pub fn select_auth_events(&self, state: &dyn AuthState) -> Vec<EventId> {
        let membership = self.content.get("membership").and_then(|value| value.as_str());
        select(&self.event_type, self.state_key.as_deref(), self.sender.as_str(), membership, state)
    }
}

impl Event {
    /// The `auth_events` this event, an LPDU, gets on this state.
    pub fn select_auth_events(&self, state: &dyn AuthState) -> Vec<EventId> {
        select(self.event_type(), self.state_key(), self.sender().as_str(), self.membership(), state)
    }
}

/// The keys that the selection names, in the draft's order and without repetition.
fn selected_keys<'a>(
    event_type: &str,
    state_key: Option<&'a str>,
    sender: &'a str,
    membership: Option<&str>,
) -> Vec<Key<'a>> {
    if event_type == "m.room.create" {
        return Vec::new();
    }
    let mut keys = vec![CREATE, POWER_LEVELS, ("m.room.member", sender)];
    if event_type == "m.room.member" {
        keys.extend(state_key.filter(|target| *target != sender).map(|target| ("m.room.member", target)));
        if matches!(membership, Some("join" | "invite")) {
            keys.push(JOIN_RULES);
        }
    }
    keys
}

fn current<'a>(state: &'a dyn AuthState, key: &Key<'_>) -> Option<&'a EventId> {
    match *key {
        CREATE => state.create().map(|create| &create.event_id),
        POWER_LEVELS => state.power_levels().map(|(id, _)| id),
        JOIN_RULES => state.join_rule().map(|(id, _)| id),
        (_, user) => state.member(user).map(|(id, _)| id),
    }
}

/// Which of the selected keys an event stands for.
fn position(
    keys: &[Key<'_>],
    id: &EventId,
    state: &dyn AuthState,
    resolve: &dyn Fn(&EventId) -> Option<(String, String)>,
) -> Result<Option<usize>, AuthError> {
    if let Some(position) = keys.iter().position(|key| current(state, key) == Some(id)) {
        return Ok(Some(position));
    }
    match resolve(id) {
        Some((event_type, state_key)) => Ok(keys.iter().position(|key| *key == (&*event_type, &*state_key))),
        None => deny(format!("the auth event {id} is not known")),
    }
}
