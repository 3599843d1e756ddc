//! Fuzz targets of what other servers answer. Each runs for a second under `cargo test`; how to run them for longer, and
//! what to do with a finding, is in CONTRIBUTING.md.
#![allow(unreachable_pub, dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../axle-protocol/tests/common/edits.rs"]
mod edits;
#[path = "it/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use axle_federation::MembershipChange::{Join, Knock, Leave};
use axle_federation::client::{Client, Dialect, transaction_body};
use axle_federation::resolve::{Resolver, ResolverConfig};
use axle_protocol::event::Template;
use axle_protocol::signing::server_keys::notary::KeyQuery;
use axle_protocol::signing::server_keys::publish;
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName, UserId, canonical_json};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use edits::candidates;
use support::{Ca, Dns, Records, Server, key, name, timeouts};

/// A server that gives the answer it was handed last.
struct Hostile {
    server: Server,
    answer: Arc<Mutex<(StatusCode, Vec<u8>)>>,
}

impl Hostile {
    async fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let answer = Arc::new(Mutex::new((StatusCode::OK, Vec::new())));
        let shared = answer.clone();
        let router = Router::new().fallback(move || async move {
            let (status, body) = shared.lock().unwrap().clone();
            // Redirects, and how long to wait, are part of an answer.
            let text = String::from_utf8_lossy(&body).into_owned();
            let value = text.parse().unwrap_or(header::HeaderValue::from_static("/again"));
            (status, [(header::LOCATION, value.clone()), (header::RETRY_AFTER, value)], body).into_response()
        });
        Self { server: Server::start(tls, router).await, answer }
    }

    fn set(&self, status: StatusCode, body: &[u8]) {
        *self.answer.lock().unwrap() = (status, body.to_vec());
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn lpdu() -> Event {
    let user = UserId::parse("@u:a.test").unwrap();
    let template = Template {
        room_id: RoomId::parse("!r:hub.test").unwrap(),
        event_type: "m.room.member".into(),
        state_key: Some(user.to_string()),
        sender: user,
        origin_server_ts: 1,
        content: json!({"membership": "join"}).as_object().unwrap().clone(),
    };
    template.into_lpdu(RoomVersion::I1, &name("hub.test"), &name("a.test"), &key(1)).unwrap()
}

/// Right answers of every endpoint, and errors.
fn answers() -> Vec<Vec<u8>> {
    let lpdu = lpdu();
    let event: Value =
        serde_json::from_str(lpdu.complete(&[], &[], &name("hub.test"), &key(2)).unwrap().json()).unwrap();
    let mut with_id = event.clone();
    with_id["event_id"] = "$x".into();
    let keys = publish(&name("hub.test"), 1_700_000_000_000, true, &[key(2)], &BTreeMap::new());
    let answers = [
        json!({"failed_pdus": {"$a": {"error": "x"}}, "pdus": {"$b": {}}}),
        with_id,
        json!({"pdus": [event, event], "auth_chain": [event]}),
        json!({"pdu_ids": ["$a"], "auth_chain_ids": ["$b"]}),
        json!({"event": {"type": "m.room.member", "hub_server": "hub.test"}, "room_version": "I.1", "sender": "@u:a.test"}),
        json!({"event": event, "state": [event], "auth_chain": [event], "members_omitted": false}),
        json!({"stripped_state": [{"type": "m.room.name"}], "knock_room_state": []}),
        json!({"event": event, "pdu": event}),
        json!(keys),
        json!({"server_keys": [keys]}),
        json!({"errcode": "M_LIMIT_EXCEEDED", "error": "x", "retry_after_ms": 5}),
        json!({"errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "x", "room_version": "I.1"}),
        json!({"m.server": "d.example:443"}),
    ];
    answers.iter().map(|answer| answer.to_string().into_bytes()).collect()
}

const STATUSES: [StatusCode; 10] = [
    StatusCode::OK,
    StatusCode::OK,
    StatusCode::OK,
    StatusCode::NO_CONTENT,
    StatusCode::FOUND,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
];

/// Asks for everything that there is to ask for. What comes back is an answer or an error.
async fn ask_all(client: &Client, to: &ServerName, lpdu: &Event) {
    let (room, event_id) = (lpdu.room_id(), EventId::parse("$event").unwrap());
    let empty = transaction_body(std::iter::empty::<&str>(), &[]);
    let _ = client.send_transaction(to, "t", empty).await;
    // What a server adds to an event is not part of it. Whether the rest is an event is seen when it is parsed.
    if let Ok(event) = client.event(to, &event_id).await
        && let Ok(fields) = canonical_json::parse_object(event.get().as_bytes())
    {
        assert!(!fields.contains_key("event_id"), "{event}");
    }
    let _ = client.state(to, room, &event_id).await;
    let _ = client.state_ids(to, room, &event_id).await;
    if let Ok(events) = client.backfill(to, room, &event_id, 1).await {
        assert!(events.len() <= 1);
    }
    for change in [Join, Leave, Knock] {
        if let Ok(template) = client.make_membership(to, change, room, lpdu.sender(), &RoomVersion::ALL).await {
            assert!(RoomVersion::ALL.contains(&template.room_version));
        }
    }
    let _ = client.send_join(to, "t", lpdu).await;
    let _ = client.send_leave(to, "t", lpdu).await;
    let _ = client.send_knock(to, "t", lpdu).await;
    let _ = client.invite(to, "t", lpdu, &[]).await;
    let _ = client.server_keys(to).await;
    let query = KeyQuery::parse(br#"{"server_keys":{"a.test":{}}}"#).unwrap();
    let _ = client.query_keys(to, &query).await;
    let _ = client.replays_state(to).await;
    let _: Option<Dialect> = client.dialect(to);
}

/// A client in front of a hostile server.
struct Answers {
    runtime: Runtime,
    hostile: Hostile,
    client: Client,
    to: ServerName,
    lpdu: Event,
    seeds: Vec<Vec<u8>>,
}

impl Answers {
    fn new() -> Self {
        let runtime = runtime();
        let hostile = runtime.block_on(Hostile::start(None));
        let to = name(&format!("localhost:{}", hostile.server.address.port()));
        let config = ResolverConfig {
            plain_http: [to.clone()].into(),
            dns_server: Some("127.0.0.1:9".parse().unwrap()),
            ..ResolverConfig::default()
        };
        let tls = Ca::new().client();
        let client = runtime.block_on(async {
            let resolver = Resolver::new(config, tls.web).unwrap();
            Client::new(name("a.test"), vec![key(1)], resolver, tls.federation, timeouts())
        });
        Self { runtime, hostile, client, to, lpdu: lpdu(), seeds: answers() }
    }

    fn run(&self, input: &[u8]) {
        for (status, body) in answers_of(&self.seeds, input) {
            self.hostile.set(status, &body);
            self.runtime.block_on(ask_all(&self.client, &self.to, &self.lpdu));
        }
    }
}

/// Status and body.
fn answers_of(seeds: &[Vec<u8>], input: &[u8]) -> [(StatusCode, Vec<u8>); 2] {
    let (status, rest) = input.split_first().map_or((0, input), |(first, rest)| (usize::from(*first), rest));
    let status = STATUSES.get(status % STATUSES.len()).copied().unwrap_or(StatusCode::OK);
    candidates(seeds, rest).map(|body| (status, body))
}

#[test]
fn answers_of_servers() {
    let target = AssertUnwindSafe(Answers::new());
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| target.run(input));
}

/// A host that delegates in hostile ways.
struct Delegations {
    runtime: Runtime,
    hostile: Hostile,
    dns: Dns,
    tls: Arc<rustls::ClientConfig>,
    seeds: Vec<Vec<u8>>,
}

impl Delegations {
    fn new() -> Self {
        let (runtime, ca) = (runtime(), Ca::new());
        let (hostile, dns) = runtime.block_on(async {
            let records = Records::default().address("d.example", "127.0.0.7").address("private.example", "10.0.0.1");
            (Hostile::start(Some(ca.server(&["localhost"]).config())).await, Dns::start(records).await)
        });
        let seeds = [r#"{"m.server":"d.example:443"}"#, r#"{"m.server":"private.example"}"#, "https://localhost/x"];
        let seeds = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
        Self { runtime, hostile, dns, tls: ca.client().web, seeds }
    }

    fn run(&self, input: &[u8]) {
        for (status, body) in answers_of(&self.seeds, input) {
            self.hostile.set(status, &body);
            let config = ResolverConfig {
                dns_server: Some(self.dns.address),
                allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
                well_known_port: self.hostile.server.address.port(),
                ..ResolverConfig::default()
            };
            // A new one each time: it remembers.
            let found = self
                .runtime
                .block_on(async { Resolver::new(config, self.tls.clone()).unwrap().resolve(&name("localhost")).await });
            if let Ok(target) = found {
                assert!(target.addresses.iter().all(|address| address.ip().is_loopback()), "{target:?}");
                ServerName::parse(&*target.host_header).unwrap();
            }
        }
    }
}

#[test]
fn well_known() {
    let target = AssertUnwindSafe(Delegations::new());
    bolero::check!().with_max_len(64).for_each(|input: &[u8]| target.run(input));
}
