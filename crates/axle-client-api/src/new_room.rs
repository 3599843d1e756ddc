//! The state that a new room begins with.

use axle_protocol::{MatrixError, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::aliases::CANONICAL_ALIAS;
use crate::event_content;

/// What a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preset {
    /// By invite.
    Private,
    /// By invite, and everyone who is invited now has the creator's power level.
    TrustedPrivate,
    /// For anyone.
    Public,
}

/// State events in order: (type, state key, content).
pub(crate) type StateEvents = Vec<(String, String, Map<String, Value>)>;

/// The event that says who may do what.
pub(crate) const POWER_LEVELS: &str = "m.room.power_levels";

/// The state events after the creator's join, in order; each key once.
#[derive(Debug)]
pub(crate) struct State {
    events: StateEvents,
}

impl State {
    /// What a preset gives.
    pub(crate) fn of(preset: Preset, creator: &UserId, invited: &[UserId]) -> Self {
        let join_rule = if preset == Preset::Public { "public" } else { "invite" };
        let guests = if preset == Preset::Public { "forbidden" } else { "can_join" };
        let mut state = Self { events: Vec::new() };
        state.set(POWER_LEVELS, "", power_levels(preset, creator, invited));
        state.set("m.room.join_rules", "", one("join_rule", join_rule));
        state.set("m.room.history_visibility", "", one("history_visibility", "shared"));
        state.set("m.room.guest_access", "", one("guest_access", guests));
        state
    }

    /// Gives the room the alias that it goes by; it follows the power levels.
    pub(crate) fn set_alias(mut self, alias: Option<&str>) -> Self {
        if let Some(alias) = alias {
            let after_levels = self.events.len().min(1);
            self.events.insert(after_levels, (CANONICAL_ALIAS.into(), String::new(), one("alias", alias)));
        }
        self
    }

    /// Lets the client replace parts of the power levels: of users, types and notifications those that it names.
    pub(crate) fn override_power_levels(mut self, content: Option<&RawValue>) -> Result<Self, MatrixError> {
        let Some(content) = content else { return Ok(self) };
        let overrides = event_content::parse(content)?;
        let Some((.., levels)) = self.events.iter_mut().find(|(kind, ..)| kind == POWER_LEVELS) else {
            return Ok(self);
        };
        for (key, value) in overrides {
            match (levels.get_mut(&key), value) {
                (Some(Value::Object(known)), Value::Object(named)) => known.extend(named),
                (_, value) => _ = levels.insert(key, value),
            }
        }
        Ok(self)
    }

    /// Adds state that the client names; it replaces what the preset gives.
    pub(crate) fn add_initial<'a>(mut self, events: impl Iterator<Item = &'a RawValue>) -> Result<Self, MatrixError> {
        for event in events {
            let event: Initial<'_> =
                serde_json::from_str(event.get()).map_err(|error| MatrixError::bad_json(error.to_string()))?;
            event_content::check_key(&event.event_type, Some(&event.state_key))?;
            if matches!(event.event_type.as_str(), "m.room.create" | "m.room.member") {
                let error = format!("{} cannot be part of the initial state.", event.event_type);
                return Err(MatrixError::invalid_param(error));
            }
            self.set(&event.event_type, &event.state_key, event_content::parse(event.content)?);
        }
        Ok(self)
    }

    /// Adds an event that holds one text.
    pub(crate) fn set_text(mut self, event_type: &str, key: &str, text: Option<&str>) -> Self {
        if let Some(text) = text {
            self.set(event_type, "", one(key, text));
        }
        self
    }

    /// Adds the topic, plain and in the form that has room for others.
    pub(crate) fn set_topic(mut self, topic: Option<&str>) -> Self {
        if let Some(topic) = topic {
            let mut content = one("topic", topic);
            content.insert("m.topic".into(), json!({"m.text": [{"body": topic}]}));
            self.set("m.room.topic", "", content);
        }
        self
    }

    /// The content of an event with an empty state key.
    pub(crate) fn content(&self, event_type: &str) -> Option<&Map<String, Value>> {
        let found = self.events.iter().find(|(kind, key, _)| kind == event_type && key.is_empty());
        found.map(|(.., content)| content)
    }

    /// As they are.
    pub(crate) fn into_events(self) -> StateEvents {
        self.events
    }

    fn set(&mut self, event_type: &str, state_key: &str, content: Map<String, Value>) {
        match self.events.iter_mut().find(|(kind, key, _)| kind == event_type && key == state_key) {
            Some((.., known)) => *known = content,
            None => self.events.push((event_type.to_owned(), state_key.to_owned(), content)),
        }
    }
}

/// What a client may add to the create event. What identifies the room is not its to say.
pub(crate) fn creation_content(mut content: Map<String, Value>) -> Result<Map<String, Value>, MatrixError> {
    for key in ["creator", "room_version", "additional_creators"] {
        content.remove(key);
    }
    if content.get("m.federate").is_some_and(|federate| !federate.is_boolean()) {
        return Err(MatrixError::bad_json("m.federate is true or false."));
    }
    Ok(content)
}

#[derive(Deserialize)]
struct Initial<'a> {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

fn power_levels(preset: Preset, creator: &UserId, invited: &[UserId]) -> Map<String, Value> {
    let mut users = Map::from_iter([(creator.to_string(), 100.into())]);
    if preset == Preset::TrustedPrivate {
        users.extend(invited.iter().map(|user| (user.to_string(), 100.into())));
    }
    let invite = if preset == Preset::Public { 50 } else { 0 };
    let content = json!({
        "ban": 50,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": 100
        },
        "events_default": 0,
        "invite": invite,
        "kick": 50,
        "redact": 50,
        "state_default": 50,
        "users": users,
        "users_default": 0
    });
    match content {
        Value::Object(content) => content,
        _ => Map::new(),
    }
}

fn one(key: &str, text: &str) -> Map<String, Value> {
    Map::from_iter([(key.to_owned(), text.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserId {
        UserId::parse("@alice:example.org").unwrap()
    }

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.into()).unwrap()
    }

    #[test]
    fn what_a_client_names_replaces_what_the_preset_gives() {
        let initial = raw(r#"{"type":"m.room.join_rules","content":{"join_rule":"knock"}}"#);
        let events = State::of(Preset::Private, &alice(), &[])
            .override_power_levels(Some(&raw(r#"{"invite":75}"#)))
            .unwrap()
            .add_initial(std::iter::once(&*initial))
            .unwrap()
            .set_text("m.room.name", "name", Some("Tea"))
            .into_events();
        let types: Vec<_> = events.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(
            types,
            [
                "m.room.power_levels",
                "m.room.join_rules",
                "m.room.history_visibility",
                "m.room.guest_access",
                "m.room.name"
            ]
        );
        assert_eq!(events[0].2["invite"], 75);
        assert_eq!(events[0].2["kick"], 50);
        assert_eq!(events[1].2["join_rule"], "knock");
    }

    #[test]
    fn trusted_invitees_get_the_creators_level() {
        let bob = UserId::parse("@bob:example.org").unwrap();
        let levels = power_levels(Preset::TrustedPrivate, &alice(), std::slice::from_ref(&bob));
        assert_eq!(levels["users"], json!({"@alice:example.org": 100, "@bob:example.org": 100}));
        assert_eq!(power_levels(Preset::Private, &alice(), &[bob])["users"], json!({"@alice:example.org": 100}));
    }

    #[test]
    fn initial_state_cannot_forge_members_or_floats() {
        for (bad, code) in [
            (r#"{"type":"m.room.member","state_key":"@x:y","content":{"membership":"join"}}"#, "M_INVALID_PARAM"),
            (r#"{"type":"m.room.create","content":{}}"#, "M_INVALID_PARAM"),
            (r#"{"type":"a","content":{"x":1.5}}"#, "M_BAD_JSON"),
            (r#"{"type":"a"}"#, "M_BAD_JSON"),
            (r#"{"type":"a","content":[]}"#, "M_BAD_JSON"),
        ] {
            let raw = raw(bad);
            let state = State::of(Preset::Public, &alice(), &[]).add_initial(std::iter::once(&*raw));
            assert_eq!(state.unwrap_err().errcode, code, "{bad}");
        }
    }
}
