//! Rooms for the tests: a fold over the store's own state, with the real auth rules.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axle_client_api::{CreateRoom, Knocked, Notifier, RoomService, SendEvent};
use axle_protocol::auth::{self, MapState, Membership};
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, KeyId, MatrixError, RoomId, RoomVersion, ServerName, SigningKey, UserId};
use axle_store::{Append, ClientTxn, ClientTxnKey, ClientTxnState, EventStatus, NewEvent, Relation, RoomHead, Store};
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, watch};

pub struct TestRooms {
    store: Arc<dyn Store>,
    server: ServerName,
    key: SigningKey,
    writing: Mutex<()>,
    wake: watch::Sender<()>,
    made: AtomicI64,
    /// What a hub still has of a room, newest last, below position 0.
    pub history: Mutex<HashMap<RoomId, Vec<Event>>>,
    /// How often the hub was asked.
    pub fetches: AtomicI64,
    /// Joins through other servers.
    joins: std::sync::Mutex<Vec<String>>,
}

/// Who else sends in the tests.
pub struct Sent<'a> {
    pub sender: &'a UserId,
    pub event_type: &'a str,
    pub state_key: Option<&'a str>,
    pub content: Value,
}

impl TestRooms {
    pub fn new(store: Arc<dyn Store>, server: ServerName) -> Self {
        Self {
            store,
            server,
            key: SigningKey::from_seed(KeyId::parse("ed25519:1").unwrap(), &[7; 32]),
            writing: Mutex::default(),
            wake: watch::Sender::new(()),
            made: AtomicI64::new(0),
            history: Mutex::default(),
            fetches: AtomicI64::new(0),
            joins: std::sync::Mutex::default(),
        }
    }

    /// Makes an event as any user, local or not.
    pub async fn append(&self, room_id: &RoomId, sent: Sent<'_>) -> EventId {
        let template = self.template(room_id, sent);
        self.put(template, None).await.unwrap()
    }

    /// An event that is in no store yet.
    pub fn event(&self, room_id: &RoomId, sent: Sent<'_>) -> Event {
        let template = self.template(room_id, sent);
        template.into_pdu(RoomVersion::I1, &[], &[], &self.server, &self.key).unwrap()
    }

    /// The same, made at this time.
    pub fn event_at(&self, room_id: &RoomId, sent: Sent<'_>, origin_server_ts: i64) -> Event {
        let template = Template { origin_server_ts, ..self.template(room_id, sent) };
        template.into_pdu(RoomVersion::I1, &[], &[], &self.server, &self.key).unwrap()
    }

    /// Puts a room into the store as a participant's: state without positions, then the join, then events.
    pub async fn arrive(&self, room_id: &RoomId, state: &[Event], events: &[Event]) {
        let outliers = state.iter().map(|event| new_event(event, None, EventStatus::Outlier));
        let placed = (0i64..).zip(events).map(|(at, event)| new_event(event, Some(at), EventStatus::Accepted));
        self.store.append(append(room_id, None, outliers.chain(placed).collect(), None)).await.unwrap();
        self.wake();
    }

    /// What arrives in such a room from this position on, after a time of which nothing is here.
    pub async fn come_back(&self, room_id: &RoomId, at: i64, events: &[Event]) {
        let head = self.store.load_room(room_id).await.unwrap().and_then(|room| room.head);
        let placed = (at..).zip(events).map(|(at, event)| new_event(event, Some(at), EventStatus::Accepted));
        self.store.append(append(room_id, head, placed.collect(), None)).await.unwrap();
        self.wake();
    }

    /// Joins through other servers since the last look: of which room, and through which.
    pub fn joins(&self) -> Vec<String> {
        std::mem::take(&mut self.joins.lock().unwrap())
    }

    /// Whether somebody waits for news.
    pub fn is_waited_for(&self) -> bool {
        self.wake.receiver_count() > 0
    }

    pub fn wake(&self) {
        self.wake.send_replace(());
    }

    fn template(&self, room_id: &RoomId, sent: Sent<'_>) -> Template {
        let Value::Object(content) = sent.content else { panic!("content is an object") };
        Template {
            room_id: room_id.clone(),
            event_type: sent.event_type.into(),
            state_key: sent.state_key.map(str::to_owned),
            sender: sent.sender.clone(),
            origin_server_ts: now_ms() + self.made.fetch_add(1, Ordering::SeqCst),
            content,
        }
    }

    async fn put(&self, template: Template, txn: Option<ClientTxnKey>) -> Result<EventId, MatrixError> {
        let _writing = self.writing.lock().await;
        if let Some(key) = &txn
            && let Some(ClientTxnState::Done(event_id)) = self.store.client_txn(key).await.unwrap()
        {
            return Ok(event_id);
        }
        let room_id = template.room_id.clone();
        let snapshot = self.store.load_room(&room_id).await.unwrap();
        let named = template.content.get("room_version").and_then(Value::as_str).and_then(RoomVersion::parse);
        let version = snapshot.as_ref().map(|room| room.room_version).or(named).unwrap_or(RoomVersion::I1);
        let head = snapshot.and_then(|snapshot| snapshot.head);
        if head.is_none() && template.event_type != "m.room.create" {
            return Err(MatrixError::not_found("No such room."));
        }
        let mut state = MapState::default();
        for stored in self.store.current_state(&room_id).await.unwrap() {
            state.apply(&Event::parse(stored.json.as_bytes(), stored.room_version).unwrap());
        }
        let auth_events = template.select_auth_events(&state);
        let prev: Vec<EventId> = head.iter().map(|head| head.event_id.clone()).collect();
        let event = template
            .into_pdu(version, &auth_events, &prev, &self.server, &self.key)
            .map_err(|error| MatrixError::bad_json(error.to_string()))?;
        auth::check(&event, &state).map_err(|error| MatrixError::forbidden(error.to_string()))?;
        let position = head.as_ref().map_or(0, |head| head.position + 1);
        let new = new_event(&event, Some(position), EventStatus::Accepted);
        let txn = txn.map(|key| ClientTxn { key, event_id: event.event_id().clone() });
        let append = Append { room_version: version, ..append(&room_id, head, vec![new], txn) };
        self.store.append(append).await.unwrap();
        self.wake();
        Ok(event.event_id().clone())
    }

    async fn member(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
        membership: Membership,
        mut content: Map<String, Value>,
    ) -> Result<(), MatrixError> {
        content.insert("membership".into(), membership.as_str().into());
        let sent = Sent {
            sender: user_id,
            event_type: "m.room.member",
            state_key: Some(user_id.as_str()),
            content: Value::Object(content),
        };
        self.put(self.template(room_id, sent), None).await.map(|_| ())
    }
}

#[async_trait]
impl RoomService for TestRooms {
    async fn create_room(&self, request: CreateRoom) -> Result<RoomId, MatrixError> {
        let room_id = request.room_id;
        let mut content = request.creation_content;
        content.insert("room_version".into(), request.room_version.unwrap_or(RoomVersion::I1).as_str().into());
        let creator = &request.creator;
        let state = |event_type, content| Sent { sender: creator, event_type, state_key: Some(""), content };
        self.put(self.template(&room_id, state("m.room.create", Value::Object(content))), None).await?;
        self.member(&room_id, creator, Membership::Join, request.creator_profile).await?;
        for (event_type, state_key, content) in request.initial_state {
            let content = Value::Object(content);
            let sent = Sent { sender: creator, event_type: &event_type, state_key: Some(&state_key), content };
            self.put(self.template(&room_id, sent), None).await?;
        }
        for (user_id, mut content) in request.invites {
            content.insert("membership".into(), json!("invite"));
            let sent = Sent {
                sender: creator,
                event_type: "m.room.member",
                state_key: Some(user_id.as_str()),
                content: Value::Object(content),
            };
            self.put(self.template(&room_id, sent), None).await?;
        }
        Ok(room_id)
    }

    async fn send_at(&self, event: SendEvent, at: Option<i64>) -> Result<EventId, MatrixError> {
        let sent = Sent {
            sender: &event.sender,
            event_type: &event.event_type,
            state_key: event.state_key.as_deref(),
            content: Value::Object(event.content),
        };
        let template = self.template(&event.room_id, sent);
        let origin_server_ts = at.unwrap_or(template.origin_server_ts);
        self.put(Template { origin_server_ts, ..template }, event.txn).await
    }

    async fn join(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        via: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<(), MatrixError> {
        if !via.is_empty() {
            let via: Vec<&str> = via.iter().map(ServerName::as_str).collect();
            self.joins.lock().unwrap().push(format!("{room_id} via {}", via.join(" ")));
        }
        self.member(room_id, user_id, Membership::Join, content).await
    }

    async fn leave(&self, user_id: &UserId, room_id: &RoomId, content: Map<String, Value>) -> Result<(), MatrixError> {
        self.member(room_id, user_id, Membership::Leave, content).await
    }

    async fn knock(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        _: &[ServerName],
        content: Map<String, Value>,
    ) -> Result<Knocked, MatrixError> {
        self.member(room_id, user_id, Membership::Knock, content).await?;
        Ok(Knocked { room_id: room_id.clone() })
    }

    async fn wake_members(&self, _: &RoomId) -> Result<(), MatrixError> {
        self.wake();
        Ok(())
    }

    async fn fetch_history(&self, room_id: &RoomId, before: i64, limit: usize) -> Result<bool, MatrixError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let _writing = self.writing.lock().await;
        let mut history = self.history.lock().await;
        let Some(events) = history.get_mut(room_id) else { return Ok(false) };
        let mut fetched = Vec::new();
        for below in 1..=limit as i64 {
            let Some(event) = events.pop() else { break };
            fetched.push(new_event(&event, Some(before - below), EventStatus::Accepted));
        }
        if fetched.is_empty() {
            return Ok(false);
        }
        fetched.reverse();
        // Old state is not current state.
        fetched.iter_mut().for_each(|event| event.sets_state = false);
        let head = self.store.load_room(room_id).await.unwrap().and_then(|room| room.head);
        self.store.append(append(room_id, head, fetched, None)).await.unwrap();
        self.wake();
        Ok(true)
    }
}

impl Notifier for TestRooms {
    fn changed(&self, _: &UserId) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut receiver = self.wake.subscribe();
        Box::pin(async move {
            let _ = receiver.changed().await;
        })
    }

    fn wake(&self, _: &UserId) {
        Self::wake(self);
    }

    fn stirred(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut receiver = self.wake.subscribe();
        Box::pin(async move {
            let _ = receiver.changed().await;
        })
    }
}

fn append(room_id: &RoomId, head: Option<RoomHead>, events: Vec<NewEvent>, txn: Option<ClientTxn>) -> Append {
    Append {
        room_id: room_id.clone(),
        room_version: RoomVersion::I1,
        expected_head: head.map(|head| head.position),
        events,
        deliveries: Vec::new(),
        settled_lpdus: Vec::new(),
        announcements: Vec::new(),
        groups: Vec::new(),
        client_txns: txn.into_iter().collect(),
        lpdus_unasked: false,
        made_here: false,
    }
}

fn new_event(event: &Event, position: Option<i64>, status: EventStatus) -> NewEvent {
    NewEvent {
        event_id: event.event_id().clone(),
        position,
        status,
        event_type: event.event_type().into(),
        state_key: event.state_key().map(str::to_owned),
        sender: event.sender().clone(),
        origin_server_ts: event.origin_server_ts(),
        lpdu_hash: event.lpdu_hash().copied(),
        membership: event.membership().and_then(Membership::parse),
        redacts: event.redacts(),
        relates_to: Relation::of(event),
        sets_state: event.is_state(),
        json: event.json().into(),
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
