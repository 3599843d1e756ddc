//! Devices without a browser.

use serde_json::json;

use super::id_tokens::{keys, opened};
use super::{
    Browser, DEVICE_CODE_GRANT, WHOAMI, by, client, client_id, post, refresh, refused, register, restarted, scope,
    server,
};
use crate::common::{Answer, TestServer};

async fn begin(server: &TestServer, client_id: &str, device_id: &str) -> Answer {
    begin_with(server, client_id, &scope(device_id)).await
}

async fn begin_with(server: &TestServer, client_id: &str, scope: &str) -> Answer {
    post(server, "/oauth2/device", &[("client_id", client_id), ("scope", scope)]).await
}

async fn poll(server: &TestServer, client_id: &str, device_code: &str) -> Answer {
    let grant = [("grant_type", DEVICE_CODE_GRANT), ("client_id", client_id), ("device_code", device_code)];
    post(server, "/oauth2/token", &grant).await
}

/// Says something to the device that shows this code.
async fn answer(server: &TestServer, user_code: &str, answer: &str) {
    let mut browser = Browser::new(server);
    let page = browser.get("/oauth2/link", &[("user_code", user_code.to_owned())]).await;
    assert_eq!(page.status, 200, "{}", page.html);
    assert!(page.html.contains("Somebody who sent you here"), "{}", page.html);
    let (secret, kept) = (page.field("secret"), page.field("user_code"));
    let who = [("username", "@alice:example.org"), ("password", "correct horse")];
    let form = [&who[..], &[("secret", &*secret), ("user_code", &*kept), ("answer", answer)]].concat();
    let done = browser.post("/oauth2/link", &form).await;
    assert_eq!(done.status, 200, "{}", done.html);
}

#[tokio::test]
async fn a_device_gets_its_tokens_when_its_user_allows_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    let client_id = client_id(&server).await;
    let waiting = begin(&server, &client_id, "TELEVISION").await.ok();
    let text = |name: &str| waiting[name].as_str().unwrap();
    let (device_code, user_code) = (text("device_code"), text("user_code"));
    assert_eq!(text("verification_uri"), "https://chat.example.org/oauth2/link");
    assert_eq!(text("verification_uri_complete"), format!("{}?user_code={user_code}", text("verification_uri")));
    assert_eq!((&waiting["expires_in"], &waiting["interval"]), (&json!(900), &json!(5)));
    assert_eq!((user_code.len(), user_code.as_bytes()[4]), (9, b'-'));
    refused(&poll(&server, &client_id, device_code).await, "authorization_pending");
    // As people type it; and the server is another by now.
    let server = restarted(server.store.clone()).await;
    answer(&server, &user_code.to_lowercase().replace('-', " "), "allow").await;
    let tokens = poll(&server, &client_id, device_code).await.ok();
    assert_eq!(tokens["scope"], scope("TELEVISION"));
    let whoami = by(&alice, &tokens);
    let whoami = crate::common::Person { base: server.base.clone(), ..whoami };
    assert_eq!(whoami.get(WHOAMI).await.ok()["device_id"], "TELEVISION");
    refused(&poll(&server, &client_id, device_code).await, "expired_token");
    refresh(&server, &client_id, &tokens).await.ok();
    let again = Browser::new(&server).get("/oauth2/link", &[("user_code", user_code.to_owned())]).await;
    assert_eq!(again.status, 404, "{}", again.html);
}

#[tokio::test]
async fn a_device_that_wants_an_id_token_gets_one() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let asked = format!("{} openid", scope("TELEVISION"));
    let waiting = begin_with(&server, &client_id, &asked).await.ok();
    answer(&server, waiting["user_code"].as_str().unwrap(), "allow").await;
    let tokens = poll(&server, &client_id, waiting["device_code"].as_str().unwrap()).await.ok();
    assert_eq!(tokens["scope"], asked);
    let (_, claims) = opened(tokens["id_token"].as_str().unwrap(), &keys(&server).await);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("@alice:example.org"), &json!(client_id)));
    assert!(claims.get("nonce").is_none() && claims.get("auth_time").is_none(), "{claims}");
}

#[tokio::test]
async fn a_device_that_asks_too_often_or_is_not_wanted_gets_nothing() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let waiting = begin(&server, &client_id, "TELEVISION").await.ok();
    let device_code = waiting["device_code"].as_str().unwrap();
    let mut errors = Vec::new();
    for _ in 0..20 {
        errors.push(poll(&server, &client_id, device_code).await.body["error"].as_str().unwrap().to_owned());
    }
    assert!(errors.contains(&"slow_down".to_owned()), "{errors:?}");
    let denied = begin(&server, &client_id, "TELEVISION").await.ok();
    answer(&server, denied["user_code"].as_str().unwrap(), "deny").await;
    let device_code = denied["device_code"].as_str().unwrap();
    refused(&poll(&server, &client_id, device_code).await, "access_denied");
    refused(&poll(&server, &client_id, device_code).await, "expired_token");
    refused(&poll(&server, &client_id, "made up").await, "expired_token");
}

#[tokio::test]
async fn only_clients_that_registered_for_it_may_ask() {
    let server = server().await;
    refused(&begin(&server, "nosuch", "TELEVISION").await, "invalid_client");
    let mut web = client();
    web["grant_types"] = json!(["authorization_code", "refresh_token"]);
    let web = register(&server, web).await.body["client_id"].as_str().unwrap().to_owned();
    refused(&begin(&server, &web, "TELEVISION").await, "unauthorized_client");
    let client_id = client_id(&server).await;
    refused(&begin(&server, &client_id, "a/b").await, "invalid_scope");
    let mut other = client();
    other["client_name"] = json!("Another");
    let other = register(&server, other).await.body["client_id"].as_str().unwrap().to_owned();
    server.person("alice").await;
    let waiting = begin(&server, &client_id, "TELEVISION").await.ok();
    answer(&server, waiting["user_code"].as_str().unwrap(), "allow").await;
    refused(&poll(&server, &other, waiting["device_code"].as_str().unwrap()).await, "invalid_grant");
}
