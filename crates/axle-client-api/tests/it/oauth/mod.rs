//! OAuth 2.0: clients register, users allow them, tokens come and go.

mod account;
mod code;
mod devices;
mod id_tokens;
mod newcomers;
mod registration;

use axle_protocol::base64;
use axle_store::Store;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{Answer, Person, TestServer, config, server_on, server_with};

/// Where clients reach the server, as they think.
const BASE: &str = "https://chat.example.org";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const CALLBACK: &str = "https://app.example.com/callback?from=here";
const VERIFIER: &str = "a-verifier-that-has-more-than-43-letters-in-it";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn server() -> TestServer {
    let mut config = config();
    config.public_base_url = Some(format!("{BASE}/"));
    server_with(config).await
}

/// Another server on the store of one, as after a restart.
async fn restarted(store: std::sync::Arc<dyn Store>) -> TestServer {
    let mut config = config();
    config.public_base_url = Some(BASE.into());
    server_on(store, config).await
}

/// What a web client says of itself.
fn client() -> Value {
    json!({
        "client_name": "A <b>client</b>", "client_uri": "https://example.com/", "policy_uri": "https://example.com/p?a&b",
        "redirect_uris": [CALLBACK], "response_types": ["code"], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE_GRANT],
    })
}

async fn register(server: &TestServer, client: Value) -> Answer {
    server.anonymous(Method::POST, "/oauth2/register", Some(&client)).await
}

async fn client_id(server: &TestServer) -> String {
    let answer = register(server, client()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["client_id"].as_str().unwrap().into()
}

fn scope(device_id: &str) -> String {
    format!("urn:matrix:client:api:* urn:matrix:client:device:{device_id}")
}

/// The parameters of a good request.
fn request(client_id: &str, device_id: &str) -> Vec<(&'static str, String)> {
    vec![
        ("response_type", "code".into()),
        ("client_id", client_id.into()),
        ("redirect_uri", CALLBACK.into()),
        ("scope", scope(device_id)),
        ("state", "a state & more".into()),
        ("code_challenge_method", "S256".into()),
        ("code_challenge", base64::encode_url(Sha256::digest(VERIFIER))),
    ]
}

/// The same with another value of a parameter.
fn with(mut request: Vec<(&'static str, String)>, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    request.retain(|(known, _)| *known != name);
    request.push((name, value.into()));
    request
}

/// Posts a form as a client does, and reads the JSON of the answer.
async fn post(server: &TestServer, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = server.http.post(format!("{}{path}", server.base)).form(form);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.json().await.unwrap_or(Value::Null) }
}

/// Checks an error of OAuth 2.0.
#[track_caller]
fn refused(answer: &Answer, error: &str) {
    assert_eq!(answer.body["error"], error, "{}", answer.body);
    assert!(answer.status.is_client_error() && answer.body["error_description"].is_string());
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
}

/// A browser: it keeps cookies, and follows nothing by itself.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: Vec<String>,
}

/// What it shows.
struct Shown {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    html: String,
}

impl Browser {
    fn new(server: &TestServer) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, base: server.base.clone(), cookies: Vec::new() }
    }

    async fn get(&mut self, path: &str, query: &[(&str, String)]) -> Shown {
        self.send(self.http.get(format!("{}{path}", self.base)).query(query)).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Shown {
        self.send(self.http.post(format!("{}{path}", self.base)).form(form)).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Shown {
        let response = request.header(COOKIE, self.cookies.join("; ")).send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
            let pair = cookie.split(';').next().unwrap().to_owned();
            let name = pair.split('=').next().unwrap().to_owned();
            self.cookies.retain(|known| known.split('=').next() != Some(&name));
            self.cookies.push(pair);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Shown { status, headers, html: response.text().await.unwrap() }
    }

    /// Goes through the page of a request, with this answer; where it leads.
    async fn answer(&mut self, request: &[(&str, String)], answer: &str, password: &str) -> Shown {
        let page = self.get("/oauth2/authorize", request).await;
        assert_eq!(page.status, 200, "{}", page.html);
        let (secret, kept) = (page.field("secret"), page.field("request"));
        let form = [("secret", &*secret), ("request", &*kept), ("username", "alice"), ("password", password)];
        self.post("/oauth2/authorize", &[&form[..], &[("answer", answer)]].concat()).await
    }
}

impl Shown {
    /// The value of a hidden field.
    fn field(&self, name: &str) -> String {
        let (_, rest) =
            self.html.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{}", self.html));
        let value = rest.split('"').next().unwrap();
        value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    /// Where the browser is sent, and with what.
    fn led_to(&self) -> (String, Vec<(String, String)>) {
        assert_eq!(self.status, 303, "{}", self.html);
        let location = self.headers[LOCATION].to_str().unwrap();
        let (place, parameters) = location.split_once("&").or_else(|| location.split_once('#')).unwrap();
        (place.into(), form_urlencoded::parse(parameters.as_bytes()).into_owned().collect())
    }

    /// A parameter with which the browser is sent elsewhere.
    fn parameter(&self, name: &str) -> String {
        let (_, parameters) = self.led_to();
        parameters.into_iter().find(|(known, _)| known == name).unwrap().1
    }
}

/// The code of Alice's, who allows a client.
async fn code(server: &TestServer, client_id: &str, device_id: &str) -> String {
    let request = request(client_id, device_id);
    Browser::new(server).answer(&request, "allow", "correct horse").await.parameter("code")
}

async fn exchange(server: &TestServer, client_id: &str, code: &str) -> Answer {
    let grant = [("grant_type", "authorization_code"), ("client_id", client_id), ("code", code)];
    let proof = [("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    post(server, "/oauth2/token", &[&grant[..], &proof[..]].concat()).await
}

async fn refresh(server: &TestServer, client_id: &str, tokens: &Value) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    let grant = [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", token)];
    post(server, "/oauth2/token", &grant).await
}

/// Alice with other tokens.
fn by(alice: &Person, tokens: &Value) -> Person {
    Person { token: tokens["access_token"].as_str().unwrap().into(), ..alice.clone() }
}
