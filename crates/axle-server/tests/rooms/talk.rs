//! What tests say and look at.

use std::time::{Duration, Instant};

use axle_client_api::{CreateRoom, RoomService, SendEvent};
use axle_protocol::auth::Membership;
use axle_protocol::{EventId, MatrixError, RoomId, UserId};
use axle_store::{ClientTxnKey, Direction, StoredEvent};
use serde_json::{Map, Value, json};

use crate::net::Server;

/// How long something may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// Waits until this holds.
pub(crate) async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A message.
pub(crate) fn text(user: &UserId, room: &RoomId, body: &str) -> SendEvent {
    SendEvent {
        room_id: room.clone(),
        sender: user.clone(),
        event_type: "m.room.message".into(),
        state_key: None,
        content: map(json!({"msgtype": "m.text", "body": body})),
        txn: None,
    }
}

impl Server {
    pub(crate) async fn create(&self, creator: &UserId, join_rule: &str) -> RoomId {
        let levels = json!({"users": {creator.as_str(): 100}});
        let state = |kind: &str, content| (kind.to_owned(), String::new(), map(content));
        let request = CreateRoom {
            room_id: axle_client_api::new_room_id(&creator.server_name()).unwrap(),
            creator: creator.clone(),
            creator_profile: Map::new(),
            room_version: None,
            creation_content: Map::new(),
            initial_state: vec![
                state("m.room.power_levels", levels),
                state("m.room.join_rules", json!({"join_rule": join_rule})),
                state("m.room.name", json!({"name": "Room"})),
            ],
            invites: Vec::new(),
        };
        self.rooms.create_room(request).await.unwrap()
    }

    pub(crate) async fn say(&self, user: &UserId, room: &RoomId, body: &str) -> Result<EventId, MatrixError> {
        self.say_as(user, room, body, None).await
    }

    pub(crate) async fn say_as(
        &self,
        user: &UserId,
        room: &RoomId,
        body: &str,
        txn: Option<&str>,
    ) -> Result<EventId, MatrixError> {
        let txn = txn.map(|txn_id| ClientTxnKey {
            user_id: user.clone(),
            device_id: "D".into(),
            scope: room.to_string(),
            txn_id: txn_id.into(),
        });
        self.rooms.send(SendEvent { txn, ..text(user, room, body) }).await
    }

    pub(crate) async fn set(
        &self,
        user: &UserId,
        room: &RoomId,
        kind: &str,
        state_key: &str,
        content: Value,
    ) -> Result<EventId, MatrixError> {
        let event = SendEvent {
            room_id: room.clone(),
            sender: user.clone(),
            event_type: kind.into(),
            state_key: Some(state_key.into()),
            content: map(content),
            txn: None,
        };
        self.rooms.send(event).await
    }

    pub(crate) async fn set_member(
        &self,
        user: &UserId,
        room: &RoomId,
        target: &UserId,
        membership: &str,
    ) -> Result<EventId, MatrixError> {
        self.set(user, room, "m.room.member", target.as_str(), json!({"membership": membership})).await
    }

    pub(crate) async fn join(&self, user: &UserId, room: &RoomId, via: &Server) -> Result<(), MatrixError> {
        self.rooms.join(user, room, std::slice::from_ref(&via.name), Map::new()).await
    }

    /// The room as this server has it, oldest first.
    pub(crate) async fn timeline(&self, room: &RoomId) -> Vec<StoredEvent> {
        self.store.timeline(room, None, Direction::Forward, 100_000).await.unwrap()
    }

    /// The texts of its messages.
    pub(crate) async fn texts(&self, room: &RoomId) -> Vec<String> {
        let timeline = self.timeline(room).await;
        let texts = timeline.iter().filter_map(|event| {
            let event: Value = serde_json::from_str(&event.json).unwrap();
            Some(event["content"]["body"].as_str()?.to_owned())
        });
        texts.collect()
    }

    pub(crate) async fn has(&self, room: &RoomId, event_id: &EventId) -> bool {
        self.timeline(room).await.iter().any(|event| event.event_id == *event_id)
    }

    pub(crate) async fn until_has(&self, room: &RoomId, event_id: &EventId) {
        until(&format!("{} has {event_id}", self.name), async || self.has(room, event_id).await).await;
    }

    pub(crate) async fn membership(&self, room: &RoomId, user: &UserId) -> Option<Membership> {
        let rooms = self.store.user_rooms(user).await.unwrap();
        rooms.into_iter().find(|entry| entry.room_id == *room).map(|entry| entry.membership)
    }

    pub(crate) async fn until_membership(&self, room: &RoomId, user: &UserId, membership: Membership) {
        let what = format!("{user} is {membership:?} on {}", self.name);
        until(&what, async || self.membership(room, user).await == Some(membership)).await;
    }

    pub(crate) async fn outside(&self, room: &RoomId, user: &UserId) -> Option<Membership> {
        let entry = self.store.out_of_room_in(user, room).await.unwrap();
        entry.map(|entry| entry.membership)
    }

    pub(crate) async fn until_outside(&self, room: &RoomId, user: &UserId, membership: Membership) {
        let what = format!("{user} is {membership:?} outside of the room on {}", self.name);
        until(&what, async || self.outside(room, user).await == Some(membership)).await;
    }
}

/// The ids of a timeline.
pub(crate) fn ids(timeline: &[StoredEvent]) -> Vec<EventId> {
    timeline.iter().map(|event| event.event_id.clone()).collect()
}

/// Waits until a participant's log is the end of its hub's.
pub(crate) async fn until_agree(hub: &Server, participant: &Server, room: &RoomId) {
    let what = format!("{} agrees with {}", participant.name, hub.name);
    until(&what, async || {
        let (all, part) = (ids(&hub.timeline(room).await), ids(&participant.timeline(room).await));
        !part.is_empty() && all.ends_with(&part)
    })
    .await;
}
