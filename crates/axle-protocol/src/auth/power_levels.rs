//! Power levels ("Calculating Power Levels").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::AuthState;
use crate::canonical_json::as_integer;
use crate::id::UserId;

/// The parsed content of `m.room.power_levels`. Anything that is not an integer counts as absent: the rules refuse
/// such content before it becomes state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PowerLevels {
    /// Level of each named user.
    pub users: BTreeMap<String, i64>,
    /// Level of everyone else.
    pub users_default: Option<i64>,
    /// Level each named event type needs.
    pub events: BTreeMap<String, i64>,
    /// Level other message events need.
    pub events_default: Option<i64>,
    /// Level other state events need.
    pub state_default: Option<i64>,
    /// Level for a ban.
    pub ban: Option<i64>,
    /// Level for a kick.
    pub kick: Option<i64>,
    /// Level for redacting what another user sent.
    pub redact: Option<i64>,
    /// Level for an invite.
    pub invite: Option<i64>,
}

/// Level of a room's creator while there is no power levels event.
pub const CREATOR_LEVEL: i64 = 100;

/// What rooms without a power levels event ask for.
static DEFAULTS: PowerLevels = PowerLevels {
    users: BTreeMap::new(),
    users_default: None,
    events: BTreeMap::new(),
    events_default: None,
    state_default: None,
    ban: None,
    kick: None,
    redact: None,
    invite: None,
};

/// A user's level in this state. Without a power levels event the creator has [`CREATOR_LEVEL`].
pub fn user_level(state: &dyn AuthState, user: &str) -> i64 {
    match state.power_levels() {
        Some((_, levels)) => levels.user(user),
        None if state.create().is_some_and(|create| create.sender.as_str() == user) => CREATOR_LEVEL,
        None => DEFAULTS.user(user),
    }
}

/// The levels that actions need in this state. For a user's own level ask [`user_level`], which knows the creator.
pub fn required_levels(state: &dyn AuthState) -> &PowerLevels {
    state.power_levels().map_or(&DEFAULTS, |(_, levels)| levels)
}

/// Whether an `m.room.redaction` of `redactor` takes effect on an event of `author`, as in Matrix v11: the redact
/// level, or both users on one server. The redaction event itself is allowed or not by [`super::check`].
pub fn may_redact(state: &dyn AuthState, redactor: &UserId, author: &UserId) -> bool {
    redactor.server_str() == author.server_str()
        || user_level(state, redactor.as_str()) >= required_levels(state).redact()
}

impl PowerLevels {
    /// Reads the content of a power levels event.
    pub fn from_content(content: &Map<String, Value>) -> Self {
        let level = |key: &str| content.get(key).and_then(as_integer);
        let levels = |key: &str| {
            let map = content.get(key).and_then(Value::as_object);
            map.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), as_integer(value)?))).collect()
        };
        Self {
            users: levels("users"),
            users_default: level("users_default"),
            events: levels("events"),
            events_default: level("events_default"),
            state_default: level("state_default"),
            ban: level("ban"),
            kick: level("kick"),
            redact: level("redact"),
            invite: level("invite"),
        }
    }

    /// A user's level.
    pub fn user(&self, user: &str) -> i64 {
        self.users.get(user).copied().unwrap_or_else(|| self.users_default())
    }

    /// The level that sending an event needs.
    pub fn event(&self, event_type: &str, is_state: bool) -> i64 {
        let default = if is_state { self.state_default() } else { self.events_default() };
        self.events.get(event_type).copied().unwrap_or(default)
    }

    /// The level of users who are not named.
    pub fn users_default(&self) -> i64 {
        self.users_default.unwrap_or(0)
    }

    /// The level that message events need whose type is not named.
    pub fn events_default(&self) -> i64 {
        self.events_default.unwrap_or(0)
    }

    /// The level that state events need whose type is not named.
    pub fn state_default(&self) -> i64 {
        self.state_default.unwrap_or(50)
    }

    /// The level that a ban needs.
    pub fn ban(&self) -> i64 {
        self.ban.unwrap_or(50)
    }

    /// The level that a kick needs.
    pub fn kick(&self) -> i64 {
        self.kick.unwrap_or(50)
    }

    /// The level that redacting another user's event needs.
    pub fn redact(&self) -> i64 {
        self.redact.unwrap_or(50)
    }

    /// The level that an invite needs.
    pub fn invite(&self) -> i64 {
        self.invite.unwrap_or(0)
    }
}
