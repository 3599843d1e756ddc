use axle_client_api::{ClientApiConfig, Rate, RateLimits, Registration};
use axle_protocol::RoomId;
use reqwest::Method;
use serde_json::json;

use super::{acting_as, bot, configured, ghost, make_users, whoami, with_services};
use crate::common::services::registration;
use crate::common::{next, server_with, two_in_a_room};

#[tokio::test]
async fn a_service_acts_as_its_users_and_as_nobody_else() {
    let server = with_services(vec![registration(None)]).await;
    server.person("alice").await;
    assert_eq!(whoami(&server, "").await, json!({"user_id": "@ircbot:example.org"}));
    let bob = "?user_id=@irc_bob:example.org";
    assert_eq!(whoami(&server, bob).await["errcode"], "M_FORBIDDEN", "not registered yet");
    ghost(&server, "irc_bob").await;
    assert_eq!(whoami(&server, bob).await["user_id"], "@irc_bob:example.org");
    for other in
        ["@alice:example.org", "@irc_bob:elsewhere.org", "@nobody:example.org", "irc_bob", "@irc_Bob:example.org"]
    {
        let answer = bot(&server).get(&format!("/_matrix/client/v3/account/whoami?user_id={other}")).await;
        answer.fails(403, "M_FORBIDDEN");
    }
    server.store.deactivate_user(&"@irc_bob:example.org".parse().unwrap(), false).await.unwrap();
    assert_eq!(whoami(&server, bob).await["errcode"], "M_USER_DEACTIVATED");
}

#[tokio::test]
async fn names_of_a_service_are_its_own() {
    let server = with_services(vec![registration(None)]).await;
    let alice = server.person("alice").await;
    for name in ["irc_bob", "ircbot"] {
        let body = json!({"username": name, "password": "correct horse", "auth": {"type": "m.login.dummy"}});
        let answer = server.anonymous(Method::POST, "/_matrix/client/v3/register", Some(&body)).await;
        answer.fails(400, "M_EXCLUSIVE");
        let available = format!("/_matrix/client/v3/register/available?username={name}");
        server.anonymous(Method::GET, &available, None).await.fails(400, "M_EXCLUSIVE");
    }
    let register = "/_matrix/client/v3/register";
    let as_service = |name: &str| json!({"type": "m.login.application_service", "username": name});
    bot(&server).post(register, as_service("bob")).await.fails(400, "M_EXCLUSIVE");
    bot(&server).post(register, as_service("irc_BOB")).await.fails(400, "M_INVALID_USERNAME");
    let mut quiet = as_service("irc_bob");
    quiet["inhibit_login"] = true.into();
    let made = bot(&server).post(register, quiet.clone()).await.ok();
    assert_eq!(made, json!({"user_id": "@irc_bob:example.org"}), "nobody is logged in, on no device");
    bot(&server).post(register, quiet).await.fails(400, "M_USER_IN_USE");

    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    let alias = "/_matrix/client/v3/directory/room/%23irc_tea:example.org";
    alice.put(alias, json!({"room_id": room})).await.fails(400, "M_EXCLUSIVE");
    let body = json!({"room_alias_name": "irc_tea"});
    alice.post("/_matrix/client/v3/createRoom", body.clone()).await.fails(400, "M_EXCLUSIVE");
    let made = bot(&server).post("/_matrix/client/v3/createRoom", body).await.ok();
    let found = alice.get(alias).await.ok();
    assert_eq!(found["room_id"], made["room_id"]);
    // The service does away with aliases of its own, whoever made them.
    let mallory = server.person("mallory").await;
    mallory.delete(alias, json!({})).await.fails(403, "M_FORBIDDEN");
    bot(&server)
        .delete(&acting_as("directory/room/%23irc_tea:example.org", "@irc_bob:example.org"), json!({}))
        .await
        .ok();
    alice.get(alias).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn what_its_aliases_stand_for_is_the_services_to_say() {
    let server = with_services(vec![registration(None)]).await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    let alias = |name: &str| format!("/_matrix/client/v3/directory/room/%23{name}:example.org");
    let body = json!({"room_id": room});
    // It need not be in the room, but there has to be one.
    bot(&server).put(&alias("irc_tea"), body.clone()).await.ok();
    assert_eq!(alice.get(&alias("irc_tea")).await.ok()["room_id"], room.as_str());
    bot(&server).put(&alias("irc_tea"), body.clone()).await.fails(409, "M_UNKNOWN");
    bot(&server).put(&alias("irc_x"), json!({"room_id": "!nosuch:example.org"})).await.fails(404, "M_NOT_FOUND");
    // Others' aliases are none of its business.
    bot(&server).put(&alias("tea"), body.clone()).await.fails(400, "M_EXCLUSIVE");
    let create = json!({"room_alias_name": "tea"});
    bot(&server).post("/_matrix/client/v3/createRoom", create).await.fails(400, "M_EXCLUSIVE");
    let mallory = server.person("mallory").await;
    mallory.put(&alias("irc_coffee"), body.clone()).await.fails(400, "M_EXCLUSIVE");
    mallory.put(&alias("coffee"), body).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_service_ends_accounts_of_its_users_without_passwords() {
    let server = with_services(vec![registration(None)]).await;
    let bob = ghost(&server, "irc_bob").await;
    // Whoever has no more than the user's own token is asked for what nobody can give.
    let asked = bob.post("/_matrix/client/v3/account/deactivate", json!({})).await;
    assert_eq!(asked.status, 401, "{}", asked.body);
    let deactivate = acting_as("account/deactivate", "@irc_bob:example.org");
    bot(&server).post(&deactivate, json!({})).await.ok();
    assert!(server.store.user(&"@irc_bob:example.org".parse().unwrap()).await.unwrap().unwrap().deactivated);
    server.person("alice").await;
    let others = acting_as("account/deactivate", "@alice:example.org");
    bot(&server).post(&others, json!({})).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_service_registers_where_nobody_else_may() {
    let services = vec![registration(None)];
    let config = ClientApiConfig { registration: Registration::Closed, ..configured(services.clone()) };
    let server = server_with(config).await;
    make_users(&server, services).await;
    ghost(&server, "irc_bob").await;
}

#[tokio::test]
async fn a_service_logs_its_users_in() {
    let server = with_services(vec![registration(None)]).await;
    let login = "/_matrix/client/v3/login";
    let flows = server.anonymous(Method::GET, login, None).await.ok();
    let offered = flows["flows"].as_array().unwrap();
    assert!(offered.contains(&json!({"type": "m.login.application_service"})), "{flows}");
    let body = |user: &str| json!({"type": "m.login.application_service", "identifier": {"type": "m.id.user", "user": user}, "device_id": "D"});
    bot(&server).post(login, body("irc_bob")).await.fails(403, "M_FORBIDDEN");
    ghost(&server, "irc_bob").await;
    let session = bot(&server).post(login, body("irc_bob")).await.ok();
    let bob = server.person_from(&session);
    assert_eq!(bob.get("/_matrix/client/v3/account/whoami").await.ok()["device_id"], "D");
    server.person("alice").await;
    bot(&server).post(login, body("alice")).await.fails(403, "M_EXCLUSIVE");

    // Logged in, the sender has the service's aliases still; a user of its has not.
    let session = bot(&server).post(login, body("ircbot")).await.ok();
    let itself = server.person_from(&session);
    let portal = |name: &str| json!({"room_alias_name": name});
    itself.post("/_matrix/client/v3/createRoom", portal("irc_tea")).await.ok();
    itself.post("/_matrix/client/v3/createRoom", portal("tea")).await.ok();
    bob.post("/_matrix/client/v3/createRoom", portal("irc_coffee")).await.fails(400, "M_EXCLUSIVE");
    let wrong = json!({"type": "m.login.password", "user": "irc_bob", "password": "correct horse"});
    server.anonymous(Method::POST, login, Some(&wrong)).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn devices_of_its_users_are_the_services_to_make() {
    let server = with_services(vec![registration(None)]).await;
    let (bot, user) = (bot(&server), "@ircbot:example.org");
    let device = acting_as("devices/BRIDGE", user);
    bot.get("/_matrix/client/v3/account/whoami?device_id=BRIDGE").await.fails(400, "M_UNKNOWN_DEVICE");
    bot.put(&device, json!({"display_name": "Bridge"})).await.ok();
    bot.put(&device, json!({"display_name": "The bridge"})).await.ok();
    assert_eq!(bot.get(&device).await.ok()["display_name"], "The bridge");
    for name in ["device_id", "org.matrix.msc3202.device_id"] {
        assert_eq!(whoami(&server, &format!("?{name}=BRIDGE")).await["device_id"], "BRIDGE");
    }
    let upload = |query: &str| format!("/_matrix/client/v3/keys/upload{query}");
    bot.post(&upload(""), json!({})).await.fails(400, "M_MISSING_PARAM");
    let keys = json!({"one_time_keys": {"curve25519:A": "key"}});
    let counts = bot.post(&upload("?device_id=BRIDGE"), keys).await.ok();
    assert_eq!(counts["one_time_key_counts"]["curve25519"], 1);
    bot.delete(&device, json!({})).await.ok();
    bot.get(&device).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_service_that_is_not_limited_may_do_as_much_as_it_likes() {
    let mut limited = registration(None);
    limited.rate_limited = true;
    (limited.id, limited.as_token) = ("slow".into(), "another-as-token".into());
    limited.sender = "@slowbot:example.org".parse().unwrap();
    limited.namespaces.users = vec![axle_client_api::Namespace::new("@slow_", true).unwrap()];
    let services = vec![registration(None), limited];
    let limits = RateLimits { changes: Some(Rate { per_second: 0.001, burst: 2 }), ..RateLimits::off() };
    let server = server_with(ClientApiConfig { limits, ..configured(services.clone()) }).await;
    make_users(&server, services).await;
    ghost(&server, "irc_bob").await;
    let mut slow = bot(&server);
    slow.token = "another-as-token".into();
    let body = json!({"type": "m.login.application_service", "username": "slow_one"});
    slow.post("/_matrix/client/v3/register", body).await.ok();
    let path =
        |user: &str| acting_as(&format!("profile/@{user}:example.org/displayname"), &format!("@{user}:example.org"));
    for n in 0..5 {
        let name = json!({"displayname": format!("{n}")});
        bot(&server).put(&path("irc_bob"), name.clone()).await.ok();
        slow.put(&path("slowbot"), name.clone()).await.ok();
        let answer = slow.put(&path("slow_one"), name).await;
        if n < 2 { _ = answer.ok() } else { answer.fails(429, "M_LIMIT_EXCEEDED") }
    }
}

#[tokio::test]
async fn only_a_service_says_when_an_event_was_sent() {
    let server = with_services(vec![registration(None)]).await;
    let (alice, _, room) = two_in_a_room(&server).await;
    let bob = ghost(&server, "irc_bob").await;
    bob.join(&room).await.ok();
    let send = |txn: &str| format!("rooms/{room}/send/m.room.message/{txn}?ts=1234567");
    let body = json!({"msgtype": "m.text", "body": "long ago"});
    let told = bot(&server).put(&acting_as(&send("1"), "@irc_bob:example.org"), body.clone()).await.ok();
    let state = acting_as(&format!("rooms/{room}/state/org.test?ts=7654321"), "@irc_bob:example.org");
    let levels = json!({"users": {"@alice:example.org": 100}, "state_default": 0});
    alice.set_state(&room, "m.room.power_levels", levels).await;
    let set = bot(&server).put(&state, json!({})).await.ok();
    let not = alice.put(&format!("/_matrix/client/v3/{}", send("1")), body).await.ok();
    let when = async |sent: &serde_json::Value| {
        let event = sent["event_id"].as_str().unwrap();
        let event = alice.get(&format!("/_matrix/client/v3/rooms/{room}/event/{event}")).await.ok();
        event["origin_server_ts"].as_i64().unwrap()
    };
    assert_eq!((when(&told).await, when(&set).await), (1_234_567, 7_654_321));
    assert!(when(&not).await > 1_600_000_000_000, "clients have no say in it");
}

#[tokio::test]
async fn a_service_syncs_as_its_user() {
    let server = with_services(vec![registration(None)]).await;
    let (alice, _, room) = two_in_a_room(&server).await;
    ghost(&server, "irc_bob").await;
    let bot = bot(&server);
    let join = acting_as(&format!("join/{room}"), "@irc_bob:example.org");
    bot.post(&join, json!({})).await.ok();
    let first = bot.get(&acting_as("sync", "@irc_bob:example.org")).await.ok();
    alice.say(&room, "hello").await;
    let path = acting_as(&format!("sync?timeout=30000&{}", next(&first)), "@irc_bob:example.org");
    let sync = bot.get(&path).await.ok();
    let room: RoomId = room;
    assert_eq!(sync["rooms"]["join"][room.as_str()]["timeline"]["events"][0]["content"]["body"], "hello");
}
