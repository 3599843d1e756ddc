//! What another server asks about users and rooms.

use serde_json::{Value, json};

use crate::support::Ask;
use crate::world::{HUB, OTHER, World, key};

const FEDERATION: &str = "/_matrix/federation/v1";

fn path(rest: &str) -> String {
    format!("{FEDERATION}/{rest}")
}

async fn create(world: &World, body: Value) -> String {
    let (status, answer) = world.alice.post("createRoom", body).await;
    assert_eq!(status, 200, "{answer}");
    answer["room_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn users_and_aliases() {
    let world = World::new().await;
    let room = create(&world, json!({"preset": "public_chat", "room_alias_name": "tea"})).await;
    world.alice.put("profile/@alice:hub.test/displayname", json!({"displayname": "Alice"})).await;
    let profile = path("query/profile?user_id=@alice:hub.test");
    assert_eq!(world.get(&profile).await.ok(), json!({"displayname": "Alice"}));
    let field = path("query/profile?user_id=@alice:hub.test&field=avatar_url");
    assert_eq!(world.get(&field).await.ok(), json!({}));
    world.get(&path("query/profile?user_id=@nobody:hub.test")).await.fails(404, "M_NOT_FOUND");
    world.get(&path("query/profile?user_id=nobody")).await.fails(400, "M_INVALID_PARAM");
    world.get(&path("query/profile")).await.fails(400, "M_MISSING_PARAM");
    let alias = path("query/directory?room_alias=%23tea:hub.test");
    assert_eq!(world.get(&alias).await.ok(), json!({"room_id": room, "servers": ["hub.test"]}));
    world.get(&path("query/directory?room_alias=%23nosuch:hub.test")).await.fails(404, "M_NOT_FOUND");
    for signed in [profile, alias, path("publicRooms"), path("hierarchy/!r:hub.test"), path("media/download/x")] {
        world.send(Ask::get(&signed)).await.fails(401, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn what_the_operator_does_not_allow() {
    let world = World::new().await;
    world.get(&path("publicRooms")).await.fails(403, "M_FORBIDDEN");
    world.call("POST", &path("publicRooms"), "{}").await.fails(403, "M_FORBIDDEN");
    let world = World::with(|config| {
        config.federation.allow_profile_lookup = false;
        config.federation.allow_public_rooms = true;
    })
    .await;
    world.get(&path("query/profile?user_id=@alice:hub.test")).await.fails(403, "M_FORBIDDEN");
    let room = create(&world, json!({"preset": "public_chat", "visibility": "public", "name": "Tea"})).await;
    let page = world.get(&path("publicRooms?limit=5")).await.ok();
    assert_eq!((&page["chunk"][0]["room_id"], &page["chunk"][0]["name"]), (&json!(room), &json!("Tea")));
    let search = async |term: &str, kind: Value| {
        let filter = json!({"filter": {"generic_search_term": term, "room_types": [kind]}, "limit": 5});
        world.call("POST", &path("publicRooms"), filter.to_string()).await.ok()["chunk"].as_array().unwrap().len()
    };
    assert_eq!(search("tea", Value::Null).await, 1);
    assert_eq!(search("tea", json!("m.space")).await, 0);
    assert_eq!(search("coffee", Value::Null).await, 0);
}

#[tokio::test]
async fn rooms_and_their_times() {
    let world = World::new().await;
    let room = world.room_with_bob().await;
    let said = world.alice.say(&room, "hello").await;
    let told = world.get(&path(&format!("hierarchy/{room}"))).await.ok();
    assert_eq!((&told["room"]["room_id"], &told["room"]["num_joined_members"]), (&json!(room), &json!(2)));
    assert_eq!((&told["children"], &told["inaccessible_children"]), (&json!([]), &json!([])));
    world.get(&path("hierarchy/!nosuch:hub.test?suggested_only=true")).await.fails(404, "M_NOT_FOUND");

    let at = |room: &str, rest: &str| path(&format!("timestamp_to_event/{room}?{rest}"));
    let found = world.get(&at(room.as_str(), "ts=9007199254740991&dir=b")).await.ok();
    assert_eq!(found["event_id"], said);
    assert!(found["origin_server_ts"].is_i64());
    world.get(&at(room.as_str(), "ts=9007199254740991&dir=f")).await.fails(404, "M_NOT_FOUND");
    world.get(&at(room.as_str(), "ts=1&dir=x")).await.fails(400, "M_INVALID_PARAM");
    world.get(&at(room.as_str(), "dir=f")).await.fails(400, "M_MISSING_PARAM");
    // One answer for who is not in a room and for a room that is not there.
    let from_other = Ask::get(&at(room.as_str(), "ts=1&dir=f")).signed_by(OTHER, HUB, &key(OTHER));
    let hidden = world.send(from_other).await;
    hidden.fails(404, "M_NOT_FOUND");
    assert_eq!(hidden.text, world.get(&at("!nosuch:hub.test", "ts=1&dir=f")).await.text);
}

#[tokio::test]
async fn an_openid_token_needs_no_signature() {
    let world = World::new().await;
    let (status, answer) = world.alice.post("user/@alice:hub.test/openid/request_token", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let token = answer["access_token"].as_str().unwrap();
    let told = world.send(Ask::get(&path(&format!("openid/userinfo?access_token={token}")))).await.ok();
    assert_eq!(told, json!({"sub": "@alice:hub.test"}));
    world.send(Ask::get(&path("openid/userinfo?access_token=x"))).await.fails(401, "M_UNKNOWN_TOKEN");
    world.send(Ask::get(&path("openid/userinfo"))).await.fails(401, "M_MISSING_TOKEN");
}
