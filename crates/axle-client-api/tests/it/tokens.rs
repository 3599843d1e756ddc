//! Access tokens that end, and refresh tokens.

use std::time::Duration;

use reqwest::Method;
use ruma::api::client::session;
use serde_json::{Value, json};

use crate::common::{Answer, Person, TestServer, as_ruma, config, server, server_with};

const REFRESH: &str = "/_matrix/client/v3/refresh";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn log_in(server: &TestServer, name: &str) -> Value {
    let body = json!({
        "type": "m.login.password", "user": name, "password": "correct horse", "device_id": "PHONE",
        "refresh_token": true
    });
    server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await.ok()
}

async fn refresh(server: &TestServer, tokens: &Value) -> Answer {
    let body = json!({"refresh_token": tokens["refresh_token"]});
    server.anonymous(Method::POST, REFRESH, Some(&body)).await
}

/// Alice with other tokens.
fn with(alice: &Person, tokens: &Value) -> Person {
    Person { token: tokens["access_token"].as_str().unwrap().into(), ..alice.clone() }
}

#[tokio::test]
async fn who_does_not_ask_for_it_gets_a_token_that_lasts() {
    let mut config = config();
    config.access_token_lifetime = Duration::ZERO;
    let server = server_with(config).await;
    let alice = server.person("alice").await;
    alice.get(WHOAMI).await.ok();
    let body = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let answer = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&body)).await.ok();
    assert!(answer.get("refresh_token").is_none() && answer.get("expires_in_ms").is_none(), "{answer}");
}

#[tokio::test]
async fn tokens_are_good_until_the_next_ones_are_used() {
    let server = server().await;
    let alice = server.person("alice").await;
    let first = log_in(&server, "alice").await;
    as_ruma::<session::login::v3::Response>(&first);
    assert_eq!(first["expires_in_ms"], 3_600_000);
    // Two answers that the client never gets.
    refresh(&server, &first).await.ok();
    refresh(&server, &first).await.ok();
    let second = refresh(&server, &first).await.ok();
    as_ruma::<session::refresh_token::v3::Response>(&second);
    assert_eq!(second["expires_in_ms"], 3_600_000);
    assert_ne!(second["access_token"], first["access_token"]);
    with(&alice, &first).get(WHOAMI).await.ok();
    assert_eq!(with(&alice, &second).get(WHOAMI).await.ok()["device_id"], "PHONE");
    let old = with(&alice, &first).get(WHOAMI).await;
    old.fails(401, "M_UNKNOWN_TOKEN");
    assert!(old.body.get("soft_logout").is_none(), "{}", old.body);
    refresh(&server, &first).await.fails(401, "M_UNKNOWN_TOKEN");
    let third = refresh(&server, &second).await.ok();
    // Using the new refresh token is using the new tokens.
    let fourth = refresh(&server, &third).await.ok();
    with(&alice, &second).get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    with(&alice, &fourth).get(WHOAMI).await.ok();
}

#[tokio::test]
async fn a_token_that_ended_is_a_soft_logout() {
    let mut config = config();
    config.access_token_lifetime = Duration::ZERO;
    let server = server_with(config).await;
    let alice = server.person("alice").await;
    let tokens = log_in(&server, "alice").await;
    let ended = with(&alice, &tokens).get(WHOAMI).await;
    ended.fails(401, "M_UNKNOWN_TOKEN");
    assert_eq!(ended.body["soft_logout"], true);
    assert_eq!(ended.headers["access-control-allow-origin"], "*");
    // The device is still there, and can go on.
    assert!(alice.device_ids().await.contains(&"PHONE".to_owned()));
    refresh(&server, &tokens).await.ok();
}

#[tokio::test]
async fn logging_out_ends_refresh_tokens_too() {
    let server = server().await;
    let alice = server.person("alice").await;
    let tokens = log_in(&server, "alice").await;
    let next = refresh(&server, &tokens).await.ok();
    with(&alice, &tokens).post("/_matrix/client/v3/logout", json!({})).await.ok();
    for tokens in [&tokens, &next] {
        refresh(&server, tokens).await.fails(401, "M_UNKNOWN_TOKEN");
        with(&alice, tokens).get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    }
    let made_up = json!({"refresh_token": alice.token});
    refresh(&server, &made_up).await.fails(401, "M_UNKNOWN_TOKEN");
    server.anonymous(Method::POST, REFRESH, Some(&json!({}))).await.fails(400, "M_BAD_JSON");
}

#[tokio::test]
async fn registering_gives_a_refresh_token_to_who_asks() {
    let server = server().await;
    let body = json!({
        "username": "bob", "password": "correct horse", "auth": {"type": "m.login.dummy"}, "refresh_token": true
    });
    let answer = server.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await.ok();
    assert_eq!(answer["expires_in_ms"], 3_600_000);
    let bob = server.person_from(&answer);
    let next = refresh(&server, &answer).await.ok();
    with(&bob, &next).get(WHOAMI).await.ok();
}
