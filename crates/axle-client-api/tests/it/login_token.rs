//! Tokens by which another device logs in.

use axle_client_api::{ClientApiConfig, Rate, RateLimits};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Answer, Person, TestServer, config, server, server_with};

const PATH: &str = "/_matrix/client/v1/login/get_token";
const LOGIN: &str = "/_matrix/client/v3/login";

async fn token(person: &Person) -> String {
    let answer = person.post(PATH, json!({"auth": person.proof("correct horse")})).await.ok();
    assert!(answer["expires_in_ms"].as_u64().unwrap() > 0);
    answer["login_token"].as_str().unwrap().to_owned()
}

async fn log_in(server: &TestServer, token: &Value) -> Answer {
    let body = json!({"type": "m.login.token", "token": token, "initial_device_display_name": "telephone"});
    server.anonymous(Method::POST, LOGIN, Some(&body)).await
}

#[tokio::test]
async fn a_token_logs_one_device_in() {
    let server = server().await;
    let alice = server.person("alice").await;
    let asked = alice.post(PATH, json!({})).await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.body["flows"], json!([{"stages": ["m.login.password"]}]));
    assert_eq!(alice.post(PATH, json!({"auth": alice.proof("wrong")})).await.status, 401);
    let token = json!(token(&alice).await);
    let telephone = server.person_from(&log_in(&server, &token).await.ok());
    assert_eq!(telephone.user_id, alice.user_id);
    assert_ne!(telephone.device_id, alice.device_id);
    assert_eq!(telephone.device_ids().await.len(), 2);
    log_in(&server, &token).await.fails(403, "M_FORBIDDEN");
    for (wrong, errcode) in [(json!(null), "M_MISSING_PARAM"), (json!(7), "M_BAD_JSON")] {
        log_in(&server, &wrong).await.fails(400, errcode);
    }
}

#[tokio::test]
async fn a_token_ends_with_the_device_that_asked_for_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    let token = json!(token(&alice).await);
    alice.post("/_matrix/client/v3/logout", json!({})).await.ok();
    log_in(&server, &token).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn guesses_are_limited() {
    let login_address = Some(Rate { per_second: 0.001, burst: 2 });
    let limits = RateLimits { login_address, ..RateLimits::off() };
    let server = server_with(ClientApiConfig { limits, ..config() }).await;
    let alice = server.person("alice").await;
    for _ in 0..3 {
        // The right ones do not count.
        log_in(&server, &json!(token(&alice).await)).await.ok();
    }
    for _ in 0..2 {
        log_in(&server, &json!("guess")).await.fails(403, "M_FORBIDDEN");
    }
    log_in(&server, &json!("guess")).await.fails(429, "M_LIMIT_EXCEEDED");
}
