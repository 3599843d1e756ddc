//! A hub, and a server with a user in its room that sends all kinds of transactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use axle_client_api::{CreateRoom, RoomService as _};
use axle_federation::client::{Client, Timeouts};
use axle_federation::endpoints::{EndpointsConfig, Federation, router};
use axle_federation::keys::{KeyRing, KeyRingConfig, OwnKeys};
use axle_federation::resolve::{Resolver, ResolverConfig};
use axle_federation::tls::{ClientTls, ClientTlsConfig};
use axle_federation::{FederationService as _, MembershipChange, system_clock};
use axle_protocol::signing::server_keys::publish;
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{Event, RoomId, canonical_json};
use axle_server::rooms::Rooms;
use axle_store::{Direction, Store, StoredKey};
use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::edits::candidates;
use crate::hostile_hub::Hostile;
use crate::rooms::{key, lpdu, name, rooms, runtime, template, user};

const HUB: &str = "hub.test";
const PEER: &str = "a.test";
const BOB: &str = "@bob:a.test";
const ALICE: &str = "@alice:hub.test";
/// A server is believed about its keys for no longer than a week.
const SIX_DAYS_MS: i64 = 6 * 24 * 3_600_000;

const TYPES: [&str; 10] = [
    "m.room.message",
    "m.room.member",
    "m.room.power_levels",
    "m.room.create",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.name",
    "m.room.redaction",
    "m.mls.commit",
    "",
];
const STATE_KEYS: [Option<&str>; 6] = [None, Some(""), Some(BOB), Some(ALICE), Some("@carol:c.test"), Some("\u{0}")];

pub(crate) struct World {
    runtime: Runtime,
    rooms: Rooms,
    store: Arc<dyn Store>,
    router: Router,
    room: RoomId,
    bodies: Vec<Vec<u8>>,
    contents: Vec<Vec<u8>>,
    txns: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = runtime();
        let (rooms, store) = runtime.block_on(rooms(ALICE, Arc::new(Hostile::default())));
        let router = runtime.block_on(endpoints(&rooms, &store));
        let room = runtime.block_on(room_with_bob(&rooms));
        let contents = [
            json!({"body": "x", "msgtype": "m.text"}),
            json!({"membership": "join", "displayname": "é😀"}),
            json!({"membership": "invite"}),
            json!({"users": {BOB: 100}, "events": {"m.room.name": 50}, "ban": 50, "users_default": 0}),
            json!({"join_rule": "knock"}),
            json!({"history_visibility": "joined"}),
            json!({"redacts": "$x", "reason": null}),
        ];
        let events = contents.iter().flat_map(|content| {
            let message = lpdu(template(&room, BOB, "m.room.message", None, content.clone()), HUB);
            let state = lpdu(template(&room, BOB, "m.room.member", Some(BOB), content.clone()), HUB);
            [message.json().to_owned(), state.json().to_owned()]
        });
        let events: Vec<String> = events.collect();
        let bodies = vec![
            format!(r#"{{"pdus":[{}]}}"#, events.join(",")).into_bytes(),
            format!(r#"{{"edus":[{{"type":"m.x","content":{{}}}}],"pdus":[{}]}}"#, events[0]).into_bytes(),
            br#"{"pdus":[]}"#.to_vec(),
        ];
        let contents = contents.iter().map(|content| content.to_string().into_bytes()).collect();
        Self { runtime, rooms, store, router, room, bodies, contents, txns: AtomicU64::new(0) }
    }

    pub(crate) fn run(&self, input: &[u8]) {
        let (how, rest) = input.split_first().map_or((0, input), |(how, rest)| (*how, rest));
        let bodies = if how.is_multiple_of(2) { candidates(&self.bodies, rest).to_vec() } else { self.signed(rest) };
        for body in bodies {
            self.runtime.block_on(self.send(&body));
        }
    }

    /// What is in the room is as it should be.
    pub(crate) fn check(&self) {
        self.runtime.block_on(async {
            assert_eq!(self.store.check().await.unwrap(), Vec::<String>::new());
            let log = self.store.timeline(&self.room, None, Direction::Forward, usize::MAX >> 1).await.unwrap();
            let mut last = None;
            for stored in log {
                let event = Event::parse(stored.json.as_bytes(), stored.room_version).unwrap();
                assert_eq!(event.prev_events(), last.as_slice(), "a chain");
                last = Some(event.event_id().clone());
                let sender = event.sender().server_str();
                assert!(sender == HUB || sender == PEER && event.lpdu_hash().is_some(), "{}", event.json());
            }
            self.rooms.close().await;
        });
    }

    /// Transactions with an event that is signed as it should be, and strange otherwise.
    fn signed(&self, input: &[u8]) -> Vec<Vec<u8>> {
        let pick = |at: usize| input.get(at).copied().map_or(0, usize::from);
        let (kind, state_key) = (TYPES[pick(0) % TYPES.len()], STATE_KEYS[pick(1) % STATE_KEYS.len()]);
        let contents = candidates(&self.contents, input.get(2..).unwrap_or_default());
        let objects = contents.iter().filter_map(|content| serde_json::from_slice::<Map<String, Value>>(content).ok());
        let events = objects.filter_map(|content| {
            let mut template = template(&self.room, BOB, kind, state_key, Value::Object(content));
            template.origin_server_ts += i64::try_from(self.txns.load(Relaxed)).unwrap_or(0);
            let key = key(PEER);
            template.into_lpdu(axle_protocol::RoomVersion::I1, &name(HUB), &name(PEER), &key).ok()
        });
        events.map(|event| format!(r#"{{"pdus":[{}]}}"#, event.json()).into_bytes()).collect()
    }

    async fn send(&self, body: &[u8]) {
        let txn = self.txns.fetch_add(1, Relaxed);
        let uri = format!("/_matrix/federation/v2/send/{txn}");
        let content = match canonical_json::parse(body) {
            Ok(value) => canonical_json::to_string(&value),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        let right = self.ask(&uri, Some(&content), body).await;
        assert!(matches!(right.0, 200 | 400 | 413), "{right:?}");
        assert!(right.0 != 200 || right.1["failed_pdus"].is_object(), "{right:?}");
        // Signed for another body, it is never taken.
        let wrong = self.ask(&format!("{uri}-wrong"), Some("{}"), body).await;
        assert!(matches!(wrong.0, 400 | 401 | 413), "{wrong:?}");
    }

    async fn ask(&self, uri: &str, content: Option<&str>, body: &[u8]) -> (u16, Value) {
        let (origin, destination) = (name(PEER), name(HUB));
        let request = SignedRequest { method: "PUT", uri, origin: &origin, destination: &destination, content };
        let header = sign_request(&request, &key(PEER)).to_header();
        let request = Request::put(uri).header("authorization", header).body(Body::from(body.to_vec())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(status == 200 || body["errcode"].is_string(), "{body}");
        (status, body)
    }
}

/// Every endpoint, with the peer's keys known already.
async fn endpoints(rooms: &Rooms, store: &Arc<dyn Store>) -> Router {
    let until = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() + SIX_DAYS_MS;
    let keys = publish(&name(PEER), until, true, &[key(PEER)], &BTreeMap::new());
    let stored = StoredKey {
        server: name(PEER),
        key_id: key(PEER).id().clone(),
        key: key(PEER).verify_key().to_base64(),
        valid_until_ts: until,
        expired_ts: None,
    };
    store.put_server_keys(&name(PEER), &canonical_json::object_to_string(&keys), until, &[stored]).await.unwrap();
    let tls = ClientTls::load(&ClientTlsConfig::default()).unwrap();
    let config = ResolverConfig { dns_server: Some("127.0.0.1:9".parse().unwrap()), ..ResolverConfig::default() };
    let resolver = Resolver::new(config, tls.web).unwrap();
    let client = Client::new(name(HUB), vec![key(HUB)], resolver, tls.federation, Timeouts::default());
    let own = OwnKeys { server_name: name(HUB), current: vec![key(HUB)], old: BTreeMap::new(), linearized: true };
    let ring = KeyRing::new(KeyRingConfig::default(), own, store.clone(), client, system_clock());
    let config = EndpointsConfig { rate_limit: None, ..EndpointsConfig::default() };
    router(Federation::new(config, Arc::new(rooms.clone()), store.clone(), ring, system_clock()))
}

async fn room_with_bob(rooms: &Rooms) -> RoomId {
    let public = json!({"join_rule": "public"}).as_object().unwrap().clone();
    let request = CreateRoom {
        room_id: axle_client_api::new_room_id(&name(HUB)).unwrap(),
        creator: user(ALICE),
        creator_profile: Map::new(),
        room_version: None,
        creation_content: Map::new(),
        initial_state: vec![("m.room.join_rules".into(), String::new(), public)],
        invites: Vec::new(),
    };
    let room = rooms.create_room(request).await.unwrap();
    let join = lpdu(template(&room, BOB, "m.room.member", Some(BOB), json!({"membership": "join"})), HUB);
    let join = RawValue::from_string(join.json().to_owned()).unwrap();
    rooms.send_membership(&name(PEER), MembershipChange::Join, join).await.unwrap();
    room
}
