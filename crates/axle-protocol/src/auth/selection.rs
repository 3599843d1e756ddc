//! Which state events authorise an event ("Auth Events Selection").

use super::AuthState;
use crate::event::Template;
use crate::id::EventId;

/// The `auth_events` of an event that is about to be made on this state, in the draft's order.
pub fn select(
    event_type: &str,
    state_key: Option<&str>,
    sender: &str,
    membership: Option<&str>,
    state: &dyn AuthState,
) -> Vec<EventId> {
    if event_type == "m.room.create" {
        return Vec::new();
    }
    let mut ids = Vec::with_capacity(5);
    let mut add = |id: Option<&EventId>| {
        if let Some(id) = id
            && !ids.contains(id)
        {
            ids.push(id.clone());
        }
    };
    add(state.create().map(|create| &create.event_id));
    add(state.power_levels().map(|(id, _)| id));
    add(state.member(sender).map(|(id, _)| id));
    if event_type == "m.room.member" {
        add(state_key.and_then(|target| state.member(target)).map(|(id, _)| id));
        if matches!(membership, Some("join" | "invite")) {
            add(state.join_rule().map(|(id, _)| id));
        }
    }
    ids
}

impl Template {
    /// The `auth_events` this template gets on this state.
    pub fn select_auth_events(&self, state: &dyn AuthState) -> Vec<EventId> {
        let membership = self.content.get("membership").and_then(|value| value.as_str());
        select(&self.event_type, self.state_key.as_deref(), self.sender.as_str(), membership, state)
    }
}
