//! Profiles of other servers' users.

use axle_protocol::MatrixError;
use reqwest::Method;
use ruma::api::client::profile::get_profile::v3::Response;
use serde_json::json;

use crate::common::{as_ruma, server};

const CAROL: &str = "/_matrix/client/v3/profile/@carol:other.org";

#[tokio::test]
async fn a_profile_is_asked_for_once_in_a_while() {
    let server = server().await;
    let told = json!({"displayname": "Carol", "avatar_url": 7, "m.tz": "UTC", "empty": null, "x": [1]});
    server.remote.answer("profile @carol:other.org", told);
    let get = async |path: &str| server.anonymous(Method::GET, path, None).await;
    let whole = get(CAROL).await.ok();
    as_ruma::<Response>(&whole);
    assert_eq!(whole, json!({"displayname": "Carol", "m.tz": "UTC", "x": [1]}));
    assert_eq!(get(&format!("{CAROL}/displayname")).await.ok(), json!({"displayname": "Carol"}));
    assert_eq!(get(&format!("{CAROL}/avatar_url")).await.ok(), json!({}));
    assert_eq!(get(&format!("{CAROL}/m.tz")).await.ok(), json!({"m.tz": "UTC"}));
    get(&format!("{CAROL}/nosuch")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(server.remote.asked(), ["profile @carol:other.org"]);
}

#[tokio::test]
async fn who_does_not_exist_is_remembered_and_who_cannot_be_asked_is_not() {
    let server = server().await;
    let get = async || server.anonymous(Method::GET, CAROL, None).await;
    server.remote.fail("profile @carol:other.org", MatrixError::bad_gateway("other.org: no answer"));
    get().await.fails(502, "M_UNKNOWN");
    server.remote.fail("profile @carol:other.org", MatrixError::gateway_timeout("other.org: no answer"));
    get().await.fails(504, "M_UNKNOWN");
    server.remote.fail("profile @carol:other.org", MatrixError::not_found("other.org: nobody"));
    get().await.fails(404, "M_NOT_FOUND");
    assert_eq!(server.remote.asked().len(), 3);
    get().await.fails(404, "M_NOT_FOUND");
    assert!(server.remote.asked().is_empty());
}

#[tokio::test]
async fn own_users_are_asked_of_nobody() {
    let server = server().await;
    let path = "/_matrix/client/v3/profile/@nobody:example.org";
    server.anonymous(Method::GET, path, None).await.fails(404, "M_NOT_FOUND");
    assert!(server.remote.asked().is_empty());
}
