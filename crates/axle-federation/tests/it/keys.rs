//! The key ring against servers that publish keys, rotate them, fail and lie.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axle_federation::keys::{KeyRing, KeyRingConfig, MAX_SERVERS_PER_BATCH, OWN_VALIDITY_MS};
use axle_protocol::event::{Event, Template};
use axle_protocol::signing::KeySource as _;
use axle_protocol::signing::server_keys::notary::{KeyQuery, KeyQueryResponse};
use axle_protocol::signing::server_keys::{OldKey, ServerKeys, publish};
use axle_protocol::{KeyId, RoomId, RoomVersion, SigningKey, UserId, canonical_json};
use axum::Router;
use axum::extract::State;
use axum::routing::post;

use crate::support::{Ca, Hands, KeyServer, Server, Store, client, key, name, ring, timeouts};

fn named_key(id: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(KeyId::parse(id).unwrap(), &[seed; 32])
}

fn response(server: &str, keys: &[SigningKey], old: &[(&str, u8, i64)], valid_until: i64) -> String {
    let old: BTreeMap<_, _> = old
        .iter()
        .map(|(id, seed, expired_ts)| {
            let key = named_key(id, *seed);
            (key.id().clone(), OldKey { key: key.verify_key(), expired_ts: *expired_ts })
        })
        .collect();
    canonical_json::object_to_string(&publish(&name(server), valid_until, true, keys, &old))
}

/// An LPDU of a user of `server`, at a time.
fn event(server: &str, key: &SigningKey, at: i64) -> Event {
    let template = Template {
        room_id: RoomId::parse("!r:a.test").unwrap(),
        event_type: "m.room.message".into(),
        state_key: None,
        sender: UserId::parse(format!("@u:{server}")).unwrap(),
        origin_server_ts: at,
        content: serde_json::Map::new(),
    };
    template.into_lpdu(RoomVersion::I1, &name("a.test"), &name(server), key).unwrap()
}

fn config() -> KeyRingConfig {
    KeyRingConfig { batch_timeout: Duration::from_secs(5), ..KeyRingConfig::default() }
}

/// The ring of `a.test`.
struct World {
    ca: Ca,
    hands: Hands,
    store: Store,
}

impl World {
    fn new() -> Self {
        Self { ca: Ca::new(), hands: Hands::new(), store: Store::new() }
    }

    fn ring(&self, servers: &[(&str, SocketAddr)], config: KeyRingConfig) -> KeyRing {
        let client = client(&self.ca, "a.test", 1, servers, timeouts());
        ring("a.test", 1, client, &self.store, &self.hands, config)
    }

    fn in_an_hour(&self) -> i64 {
        self.hands.now() + 3_600_000
    }
}

async fn is_valid(ring: &KeyRing, event: &Event) -> bool {
    let keys = ring.keys_for(std::slice::from_ref(event)).await;
    event.verify(&keys).is_valid()
}

#[tokio::test]
async fn keys_are_fetched_once_and_survive_a_restart() {
    let world = World::new();
    let b = KeyServer::start(&world.ca, "b.test", Some(response("b.test", &[key(2)], &[], world.in_an_hour()))).await;
    let ring = world.ring(&[("b.test", b.address())], config());
    let now = world.hands.now();
    let events: Vec<_> = (0..50).map(|i| event("b.test", &key(2), now - i)).collect();
    let (first, second) = tokio::join!(ring.keys_for(&events), ring.keys_for(&events));
    for keys in [first, second] {
        assert!(events.iter().all(|event| event.verify(&keys).is_valid()));
    }
    assert_eq!(b.asked(), 1);

    drop(ring);
    let ring = world.ring(&[], config());
    assert!(is_valid(&ring, &events[0]).await);
    assert_eq!(b.asked(), 1);
}

#[tokio::test]
async fn rotated_keys_verify_what_they_signed_in_their_time() {
    let world = World::new();
    let now = world.hands.now();
    let (old, new) = (named_key("ed25519:old", 3), named_key("ed25519:new", 4));
    let text = response("b.test", std::slice::from_ref(&new), &[("ed25519:old", 3, now - 1000)], world.in_an_hour());
    let b = KeyServer::start(&world.ca, "b.test", Some(text)).await;
    let ring = world.ring(&[("b.test", b.address())], config());
    assert!(is_valid(&ring, &event("b.test", &old, now - 1000)).await);
    assert!(!is_valid(&ring, &event("b.test", &old, now - 999)).await);
    assert!(is_valid(&ring, &event("b.test", &new, now)).await);
    // Validity ends: what is published for an hour says nothing of tomorrow.
    assert!(!is_valid(&ring, &event("b.test", &new, now + 2 * 3_600_000)).await);
}

#[tokio::test]
async fn a_new_key_is_fetched_but_not_at_every_mention() {
    let world = World::new();
    let b = KeyServer::start(&world.ca, "b.test", Some(response("b.test", &[key(2)], &[], world.in_an_hour()))).await;
    let ring = world.ring(&[("b.test", b.address())], config());
    let new = named_key("ed25519:new", 4);
    let now = world.hands.now();
    assert!(is_valid(&ring, &event("b.test", &key(2), now)).await);
    for _ in 0..20 {
        assert!(!is_valid(&ring, &event("b.test", &new, now)).await);
    }
    assert_eq!(b.asked(), 1);
    b.publish(Some(response("b.test", std::slice::from_ref(&new), &[], world.in_an_hour())));
    world.hands.advance(Duration::from_secs(31));
    assert!(is_valid(&ring, &event("b.test", &new, now)).await);
    // And the one that was dropped without a word still verifies history.
    assert!(is_valid(&ring, &event("b.test", &key(2), now)).await);
    assert_eq!(b.asked(), 2);
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_for_a_while() {
    let world = World::new();
    let b = KeyServer::start(&world.ca, "b.test", None).await;
    let ring = world.ring(&[("b.test", b.address())], config());
    let now = world.hands.now();
    for _ in 0..10 {
        assert!(!is_valid(&ring, &event("b.test", &key(2), now)).await);
    }
    assert_eq!(b.asked(), 1);
    b.publish(Some(response("b.test", &[key(2)], &[], world.in_an_hour())));
    world.hands.advance(Duration::from_secs(3));
    assert!(is_valid(&ring, &event("b.test", &key(2), now)).await);
}

#[tokio::test]
async fn lies_are_not_believed() {
    let world = World::new();
    let valid = response("b.test", &[key(2)], &[], world.in_an_hour());
    let lies = [
        response("c.test", &[key(2)], &[], world.in_an_hour()),
        valid.replace("ed25519:1", "ed25519:2"),
        valid.replace("valid_until_ts\":1", "valid_until_ts\":2"),
        "{}".into(),
        "<html>".into(),
    ];
    for lie in lies {
        let b = KeyServer::start(&world.ca, "b.test", Some(lie)).await;
        let ring = world.ring(&[("b.test", b.address())], config());
        assert!(!is_valid(&ring, &event("b.test", &key(2), world.hands.now())).await);
        assert_eq!(b.asked(), 1);
    }
}

#[tokio::test]
async fn an_event_cannot_make_us_ask_too_many_servers() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let counting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    let names: Vec<String> = (0..3 * MAX_SERVERS_PER_BATCH).map(|i| format!("s{i}.test")).collect();
    let servers: Vec<_> = names.iter().map(|server| (server.as_str(), address)).collect();
    let ring = world.ring(&servers, config());
    let now = world.hands.now();
    let events: Vec<_> = names.iter().map(|server| event(server, &key(2), now)).collect();
    ring.keys_for(&events).await;
    assert_eq!(connections.load(Ordering::SeqCst), MAX_SERVERS_PER_BATCH);
    counting.abort();
}

#[tokio::test]
async fn a_silent_server_does_not_hold_up_the_others() {
    let world = World::new();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let b = KeyServer::start(&world.ca, "b.test", Some(response("b.test", &[key(2)], &[], world.in_an_hour()))).await;
    let servers = [("b.test", b.address()), ("c.test", silent.local_addr().unwrap())];
    let ring = world.ring(&servers, KeyRingConfig { batch_timeout: Duration::from_millis(500), ..config() });
    let now = world.hands.now();
    let events = [event("c.test", &key(3), now), event("b.test", &key(2), now)];
    let keys = ring.keys_for(&events).await;
    assert!(!events[0].verify(&keys).is_valid() && events[1].verify(&keys).is_valid());
}

#[tokio::test]
async fn a_notary_helps_when_the_server_is_gone() {
    let world = World::new();
    let b = KeyServer::start(&world.ca, "b.test", Some(response("b.test", &[key(2)], &[], world.in_an_hour()))).await;
    // The notary is a ring like ours, with another name.
    let notary_store = Store::new();
    let servers = [("b.test", b.address())];
    let notary_client = client(&world.ca, "n.test", 9, &servers, timeouts());
    let notary = ring("n.test", 9, notary_client, &notary_store, &world.hands, config());
    assert_eq!(notary.query(&name("b.test"), None).await.server_keys.len(), 1);
    b.publish(None);

    let router = Router::new()
        .route("/_matrix/key/v2/query", post(query))
        .route("/_matrix/key/v2/server", axum::routing::get(own))
        .with_state(notary);
    let server = Server::start(Some(world.ca.server(&["n.test"]).config()), router).await;
    let servers = [("b.test", b.address()), ("n.test", server.address)];
    let config = KeyRingConfig { notaries: vec![name("n.test")], ..config() };
    let ring = world.ring(&servers, config);
    assert!(is_valid(&ring, &event("b.test", &key(2), world.hands.now())).await);
    assert!(b.asked() > 1, "the server itself comes first");
}

async fn query(State(notary): State<KeyRing>, body: String) -> String {
    let query = KeyQuery::parse(body.as_bytes()).unwrap();
    serde_json::to_string(&notary.query_many(&query).await).unwrap()
}

async fn own(State(notary): State<KeyRing>) -> String {
    notary.own_response().to_string()
}

#[tokio::test]
async fn a_notary_keeps_distinct_keys_and_obeys_the_minimum() {
    let world = World::new();
    let hour = world.in_an_hour();
    let b = KeyServer::start(&world.ca, "b.test", Some(response("b.test", &[key(2)], &[], hour))).await;
    let ring = world.ring(&[("b.test", b.address())], config());
    let answer = ring.query(&name("b.test"), None).await;
    let text = serde_json::to_vec(&answer).unwrap();
    let entry = &KeyQueryResponse::parse(&text).unwrap().server_keys[0];
    assert!(entry["signatures"]["a.test"]["ed25519:1"].is_string());
    ServerKeys::from_object(entry, &name("b.test"), world.hands.now()).unwrap();

    let new = named_key("ed25519:new", 4);
    b.publish(Some(response("b.test", &[new], &[], hour + 3_600_000)));
    world.hands.advance(Duration::from_secs(60));
    // Not asked again while the answer is fresh, unless it does not reach far enough.
    assert_eq!(ring.query(&name("b.test"), None).await.server_keys.len(), 1);
    assert_eq!(b.asked(), 1);
    assert_eq!(ring.query(&name("b.test"), Some(hour + 1)).await.server_keys.len(), 1);
    assert_eq!(b.asked(), 2);
    assert_eq!(ring.query(&name("b.test"), None).await.server_keys.len(), 2);
    assert_eq!(ring.query(&name("b.test"), Some(hour + 1)).await.server_keys.len(), 1);
    // None is good for so long: who asks takes what there is, or not.
    assert_eq!(ring.query(&name("b.test"), Some(i64::MAX)).await.server_keys.len(), 2);
    // The server is gone, its keys are over: still there for whoever asks about the past.
    b.publish(None);
    world.hands.advance(Duration::from_secs(3 * 3600));
    assert_eq!(ring.query(&name("b.test"), None).await.server_keys.len(), 2);
    assert_eq!(ring.query(&name("b.test"), Some(hour)).await.server_keys.len(), 2);
    assert!(ring.query(&name("unknown.test"), None).await.server_keys.is_empty());
}

#[tokio::test]
async fn our_own_response_is_signed_anew_each_hour() {
    let world = World::new();
    let ring = world.ring(&[], config());
    let first = ring.own_response();
    let keys = ServerKeys::parse(first.as_bytes(), &name("a.test"), world.hands.now()).unwrap();
    assert_eq!(keys.valid_until_ts, world.hands.now() + OWN_VALIDITY_MS);
    world.hands.advance(Duration::from_secs(3599));
    assert_eq!(ring.own_response(), first);
    world.hands.advance(Duration::from_secs(1));
    let second = ring.own_response();
    let keys = ServerKeys::parse(second.as_bytes(), &name("a.test"), world.hands.now()).unwrap();
    assert_eq!(keys.valid_until_ts, world.hands.now() + OWN_VALIDITY_MS);
    let own = ring.query(&name("a.test"), None).await.server_keys.remove(0);
    assert_eq!(canonical_json::object_to_string(&own), &*second);

    let mine = event("a.test", &key(1), world.hands.now());
    let set = ring.keys_for(std::slice::from_ref(&mine)).await;
    assert!(set.verify_key(&name("a.test"), key(1).id(), i64::MAX).is_some());
}
