//! What the rules need to know of a room's state.

use std::collections::HashMap;

use super::PowerLevels;
use crate::event::Event;
use crate::id::{EventId, ServerName, UserId};

/// `content.membership`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// In the room.
    Join,
    /// Invited.
    Invite,
    /// Asking for an invite.
    Knock,
    /// Not in the room.
    Leave,
    /// Kept out.
    Ban,
}

impl Membership {
    /// From the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            _ => return None,
        })
    }

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

/// `content.join_rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinRule {
    /// Anyone may join.
    Public,
    /// By invite; asking for one is allowed.
    Knock,
    /// By invite.
    Invite,
    /// Something that an LM room does not know: nobody may join by it.
    Unknown,
}

impl JoinRule {
    /// From the wire.
    pub fn parse(text: &str) -> Self {
        match text {
            "public" => Self::Public,
            "knock" => Self::Knock,
            "invite" => Self::Invite,
            _ => Self::Unknown,
        }
    }
}

/// What the rules need of `m.room.create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateInfo {
    /// Its id.
    pub event_id: EventId,
    /// The creator.
    pub sender: UserId,
    /// Whether users of other servers can be in the room (`m.federate`).
    pub federates: bool,
}

impl CreateInfo {
    /// What it says.
    pub fn of(event: &Event) -> Self {
        let federates = event.content().get("m.federate").and_then(|value| value.as_bool()).unwrap_or(true);
        Self { event_id: event.event_id().clone(), sender: event.sender().clone(), federates }
    }

    /// The hub of a linearized room: the server of the create event's sender ("Hub Selection").
    pub fn hub(&self) -> ServerName {
        self.sender.server_name()
    }
}

/// The state of a room before the event that is being checked. Every answer carries the id of the state event it
/// comes from, for the selection of `auth_events`.
///
/// This is the one door through which rules learn membership and roles.
pub trait AuthState {
    /// The create event, if the room has one yet.
    fn create(&self) -> Option<&CreateInfo>;
    /// The power levels, if the room has such an event.
    fn power_levels(&self) -> Option<(&EventId, &PowerLevels)>;
    /// The join rule, if the room has such an event.
    fn join_rule(&self) -> Option<(&EventId, JoinRule)>;
    /// A user's membership, if the room has a member event for them.
    fn member(&self, user: &str) -> Option<(&EventId, Membership)>;
}

/// An [`AuthState`] made from events, for tests, tools and checking history.
#[derive(Debug, Default, Clone)]
pub struct MapState {
    create: Option<CreateInfo>,
    power_levels: Option<(EventId, PowerLevels)>,
    join_rule: Option<(EventId, JoinRule)>,
    members: HashMap<String, (EventId, Membership)>,
}

impl MapState {
    /// Applies a state event; others change nothing.
    pub fn apply(&mut self, event: &Event) {
        let id = event.event_id().clone();
        let text = |key: &str| event.content().get(key).and_then(|value| value.as_str());
        match (event.event_type(), event.state_key()) {
            ("m.room.create", Some("")) => {
                self.create = Some(CreateInfo::of(event));
            }
            ("m.room.power_levels", Some("")) => {
                self.power_levels = Some((id, PowerLevels::from_content(event.content())));
            }
            ("m.room.join_rules", Some("")) => {
                let rule = text("join_rule").map_or(JoinRule::Unknown, JoinRule::parse);
                self.join_rule = Some((id, rule));
            }
            ("m.room.member", Some(user)) => {
                let membership = text("membership").and_then(Membership::parse).unwrap_or(Membership::Leave);
                self.members.insert(user.to_owned(), (id, membership));
            }
            _ => {}
        }
    }
}

impl AuthState for MapState {
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
