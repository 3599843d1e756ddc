//! What the server says of itself, and clients of themselves.

use reqwest::Method;
use ruma::api::client::discovery::get_authorization_server_metadata::v1::Response;
use serde_json::json;

use super::{BASE, CALLBACK, DEVICE_CODE_GRANT, client, client_id, post, refused, register, server};
use crate::common::{as_ruma, config, server_with};

const METADATA: &str = "/_matrix/client/v1/auth_metadata";

#[tokio::test]
async fn the_server_says_where_everything_is() {
    let server = server().await;
    let metadata = server.anonymous(Method::GET, METADATA, None).await.ok();
    let parsed = as_ruma::<Response>(&metadata).metadata.deserialize().unwrap();
    parsed.validate_urls().unwrap();
    assert_eq!(metadata["issuer"], format!("{BASE}/"));
    assert_eq!(metadata["token_endpoint"], format!("{BASE}/oauth2/token"));
    assert_eq!(metadata["grant_types_supported"], json!(["authorization_code", "refresh_token", DEVICE_CODE_GRANT]));
    for path in [
        "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let same = server.anonymous(Method::GET, path, None).await;
        assert_eq!(same.headers["access-control-allow-origin"], "*");
        assert_eq!(same.ok(), metadata);
    }
    // Whoever does not know of it logs in with the password, as before.
    let flows = server.anonymous(Method::GET, "/_matrix/client/v3/login", None).await.ok();
    assert!(flows["flows"].as_array().unwrap().contains(&json!({"type": "m.login.password"})), "{flows}");
}

#[tokio::test]
async fn where_it_is_off_there_is_none_of_it() {
    let mut off = config();
    (off.oauth, off.public_base_url) = (false, Some(BASE.into()));
    for config in [off, config()] {
        let server = server_with(config).await;
        for (method, path) in [
            (Method::GET, METADATA),
            (Method::GET, "/.well-known/openid-configuration"),
            (Method::GET, "/_matrix/client/unstable/org.matrix.msc2965/auth_issuer"),
            (Method::GET, "/oauth2/keys.json"),
            (Method::POST, "/oauth2/register"),
            (Method::GET, "/oauth2/authorize"),
            (Method::POST, "/oauth2/authorize"),
            (Method::POST, "/oauth2/device"),
            (Method::GET, "/oauth2/link"),
            (Method::POST, "/oauth2/link"),
            (Method::POST, "/oauth2/token"),
            (Method::POST, "/oauth2/revoke"),
            (Method::GET, "/oauth2/account"),
            (Method::POST, "/oauth2/account"),
            (Method::GET, "/oauth2/style.css"),
            (Method::GET, "/oauth2/nosuch"),
        ] {
            server.anonymous(method, path, None).await.fails(404, "M_UNRECOGNIZED");
        }
    }
}

#[tokio::test]
async fn clients_register_once_for_what_is_offered() {
    let server = server().await;
    let mut client = client();
    client["grant_types"].as_array_mut().unwrap().push(json!("urn:ietf:params:oauth:grant-type:token-exchange"));
    client["client_name#fr"] = json!("Un client");
    let first = register(&server, client.clone()).await;
    assert_eq!((first.status.as_u16(), &first.headers["cache-control"]), (201, &"no-store".parse().unwrap()));
    assert_eq!(first.body["redirect_uris"], json!([CALLBACK]));
    assert_eq!(first.body["grant_types"], json!(["authorization_code", "refresh_token", DEVICE_CODE_GRANT]));
    assert_eq!(first.body["application_type"], "web");
    assert!(first.body.get("client_name#fr").is_none());
    assert_eq!(register(&server, client.clone()).await.body["client_id"], first.body["client_id"]);
    client["client_name"] = json!("Another");
    assert_ne!(register(&server, client).await.body["client_id"], first.body["client_id"]);
    let native = json!({
        "client_uri": "https://example.com/", "application_type": "native", "redirect_uris": ["com.example:/cb"],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    assert_eq!(register(&server, native).await.status, 201);
}

#[tokio::test]
async fn what_a_client_cannot_be_is_refused() {
    let server = server().await;
    for (field, value, error) in [
        ("client_uri", json!("http://example.com/"), "invalid_client_metadata"),
        ("client_uri", json!(7), "invalid_client_metadata"),
        ("logo_uri", json!("https://evil.example/logo.png"), "invalid_client_metadata"),
        ("policy_uri", json!("javascript:alert(1)"), "invalid_client_metadata"),
        ("client_name", json!("x".repeat(257)), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("client_secret_basic"), "invalid_client_metadata"),
        ("grant_types", json!(["implicit"]), "invalid_client_metadata"),
        ("response_types", json!(["token"]), "invalid_client_metadata"),
        ("redirect_uris", json!([]), "invalid_client_metadata"),
        ("redirect_uris", json!(["https://evil.example/"]), "invalid_redirect_uri"),
        ("redirect_uris", json!([CALLBACK, "http://localhost/cb"]), "invalid_redirect_uri"),
        ("redirect_uris", json!(["com.example.app:/cb"]), "invalid_redirect_uri"),
    ] {
        let mut client = client();
        client[field] = value;
        refused(&register(&server, client).await, error);
    }
    for body in [json!({}), json!([]), json!(null)] {
        refused(&register(&server, body).await, "invalid_client_metadata");
    }
}

#[tokio::test]
async fn garbage_is_refused_and_breaks_nothing() {
    let server = server().await;
    for path in ["register", "authorize", "device", "link", "token", "revoke", "account"] {
        for body in [&b"{"[..], b"\xff\xfe=%zz&", b"a=1&a=2", b"client_id=%00&grant_type=x", &vec![b'x'; 70_000][..]] {
            let request = server.http.post(format!("{}/oauth2/{path}", server.base)).body(body.to_vec());
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        }
    }
    for path in ["authorize?a=1&a=1", "authorize?client_id=%ff", "link?user_code=%00", "account?device_id=%3Cb%3E"] {
        let answer = server.http.get(format!("{}/oauth2/{path}", server.base)).send().await.unwrap();
        assert!(!answer.status().is_server_error(), "{path}: {}", answer.status());
    }
    let client_id = client_id(&server).await;
    refused(&post(&server, "/oauth2/token", &[("client_id", &client_id)]).await, "invalid_request");
    let unknown = [("grant_type", "password"), ("client_id", &client_id)];
    refused(&post(&server, "/oauth2/token", &unknown).await, "unsupported_grant_type");
}
