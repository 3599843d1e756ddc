//! The current state of a room, as lean as what is asked of it allows.

use std::collections::HashMap;
use std::sync::Arc;

use axle_mls::RoomEncryption;
use axle_protocol::auth::{AuthState, CreateInfo, JoinRule, Membership, PowerLevels};
use axle_protocol::{Event, EventId, ServerAcl, ServerName};

use super::StateItem;
use crate::visibility::HistoryVisibility;

/// The types whose content is kept, of the event with an empty state key.
const SINGLES: [&str; 5] =
    ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility", ServerAcl::EVENT_TYPE];

/// Current state: members by user, the parsed content of what rules look at, ids of the rest.
#[derive(Debug, Clone, Default)]
pub struct RoomState {
    create: Option<CreateInfo>,
    encryption: Option<RoomEncryption>,
    power_levels: Option<(EventId, PowerLevels)>,
    join_rule: Option<(EventId, JoinRule)>,
    history_visibility: Option<(EventId, HistoryVisibility)>,
    server_acl: Option<(EventId, Arc<ServerAcl>)>,
    members: HashMap<Box<str>, (EventId, Membership)>,
    joined: HashMap<ServerName, u32>,
    others: HashMap<Box<str>, HashMap<Box<str>, EventId>>,
}

impl RoomState {
    /// The servers with a joined user, in no order.
    pub fn joined_servers(&self) -> impl Iterator<Item = &ServerName> {
        self.joined.keys()
    }

    /// How many users of a server are joined.
    pub fn joined_users_of(&self, server: &str) -> u32 {
        self.joined.get(server).copied().unwrap_or(0)
    }

    /// Whether a server has a joined user.
    pub fn has_server(&self, server: &str) -> bool {
        self.joined.contains_key(server)
    }

    /// Every user with a member event.
    pub fn members(&self) -> impl Iterator<Item = (&str, Membership)> {
        self.members.iter().map(|(user, (_, membership))| (&**user, *membership))
    }

    /// A user's membership; `leave` without a member event.
    pub fn membership(&self, user: &str) -> Membership {
        self.member(user).map_or(Membership::Leave, |(_, membership)| membership)
    }

    /// Who may see the room's history.
    pub fn history_visibility(&self) -> HistoryVisibility {
        self.history_visibility.as_ref().map_or(HistoryVisibility::Shared, |(_, visibility)| *visibility)
    }

    /// Which servers may take part; `None`: all may.
    pub fn server_acl(&self) -> Option<&ServerAcl> {
        self.server_acl.as_ref().map(|(_, acl)| &**acl)
    }

    /// How the room is encrypted, if it is in a way that is known here.
    pub fn encryption(&self) -> Option<RoomEncryption> {
        self.encryption
    }

    /// The event that is current for this type and state key.
    pub fn get(&self, event_type: &str, state_key: &str) -> Option<&EventId> {
        match (event_type, state_key) {
            ("m.room.create", "") => self.create.as_ref().map(|create| &create.event_id),
            ("m.room.power_levels", "") => self.power_levels.as_ref().map(|(id, _)| id),
            ("m.room.join_rules", "") => self.join_rule.as_ref().map(|(id, _)| id),
            ("m.room.history_visibility", "") => self.history_visibility.as_ref().map(|(id, _)| id),
            (ServerAcl::EVENT_TYPE, "") => self.server_acl.as_ref().map(|(id, _)| id),
            ("m.room.member", user) => self.member(user).map(|(id, _)| id),
            _ => self.others.get(event_type)?.get(state_key),
        }
    }

    /// The event that is current where this one would be; `None` for an event that is no state.
    pub fn current_of(&self, event: &Event) -> Option<&EventId> {
        self.get(event.event_type(), event.state_key()?)
    }

    /// Every entry: type, state key, event. In no order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str, &EventId)> {
        let singles = SINGLES.into_iter().filter_map(|kind| Some((kind, "", self.get(kind, "")?)));
        let members = self.members.iter().map(|(user, (id, _))| ("m.room.member", &**user, id));
        let others =
            self.others.iter().flat_map(|(kind, keys)| keys.iter().map(move |(key, id)| (&**kind, &**key, id)));
        singles.chain(members).chain(others)
    }

    /// Makes a state event current; other events change nothing.
    pub fn apply(&mut self, event: &Event) {
        let Some(state_key) = event.state_key() else { return };
        if event.event_type() == "m.room.member" {
            let membership = membership_of(event).unwrap_or(Membership::Leave);
            self.set_member(state_key, event.event_id().clone(), membership);
            return;
        }
        self.set_event(event.event_type(), state_key, event);
    }

    /// The state that a store has kept.
    pub(super) fn restore(items: Vec<StateItem>) -> Self {
        let mut state = Self::default();
        for item in items {
            match (&item.event, item.membership) {
                (_, Some(membership)) => state.set_member(&item.state_key, item.event_id, membership),
                (Some(event), None) => state.apply(event),
                (None, None) => state.set_other(&item.event_type, &item.state_key, item.event_id),
            }
        }
        state
    }

    fn set_event(&mut self, event_type: &str, state_key: &str, event: &Event) {
        let id = event.event_id().clone();
        let text = |key: &str| event.content().get(key).and_then(|value| value.as_str());
        match (event_type, state_key) {
            ("m.room.create", "") => {
                self.encryption = RoomEncryption::of_create(event.content()).ok().flatten();
                self.create = Some(CreateInfo::of(event));
            }
            ("m.room.power_levels", "") => {
                self.power_levels = Some((id, PowerLevels::from_content(event.content())));
            }
            ("m.room.join_rules", "") => {
                self.join_rule = Some((id, text("join_rule").map_or(JoinRule::Unknown, JoinRule::parse)));
            }
            ("m.room.history_visibility", "") => {
                self.history_visibility = Some((id, HistoryVisibility::parse(text("history_visibility"))));
            }
            (ServerAcl::EVENT_TYPE, "") => {
                self.server_acl = Some((id, Arc::new(ServerAcl::from_content(event.content()))));
            }
            _ => self.set_other(event_type, state_key, id),
        }
    }

    fn set_other(&mut self, event_type: &str, state_key: &str, id: EventId) {
        self.others.entry(event_type.into()).or_default().insert(state_key.into(), id);
    }

    fn set_member(&mut self, user: &str, id: EventId, membership: Membership) {
        let before = self.members.insert(user.into(), (id, membership)).map(|(_, before)| before);
        let was_joined = before == Some(Membership::Join);
        let is_joined = membership == Membership::Join;
        let Some(server) = server_of(user) else { return };
        match (was_joined, is_joined) {
            (false, true) => *self.joined.entry(server).or_insert(0) += 1,
            (true, false) => self.remove_joined(&server),
            _ => {}
        }
    }

    fn remove_joined(&mut self, server: &ServerName) {
        if let Some(count) = self.joined.get_mut(server) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.joined.remove(server);
            }
        }
    }
}

impl AuthState for RoomState {
    fn create(&self) -> Option<&CreateInfo> {
        self.create.as_ref()
    }

    fn power_levels(&self) -> Option<(&EventId, &PowerLevels)> {
        self.power_levels.as_ref().map(|(id, levels)| (id, levels))
    }

    fn join_rule(&self) -> Option<(&EventId, JoinRule)> {
        self.join_rule.as_ref().map(|(id, rule)| (id, *rule))
    }

    fn member(&self, user: &str) -> Option<(&EventId, Membership)> {
        self.members.get(user).map(|(id, membership)| (id, *membership))
    }
}

/// `content.membership` of a member event.
pub(super) fn membership_of(event: &Event) -> Option<Membership> {
    event.membership().and_then(Membership::parse)
}

/// The server of whom a member event is about.
pub(super) fn server_of(user: &str) -> Option<ServerName> {
    axle_protocol::UserId::parse(user).ok().map(|user| user.server_name())
}
