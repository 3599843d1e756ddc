//! Resolving server names against a real name server and real HTTPS servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axle_federation::client::Client;
use axle_federation::resolve::{ResolveError, Resolver, ResolverConfig, Scheme, Target};
use axle_protocol::ServerName;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use crate::support::{Ca, Dns, Records, Server, key, timeouts};

const PATH: &str = "/.well-known/matrix/server";

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

/// DNS, one HTTPS server for every name, and a resolver that may connect to loopback.
struct World {
    dns: Dns,
    https: Server,
    ca: Ca,
}

impl World {
    async fn new(records: Records, router: Router) -> Self {
        let ca = Ca::new();
        let tls = ca.server(&["example.org", "other.example", "third.example"]);
        let https = Server::start(Some(tls.config()), router).await;
        Self { dns: Dns::start(records).await, https, ca }
    }

    fn config(&self) -> ResolverConfig {
        ResolverConfig {
            dns_server: Some(self.dns.address),
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            well_known_port: self.https.address.port(),
            ..ResolverConfig::default()
        }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.config(), self.ca.client().web).unwrap()
    }
}

fn delegate(to: &'static str) -> Router {
    Router::new().route(PATH, get(move || async move { format!(r#"{{"m.server":"{to}"}}"#) }))
}

fn target(addresses: &[&str], tls_name: &str, host_header: &str) -> Target {
    Target {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        tls_name: tls_name.into(),
        host_header: host_header.into(),
        scheme: Scheme::Https,
    }
}

#[tokio::test]
async fn an_explicit_port_needs_only_an_address() {
    let records = Records::default().cname("example.org", "host.example.org").address("host.example.org", "127.0.0.1");
    let world = World::new(records, delegate("wrong.example")).await;
    let found = world.resolver().resolve(&name("example.org:5678")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.1:5678"], "example.org", "example.org:5678"));
    assert!(!world.dns.asked().iter().any(|query| query.starts_with("SRV")));
}

#[tokio::test]
async fn delegation_to_a_port() {
    let records = Records::default().address("example.org", "127.0.0.1").address("d.example", "127.0.0.7");
    let world = World::new(records, delegate("d.example:443")).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.7:443"], "d.example", "d.example:443"));
}

#[tokio::test]
async fn delegation_to_srv_records() {
    let records = Records::default()
        .address("example.org", "127.0.0.1")
        .srv("_matrix-fed._tcp.d.example", 20, 2, "b.example.net")
        .srv("_matrix-fed._tcp.d.example", 10, 1, "a.example.net")
        .srv("_matrix._tcp.d.example", 1, 9, "old.example.net")
        .address("a.example.net", "127.0.0.11")
        .address("b.example.net", "127.0.0.12");
    let world = World::new(records, delegate("d.example")).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.11:1", "127.0.0.12:2"], "d.example", "d.example"));
}

#[tokio::test]
async fn delegation_without_srv_records() {
    let records = Records::default().address("example.org", "127.0.0.1").address("d.example", "127.0.0.7");
    let world = World::new(records, delegate("d.example")).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.7:8448"], "d.example", "d.example"));
    let asked = world.dns.asked();
    let services: Vec<_> = asked.iter().filter(|query| query.starts_with("SRV")).collect();
    assert_eq!(services, ["SRV _matrix-fed._tcp.d.example.", "SRV _matrix._tcp.d.example."]);
}

#[tokio::test]
async fn the_drafts_srv_name_without_delegation() {
    let records = Records::default()
        .address("example.org", "127.0.0.1")
        .srv("_matrix._tcp.example.org", 0, 8449, "s.example.net")
        .address("s.example.net", "127.0.0.3");
    let world = World::new(records, Router::new()).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.3:8449"], "example.org", "example.org"));
}

#[tokio::test]
async fn a_bad_answer_is_no_answer() {
    let bodies: [(StatusCode, &str); 4] = [
        (StatusCode::NOT_FOUND, r#"{"m.server":"d.example:1"}"#),
        (StatusCode::OK, "<html>"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, r#"{"m.server":"127.0.0.1:1"}"#),
    ];
    for (status, body) in bodies {
        let records = Records::default().address("example.org", "127.0.0.1");
        let router = Router::new().route(PATH, get(move || async move { (status, body) }));
        let world = World::new(records, router).await;
        let found = world.resolver().resolve(&name("example.org")).await.unwrap();
        assert_eq!(found, target(&["127.0.0.1:8448"], "example.org", "example.org"), "{status} {body}");
    }
}

#[tokio::test]
async fn an_oversized_answer_is_no_answer() {
    let records = Records::default().address("example.org", "127.0.0.1");
    let body = format!(r#"{{"m.server":"d.example:1","x":"{}"}}"#, "x".repeat(60_000));
    let world = World::new(records, Router::new().route(PATH, get(move || async move { body }))).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found.host_header, "example.org");
}

#[tokio::test]
async fn a_wrong_certificate_is_no_answer() {
    let records = Records::default().address("elsewhere.example", "127.0.0.1");
    let world = World::new(records, delegate("d.example:1")).await;
    let found = world.resolver().resolve(&name("elsewhere.example")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.1:8448"], "elsewhere.example", "elsewhere.example"));
}

#[tokio::test]
async fn redirects_are_followed_but_not_in_circles() {
    let records = || {
        Records::default()
            .address("example.org", "127.0.0.1")
            .address("other.example", "127.0.0.1")
            .address("d.example", "127.0.0.9")
    };
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let router = Router::new()
        .route(
            PATH,
            get(move |headers: HeaderMap| async move {
                counter.fetch_add(1, Ordering::SeqCst);
                let host = headers["host"].to_str().unwrap();
                let port = host.split_once(':').unwrap().1;
                Redirect::temporary(&format!("https://other.example:{port}/next")).into_response()
            }),
        )
        .route("/next", get(|| async { Redirect::permanent("last").into_response() }))
        .route("/last", get(|| async { r#"{"m.server":"d.example:77"}"# }));
    let world = World::new(records(), router).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found, target(&["127.0.0.9:77"], "d.example", "d.example:77"));
    assert_eq!(count.load(Ordering::SeqCst), 1);

    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let circle = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Redirect::temporary(PATH).into_response() }
    };
    let world = World::new(records(), Router::new().route(PATH, get(circle))).await;
    let found = world.resolver().resolve(&name("example.org")).await.unwrap();
    assert_eq!(found.host_header, "example.org");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_and_failures_are_remembered() {
    for status in [StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR] {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let answer = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { (status, r#"{"m.server":"d.example:1"}"#).into_response() as Response }
        };
        let records = Records::default().address("example.org", "127.0.0.1").address("d.example", "127.0.0.2");
        let world = World::new(records, Router::new().route(PATH, get(answer))).await;
        let resolver = Arc::new(world.resolver());
        let both = tokio::join!(resolver.resolve_named("example.org"), resolver.resolve_named("example.org"));
        assert_eq!(both.0, both.1);
        resolver.resolve_named("example.org").await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

trait ResolveNamed {
    async fn resolve_named(&self, text: &str) -> Result<Target, ResolveError>;
}

impl ResolveNamed for Resolver {
    async fn resolve_named(&self, text: &str) -> Result<Target, ResolveError> {
        self.resolve(&name(text)).await
    }
}

#[tokio::test]
async fn private_addresses_are_refused_wherever_they_come_from() {
    let records = Records::default()
        .address("direct.example", "10.0.0.1")
        .address("mapped.example", "::ffff:127.0.0.1")
        .address("mixed.example", "192.168.0.1")
        .address("mixed.example", "1.1.1.1")
        .srv("_matrix._tcp.srv.example", 0, 1, "direct.example")
        .address("srv.example", "1.1.1.1");
    let world = World::new(records, Router::new()).await;
    let config = ResolverConfig { allowed_networks: Vec::new(), ..world.config() };
    let resolver = Resolver::new(config, world.ca.client().web).unwrap();
    for refused in ["direct.example:1", "mapped.example:1", "direct.example", "localhost:1"] {
        let outcome = resolver.resolve_named(refused).await;
        assert!(matches!(outcome, Err(ResolveError::Refused(_))), "{refused}: {outcome:?}");
    }
    let mixed = resolver.resolve_named("mixed.example:1").await.unwrap();
    assert_eq!(mixed, target(&["1.1.1.1:1"], "mixed.example", "mixed.example:1"));
}

#[tokio::test]
async fn delegation_cannot_reach_private_addresses() {
    // `.well-known` itself is on loopback, which is allowed here; what it points to is not.
    let records = Records::default().address("example.org", "127.0.0.1").address("inner.example", "10.0.0.5");
    let world = World::new(records, delegate("inner.example:80")).await;
    let outcome = world.resolver().resolve_named("example.org").await;
    assert_eq!(outcome, Err(ResolveError::Refused("inner.example".into())));
}

#[tokio::test]
async fn well_known_is_not_asked_at_private_addresses() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let answer = move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { r#"{"m.server":"d.example:1"}"# }
    };
    let records = Records::default().address("example.org", "127.0.0.1").address("d.example", "1.1.1.1");
    let world = World::new(records, Router::new().route(PATH, get(answer))).await;
    let config = ResolverConfig { allowed_networks: vec!["127.0.0.2".parse().unwrap()], ..world.config() };
    let resolver = Resolver::new(config, world.ca.client().web).unwrap();
    assert!(matches!(resolver.resolve_named("example.org").await, Err(ResolveError::Refused(_))));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn overrides_and_plain_peers() {
    let world = World::new(Records::default(), Router::new()).await;
    let config = ResolverConfig {
        overrides: [(name("hub.test"), "127.0.0.1:9".parse().unwrap())].into(),
        plain_http: [name("localhost:3000")].into(),
        allowed_networks: Vec::new(),
        ..world.config()
    };
    let resolver = Resolver::new(config, world.ca.client().web).unwrap();
    let found = resolver.resolve_named("hub.test").await.unwrap();
    assert_eq!(found, target(&["127.0.0.1:9"], "hub.test", "hub.test"));
    let found = resolver.resolve_named("localhost:3000").await.unwrap();
    let expected = target(&["127.0.0.1:3000", "[::1]:3000"], "localhost", "localhost:3000");
    assert_eq!(found, Target { scheme: Scheme::Http, ..expected });
    assert!(matches!(resolver.resolve_named("localhost:3001").await, Err(ResolveError::Refused(_))));
    assert!(world.dns.asked().is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let world = World::new(Records::default(), Router::new()).await;
    let outcome = world.resolver().resolve_named("nowhere.example").await;
    assert_eq!(outcome.unwrap_err().to_string(), "looking up nowhere.example: there is no such name");
}

#[tokio::test]
async fn a_name_without_an_address() {
    let records = Records::default().srv("nowhere.example", 1, 1, "elsewhere.example");
    let world = World::new(records, Router::new()).await;
    let outcome = world.resolver().resolve_named("nowhere.example").await;
    assert_eq!(outcome, Err(ResolveError::NoAddress("nowhere.example".into())));
}

#[test]
fn addresses_are_no_names() {
    for address in ["127.0.0.1:1", "10.0.0.1", "169.254.169.254:80", "[::1]:1", "[::ffff:10.0.0.1]:1", "[fd00::1]"] {
        assert!(ServerName::parse(address).is_err(), "{address}");
    }
}

#[tokio::test]
async fn redirects_cannot_reach_private_addresses() {
    let records = Records::default().address("example.org", "127.0.0.1").address("other.example", "127.0.0.2");
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = reached.clone();
    let router = Router::new()
        .route(
            PATH,
            get(|headers: HeaderMap| async move {
                let port = headers["host"].to_str().unwrap().split_once(':').unwrap().1.to_owned();
                Redirect::temporary(&format!("https://other.example:{port}/next")).into_response()
            }),
        )
        .route(
            "/next",
            get(move || {
                counter.fetch_add(1, Ordering::SeqCst);
                async { r#"{"m.server":"d.example:77"}"# }
            }),
        );
    let world = World::new(records, router).await;
    // The first is allowed, and where it leads is not.
    let config = ResolverConfig { allowed_networks: vec!["127.0.0.1".parse().unwrap()], ..world.config() };
    let resolver = Resolver::new(config, world.ca.client().web).unwrap();
    let found = resolver.resolve_named("example.org").await.unwrap();
    assert_eq!(found, target(&["127.0.0.1:8448"], "example.org", "example.org"));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    // Whoever has a name could answer a second question about it with another address than the first.
    let router = Router::new().route("/_matrix/key/v2/server", get(|| async { "{}" }));
    let world = World::new(Records::default(), router).await;
    let hub = name(&format!("example.org:{}", world.https.address.port()));
    let dns = Dns::start(Records::default().address("example.org", "127.0.0.1")).await;
    let config = ResolverConfig { dns_server: Some(dns.address), ..world.config() };
    let tls = world.ca.client();
    let resolver = Resolver::new(config, tls.web).unwrap();
    let client = Client::new(name("a.test"), vec![key(1)], resolver, tls.federation, timeouts());
    client.server_keys(&hub).await.unwrap();
    assert_eq!(dns.asked().iter().filter(|query| query.starts_with("A ")).count(), 1);
}

#[tokio::test]
async fn plain_peers_in_private_networks_must_be_allowed_too() {
    let records = Records::default().address("inner.example", "10.0.0.1");
    let world = World::new(records, Router::new()).await;
    let config = |allowed: &[&str]| ResolverConfig {
        plain_http: [name("inner.example:8008")].into(),
        allowed_networks: allowed.iter().map(|network| network.parse().unwrap()).collect(),
        ..world.config()
    };
    let resolver = |config| Resolver::new(config, world.ca.client().web).unwrap();
    let refused = resolver(config(&[])).resolve_named("inner.example:8008").await;
    assert!(matches!(refused, Err(ResolveError::Refused(_))), "{refused:?}");
    let found = resolver(config(&["10.0.0.0/8"])).resolve_named("inner.example:8008").await.unwrap();
    assert_eq!((found.scheme, found.addresses), (Scheme::Http, vec!["10.0.0.1:8008".parse().unwrap()]));
    // Another port of the same host is another server.
    let found = resolver(config(&["10.0.0.0/8"])).resolve_named("inner.example:8009").await.unwrap();
    assert_eq!(found.scheme, Scheme::Https);
}
