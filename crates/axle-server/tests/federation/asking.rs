//! What local users want to know from another server, which is made by hand.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Query;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::world::World;

fn error(status: u16, errcode: &str) -> Response {
    let body = axum::Json(json!({"errcode": errcode, "error": "said the peer"}));
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// Refuses what this server has not signed.
fn is_signed(headers: &HeaderMap) -> bool {
    let value = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap()).unwrap_or_default();
    value.starts_with("X-Matrix ") && value.contains("hub.test")
}

async fn profile(headers: HeaderMap, Query(query): Query<HashMap<String, String>>) -> Response {
    if !is_signed(&headers) {
        return error(401, "M_FORBIDDEN");
    }
    match query["user_id"].as_str() {
        "@bob:a.test" => axum::Json(json!({"displayname": "Bob"})).into_response(),
        "@array:a.test" => "[]".into_response(),
        "@large:a.test" => format!("{{\"displayname\":\"{}\"}}", "x".repeat(200_000)).into_response(),
        "@token:a.test" => error(401, "M_UNKNOWN_TOKEN"),
        "@html:a.test" => (StatusCode::NOT_FOUND, "<html>").into_response(),
        _ => error(404, "M_NOT_FOUND"),
    }
}

async fn directory(Query(query): Query<HashMap<String, String>>) -> Response {
    match query["room_alias"].as_str() {
        "#tea:a.test" => {
            axum::Json(json!({"room_id": "!tea:a.test", "servers": ["a.test", 7, "no name!"]})).into_response()
        }
        "#odd:a.test" => axum::Json(json!({"room_id": 7, "servers": []})).into_response(),
        _ => error(404, "M_NOT_FOUND"),
    }
}

fn peer() -> Router {
    let room = json!({"room_id": "!tea:a.test", "num_joined_members": 1, "join_rule": "public", "name": "Tea"});
    let (page, search) = (json!({"chunk": [room], "total_room_count_estimate": 1}), json!({"chunk": []}));
    let told = json!({"room": room, "children": []});
    let rooms = get(move || async { axum::Json(page) });
    let rooms = rooms.merge(post(move |body: axum::Json<Value>| async move {
        assert_eq!(body.0["filter"]["generic_search_term"], "coffee");
        axum::Json(search)
    }));
    Router::new()
        .route("/_matrix/federation/v1/query/profile", get(profile))
        .route("/_matrix/federation/v1/query/directory", get(directory))
        .route("/_matrix/federation/v1/publicRooms", rooms)
        .route("/_matrix/federation/v1/hierarchy/{room}", get(move || async { axum::Json(told) }))
}

#[tokio::test]
async fn profiles() {
    let world = World::with_peer(peer(), |_| {}).await;
    let of = async |user: &str| world.alice.fetch(&format!("/_matrix/client/v3/profile/{user}")).await;
    assert_eq!(of("@bob:a.test").await.ok(), json!({"displayname": "Bob"}));
    of("@nobody:a.test").await.fails(404, "M_NOT_FOUND");
    // Else the client would log out.
    of("@token:a.test").await.fails(502, "M_UNKNOWN");
    of("@html:a.test").await.fails(404, "M_NOT_FOUND");
    of("@array:a.test").await.fails(502, "M_UNKNOWN");
    of("@large:a.test").await.fails(502, "M_UNKNOWN");
    of("@bob:127.0.0.1").await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn aliases_and_rooms() {
    let world = World::with_peer(peer(), |_| {}).await;
    let alias =
        async |name: &str| world.alice.fetch(&format!("/_matrix/client/v3/directory/room/%23{name}:a.test")).await;
    assert_eq!(alias("tea").await.ok(), json!({"room_id": "!tea:a.test", "servers": ["a.test"]}));
    alias("nosuch").await.fails(404, "M_NOT_FOUND");
    alias("odd").await.fails(502, "M_UNKNOWN");
    let rooms = world.alice.fetch("/_matrix/client/v3/publicRooms?server=a.test&limit=3").await.ok();
    assert_eq!((&rooms["chunk"][0]["name"], &rooms["total_room_count_estimate"]), (&json!("Tea"), &json!(1)));
    let search = json!({"filter": {"generic_search_term": "coffee"}});
    let (status, found) = world.alice.post("publicRooms?server=a.test", search).await;
    assert_eq!((status, &found["chunk"]), (200, &json!([])));
    let summary = world.alice.fetch("/_matrix/client/v1/room_summary/%23tea:a.test").await.ok();
    assert_eq!((&summary["name"], &summary["membership"]), (&json!("Tea"), &json!("leave")));
}

#[tokio::test]
async fn nobody_is_asked_while_federation_is_off() {
    let world = World::with_peer(peer(), |config| config.federation.listen.clear()).await;
    for path in [
        "/_matrix/client/v3/profile/@bob:a.test",
        "/_matrix/client/v3/directory/room/%23tea:a.test",
        "/_matrix/client/v3/publicRooms?server=a.test",
        "/_matrix/client/v1/media/download/a.test/x",
    ] {
        world.alice.fetch(path).await.fails(404, "M_NOT_FOUND");
    }
}
