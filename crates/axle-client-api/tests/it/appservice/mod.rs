//! Application services.

mod encryption;
mod lookups;
mod masquerade;
mod transactions;

use std::sync::Arc;

use axle_client_api::{ApplicationService, ApplicationServices, ClientApiConfig};
use axle_store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::services::{AS_TOKEN, TestService, registration};
use crate::common::{Person, TestServer, config, server_on, server_with};

/// A server with these services.
async fn with_services(services: Vec<ApplicationService>) -> TestServer {
    let mut server = server_with(configured(services.clone())).await;
    server.stop_work().await;
    make_users(&server, services).await;
    server
}

fn configured(services: Vec<ApplicationService>) -> ClientApiConfig {
    ClientApiConfig { services: ApplicationServices::new(services), ..config() }
}

async fn make_users(server: &TestServer, services: Vec<ApplicationService>) {
    axle_client_api::make_service_users(&*server.store, &ApplicationServices::new(services)).await.unwrap();
}

/// A server and the service that it knows, which is told what concerns it as long as the guard lives.
async fn bridged() -> (TestServer, TestService, Telling) {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let telling = Telling::start(&server);
    (server, service, telling)
}

/// The queues of a server at work.
struct Telling(tokio::task::JoinHandle<()>);

impl Telling {
    fn start(server: &TestServer) -> Self {
        Self(tokio::spawn(server.work_until_dropped()))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The service itself, at a client.
fn bot(server: &TestServer) -> Person {
    let session = json!({"user_id": "@ircbot:example.org", "device_id": "", "access_token": AS_TOKEN});
    server.person_from(&session)
}

/// One of the service's users, registered by it and logged in.
async fn ghost(server: &TestServer, name: &str) -> Person {
    let body = json!({"type": "m.login.application_service", "username": name});
    let answer = bot(server).post("/_matrix/client/v3/register", body).await.ok();
    server.person_from(&answer)
}

/// A path, as one of the service's users.
fn acting_as(path: &str, user: &str) -> String {
    let and = if path.contains('?') { '&' } else { '?' };
    format!("/_matrix/client/v3/{path}{and}user_id={user}")
}

async fn whoami(server: &TestServer, query: &str) -> Value {
    bot(server).get(&format!("/_matrix/client/v3/account/whoami{query}")).await.body
}

/// A second server on the store of the first, as after a restart.
async fn restarted(store: &Arc<dyn Store>, service: &TestService) -> (TestServer, Telling) {
    let mut server = server_on(Arc::clone(store), configured(vec![registration(Some(service.url.clone()))])).await;
    server.stop_work().await;
    let telling = Telling::start(&server);
    (server, telling)
}

/// Without a token of a service nothing is open that is for services.
#[tokio::test]
async fn what_is_for_services_is_for_nobody_else() {
    let server = with_services(vec![registration(None)]).await;
    let alice = server.person("alice").await;
    let ping = "/_matrix/client/v1/appservice/irc/ping";
    let list = "/_matrix/client/v3/directory/list/appservice/libera/!r:example.org";
    alice.post(ping, json!({})).await.fails(403, "M_FORBIDDEN");
    alice.put(list, json!({"visibility": "public"})).await.fails(403, "M_FORBIDDEN");
    server.anonymous(Method::POST, ping, None).await.fails(401, "M_MISSING_TOKEN");
    for kind in ["register", "login"] {
        let body = json!({
            "type": "m.login.application_service", "username": "irc_bob",
            "identifier": {"type": "m.id.user", "user": "irc_bob"},
        });
        let path = format!("/_matrix/client/v3/{kind}");
        server.anonymous(Method::POST, &path, Some(&body)).await.fails(401, "M_MISSING_TOKEN");
        alice.post(&path, body).await.fails(401, "M_MISSING_TOKEN");
    }
}
