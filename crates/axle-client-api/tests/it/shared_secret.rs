//! Accounts made by tools that know the shared secret.

use axle_client_api::Registration;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use crate::common::{Answer, TestServer, config, server, server_with};

const PATH: &str = "/_synapse/admin/v1/register";
const SECRET: &str = "a secret";

async fn closed_server() -> TestServer {
    let mut config = config();
    config.registration = Registration::Closed;
    config.registration_shared_secret = Some(SECRET.into());
    server_with(config).await
}

async fn nonce(server: &TestServer) -> String {
    server.anonymous(Method::GET, PATH, None).await.ok()["nonce"].as_str().unwrap().to_owned()
}

fn sign(secret: &str, fields: &[&str]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let tag = hmac::sign(&key, fields.join("\0").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn body(nonce: &str, name: &str, mac: &str) -> Value {
    json!({"nonce": nonce, "username": name, "password": "correct horse", "mac": mac})
}

async fn register(server: &TestServer, body: Value) -> Answer {
    server.anonymous(Method::POST, PATH, Some(&body)).await
}

#[tokio::test]
async fn who_knows_the_secret_makes_accounts_although_registration_is_closed() {
    let server = closed_server().await;
    let first = nonce(&server).await;
    let mac = sign(SECRET, &[&first, "alice", "correct horse", "notadmin"]);
    let answer = register(&server, body(&first, "alice", &mac)).await.ok();
    assert_eq!((&answer["user_id"], &answer["home_server"]), (&json!("@alice:example.org"), &json!("example.org")));
    let alice = server.person_from(&answer);
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
    assert!(!server.store.user(&alice.user_id).await.unwrap().unwrap().admin);
    alice.log_in_again(json!({})).await;
    let second = nonce(&server).await;
    let mut admin = body(&second, "root", &sign(SECRET, &[&second, "root", "correct horse", "admin"]));
    (admin["admin"], admin["displayname"]) = (json!(true), json!("Root"));
    let root = server.person_from(&register(&server, admin).await.ok());
    assert!(server.store.user(&root.user_id).await.unwrap().unwrap().admin);
    let profile = "/_matrix/client/v3/profile/@root:example.org";
    assert_eq!(server.anonymous(Method::GET, profile, None).await.ok(), json!({"displayname": "Root"}));
    let third = nonce(&server).await;
    let taken = body(&third, "alice", &sign(SECRET, &[&third, "alice", "correct horse", "notadmin"]));
    register(&server, taken).await.fails(400, "M_USER_IN_USE");
    // The signature is about the name as it was written.
    let fourth = nonce(&server).await;
    let capitals = body(&fourth, "Carol", &sign(SECRET, &[&fourth, "Carol", "correct horse", "notadmin"]));
    assert_eq!(register(&server, capitals).await.ok()["user_id"], "@carol:example.org");
}

#[tokio::test]
async fn what_is_not_signed_with_the_secret_or_not_fresh_makes_nothing() {
    let server = closed_server().await;
    let used = nonce(&server).await;
    let wrong = sign("another secret", &[&used, "eve", "correct horse", "notadmin"]);
    register(&server, body(&used, "eve", &wrong)).await.fails(403, "M_FORBIDDEN");
    let right = sign(SECRET, &[&used, "eve", "correct horse", "notadmin"]);
    register(&server, body(&used, "eve", &right)).await.fails(400, "M_UNKNOWN");
    let made_up = sign(SECRET, &["made up", "eve", "correct horse", "notadmin"]);
    register(&server, body("made up", "eve", &made_up)).await.fails(400, "M_UNKNOWN");
    // The signature covers what is asked for.
    let fresh = nonce(&server).await;
    let mut body = body(&fresh, "eve", &sign(SECRET, &[&fresh, "eve", "correct horse", "notadmin"]));
    body["admin"] = json!(true);
    register(&server, body).await.fails(403, "M_FORBIDDEN");
    register(&server, json!({})).await.fails(400, "M_BAD_JSON");
    assert!(server.store.users().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_secret_there_is_no_such_endpoint() {
    let server = server().await;
    server.anonymous(Method::GET, PATH, None).await.fails(404, "M_UNRECOGNIZED");
    register(&server, body("n", "eve", &sign("", &["n", "eve", "correct horse", "notadmin"])))
        .await
        .fails(404, "M_UNRECOGNIZED");
}
