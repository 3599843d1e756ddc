//! Authorization codes, and what comes of them.

use serde_json::json;

use super::{
    Browser, CALLBACK, VERIFIER, WHOAMI, by, client, client_id, code, exchange, post, refresh, refused, register,
    request, restarted, scope, server, with,
};
use crate::common::{config, server_with};
use axle_client_api::{Rate, RateLimits};

#[tokio::test]
async fn a_client_gets_a_device_that_its_user_allows() {
    let server = server().await;
    let alice = server.person("alice").await;
    let client_id = client_id(&server).await;
    let mut browser = Browser::new(&server);
    let request = request(&client_id, "NEWDEVICE1");
    let page = browser.get("/oauth2/authorize", &with(request.clone(), "login_hint", "mxid:@alice:example.org")).await;
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(page.headers["cache-control"], "no-store");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self' https://app.example.com;"] {
        assert!(policy.contains(part), "{policy}");
    }
    for shown in ["A &lt;b&gt;client&lt;/b&gt;", "example.com", "NEWDEVICE1", "@alice:example.org", "/p?a&amp;b"] {
        assert!(page.html.contains(shown), "{shown}: {}", page.html);
    }
    assert!(!page.html.contains("<b>") && !page.html.contains("<script"), "{}", page.html);
    let back = browser.answer(&request, "allow", "correct horse").await;
    let (place, parameters) = back.led_to();
    assert_eq!((place.as_str(), parameters.len()), (CALLBACK, 2));
    assert_eq!(back.parameter("state"), "a state & more");
    let tokens = exchange(&server, &client_id, &back.parameter("code")).await;
    assert_eq!(tokens.headers["cache-control"], "no-store");
    let tokens = tokens.ok();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(tokens["scope"], scope("NEWDEVICE1"));
    let whoami = by(&alice, &tokens).get(WHOAMI).await.ok();
    assert_eq!((&whoami["user_id"], &whoami["device_id"]), (&json!(alice.user_id), &json!("NEWDEVICE1")));
    let device = alice.get("/_matrix/client/v3/devices/NEWDEVICE1").await.ok();
    assert_eq!(device["display_name"], "A <b>client</b>");
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_asked_for_it() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut other = client();
    other["client_name"] = json!("Another");
    let other = register(&server, other).await.body["client_id"].as_str().unwrap().to_owned();
    let client_id = client_id(&server).await;
    let good = [("client_id", &*client_id), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    for (name, value) in [
        ("client_id", &*other),
        ("redirect_uri", "https://app.example.com/other"),
        ("code_verifier", "another-verifier-that-has-more-than-43-letters"),
    ] {
        let code = code(&server, &client_id, "DEVICE0001").await;
        let changed = good.map(|(known, right)| (known, if known == name { value } else { right }));
        let form = [&changed[..], &[("grant_type", "authorization_code"), ("code", &code)]].concat();
        refused(&post(&server, "/oauth2/token", &form).await, "invalid_grant");
        // It was shown: nobody gets anything for it any more.
        refused(&exchange(&server, &client_id, &code).await, "invalid_grant");
    }
    assert!(!alice.device_ids().await.contains(&"DEVICE0001".to_owned()));
    let code = code(&server, &client_id, "DEVICE0002").await;
    let tokens = exchange(&server, &client_id, &code).await.ok();
    by(&alice, &tokens).get(WHOAMI).await.ok();
    refused(&exchange(&server, &client_id, &code).await, "invalid_grant");
    by(&alice, &tokens).get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    refused(&exchange(&server, &client_id, "made up").await, "invalid_grant");
    refused(&exchange(&server, "no client", "made up").await, "invalid_grant");
}

#[tokio::test]
async fn tokens_are_refreshed_by_their_client_and_revoked() {
    let server = server().await;
    let alice = server.person("alice").await;
    let client_id = client_id(&server).await;
    let first = exchange(&server, &client_id, &code(&server, &client_id, "DEVICE0001").await).await.ok();
    // An answer that the client never gets.
    refresh(&server, &client_id, &first).await.ok();
    let second = refresh(&server, &client_id, &first).await.ok();
    assert_eq!(second["expires_in"], 3600);
    by(&alice, &first).get(WHOAMI).await.ok();
    by(&alice, &second).get(WHOAMI).await.ok();
    by(&alice, &first).get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    refused(&refresh(&server, &client_id, &first).await, "invalid_grant");
    refused(&refresh(&server, "another", &second).await, "invalid_grant");
    refused(&refresh(&server, &client_id, &json!({"refresh_token": second["access_token"]})).await, "invalid_grant");
    // What somebody logged in with a password has is not for clients.
    let phone = json!({
        "type": "m.login.password", "user": "alice", "password": "correct horse", "refresh_token": true
    });
    let phone = server.anonymous(reqwest::Method::POST, "/_matrix/client/v3/login", Some(&phone)).await.ok();
    refused(&refresh(&server, &client_id, &phone).await, "invalid_grant");
    let token = second["refresh_token"].as_str().unwrap();
    let other = [("token", token), ("client_id", "another")];
    refused(&post(&server, "/oauth2/revoke", &other).await, "unauthorized_client");
    by(&alice, &second).get(WHOAMI).await.ok();
    let own = [("token", token), ("token_type_hint", "refresh_token"), ("client_id", &client_id)];
    for _ in 0..2 {
        post(&server, "/oauth2/revoke", &own).await.ok();
    }
    by(&alice, &second).get(WHOAMI).await.fails(401, "M_UNKNOWN_TOKEN");
    assert!(!alice.device_ids().await.contains(&"DEVICE0001".to_owned()));
    refused(&post(&server, "/oauth2/revoke", &[]).await, "invalid_request");
}

#[tokio::test]
async fn what_was_allowed_survives_a_restart() {
    let server = server().await;
    let alice = server.person("alice").await;
    let client_id = client_id(&server).await;
    let code = code(&server, &client_id, "DEVICE0001").await;
    let after = restarted(server.store.clone()).await;
    let tokens = exchange(&after, &client_id, &code).await.ok();
    by(&alice, &tokens).get(WHOAMI).await.ok();
    let third = restarted(server.store.clone()).await;
    refresh(&third, &client_id, &tokens).await.ok();
}

#[tokio::test]
async fn the_client_is_told_what_is_wrong_where_it_can_be() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let good = request(&client_id, "DEVICE0001");
    let mut browser = Browser::new(&server);
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "form_post", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "openid", "invalid_scope"),
        ("scope", "urn:matrix:client:api:* urn:matrix:client:device:<script>", "invalid_scope"),
    ] {
        let answer = browser.get("/oauth2/authorize", &with(good.clone(), name, value)).await;
        assert_eq!((answer.led_to().0.as_str(), &*answer.parameter("error")), (CALLBACK, error));
        assert_eq!(answer.parameter("state"), "a state & more");
    }
    for (name, value) in [("client_id", "nosuch"), ("redirect_uri", "https://evil.example/"), ("redirect_uri", "")] {
        let answer = browser.get("/oauth2/authorize", &with(good.clone(), name, value)).await;
        assert_eq!(answer.status, 400, "nobody is sent anywhere");
        assert!(!answer.html.contains("evil"));
    }
    let denied = browser.answer(&good, "deny", "").await;
    assert_eq!(
        (denied.parameter("error"), denied.parameter("state")),
        ("access_denied".into(), "a state & more".into())
    );
    let fragment = browser.answer(&with(good, "response_mode", "fragment"), "allow", "correct horse").await;
    let location = fragment.headers["location"].to_str().unwrap();
    assert!(location.starts_with(&format!("{CALLBACK}#code=")), "{location}");
}

#[tokio::test]
async fn a_native_client_may_use_any_port_of_its_machine() {
    let server = server().await;
    server.person("alice").await;
    let mut native = client();
    (native["application_type"], native["redirect_uris"]) = (json!("native"), json!(["http://127.0.0.1/cb?x=1"]));
    let client_id = register(&server, native).await.body["client_id"].as_str().unwrap().to_owned();
    let asked = with(request(&client_id, "DEVICE0001"), "redirect_uri", "http://127.0.0.1:4711/cb?x=1");
    let back = Browser::new(&server).answer(&asked, "allow", "correct horse").await;
    assert_eq!(back.led_to().0, "http://127.0.0.1:4711/cb?x=1");
}

#[tokio::test]
async fn forms_are_good_from_the_browser_that_has_them_and_with_the_password() {
    let mut config = config();
    config.public_base_url = Some(super::BASE.into());
    config.limits = RateLimits { login_account: Some(Rate { per_second: 0.001, burst: 2 }), ..RateLimits::off() };
    let server = server_with(config).await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let asked = request(&client_id, "DEVICE0001");
    let mut browser = Browser::new(&server);
    let page = browser.get("/oauth2/authorize", &asked).await;
    let (secret, kept) = (page.field("secret"), page.field("request"));
    let form = [("request", &*kept), ("username", "alice"), ("password", "correct horse"), ("answer", "allow")];
    // From another site: the browser sends no cookie along, or the site does not know the secret.
    let stranger = Browser::new(&server).post("/oauth2/authorize", &[&form[..], &[("secret", &secret)]].concat()).await;
    assert_eq!(stranger.status, 403);
    assert_eq!(browser.post("/oauth2/authorize", &form).await.status, 403);
    assert_eq!(browser.post("/oauth2/authorize", &[&form[..], &[("secret", "guess")]].concat()).await.status, 403);
    for _ in 0..2 {
        let wrong = browser.answer(&asked, "allow", "wrong horse").await;
        assert_eq!((wrong.status.as_u16(), wrong.html.contains("is wrong")), (403, true), "{}", wrong.html);
    }
    let limited = browser.answer(&asked, "allow", "correct horse").await;
    assert_eq!((limited.status.as_u16(), limited.html.contains("Too many")), (403, true), "{}", limited.html);
}
