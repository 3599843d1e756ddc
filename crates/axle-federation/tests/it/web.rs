//! Requests to URLs that somebody else chose.

use std::time::Duration;

use axle_federation::resolve::ResolveError;
use axle_federation::{WebClient, WebError};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Redirect;
use axum::routing::post;

use crate::support::{Ca, Server};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 100;

fn router() -> Router {
    let echo = async |headers: HeaderMap, body: Bytes| {
        (StatusCode::ACCEPTED, format!("{} {}", headers["content-type"].to_str().unwrap(), body.len()))
    };
    Router::new()
        .route("/echo", post(echo))
        .route("/large", post(async || "x".repeat(MAX_ANSWER + 1)))
        .route("/moved", post(async || Redirect::temporary("/echo")))
        .route("/slow", post(async || std::future::pending::<()>().await))
}

fn client(ca: &Ca, allowed: &[&str]) -> WebClient {
    WebClient::new(allowed.iter().map(|network| network.parse().unwrap()).collect(), ca.client().web).unwrap()
}

async fn ask(client: &WebClient, url: &str, limit: Duration) -> Result<(u16, String), WebError> {
    let url: Uri = url.parse().unwrap();
    let answer = client.post_json(&url, Bytes::from_static(b"{}"), MAX_ANSWER, limit).await?;
    Ok((answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap()))
}

#[tokio::test]
async fn json_is_posted_and_the_answer_is_bounded() {
    let ca = Ca::new();
    let tls = ca.server(&["localhost"]);
    let (plain, secure) = (Server::start(None, router()).await, Server::start(Some(tls.config()), router()).await);
    let client = client(&ca, &["127.0.0.0/8"]);
    let plain = format!("http://{}", plain.address);
    let expected = (202, "application/json 2".to_owned());
    assert_eq!(ask(&client, &format!("{plain}/echo"), PATIENCE).await.unwrap(), expected);
    let secure = format!("https://localhost:{}/echo", secure.address.port());
    assert_eq!(ask(&client, &secure, PATIENCE).await.unwrap(), expected);
    assert_eq!(ask(&client, &format!("{plain}/moved"), PATIENCE).await.unwrap().0, 307);
    assert!(matches!(ask(&client, &format!("{plain}/large"), PATIENCE).await, Err(WebError::Answer(_))));
    let slow = ask(&client, &format!("{plain}/slow"), Duration::from_millis(50)).await;
    assert!(matches!(slow, Err(WebError::Timeout(_))));
}

#[tokio::test]
async fn only_permitted_addresses_are_connected_to() {
    let server = Server::start(None, router()).await;
    let ca = Ca::new();
    for allowed in [&[][..], &["10.0.0.0/8"]] {
        let client = client(&ca, allowed);
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{}/echo", server.address.port());
            let refused = ask(&client, &url, PATIENCE).await;
            assert!(matches!(refused, Err(WebError::Resolve(ResolveError::Refused(_)))), "{url}: {refused:?}");
        }
    }
    // A certificate for another name, or from nobody who is trusted, is no good.
    let other = Ca::new().server(&["localhost"]);
    let secure = Server::start(Some(other.config()), router()).await;
    let url = format!("https://localhost:{}/echo", secure.address.port());
    let refused = ask(&client(&ca, &["127.0.0.0/8"]), &url, PATIENCE).await;
    assert!(matches!(refused, Err(WebError::Connect(_))), "{refused:?}");
}
