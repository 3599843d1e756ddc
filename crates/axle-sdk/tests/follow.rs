//! Following events over a server's absence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::time::Duration;

use axle_sdk::{Client, SyncLoop, SyncStep};
use serde_json::json;
use support::TestServer;

#[tokio::test]
async fn goes_on_where_it_stopped() {
    let server = TestServer::start().await;
    server.answers([(200, json!({"next_batch": "s1"})), (200, json!({"next_batch": "s2"}))]);
    server.answers_html(502);
    server.answers([(200, json!({"next_batch": "s3"})), (200, json!({"next_batch": "s4"}))]);
    let mut follow = SyncLoop::new(&server.client(), None);
    assert!(matches!(follow.next().await, SyncStep::Synced(_)));
    assert!(matches!(follow.next().await, SyncStep::Synced(_)));
    let SyncStep::Disconnected { retry_in, .. } = follow.next().await else { panic!("it was answered") };
    assert_eq!(retry_in, Duration::from_millis(300));
    assert!(matches!(follow.next().await, SyncStep::Synced(_)));
    assert!(matches!(follow.next().await, SyncStep::Synced(_)));
    assert_eq!(follow.since(), Some("s4"));

    let asked = server.asked();
    let since = |path: &str| path.split_once("since=").map(|(_, token)| token.to_owned());
    let tokens: Vec<_> = asked.iter().map(|ask| since(&ask.path).unwrap_or_default()).collect();
    assert_eq!(tokens, ["", "s1", "s2", "s2", "s3"]);
    let at_once: Vec<_> = asked.iter().map(|ask| ask.path.contains("timeout=0&")).collect();
    assert_eq!(at_once, [true, false, false, true, false]);
}

#[tokio::test]
async fn waits_longer_each_time_and_finds_the_server_when_it_is_back() {
    let address = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let client = Client::builder(format!("http://{address}")).session(support::session()).build().unwrap();
    let mut follow = SyncLoop::new(&client, Some("s1".into()));
    let mut pauses = Vec::new();
    for _ in 0..2 {
        let SyncStep::Disconnected { retry_in, .. } = follow.next().await else { panic!("nobody is there") };
        pauses.push(retry_in.as_millis());
    }
    assert_eq!(pauses, [300, 600]);
    let server = TestServer::start_at(address).await;
    server.answers([(200, json!({"next_batch": "s2"}))]);
    assert!(matches!(follow.next().await, SyncStep::Synced(_)));
    assert_eq!(follow.since(), Some("s2"));
}

#[tokio::test]
async fn a_dead_session_ends_it() {
    let server = TestServer::start().await;
    server.answers([(401, json!({"errcode": "M_UNKNOWN_TOKEN", "error": "gone"}))]);
    let mut follow = SyncLoop::new(&server.client(), None);
    assert!(matches!(follow.next().await, SyncStep::LoggedOut(_)));
}
