//! Registration by way of a page, for clients that do not know a stage.

use axle_client_api::{ClientApiConfig, Registration};
use axle_store::RegistrationToken;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, TestServer, config, server, server_with};

const DUMMY: &str = "/_matrix/client/v3/auth/m.login.dummy/fallback/web";
const TOKEN: &str = "/_matrix/client/v3/auth/m.login.registration_token/fallback/web";

/// A page: its status, its policy and its text.
async fn page(server: &TestServer, path: &str, form: Option<&[(&str, &str)]>) -> (StatusCode, String, String) {
    let address = format!("{}{path}", server.base);
    let request = match form {
        Some(form) => server.http.post(address).form(form),
        None => server.http.get(address),
    };
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("x-frame-options"), "DENY");
    let (status, policy) = (answer.status(), header("content-security-policy"));
    (status, policy, answer.text().await.unwrap())
}

async fn register(server: &TestServer, name: &str, auth: Value) -> Answer {
    let body = json!({"username": name, "password": "correct horse", "auth": auth});
    server.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await
}

/// The session that the server gives a client.
async fn session(server: &TestServer) -> String {
    let body = json!({"username": "alice", "password": "correct horse"});
    let asked = server.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await;
    assert_eq!(asked.status, 401);
    asked.body["session"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_goes_on_where_the_page_ended() {
    let server = server().await;
    let session = session(&server).await;
    let path = format!("{DUMMY}?session={session}");
    let (status, policy, text) = page(&server, &path, None).await;
    assert_eq!(status, 200);
    assert!(text.contains("<form method=\"post\">") && !text.contains("<script"), "{text}");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let early = register(&server, "alice", json!({"session": session})).await;
    assert_eq!((early.status.as_u16(), &early.body["session"]), (401, &json!(session)), "it is still the same");
    let (status, _, text) = page(&server, &path, Some(&[])).await;
    assert_eq!(status, 200);
    assert!(text.contains("window.onAuthDone()") && text.contains("postMessage('authDone', '*')"), "{text}");
    let alice = register(&server, "alice", json!({"session": session})).await.ok();
    assert_eq!(alice["user_id"], "@alice:example.org");
    assert_eq!(register(&server, "bob", json!({"session": "another"})).await.status, 401);
}

#[tokio::test]
async fn a_token_is_asked_for_and_used_up() {
    let server = server_with(ClientApiConfig { registration: Registration::Token, ..config() }).await;
    let token = |token: &str, expires_ts| RegistrationToken {
        token: token.into(),
        uses_left: Some(1),
        completed: 0,
        expires_ts,
    };
    server.store.put_registration_token(token("sesame", None)).await.unwrap();
    server.store.put_registration_token(token("ended", Some(1))).await.unwrap();
    let session = session(&server).await;
    let path = format!("{TOKEN}?session={session}");
    let (_, _, text) = page(&server, &path, None).await;
    assert!(text.contains("name=\"token\""), "{text}");
    for wrong in [&[("token", "guess")][..], &[("token", "ended")], &[]] {
        let (status, _, text) = page(&server, &path, Some(wrong)).await;
        assert_eq!(status, 403);
        assert!(text.contains("not valid"), "{text}");
        assert_eq!(register(&server, "alice", json!({"session": session})).await.status, 401);
    }
    assert_eq!(page(&server, &path, Some(&[("token", "sesame")])).await.0, 200);
    register(&server, "alice", json!({"session": session})).await.ok();
    assert_eq!(register(&server, "bob", json!({"session": session})).await.status, 401, "the token is used up");
    let ended = server.anonymous(
        Method::GET,
        "/_matrix/client/v1/register/m.login.registration_token/validity?token=ended",
        None,
    );
    assert_eq!(ended.await.ok(), json!({"valid": false}));
}

#[tokio::test]
async fn what_a_session_is_called_does_no_harm() {
    let server = server().await;
    let (_, _, text) = page(&server, &format!("{DUMMY}?session=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"), None).await;
    assert!(text.contains("<form method=\"post\">") && !text.contains("script"), "{text}");
    let get = async |path: String| server.anonymous(Method::GET, &path, None).await;
    get(format!("{DUMMY}?session={}", "x".repeat(65))).await.fails(400, "M_INVALID_PARAM");
    get(DUMMY.into()).await.fails(400, "M_MISSING_PARAM");
    get(format!("{TOKEN}?session=x")).await.fails(404, "M_NOT_FOUND");
    get("/_matrix/client/v3/auth/m.login.password/fallback/web?session=x".into()).await.fails(404, "M_NOT_FOUND");
    let closed = server_with(ClientApiConfig { registration: Registration::Closed, ..config() }).await;
    closed.anonymous(Method::GET, &format!("{DUMMY}?session=x"), None).await.fails(403, "M_FORBIDDEN");
}
