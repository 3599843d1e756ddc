//! What a user may see of a room: history visibility ("Room History Visibility" in Matrix's specification).

use std::borrow::Cow;

use axle_protocol::auth::Membership;
use axle_protocol::{Event, MatrixError, RoomId, UserId};
use axle_room::visibility::{COMMIT, HistoryVisibility, Presence, allows, may_see};
use axle_store::{Direction, EventStatus, StateBefore, StoredEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::erasure;
use crate::error::ApiResult;
use crate::state::Api;

/// The state event that says what a user is to a room.
pub(crate) const MEMBER: &str = "m.room.member";
/// How many of a user's own membership changes are looked through for when they were last in the room.
const MAX_MEMBERSHIP_STEPS: usize = 50;

/// A user's relation to a room.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    room_id: RoomId,
    user_id: UserId,
    membership: Option<Membership>,
    last_joined: LastJoined,
    /// Position of the event by which they are in the room without a break, if that is known.
    joined_from: Option<i64>,
    /// Whether they see everything, whatever they are to the room.
    sees_all: bool,
}

/// Until when a user was in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastJoined {
    /// They are.
    Now,
    /// They left by the event at this position.
    Until(i64),
    /// They never were, as far as is known.
    Never,
    /// They have left it and forgotten it: as if they never had been there.
    Forgotten,
}

impl Access {
    /// Looks up what a user is to a room. A room that is not known here is one they never were in.
    pub(crate) async fn of(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<Self> {
        let member = member_event(api, user_id, room_id).await?;
        let membership = member.as_ref().and_then(membership);
        let last_joined = match (membership, member) {
            (Some(Membership::Join), _) => LastJoined::Now,
            (_, Some(_)) if api.store.has_forgotten(user_id, room_id).await? => LastJoined::Forgotten,
            (_, Some(member)) => last_joined(api, user_id, room_id, member).await?,
            (_, None) => LastJoined::Never,
        };
        let (room_id, user_id) = (room_id.clone(), user_id.clone());
        Ok(Self { room_id, user_id, membership, last_joined, joined_from: None, sees_all: false })
    }

    /// The relation of a user who is in a room by this member event.
    pub(crate) fn by_join(user_id: &UserId, room_id: &RoomId, join: &StoredEvent) -> Self {
        Self { joined_from: join.position, ..Self::of_member(user_id, room_id) }
    }

    /// The relation of a user who is known to be in the room.
    pub(crate) fn of_member(user_id: &UserId, room_id: &RoomId) -> Self {
        Self {
            room_id: room_id.clone(),
            user_id: user_id.clone(),
            membership: Some(Membership::Join),
            last_joined: LastJoined::Now,
            joined_from: None,
            sees_all: false,
        }
    }

    /// The relation of an administrator of this server, who sees all of a room that is known here.
    pub(crate) fn of_admin(user_id: &UserId, room_id: &RoomId) -> Self {
        Self { sees_all: true, ..Self::of_member(user_id, room_id) }
    }

    /// The room.
    pub(crate) fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The user.
    pub(crate) fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// Whether the user is in the room.
    pub(crate) fn joined(&self) -> bool {
        self.membership == Some(Membership::Join)
    }

    /// Whether the user is invited.
    pub(crate) fn invited(&self) -> bool {
        self.membership == Some(Membership::Invite)
    }

    /// Whether the user has left the room, or was put out.
    pub(crate) fn has_left(&self) -> bool {
        self.membership == Some(Membership::Leave)
    }

    /// Whether the room has a member event of the user by which they are in it or at its door.
    pub(crate) fn has_to_do(&self) -> bool {
        matches!(self.membership, Some(Membership::Join | Membership::Invite | Membership::Knock))
    }

    /// Refuses everyone who is not in the room. One answer for all: it does not tell whether the room exists.
    pub(crate) fn require_joined(&self) -> Result<(), MatrixError> {
        if self.joined() { Ok(()) } else { Err(not_in_room()) }
    }

    /// Whether the user may join the room without more ado: they are invited, or everybody may.
    pub(crate) async fn may_join(&self, api: &Api) -> ApiResult<bool> {
        #[derive(Deserialize)]
        struct JoinRules {
            join_rule: String,
        }
        match self.membership {
            Some(Membership::Invite) => Ok(true),
            Some(Membership::Join | Membership::Ban) => Ok(false),
            _ => {
                let rule = api.store.state_event(&self.room_id, "m.room.join_rules", "").await?;
                let rule = rule.and_then(|event| content::<JoinRules>(&event));
                Ok(rule.is_some_and(|content| content.join_rule == "public"))
            }
        }
    }

    /// Whether the user is, or ever was, in the room.
    pub(crate) fn ever_joined(&self) -> bool {
        matches!(self.last_joined, LastJoined::Now | LastJoined::Until(_))
    }

    /// Whether the user has left the room by an event after this position.
    pub(crate) fn left_after(&self, position: Option<i64>) -> bool {
        matches!(self.last_joined, LastJoined::Until(left) if position.is_none_or(|position| left > position))
    }

    /// Refuses everyone who may read nothing of the room.
    pub(crate) async fn require_some(&self, api: &Api) -> ApiResult<()> {
        if self.ever_joined() || self.world_readable(api).await? {
            return Ok(());
        }
        Err(not_in_room().into())
    }

    /// Refuses everyone, unless anyone may read the room.
    pub(crate) async fn require_world_readable(&self, api: &Api) -> ApiResult<()> {
        if self.world_readable(api).await? { Ok(()) } else { Err(not_in_room().into()) }
    }

    /// The state that the user may read: today's, or that of when they left.
    pub(crate) async fn state(&self, api: &Api) -> ApiResult<Vec<StoredEvent>> {
        match self.last_joined {
            LastJoined::Until(left) if !self.world_readable(api).await? => self.state_at(api, left).await,
            _ => {
                self.require_some(api).await?;
                Ok(api.store.current_state(&self.room_id).await?)
            }
        }
    }

    /// One entry of it.
    pub(crate) async fn state_event(&self, api: &Api, event_type: &str, key: &str) -> ApiResult<Option<StoredEvent>> {
        match self.last_joined {
            LastJoined::Until(_) if !self.world_readable(api).await? => {
                let is_it = |event: &StoredEvent| StateKey::of(event).is_some_and(|found| found.is(event_type, key));
                Ok(self.state(api).await?.into_iter().find(is_it))
            }
            _ => {
                self.require_some(api).await?;
                Ok(api.store.state_event(&self.room_id, event_type, key).await?)
            }
        }
    }

    /// The state after the event at this position.
    pub(crate) async fn state_at(&self, api: &Api, position: i64) -> ApiResult<Vec<StoredEvent>> {
        let mut state = api.store.state_before(&self.room_id, position).await?;
        let event = api.store.timeline(&self.room_id, Some(position), Direction::Backward, 1).await?.pop();
        let applies = |event: &StoredEvent| {
            event.position == Some(position) && event.status == EventStatus::Accepted && StateKey::of(event).is_some()
        };
        if let Some(event) = event.filter(applies) {
            state.retain(|entry| StateKey::of(entry) != StateKey::of(&event));
            state.push(event);
        }
        Ok(state)
    }

    /// The position after the last event that the user can see, where that is not the end of the room.
    pub(crate) async fn end(&self, api: &Api) -> ApiResult<Option<i64>> {
        match self.last_joined {
            LastJoined::Until(left) if !self.world_readable(api).await? => Ok(Some(left.saturating_add(1))),
            _ => Ok(None),
        }
    }

    /// Those of these events that the user may see. They are events of the room in its order, oldest first.
    pub(crate) async fn filter(&self, api: &Api, events: Vec<StoredEvent>) -> ApiResult<Vec<StoredEvent>> {
        let mut visible = Vec::with_capacity(events.len());
        let mut walk: Option<Walk> = None;
        for event in events {
            let Some(position) = event.position else { continue };
            if self.sees_all || self.joined_from.is_some_and(|from| position > from) {
                visible.extend(Some(event).filter(|event| event.status == EventStatus::Accepted));
                continue;
            }
            let mut at = match walk.take().filter(|walk| walk.position == position) {
                Some(walk) => walk,
                None => self.walk_from(api, position).await?,
            };
            let accepted = event.status == EventStatus::Accepted;
            let before = at;
            if accepted {
                at.apply(&event, self.user_id.as_str());
            }
            at.position = position.saturating_add(1);
            walk = Some(at);
            if accepted && self.allows(&event, before, at) {
                visible.push(event);
            }
        }
        Ok(visible)
    }

    /// Whether the user may see one event.
    pub(crate) async fn sees(&self, api: &Api, event: &StoredEvent) -> ApiResult<bool> {
        if event.room_id != self.room_id || event.status == EventStatus::Rejected {
            return Ok(false);
        }
        if event.position.is_some() {
            return Ok(!self.filter(api, vec![event.clone()]).await?.is_empty());
        }
        // State that came with a join has no place in the room's order. Who is in the room reads it as state.
        let Some(key) = StateKey::of(event).filter(|_| self.joined()) else { return Ok(false) };
        let current = api.store.state_event(&self.room_id, &key.event_type, &key.state_key).await?;
        Ok(current.is_some_and(|current| current.event_id == event.event_id))
    }

    /// Whether the user may see all of an event, not only its redacted copy because its sender is erased.
    pub(crate) async fn sees_whole(&self, api: &Api, event: &StoredEvent) -> ApiResult<bool> {
        Ok(self.sees(api, event).await? && !erasure::hides(api, &self.user_id, event).await?)
    }

    fn allows(&self, event: &StoredEvent, before: Walk, after: Walk) -> bool {
        let since = match self.last_joined {
            LastJoined::Now => true,
            LastJoined::Until(left) => left > before.position,
            LastJoined::Never | LastJoined::Forgotten => false,
        };
        let forgotten = self.last_joined == LastJoined::Forgotten;
        let presence = |walk: Walk| {
            let membership = walk.membership.filter(|_| !forgotten).unwrap_or(Membership::Leave);
            Presence::of(membership, since)
        };
        // What happened to one's own membership is always one's business.
        let own = StateKey::of(event).is_some_and(|key| key.is(MEMBER, self.user_id.as_str()));
        if (own && !forgotten) || presence(before).joined {
            return true;
        }
        if !event.json.contains(COMMIT) && allows(before.visibility, presence(before)) {
            return true;
        }
        let parsed = Event::parse(event.json.as_bytes(), event.room_version);
        parsed.is_ok_and(|event| may_see(&event, before.visibility, presence(before), Some(presence(after))))
    }

    async fn walk_from(&self, api: &Api, position: i64) -> ApiResult<Walk> {
        let before = |event_type: &str, state_key: &str| StateBefore {
            position,
            event_type: event_type.to_owned(),
            state_key: state_key.to_owned(),
        };
        let wanted = vec![before("m.room.history_visibility", ""), before(MEMBER, self.user_id.as_str())];
        let mut found = api.store.state_events_before(&self.room_id, wanted).await?.into_iter();
        let (visibility, member) = (found.next().flatten(), found.next().flatten());
        Ok(Walk {
            position,
            visibility: visibility.as_ref().map_or(HistoryVisibility::Shared, visibility_of),
            membership: member.as_ref().and_then(membership),
        })
    }

    async fn world_readable(&self, api: &Api) -> ApiResult<bool> {
        let event = api.store.state_event(&self.room_id, "m.room.history_visibility", "").await?;
        Ok(event.as_ref().map(visibility_of) == Some(HistoryVisibility::WorldReadable))
    }
}

/// What decides about the event at a position, before it.
#[derive(Debug, Clone, Copy)]
struct Walk {
    position: i64,
    visibility: HistoryVisibility,
    membership: Option<Membership>,
}

impl Walk {
    fn apply(&mut self, event: &StoredEvent, user_id: &str) {
        let Some(key) = StateKey::of(event) else { return };
        if key.is("m.room.history_visibility", "") {
            self.visibility = visibility_of(event);
        } else if key.is(MEMBER, user_id) {
            self.membership = membership(event);
        }
    }
}

/// The key of a state event.
#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct StateKey<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) event_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) state_key: Cow<'a, str>,
}

impl<'a> StateKey<'a> {
    /// `None`: not a state event.
    pub(crate) fn of(event: &'a StoredEvent) -> Option<Self> {
        // Most events are none, and to search is much less than to parse.
        if !event.json.contains("\"state_key\"") {
            return None;
        }
        serde_json::from_str(&event.json).ok()
    }

    pub(crate) fn is(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type == event_type && self.state_key == state_key
    }
}

/// The member event that a user has in a room now.
pub(crate) async fn member_event(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<Option<StoredEvent>> {
    Ok(api.store.state_event(room_id, MEMBER, user_id.as_str()).await?)
}

/// What a user is to a room, which this server may not be in.
pub(crate) async fn membership_of(api: &Api, user_id: &UserId, room_id: &RoomId) -> ApiResult<Membership> {
    if let Some(member) = member_event(api, user_id, room_id).await? {
        return Ok(membership(&member).unwrap_or(Membership::Leave));
    }
    let outside = api.store.out_of_room_in(user_id, room_id).await?;
    Ok(outside.map_or(Membership::Leave, |entry| entry.membership))
}

/// The membership that a member event gives.
pub(crate) fn membership(event: &StoredEvent) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Content {
        membership: Membership,
    }
    content::<Content>(event).map(|content| content.membership)
}

/// Whose membership an event is, and what it is; `None` for other events.
pub(crate) fn member_of(event: &StoredEvent) -> Option<(Cow<'_, str>, Membership)> {
    let key = StateKey::of(event).filter(|key| key.event_type == MEMBER)?;
    Some((key.state_key, membership(event)?))
}

/// What a client is answered who is not in a room, or whose room does not exist.
pub(crate) fn not_in_room() -> MatrixError {
    MatrixError::forbidden("You are not in this room.")
}

fn visibility_of(event: &StoredEvent) -> HistoryVisibility {
    #[derive(Deserialize)]
    struct Content {
        history_visibility: String,
    }
    let content = content::<Content>(event);
    HistoryVisibility::parse(content.as_ref().map(|content| content.history_visibility.as_str()))
}

/// Goes back through a user's member events to the one by which they were last in the room.
async fn last_joined(api: &Api, user_id: &UserId, room_id: &RoomId, mut member: StoredEvent) -> ApiResult<LastJoined> {
    for _ in 0..MAX_MEMBERSHIP_STEPS {
        let Some(before) = member_before(api, user_id, room_id, &member).await? else { return Ok(LastJoined::Never) };
        if membership(&before.event) == Some(Membership::Join) {
            return Ok(LastJoined::Until(before.until));
        }
        member = before.event;
    }
    Ok(LastJoined::Never)
}

/// The member event that another one replaced.
pub(crate) struct MemberBefore {
    pub(crate) event: StoredEvent,
    /// The position of what replaced it.
    pub(crate) until: i64,
}

/// What a member event replaced. One without a position came with our last entry into the room; or is the leave by which
/// our stay ended, that the hub has not sent: then it is as if it came after the last event.
pub(crate) async fn member_before(
    api: &Api,
    user_id: &UserId,
    room_id: &RoomId,
    member: &StoredEvent,
) -> ApiResult<Option<MemberBefore>> {
    let user = user_id.as_str();
    let before = |position| api.store.state_event_before(room_id, position, MEMBER, user);
    if let Some(until) = member.position {
        return Ok(before(until).await?.map(|event| MemberBefore { event, until }));
    }
    let last = api.store.timeline(room_id, None, Direction::Backward, 1).await?.pop();
    let Some((position, last)) = last.and_then(|last| Some((last.position?, last))) else { return Ok(None) };
    let is_theirs = StateKey::of(&last).is_some_and(|key| key.is(MEMBER, user));
    let event = if is_theirs { Some(last) } else { before(position).await? };
    let event = event.filter(|event| event.event_id != member.event_id);
    Ok(event.map(|event| MemberBefore { event, until: position.saturating_add(1) }))
}

/// The content of an event, if it is what it has to be.
pub(crate) fn content<T: DeserializeOwned>(event: &StoredEvent) -> Option<T> {
    #[derive(Deserialize)]
    struct Outer<T> {
        content: T,
    }
    serde_json::from_str::<Outer<T>>(&event.json).ok().map(|outer| outer.content)
}
