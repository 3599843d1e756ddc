//! ID tokens, for clients that want them.

use std::time::{SystemTime, UNIX_EPOCH};

use axle_protocol::base64;
use reqwest::Method;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    BASE, Browser, CALLBACK, client, client_id, exchange, refresh, register, request, restarted, scope, server, with,
};
use crate::common::TestServer;

/// A request for an ID token, with further parameters.
fn wants_one(client_id: &str, device_id: &str, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let asked = with(request(client_id, device_id), "scope", &format!("openid {}", scope(device_id)));
    more.iter().fold(asked, |asked, (name, value)| with(asked, name, value))
}

/// What a client gets whose request Alice allows.
async fn allowed(server: &TestServer, client_id: &str, asked: &[(&'static str, String)]) -> Value {
    let back = Browser::new(server).answer(asked, "allow", "correct horse").await;
    exchange(server, client_id, &back.parameter("code")).await.ok()
}

pub(super) async fn keys(server: &TestServer) -> Value {
    let answer = server.anonymous(Method::GET, "/oauth2/keys.json", None).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    answer.ok()
}

/// Checks the signature of a token with the key that the server publishes; its header and claims.
pub(super) fn opened(token: &str, keys: &Value) -> (Value, Value) {
    let [key] = &keys["keys"].as_array().unwrap()[..] else { panic!("{keys}") };
    let decoded = |text: &str| base64::decode(&text.replace('-', "+").replace('_', "/")).unwrap();
    let part = |name: &str| decoded(key[name].as_str().unwrap());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    RsaPublicKeyComponents { n: part("n"), e: part("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decoded(signature))
        .unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |text: &str| serde_json::from_slice::<Value>(&decoded(text)).unwrap();
    let header = read(header);
    assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &key["kid"]));
    (header, read(claims))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

#[tokio::test]
async fn a_client_learns_who_has_logged_in() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let before = now();
    let tokens = allowed(&server, &client_id, &wants_one(&client_id, "DEVICE0001", &[("nonce", "n-1 &\"")])).await;
    assert_eq!(tokens["scope"], format!("openid {}", scope("DEVICE0001")));
    let (header, claims) = opened(tokens["id_token"].as_str().unwrap(), &keys(&server).await);
    assert_eq!(header["typ"], "JWT");
    let metadata = server.anonymous(Method::GET, "/.well-known/openid-configuration", None).await.ok();
    assert_eq!((&claims["iss"], &claims["aud"]), (&metadata["issuer"], &json!(client_id)));
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("@alice:example.org"), &json!("n-1 &\"")));
    let time = |name: &str| claims[name].as_i64().unwrap();
    assert!(before <= time("auth_time") && time("auth_time") <= time("iat") && time("iat") <= now(), "{claims}");
    assert_eq!(time("exp"), time("iat") + 3600);
    let hash = Sha256::digest(tokens["access_token"].as_str().unwrap());
    assert_eq!(claims["at_hash"], base64::encode_url(&hash[..16]));
    let mut told: Vec<&String> = claims.as_object().unwrap().keys().collect();
    let mut known: Vec<&str> =
        metadata["claims_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    told.sort();
    known.sort();
    assert_eq!(told, known);
    // Who is logged in is known by then.
    assert_eq!(refresh(&server, &client_id, &tokens).await.ok().get("id_token"), None);
    let without = wants_one(&client_id, "DEVICE0002", &[]);
    let without = allowed(&server, &client_id, &without).await;
    let (_, claims) = opened(without["id_token"].as_str().unwrap(), &keys(&server).await);
    assert_eq!(claims.get("nonce"), None);
}

#[tokio::test]
async fn who_does_not_ask_for_one_gets_none() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let mut asked = request(&client_id, "DEVICE0001");
    for (name, value) in [("nonce", &*"n".repeat(600)), ("prompt", "none"), ("request", "x"), ("request_uri", "x")] {
        asked = with(asked, name, value);
    }
    let tokens = allowed(&server, &client_id, &asked).await;
    assert_eq!((&tokens["scope"], tokens.get("id_token")), (&json!(scope("DEVICE0001")), None));
    assert_eq!(server.store.id_token_key().await.unwrap(), None, "nobody has needed a key");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_to_the_client() {
    let server = server().await;
    let client_id = client_id(&server).await;
    for (name, value, error) in [
        ("nonce", &*"n".repeat(513), "invalid_request"),
        ("prompt", "none", "login_required"),
        ("request", "e30.e30.", "request_not_supported"),
        ("request_uri", "https://app.example.com/request", "request_uri_not_supported"),
    ] {
        let asked = wants_one(&client_id, "DEVICE0001", &[(name, value)]);
        let answer = Browser::new(&server).get("/oauth2/authorize", &asked).await;
        assert_eq!((answer.led_to().0.as_str(), &*answer.parameter("error")), (CALLBACK, error));
        assert_eq!(answer.parameter("state"), "a state & more");
    }
    let longest = wants_one(&client_id, "DEVICE0001", &[("nonce", &"n".repeat(512))]);
    assert_eq!(Browser::new(&server).get("/oauth2/authorize", &longest).await.status, 200);
}

#[tokio::test]
async fn one_key_signs_for_good() {
    let server = server().await;
    server.person("alice").await;
    let client_id = client_id(&server).await;
    let other = restarted(server.store.clone()).await;
    // Both find none, and make one.
    let (first, second) = tokio::join!(keys(&server), keys(&other));
    assert_eq!(first, second);
    let key = &first["keys"][0];
    assert_eq!((&key["kty"], &key["use"], &key["alg"]), (&json!("RSA"), &json!("sig"), &json!("RS256")));
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        assert_eq!(key.get(private), None);
    }
    let asked = wants_one(&client_id, "DEVICE0001", &[("nonce", "before the restart")]);
    let code = Browser::new(&server).answer(&asked, "allow", "correct horse").await.parameter("code");
    let after = restarted(server.store.clone()).await;
    assert_eq!(keys(&after).await, first);
    let tokens = exchange(&after, &client_id, &code).await.ok();
    let (_, claims) = opened(tokens["id_token"].as_str().unwrap(), &first);
    assert_eq!(claims["nonce"], "before the restart");
}

#[tokio::test]
async fn clients_are_told_how_tokens_are_signed() {
    let server = server().await;
    let without = register(&server, client()).await.body;
    assert_eq!(without.get("id_token_signed_response_alg"), None);
    for asked in [json!("RS256"), json!("ES256"), json!("none"), json!(7)] {
        let mut client = client();
        client["id_token_signed_response_alg"] = asked;
        let registered = register(&server, client).await;
        assert_eq!((registered.status.as_u16(), &registered.body["client_id"]), (201, &without["client_id"]));
        assert_eq!(registered.body["id_token_signed_response_alg"], "RS256");
    }
}

#[tokio::test]
async fn older_clients_find_the_metadata_by_the_issuer() {
    let server = server().await;
    let path = "/_matrix/client/unstable/org.matrix.msc2965/auth_issuer";
    let answer = server.anonymous(Method::GET, path, None).await.ok();
    assert_eq!(answer, json!({"issuer": format!("{BASE}/")}));
    let metadata = server.anonymous(Method::GET, "/.well-known/openid-configuration", None).await.ok();
    assert_eq!(metadata["jwks_uri"], format!("{BASE}/oauth2/keys.json"));
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["RS256"]));
    assert_eq!(metadata["subject_types_supported"], json!(["public"]));
    assert_eq!(metadata["scopes_supported"][0], "openid");
    assert_eq!(metadata["request_uri_parameter_supported"], false);
}
