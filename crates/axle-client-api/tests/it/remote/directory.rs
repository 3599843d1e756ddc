//! Aliases and lists of rooms of other servers.

use axle_protocol::MatrixError;
use reqwest::Method;
use ruma::api::client::{alias, directory};
use serde_json::{Value, json};

use crate::common::{as_ruma, server};

const TEA: &str = "/_matrix/client/v3/directory/room/%23tea:other.org";
const ROOMS: &str = "/_matrix/client/v3/publicRooms";

fn teas_room() -> Value {
    json!({"room_id": "!tea:third.org", "servers": ["third.org"]})
}

#[tokio::test]
async fn an_alias_of_another_server_is_asked_for() {
    let server = server().await;
    server.remote.answer("alias #tea:other.org", teas_room());
    let answer = server.anonymous(Method::GET, TEA, None).await.ok();
    as_ruma::<alias::get_alias::v3::Response>(&answer);
    assert_eq!(answer, json!({"room_id": "!tea:third.org", "servers": ["third.org", "other.org"]}));
    server.remote.fail("alias #tea:other.org", MatrixError::not_found("other.org: none"));
    server.anonymous(Method::GET, TEA, None).await.fails(404, "M_NOT_FOUND");
    server.remote.fail("alias #tea:other.org", MatrixError::bad_gateway("other.org: no answer"));
    server.anonymous(Method::GET, TEA, None).await.fails(502, "M_UNKNOWN");
}

#[tokio::test]
async fn a_join_by_an_alias_goes_through_its_servers() {
    let server = server().await;
    let alice = server.person("alice").await;
    server.remote.answer("alias #tea:other.org", teas_room());
    let answer = alice.post("/_matrix/client/v3/join/%23tea:other.org?via=given.org", json!({})).await;
    // The rooms of these tests are in no other server.
    answer.fails(404, "M_NOT_FOUND");
    assert_eq!(server.rooms.joins(), ["!tea:third.org via given.org third.org other.org"]);
    alice.post("/_matrix/client/v3/join/%23nosuch:other.org", json!({})).await.fails(404, "M_NOT_FOUND");
    assert!(server.rooms.joins().is_empty());
}

#[tokio::test]
async fn a_canonical_alias_of_another_server_has_to_stand_for_the_room() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.canonical_alias");
    let content = json!({"alias": "#tea:other.org"});
    server.remote.answer("alias #tea:other.org", teas_room());
    alice.put(&path, content.clone()).await.fails(400, "M_BAD_ALIAS");
    server.remote.fail("alias #tea:other.org", MatrixError::not_found("other.org: none"));
    alice.put(&path, content.clone()).await.fails(400, "M_BAD_ALIAS");
    server.remote.fail("alias #tea:other.org", MatrixError::gateway_timeout("other.org: no answer"));
    alice.put(&path, content.clone()).await.fails(504, "M_UNKNOWN");
    server.remote.answer("alias #tea:other.org", json!({"room_id": room, "servers": []}));
    alice.put(&path, content.clone()).await.ok();
    // What the event names already is not asked for again.
    server.remote.asked();
    alice.put(&path, json!({"alias": "#tea:other.org", "more": 1})).await.ok();
    let many: Vec<String> = (0..11).map(|n| format!("#tea{n}:other.org")).collect();
    alice.put(&path, json!({"alt_aliases": many})).await.fails(400, "M_INVALID_PARAM");
    assert!(server.remote.asked().is_empty());
}

#[tokio::test]
async fn the_list_of_another_server() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = json!({
        "room_id": "!tea:other.org", "name": "Tea", "num_joined_members": 3, "world_readable": false,
        "guest_can_join": true, "join_rule": "public",
    });
    let page = json!({
        "chunk": [room, {"room_id": "nonsense"}, 7, {"name": "no id"}], "next_batch": "n", "prev_batch": 7,
        "total_room_count_estimate": 2, "more": true,
    });
    server.remote.answer("rooms other.org", page.clone());
    server.remote.answer("rooms other.org tea", page);
    let expected = json!({"chunk": [room], "next_batch": "n", "total_room_count_estimate": 2});
    let answer = server.anonymous(Method::GET, &format!("{ROOMS}?server=other.org"), None).await.ok();
    assert_eq!(answer, expected);
    let search = json!({"filter": {"generic_search_term": "tea"}});
    let answer = alice.post(&format!("{ROOMS}?server=other.org"), search).await.ok();
    as_ruma::<directory::get_public_rooms_filtered::v3::Response>(&answer);
    assert_eq!(answer, expected);
    assert_eq!(server.remote.asked(), ["rooms other.org", "rooms other.org tea"]);
    server.remote.fail("rooms other.org", MatrixError::forbidden("other.org: told to nobody"));
    server.anonymous(Method::GET, &format!("{ROOMS}?server=other.org"), None).await.fails(403, "M_FORBIDDEN");
    server.anonymous(Method::GET, &format!("{ROOMS}?server=example.org"), None).await.ok();
    assert_eq!(server.remote.asked(), ["rooms other.org"]);
}
