//! Servers, keys and a room for tests. Not every test uses all of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub(crate) mod edits;

use axle_protocol::auth::{self, AuthError, MapState};
use axle_protocol::event::Template;
use axle_protocol::signing::KeyMap;
use axle_protocol::{Event, EventId, KeyId, RoomVersion, ServerName, SigningKey};
use serde_json::{Value, json};

pub(crate) const VERSION: RoomVersion = RoomVersion::I1;
pub(crate) const HUB: &str = "hub.example";
pub(crate) const ROOM: &str = "!room:hub.example";
/// The creator.
pub(crate) const ALICE: &str = "@alice:hub.example";
/// Of another server.
pub(crate) const BOB: &str = "@bob:part.example";
/// Of a third one.
pub(crate) const CAROL: &str = "@carol:third.example";

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

/// The key of a server: made from its name.
pub(crate) fn key_of(server: &str) -> SigningKey {
    let mut seed = [0; 32];
    for (i, byte) in server.bytes().enumerate() {
        seed[i % 32] ^= byte;
    }
    SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &seed)
}

pub(crate) fn keys() -> KeyMap {
    let mut keys = KeyMap::default();
    for name in [HUB, "part.example", "third.example"] {
        let key = key_of(name);
        keys.insert(server(name), key.id().clone(), key.verify_key());
    }
    keys
}

pub(crate) fn template(sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Template {
    Template {
        room_id: ROOM.parse().unwrap(),
        event_type: event_type.into(),
        state_key: state_key.map(Into::into),
        sender: sender.parse().unwrap(),
        origin_server_ts: 1_700_000_000_000,
        content: content.as_object().unwrap().clone(),
    }
}

/// A signed LPDU for the hub.
pub(crate) fn lpdu(sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Event {
    let template = template(sender, event_type, state_key, content);
    let own = template.sender.server_name();
    let key = key_of(own.as_str());
    template.into_lpdu(VERSION, &server(HUB), &own, &key).unwrap()
}

/// A finished event: of the hub's own user, or made from an LPDU.
pub(crate) fn pdu(
    sender: &str,
    event_type: &str,
    state_key: Option<&str>,
    content: Value,
    auth_events: &[EventId],
    prev_events: &[EventId],
) -> Event {
    let template = template(sender, event_type, state_key, content.clone());
    if template.sender.server_str() == HUB {
        template.into_pdu(VERSION, auth_events, prev_events, &server(HUB), &key_of(HUB)).unwrap()
    } else {
        let lpdu = lpdu(sender, event_type, state_key, content);
        lpdu.complete(auth_events, prev_events, &server(HUB), &key_of(HUB)).unwrap()
    }
}

pub(crate) fn create_content() -> Value {
    json!({"room_version": VERSION.as_str()})
}

/// The state of a room, and its head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room {
    pub(crate) state: MapState,
    pub(crate) head: Vec<EventId>,
}

impl Room {
    /// A room that has nothing but its create event.
    pub(crate) fn just_created() -> Self {
        let mut room = Self::default();
        room.send(ALICE, "m.room.create", Some(""), create_content());
        room
    }

    /// A room with its creator in it.
    pub(crate) fn new() -> Self {
        let mut room = Self::just_created();
        room.membership(ALICE, ALICE, "join");
        room
    }

    /// The same with power levels.
    pub(crate) fn with_levels(levels: Value) -> Self {
        let mut room = Self::new();
        room.send(ALICE, "m.room.power_levels", Some(""), levels);
        room
    }

    pub(crate) fn build(&self, sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Event {
        let auth_events = template(sender, event_type, state_key, content.clone()).select_auth_events(&self.state);
        pdu(sender, event_type, state_key, content, &auth_events, &self.head)
    }

    /// What the rules say.
    pub(crate) fn check(
        &self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Result<(), AuthError> {
        let event = self.build(sender, event_type, state_key, content);
        let resolve = |_: &EventId| None;
        auth::check_auth_events(&event, &self.state, &resolve)?;
        auth::check(&event, &self.state)
    }

    /// Appends what the rules allow.
    pub(crate) fn send(&mut self, sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Event {
        self.check(sender, event_type, state_key, content.clone()).unwrap();
        self.force(sender, event_type, state_key, content)
    }

    /// Appends without asking the rules.
    pub(crate) fn force(&mut self, sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Event {
        let event = self.build(sender, event_type, state_key, content);
        self.state.apply(&event);
        self.head = vec![event.event_id().clone()];
        event
    }

    pub(crate) fn membership(&mut self, sender: &str, target: &str, membership: &str) {
        self.send(sender, "m.room.member", Some(target), json!({"membership": membership}));
    }

    /// A membership that the rules are not asked about.
    pub(crate) fn force_membership(&mut self, target: &str, membership: &str) {
        self.force(ALICE, "m.room.member", Some(target), json!({"membership": membership}));
    }

    pub(crate) fn check_membership(&self, sender: &str, target: &str, membership: &str) -> Result<(), AuthError> {
        self.check(sender, "m.room.member", Some(target), json!({"membership": membership}))
    }

    pub(crate) fn join_rule(&mut self, rule: &str) {
        self.send(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": rule}));
    }
}

#[track_caller]
pub(crate) fn denied(result: Result<(), AuthError>, because: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(because), "denied because {error:?}, not {because:?}");
}

#[track_caller]
pub(crate) fn allowed(result: Result<(), AuthError>) {
    result.unwrap();
}
