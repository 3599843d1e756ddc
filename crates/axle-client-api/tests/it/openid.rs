//! Tokens by which users prove to others who they are.

use ruma::api::client::account::request_openid_token::v3::Response;
use serde_json::json;

use crate::common::{as_ruma, server};

const OF_ALICE: &str = "/_matrix/client/v3/user/@alice:example.org/openid/request_token";

#[tokio::test]
async fn a_token_tells_whose_it_is() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let answer = alice.post(OF_ALICE, json!({})).await.ok();
    as_ruma::<Response>(&answer);
    assert_eq!((&answer["token_type"], &answer["matrix_server_name"]), (&json!("Bearer"), &json!("example.org")));
    assert_eq!(answer["expires_in"], 3600);
    let token = answer["access_token"].as_str().unwrap();
    assert_ne!(token, alice.token);
    let queries = server.api.queries();
    assert_eq!(queries.openid_user(token).await.unwrap(), alice.user_id);
    for wrong in ["", "x", &alice.token] {
        let error = queries.openid_user(wrong).await.unwrap_err();
        assert_eq!((error.status, error.errcode.as_str()), (401, "M_UNKNOWN_TOKEN"));
    }
    bob.post(OF_ALICE, json!({})).await.fails(403, "M_FORBIDDEN");
    // It opens nothing here.
    let mut thief = alice.clone();
    thief.token = token.into();
    thief.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_token_ends_with_the_account() {
    let server = server().await;
    let alice = server.person("alice").await;
    let token = alice.post(OF_ALICE, json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
    let proof = alice.proof("correct horse");
    alice.post("/_matrix/client/v3/account/deactivate", json!({"auth": proof})).await.ok();
    assert_eq!(server.api.queries().openid_user(&token).await.unwrap_err().status, 401);
}
