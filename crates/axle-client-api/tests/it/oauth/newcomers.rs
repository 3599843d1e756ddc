//! People who make an account on the way to a client.

use axle_client_api::Registration;
use axle_store::RegistrationToken;
use reqwest::Method;
use serde_json::{Value, json};

use super::{BASE, Browser, Shown, WHOAMI, by, client_id, exchange, request, server, with};
use crate::common::{TestServer, config, server_with};

const METADATA: &str = "/_matrix/client/v1/auth_metadata";

async fn server_for(registration: Registration) -> TestServer {
    let mut config = config();
    (config.public_base_url, config.registration) = (Some(BASE.into()), registration);
    server_with(config).await
}

/// What somebody types on the page of a client that sends them to make an account.
async fn sign_up(browser: &mut Browser, client_id: &str, typed: &[(&str, &str)]) -> Shown {
    let page = browser.get("/oauth2/authorize", &with(request(client_id, "NEWDEVICE1"), "prompt", "create")).await;
    assert_eq!(page.status, 200, "{}", page.html);
    let (secret, kept) = (page.field("secret"), page.field("request"));
    let form = [("secret", &*secret), ("request", &*kept), ("answer", "register")];
    browser.post("/oauth2/authorize", &[&form[..], typed].concat()).await
}

fn typed<'a>(name: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("username", name), ("password", password), ("repeated", password)]
}

#[tokio::test]
async fn somebody_makes_an_account_and_allows_the_client_at_once() {
    let server = server().await;
    let metadata = server.anonymous(Method::GET, METADATA, None).await.ok();
    assert_eq!(metadata["prompt_values_supported"], json!(["create"]));
    let client_id = client_id(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/oauth2/authorize", &with(request(&client_id, "NEWDEVICE1"), "prompt", "create")).await;
    assert!(page.html.contains("value=\"register\"") && !page.html.contains("value=\"allow\""), "{}", page.html);
    let back = sign_up(&mut browser, &client_id, &typed("carol", "correct horse")).await;
    let tokens = exchange(&server, &client_id, &back.parameter("code")).await.ok();
    let password = json!({"type": "m.login.password", "user": "carol", "password": "correct horse"});
    let login = server.anonymous(Method::POST, "/_matrix/client/v3/login", Some(&password)).await.ok();
    let carol = server.person_from(&login);
    let whoami = by(&carol, &tokens).get(WHOAMI).await.ok();
    assert_eq!((&whoami["user_id"], &whoami["device_id"]), (&json!(carol.user_id), &json!("NEWDEVICE1")));
}

#[tokio::test]
async fn what_cannot_be_is_told_on_the_page() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let mut browser = Browser::new(&server);
    for (typed, problem) in [
        (&typed("alice", "correct horse")[..], "is taken"),
        (&typed("Al <ice>", "correct horse"), "The user name is"),
        (&typed("carol", "short"), "at least 8 characters"),
        (&[("username", "carol"), ("password", "correct horse"), ("repeated", "another horse")], "not the same"),
        (&[("username", "carol")], "Both are needed"),
    ] {
        let page = sign_up(&mut browser, &client_id, typed).await;
        assert_eq!(page.status, 403, "{}", page.html);
        assert!(page.html.contains("value=\"register\"") && !page.html.contains("<ice>"), "{}", page.html);
        assert!(page.html.contains(problem), "{problem}: {}", page.html);
    }
    // Each page leads to the other one, with the same request.
    let login = browser.get("/oauth2/authorize", &request(&client_id, "NEWDEVICE1")).await;
    assert!(login.html.contains("no account yet") && login.html.contains("value=\"allow\""), "{}", login.html);
}

#[tokio::test]
async fn a_token_is_asked_for_where_the_operator_wants_it() {
    let server = server_for(Registration::Token).await;
    let token = RegistrationToken { token: "sesame".into(), uses_left: Some(1), completed: 0, expires_ts: None };
    server.store.put_registration_token(token).await.unwrap();
    let client_id = client_id(&server).await;
    let mut browser = Browser::new(&server);
    for token in [&[][..], &[("token", "guess")]] {
        let form = [&typed("carol", "correct horse")[..], token].concat();
        let page = sign_up(&mut browser, &client_id, &form).await;
        assert!(page.status == 403 && page.html.contains("token is not valid"), "{}", page.html);
    }
    let form = [&typed("carol", "correct horse")[..], &[("token", "sesame")]].concat();
    sign_up(&mut browser, &client_id, &form).await.parameter("code");
    let again = [&typed("dave", "correct horse")[..], &[("token", "sesame")]].concat();
    assert_eq!(sign_up(&mut browser, &client_id, &again).await.status, 403, "it was good once");
}

#[tokio::test]
async fn nobody_makes_an_account_where_registration_is_closed() {
    let server = server_for(Registration::Closed).await;
    let metadata = server.anonymous(Method::GET, METADATA, None).await.ok();
    assert_eq!(metadata.get("prompt_values_supported"), None::<&Value>);
    let client_id = client_id(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.get("/oauth2/authorize", &with(request(&client_id, "NEWDEVICE1"), "prompt", "create")).await;
    assert!(page.html.contains("value=\"allow\"") && !page.html.contains("no account yet"), "{}", page.html);
    let page = sign_up(&mut browser, &client_id, &typed("carol", "correct horse")).await;
    assert!(page.status == 403 && page.html.contains("Registration is closed"), "{}", page.html);
}
