//! Servers, a log for each, and what passes between them.

use std::collections::{BTreeMap, HashMap};

use axle_mls::HubGroup;
use axle_protocol::event::Template;
use axle_protocol::signing::KeySource;
use axle_protocol::{Event, EventId, KeyId, RoomId, RoomVersion, ServerName, SigningKey, UserId, VerifyKey};
use axle_room::{
    Accepted, Brief, Change, Devices, Head, Identity, JoinAnswer, Known, Lookup, Placed, Received, Refusal, Room,
    Route, Snapshot, StateItem, Status, Verified,
};
use serde_json::{Map, Value, json};

pub const HUB: &str = "hub.example";
pub const ALICE: &str = "@alice:hub.example";
pub const BOB: &str = "@bob:one.example";
pub const CAROL: &str = "@carol:two.example";

pub fn name(server: &str) -> ServerName {
    ServerName::parse(server).unwrap()
}

pub fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub fn room_id() -> RoomId {
    RoomId::parse("!room:hub.example").unwrap()
}

pub fn identity(server: &str) -> Identity {
    let mut seed = [7; 32];
    seed.iter_mut().zip(server.bytes()).for_each(|(seed, byte)| *seed = byte);
    Identity { name: name(server), key: SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &seed) }
}

/// The keys of every server there is.
pub struct Keys;

impl KeySource for Keys {
    fn verify_key(&self, server: &ServerName, _: &KeyId, _: i64) -> Option<VerifyKey> {
        Some(identity(server.as_str()).key.verify_key())
    }
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("not an object"),
    }
}

pub fn template(sender: &str, event_type: &str, state_key: Option<&str>, content: Value) -> Template {
    Template {
        room_id: room_id(),
        event_type: event_type.into(),
        state_key: state_key.map(Into::into),
        sender: user(sender),
        origin_server_ts: 1_000,
        content: object(content),
    }
}

pub fn message(sender: &str, text: &str) -> Template {
    template(sender, "m.room.message", None, json!({ "body": text }))
}

pub fn member(sender: &str, target: &str, membership: &str) -> Template {
    template(sender, "m.room.member", Some(target), json!({ "membership": membership }))
}

pub fn verified(event: &Event) -> Verified {
    Verified::check(event.clone(), &Keys).unwrap()
}

/// A server's room with its durable log.
pub struct Server {
    pub me: Identity,
    pub room: Room,
    pub log: Vec<Placed>,
    /// What is published.
    pub devices: Devices,
    /// The states of the group that are stored, by epoch.
    pub groups: BTreeMap<u64, Vec<u8>>,
}

impl Server {
    pub fn new(server: &str) -> Self {
        let me = identity(server);
        let room = Room::new(me.name.clone(), room_id(), RoomVersion::I1);
        Self { me, room, log: Vec::new(), devices: Devices::default(), groups: BTreeMap::new() }
    }

    /// A hub with a room: create, join of alice, power levels, join rule.
    pub fn hub(join_rule: &str) -> Self {
        Self::hub_of(join_rule, json!({ "room_version": "I.1" }))
    }

    /// The same with this content of the create event.
    pub fn hub_of(join_rule: &str, create: Value) -> Self {
        let mut hub = Self::new(HUB);
        hub.send(template(ALICE, "m.room.create", Some(""), create)).unwrap();
        hub.send(member(ALICE, ALICE, "join")).unwrap();
        let levels = json!({ "users": { ALICE: 100 } });
        hub.send(template(ALICE, "m.room.power_levels", Some(""), levels)).unwrap();
        hub.send(template(ALICE, "m.room.join_rules", Some(""), json!({ "join_rule": join_rule }))).unwrap();
        hub
    }

    pub fn known(&self, lookup: &Lookup) -> Known {
        let mut known = Known { devices: self.devices.clone(), ..Known::default() };
        for placed in &self.log {
            let event = &placed.event;
            if lookup.events.contains(event.event_id()) {
                let brief = Brief::of(event, placed.status, placed.position);
                known.events.insert(event.event_id().clone(), brief);
            }
            if let Some(hash) = event.lpdu_hash()
                && lookup.lpdus.contains(hash)
            {
                known.lpdus.insert(*hash, event.event_id().clone());
            }
        }
        known
    }

    pub fn known_for(&self, event: &Event) -> Known {
        self.known(&self.room.lookup([event]))
    }

    /// Stores a change, as a store would.
    pub fn store(&mut self, change: &Change) {
        let head = self.log.iter().filter_map(|placed| placed.position).max();
        assert_eq!(change.expected_head, head, "the room and its log have parted");
        for group in &change.groups {
            self.groups.retain(|epoch, _| !group.is_back || *epoch < group.epoch);
            self.groups.insert(group.epoch, group.state.clone());
        }
        for placed in &change.events {
            let id = placed.event.event_id();
            match self.log.iter_mut().find(|old| old.event.event_id() == id) {
                // An event is stored once. What has a position keeps it.
                Some(old) if old.position.is_some() => old.sets_state |= placed.sets_state,
                Some(_) => self.log.retain(|old| old.event.event_id() != id),
                None => {}
            }
            if !self.log.iter().any(|old| old.event.event_id() == id) {
                self.log.push(placed.clone());
            }
        }
    }

    /// Forgets everything that is not stored.
    pub fn restart(&mut self) {
        let head = self.log.iter().filter(|placed| placed.position.is_some()).max_by_key(|placed| placed.position);
        let head =
            head.map(|placed| Head { position: placed.position.unwrap(), event_id: placed.event.event_id().clone() });
        let waiting = self.log.iter().filter(|placed| placed.status == Status::Waiting);
        let waiting = waiting.map(|placed| placed.event.clone()).collect();
        let mut state: HashMap<(String, String), StateItem> = HashMap::new();
        for placed in self.log.iter().filter(|placed| placed.sets_state) {
            let event = &placed.event;
            let (event_type, state_key) = (event.event_type().to_owned(), event.state_key().unwrap().to_owned());
            let item = StateItem {
                event_type: event_type.clone(),
                state_key: state_key.clone(),
                event_id: event.event_id().clone(),
                membership: placed.membership,
                event: placed.membership.is_none().then(|| event.clone()),
            };
            state.insert((event_type, state_key), item);
        }
        let state = state.into_values().collect();
        let snapshot = Snapshot { room_id: room_id(), version: RoomVersion::I1, head, state, waiting };
        let group = self.groups.values().next_back().map(|state| HubGroup::from_bytes(state).unwrap());
        self.room = Room::restore(self.me.name.clone(), snapshot).with_group(group);
    }

    /// Sends as hub.
    pub fn send(&mut self, template: Template) -> Result<Event, Refusal> {
        let known = match template.content.get("redacts").and_then(Value::as_str) {
            Some(id) => self.known(&Lookup { events: vec![EventId::parse(id).unwrap()], ..Lookup::default() }),
            None => self.known(&Lookup::default()),
        };
        let accepted = self.room.send_local(&self.me, template, &known)?;
        Ok(self.appended(accepted).0)
    }

    /// Takes an LPDU as hub.
    pub fn accept(&mut self, lpdu: &Event, route: Route) -> Result<Accepted, Refusal> {
        let origin = lpdu.sender().server_name();
        let known = self.known_for(lpdu);
        let accepted = self.room.accept_lpdu(&self.me, &verified(lpdu), &origin, route, &known)?;
        if let Accepted::Appended { change, .. } = &accepted {
            self.store(change);
        }
        Ok(accepted)
    }

    /// Takes an LPDU that must be good.
    pub fn append(&mut self, lpdu: &Event) -> Event {
        match self.accept(lpdu, Route::Transaction).unwrap() {
            Accepted::Appended { event, .. } => event,
            Accepted::Duplicate(id) => panic!("{id} was there"),
        }
    }

    pub fn appended(&mut self, accepted: Accepted) -> (Event, Change) {
        match accepted {
            Accepted::Appended { event, change } => {
                self.store(&change);
                (event, change)
            }
            Accepted::Duplicate(id) => panic!("{id} was there"),
        }
    }

    /// Takes an event as participant.
    pub fn receive(&mut self, event: &Event) -> Received {
        let known = self.known_for(event);
        let received = self.room.receive(&verified(event), &name(HUB), &known);
        if let Received::Appended(change) | Received::Rejected { change, .. } | Received::Waiting { change, .. } =
            &received
        {
            self.store(change);
        }
        received
    }

    pub fn lpdu(&mut self, template: Template) -> Event {
        self.room.make_lpdu(&self.me, template).unwrap()
    }

    /// What the hub answers to a join.
    pub fn answer_join(&mut self, lpdu: &Event) -> (JoinAnswer, Change) {
        let state = self.state_events();
        let Accepted::Appended { event, change } =
            self.accept(lpdu, Route::Handshake(axle_protocol::auth::Membership::Join)).unwrap()
        else {
            panic!("the join was there");
        };
        let answer = JoinAnswer {
            lpdu: lpdu.clone(),
            event: verified(&event),
            state,
            auth_chain: self.log.iter().filter(|placed| placed.sets_state).map(|p| verified(&p.event)).collect(),
        };
        (answer, change)
    }

    /// Joins a room by make_join and send_join.
    pub fn join(&mut self, hub: &mut Server, joiner: &str) -> Change {
        let lpdu = self.join_lpdu(joiner);
        let (answer, change) = hub.answer_join(&lpdu);
        let all: Vec<_> = answer.state.iter().chain(&answer.auth_chain).chain([&answer.event]).collect();
        let known = self.known(&self.room.lookup(all.into_iter().map(Verified::event)));
        let own = self.room.join(answer, &known).unwrap();
        self.store(&own);
        change
    }

    pub fn join_lpdu(&self, joiner: &str) -> Event {
        member(joiner, joiner, "join").into_lpdu(RoomVersion::I1, &name(HUB), &self.me.name, &self.me.key).unwrap()
    }

    pub fn state_events(&self) -> Vec<Verified> {
        let current = self
            .log
            .iter()
            .filter(|placed| self.room.state().current_of(&placed.event) == Some(placed.event.event_id()));
        current.map(|placed| verified(&placed.event)).collect()
    }

    /// Events with a position, in the room's order.
    pub fn timeline(&self) -> Vec<Event> {
        let mut placed: Vec<_> = self.log.iter().filter(|placed| placed.position.is_some()).collect();
        placed.sort_by_key(|placed| placed.position);
        placed.into_iter().map(|placed| placed.event.clone()).collect()
    }

    /// What backfill answers: up to and including `from`, oldest first.
    pub fn backfill(&self, from: &EventId, limit: usize) -> Vec<Verified> {
        let timeline = self.timeline();
        let end = timeline.iter().position(|event| event.event_id() == from).map_or(0, |i| i + 1);
        timeline[end.saturating_sub(limit)..end].iter().map(verified).collect()
    }
}

/// A hub with a public room and a participant with bob in it.
pub fn pair() -> (Server, Server) {
    let mut hub = Server::hub("public");
    let mut one = Server::new("one.example");
    one.join(&mut hub, BOB);
    (hub, one)
}

pub fn ids(events: &[Event]) -> Vec<EventId> {
    events.iter().map(|event| event.event_id().clone()).collect()
}
