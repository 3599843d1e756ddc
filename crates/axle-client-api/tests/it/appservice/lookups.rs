use axle_client_api::Namespace;
use reqwest::Method;
use serde_json::json;

use super::{bot, ghost, with_services};
use crate::common::services::{Got, HS_TOKEN, TestService, registration};

/// Does something asynchronous while a service answers.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_makes_rooms_when_they_are_asked_for() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let (alice, bot) = (server.person("alice").await, bot(&server));
    let join = |name: &str| format!("/_matrix/client/v3/join/%23{name}:example.org");
    service.answers(|_| Some((404, json!({"errcode": "M_NOT_FOUND"}))));
    alice.post(&join("irc_tea"), json!({})).await.fails(404, "M_NOT_FOUND");
    let room = bot.create_room(json!({"preset": "public_chat"})).await;
    let (store, made, creator) = (server.store.clone(), room.clone(), bot.user_id.clone());
    service.answers(move |got: &Got| {
        assert_eq!(got.what, "GET /_matrix/app/v1/rooms/%23irc_tea:example.org");
        assert_eq!(got.token, HS_TOKEN);
        now(store.put_alias("#irc_tea:example.org", &made, &creator)).unwrap();
        None
    });
    assert_eq!(alice.post(&join("irc_tea"), json!({})).await.ok()["room_id"], json!(room));
    let asked = service.got().len();
    alice.post(&join("irc_tea"), json!({})).await.ok();
    alice.post(&join("coffee"), json!({})).await.fails(404, "M_NOT_FOUND");
    assert_eq!(service.got().len(), asked, "what is known, and what is none of the service's, is not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_makes_what_other_servers_ask_for() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let (queries, maker) = (server.api.queries(), bot(&server));
    service.answers(|_| Some((404, json!({}))));
    assert_eq!(queries.alias("#irc_tea:example.org").await.unwrap_err().status, 404);
    assert!(!queries.has_user(&"@irc_bob:example.org".parse().unwrap()).await.unwrap());
    let room = maker.create_room(json!({"preset": "public_chat"})).await;
    let (store, made, creator) = (server.store.clone(), room.clone(), maker.user_id.clone());
    service.answers(move |got: &Got| {
        if got.what == "GET /_matrix/app/v1/rooms/%23irc_tea:example.org" {
            now(store.put_alias("#irc_tea:example.org", &made, &creator)).unwrap();
        } else {
            assert_eq!(got.what, "GET /_matrix/app/v1/users/@irc_bob:example.org");
            let body = json!({"type": "m.login.application_service", "username": "irc_bob", "inhibit_login": true});
            now(maker.post("/_matrix/client/v3/register", body)).ok();
        }
        None
    });
    let resolved = queries.alias("#irc_tea:example.org").await.unwrap();
    assert_eq!((resolved.room_id, resolved.servers), (room, vec![crate::common::SERVER.parse().unwrap()]));
    assert!(queries.has_user(&"@irc_bob:example.org".parse().unwrap()).await.unwrap());
    let asked = service.got().len();
    for not_its in ["#tea:example.org", "#irc_tea:other.org", "#irc_tea", "irc_tea:example.org"] {
        assert_eq!(queries.alias(not_its).await.unwrap_err().status, 404, "{not_its}");
    }
    assert!(!queries.has_user(&"@nobody:example.org".parse().unwrap()).await.unwrap());
    assert_eq!(service.got().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_makes_users_when_they_are_asked_for() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    let alice = server.person("alice").await;
    service.answers(|_| Some((404, json!({}))));
    let profile = |name: &str| format!("/_matrix/client/v3/profile/@{name}:example.org");
    server.anonymous(Method::GET, &profile("irc_bob"), None).await.fails(404, "M_NOT_FOUND");
    let maker = bot(&server);
    service.answers(move |got: &Got| {
        let name = got.what.strip_prefix("GET /_matrix/app/v1/users/@").unwrap().strip_suffix(":example.org").unwrap();
        let body = json!({"type": "m.login.application_service", "username": name, "inhibit_login": true});
        now(maker.post("/_matrix/client/v3/register", body)).ok();
        None
    });
    server.anonymous(Method::GET, &profile("irc_bob"), None).await.ok();
    let room = alice.create_room(json!({})).await;
    alice.moderate("invite", &room, &"@irc_carol:example.org".parse().unwrap()).await.ok();
    alice.moderate("invite", &room, &"@nobody:example.org".parse().unwrap()).await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn other_networks_are_looked_up_with_all_services() {
    let (one, two) = (TestService::start().await, TestService::start().await);
    let mut second = registration(Some(two.url.clone()));
    (second.id, second.as_token) = ("irc-two".into(), "another-as-token".into());
    second.sender = "@otherbot:example.org".parse().unwrap();
    second.namespaces.users = vec![Namespace::new("@other_", true).unwrap()];
    second.protocols = vec!["irc".into(), "xmpp".into()];
    let server = with_services(vec![registration(Some(one.url.clone())), second]).await;
    let alice = server.person("alice").await;
    let answer = |network: &'static str| {
        move |got: &Got| match got.what.as_str() {
            "GET /_matrix/app/v1/thirdparty/protocol/irc" => {
                let instance = json!({"desc": network, "network_id": network, "fields": {}});
                let rest = json!({"user_fields": [], "location_fields": [], "field_types": {}, "icon": "mxc://a/b"});
                let mut said = rest.as_object().unwrap().clone();
                said.insert("instances".into(), json!([instance]));
                Some((200, said.into()))
            }
            "GET /_matrix/app/v1/thirdparty/user/irc" => {
                let fields = json!({"asked": got.query});
                Some((200, json!([{"userid": "@irc_bob:example.org", "protocol": network, "fields": fields}])))
            }
            "GET /_matrix/app/v1/thirdparty/location" => {
                let fields = json!({"asked": got.query});
                Some((200, json!([{"alias": "#irc_tea:example.org", "protocol": network, "fields": fields}])))
            }
            _ => Some((404, json!({}))),
        }
    };
    one.answers(answer("libera"));
    two.answers(answer("oftc"));
    let get = async |path: &str| alice.get(&format!("/_matrix/client/v3/thirdparty/{path}")).await;
    let protocols = get("protocols").await.ok();
    assert_eq!(protocols.as_object().unwrap().keys().collect::<Vec<_>>(), ["irc"], "nobody answers for xmpp");
    let names = protocols["irc"]["instances"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|it| it["instance_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["irc|libera", "irc-two|oftc"]);
    assert_eq!(get("protocol/irc").await.ok(), protocols["irc"]);
    get("protocol/nosuch").await.fails(404, "M_NOT_FOUND");
    let asked = one.got().len();
    get("protocols").await.ok();
    assert_eq!(one.got().len(), asked, "clients ask all the time");

    let users = get(&format!("user/irc?nick=bob&access_token={}", alice.token)).await.ok();
    let found =
        |network: &str| json!({"userid": "@irc_bob:example.org", "protocol": network, "fields": {"asked": "nick=bob"}});
    assert_eq!(users, json!([found("libera"), found("oftc")]));
    let locations = get("location?alias=%23irc_tea:example.org").await.ok();
    assert_eq!(locations[1]["fields"]["asked"], "alias=%23irc_tea%3Aexample.org");
    assert_eq!(get("location/irc").await.ok(), json!([]));
    get("location").await.fails(400, "M_MISSING_PARAM");
    get("user").await.fails(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn rooms_of_a_network_are_listed_by_its_service() {
    let server = with_services(vec![registration(None)]).await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Tea"})).await;
    let list = format!("/_matrix/client/v3/directory/list/appservice/libera/{room}");
    let rooms = async |instance: &str| {
        let body = json!({"third_party_instance_id": instance});
        let page = alice.post("/_matrix/client/v3/publicRooms", body).await.ok();
        page["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    bot(&server).put(&list, json!({"visibility": "public"})).await.ok();
    assert_eq!(rooms("irc|libera").await, ["Tea"]);
    assert!(rooms("irc|oftc").await.is_empty() && rooms("libera").await.is_empty());
    assert_eq!(alice.get("/_matrix/client/v3/publicRooms").await.ok()["chunk"], json!([]), "that is another list");
    bot(&server).put(&list, json!({"visibility": "private"})).await.ok();
    assert!(rooms("irc|libera").await.is_empty());
    bot(&server).put(&list, json!({"visibility": "maybe"})).await.fails(400, "M_BAD_JSON");

    // The main list and a network's do not know of each other; who wants all of them gets each room once.
    bot(&server).put(&list, json!({"visibility": "public"})).await.ok();
    let everywhere = async || {
        let page = alice.post("/_matrix/client/v3/publicRooms", json!({"include_all_networks": true})).await.ok();
        page["chunk"].as_array().unwrap().len()
    };
    assert_eq!(everywhere().await, 1);
    let second = alice.create_room(json!({"preset": "public_chat", "name": "Coffee", "visibility": "public"})).await;
    let (mut seen, mut body) = (Vec::new(), json!({"include_all_networks": true, "limit": 1}));
    loop {
        let page = alice.post("/_matrix/client/v3/publicRooms", body.clone()).await.ok();
        seen.extend(page["chunk"].as_array().unwrap().iter().map(|room| room["name"].clone()));
        match page.get("next_batch") {
            Some(next) => body["since"] = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["Coffee", "Tea"], "the server's own first, page by page");
    let bad = json!({"include_all_networks": true, "since": "n1_x"});
    alice.post("/_matrix/client/v3/publicRooms", bad).await.fails(400, "M_INVALID_PARAM");
    alice.put(&format!("/_matrix/client/v3/directory/list/room/{second}"), json!({"visibility": "private"})).await.ok();
    let main = format!("/_matrix/client/v3/directory/list/room/{room}");
    alice.put(&main, json!({"visibility": "public"})).await.ok();
    assert_eq!(everywhere().await, 1);
    alice.delete(&list, json!({})).await.fails(403, "M_FORBIDDEN");
    assert_eq!(rooms("irc|libera").await, ["Tea"]);
    for _ in 0..2 {
        assert_eq!(bot(&server).delete(&list, json!({})).await.ok(), json!({}));
        assert!(rooms("irc|libera").await.is_empty());
    }
    assert_eq!(everywhere().await, 1);
}

#[tokio::test]
async fn a_service_asks_whether_it_can_be_reached() {
    let service = TestService::start().await;
    let server = with_services(vec![registration(Some(service.url.clone()))]).await;
    ghost(&server, "irc_bob").await;
    let ping = "/_matrix/client/v1/appservice/irc/ping";
    let pong = bot(&server).post(ping, json!({"transaction_id": "t"})).await.ok();
    assert!(pong["duration_ms"].is_u64());
    let got = service.got().pop().unwrap();
    assert_eq!((got.what.as_str(), got.body), ("POST /_matrix/app/v1/ping", json!({"transaction_id": "t"})));
    bot(&server).post("/_matrix/client/v1/appservice/other/ping", json!({})).await.fails(403, "M_FORBIDDEN");
    service.answers(|_| Some((418, json!("teapot"))));
    let bad = bot(&server).post(ping, json!({})).await;
    bad.fails(502, "M_BAD_STATUS");
    assert_eq!((&bad.body["status"], &bad.body["body"]), (&json!(418), &json!("\"teapot\"")));
    drop(service);

    let nowhere = with_services(vec![registration(Some("http://127.0.0.1:1".into()))]).await;
    bot(&nowhere).post(ping, json!({})).await.fails(502, "M_CONNECTION_FAILED");
    let without = with_services(vec![registration(None)]).await;
    bot(&without).post(ping, json!({})).await.fails(400, "M_URL_NOT_SET");
}
