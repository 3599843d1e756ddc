//! What holds for every endpoint: authentication, CORS, unknown paths, garbage.

use reqwest::Method;
use serde_json::json;

use crate::common::{Person, TestServer, server};

/// Every endpoint that needs a token. `!room:example.org` is a room that the asker is not in.
fn endpoints(room: &str, event: &str) -> Vec<(Method, String)> {
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let young = format!("/_matrix/client/v1/rooms/{room}");
    let user = "/_matrix/client/v3/user/@alice:example.org/filter";
    let profile = "/_matrix/client/v3/profile/@alice:example.org";
    let data = "/_matrix/client/v3/user/@alice:example.org";
    let rule = "/_matrix/client/v3/pushrules/global/override/mine";
    let dehydrated = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
    let backup = |path: &str| format!("/_matrix/client/v3/room_keys/{path}");
    let groups = format!("/_matrix/client/unstable/im.axle.mls.v1/rooms/{room}");
    let delete = |path: String| (Method::DELETE, path);
    let get = |path: String| (Method::GET, path);
    let post = |path: String| (Method::POST, path);
    let put = |path: String| (Method::PUT, path);
    vec![
        get("/_matrix/client/v3/account/whoami".into()),
        get("/_matrix/client/v1/admin/lock/@alice:example.org".into()),
        put("/_matrix/client/v1/admin/lock/@alice:example.org".into()),
        get("/_matrix/client/v1/admin/suspend/@alice:example.org".into()),
        put("/_matrix/client/v1/admin/suspend/@alice:example.org".into()),
        get("/_matrix/client/v3/capabilities".into()),
        get("/_matrix/client/v3/devices".into()),
        get("/_matrix/client/v3/devices/X".into()),
        put("/_matrix/client/v3/devices/X".into()),
        delete("/_matrix/client/v3/devices/X".into()),
        post("/_matrix/client/v3/delete_devices".into()),
        post("/_matrix/client/v3/account/password".into()),
        post("/_matrix/client/v3/account/deactivate".into()),
        get("/_matrix/client/v3/account/3pid".into()),
        post("/_matrix/client/v3/account/3pid/add".into()),
        post("/_matrix/client/v3/account/3pid/bind".into()),
        post("/_matrix/client/v3/account/3pid/delete".into()),
        post("/_matrix/client/v3/account/3pid/unbind".into()),
        get("/_matrix/client/v3/thirdparty/protocols".into()),
        get("/_matrix/client/v3/thirdparty/protocol/irc".into()),
        get("/_matrix/client/v3/thirdparty/location/irc".into()),
        get("/_matrix/client/v3/thirdparty/location?alias=x".into()),
        get("/_matrix/client/v3/thirdparty/user/irc".into()),
        get("/_matrix/client/v3/thirdparty/user?userid=x".into()),
        post("/_matrix/client/v1/appservice/irc/ping".into()),
        put(format!("/_matrix/client/v3/directory/list/appservice/libera/{room}")),
        delete(format!("/_matrix/client/v3/directory/list/appservice/libera/{room}")),
        get("/_matrix/client/v3/voip/turnServer".into()),
        get("/_matrix/client/v3/pushers".into()),
        post("/_matrix/client/v3/pushers/set".into()),
        get("/_matrix/client/v3/notifications".into()),
        post("/_matrix/client/v3/search".into()),
        get("/_matrix/client/v3/pushrules/".into()),
        get("/_matrix/client/v3/pushrules/global/".into()),
        get("/_matrix/client/v3/pushrules/global/override/".into()),
        get(rule.into()),
        put(rule.into()),
        delete(rule.into()),
        get(format!("{rule}/enabled")),
        put(format!("{rule}/enabled")),
        get(format!("{rule}/actions")),
        put(format!("{rule}/actions")),
        get(format!("{data}/account_data/m.direct")),
        put(format!("{data}/account_data/m.direct")),
        get(format!("{data}/rooms/{room}/account_data/a")),
        put(format!("{data}/rooms/{room}/account_data/a")),
        get(format!("{data}/rooms/{room}/tags")),
        put(format!("{data}/rooms/{room}/tags/a")),
        delete(format!("{data}/rooms/{room}/tags/a")),
        get("/_matrix/client/v3/joined_rooms".into()),
        get("/_matrix/client/v3/sync".into()),
        get("/_matrix/client/v3/events".into()),
        get(format!("/_matrix/client/v3/events/{event}")),
        get("/_matrix/client/v3/initialSync".into()),
        post("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync".into()),
        get(format!("{user}/1")),
        post(format!("{data}/openid/request_token")),
        post(user.into()),
        put(format!("{profile}/displayname")),
        put(format!("{profile}/avatar_url")),
        post("/_matrix/client/v3/user_directory/search".into()),
        post("/_matrix/client/v1/login/get_token".into()),
        post("/_matrix/client/v3/createRoom".into()),
        post(format!("/_matrix/client/v3/join/{room}")),
        post(format!("/_matrix/client/v3/knock/{room}")),
        post(format!("{rooms}/join")),
        post(format!("{rooms}/leave")),
        post(format!("{rooms}/invite")),
        post(format!("{rooms}/kick")),
        post(format!("{rooms}/ban")),
        post(format!("{rooms}/unban")),
        put(format!("{rooms}/send/m.room.message/1")),
        post(format!("{rooms}/send/m.room.message")),
        put(format!("{rooms}/redact/{event}/1")),
        post(format!("{rooms}/redact/{event}")),
        put(format!("{rooms}/state/m.room.topic")),
        put(format!("{rooms}/state/m.room.topic/")),
        put(format!("{rooms}/state/m.room.topic/key")),
        get(format!("{rooms}/state/m.room.topic")),
        get(format!("{rooms}/state/m.room.topic/")),
        get(format!("{rooms}/state/m.room.topic/key")),
        get(format!("{rooms}/state")),
        get(format!("{rooms}/members")),
        get(format!("{rooms}/joined_members")),
        get(format!("{rooms}/messages?dir=b")),
        get(format!("{rooms}/initialSync")),
        get(format!("{rooms}/event/{event}")),
        post(format!("{rooms}/receipt/m.read/{event}")),
        post(format!("{rooms}/read_markers")),
        put(format!("{rooms}/typing/@alice:example.org")),
        put("/_matrix/client/v3/directory/room/%23tea:example.org".into()),
        delete("/_matrix/client/v3/directory/room/%23tea:example.org".into()),
        put(format!("/_matrix/client/v3/directory/list/room/{room}")),
        post("/_matrix/client/v3/publicRooms".into()),
        get(format!("{rooms}/aliases")),
        get(format!("/_matrix/client/unstable/org.matrix.msc2432/rooms/{room}/aliases")),
        get(format!("/_matrix/client/v1/rooms/{room}/hierarchy")),
        post(format!("{rooms}/forget")),
        post(format!("{rooms}/upgrade")),
        post(format!("{rooms}/report/{event}")),
        get(format!("{rooms}/context/{event}")),
        get(format!("{young}/relations/{event}")),
        get(format!("{young}/relations/{event}/m.thread")),
        get(format!("{young}/relations/{event}/m.thread/m.room.message")),
        get(format!("{young}/threads")),
        get(format!("{young}/timestamp_to_event?ts=0&dir=f")),
        get("/_matrix/client/v3/presence/@alice:example.org/status".into()),
        put("/_matrix/client/v3/presence/@alice:example.org/status".into()),
        post("/_matrix/client/v3/keys/upload".into()),
        post("/_matrix/client/v3/keys/query".into()),
        post("/_matrix/client/v3/keys/claim".into()),
        post("/_matrix/client/unstable/keys/device_signing/upload".into()),
        get("/_matrix/client/unstable/im.axle.keys.v1/list".into()),
        post("/_matrix/client/unstable/im.axle.keys.v1/withdraw".into()),
        get(format!("{groups}/group")),
        get(format!("{groups}/group?commit={event}")),
        post(format!("{groups}/binding")),
        post(format!("{groups}/pair")),
        post(format!("{groups}/proposals")),
        post(format!("{groups}/reports")),
        get("/_matrix/client/v3/keys/changes?from=s1_0&to=s1_1".into()),
        put("/_matrix/client/v3/sendToDevice/m.test/1".into()),
        get("/_matrix/client/unstable/org.matrix.msc4140/delayed_events".into()),
        get("/_matrix/client/unstable/org.matrix.msc4140/delayed_events/X".into()),
        put(dehydrated.into()),
        get(dehydrated.into()),
        delete(dehydrated.into()),
        post(format!("{dehydrated}/X/events")),
        post(backup("version")),
        get(backup("version")),
        get(backup("version/1")),
        put(backup("version/1")),
        delete(backup("version/1")),
        get(backup("keys?version=1")),
        put(backup("keys?version=1")),
        delete(backup("keys?version=1")),
        get(backup("keys/!r:example.org?version=1")),
        put(backup("keys/!r:example.org?version=1")),
        delete(backup("keys/!r:example.org?version=1")),
        get(backup("keys/!r:example.org/s?version=1")),
        put(backup("keys/!r:example.org/s?version=1")),
        delete(backup("keys/!r:example.org/s?version=1")),
        get("/_matrix/client/v1/media/config".into()),
        get("/_matrix/client/v1/media/download/example.org/x".into()),
        get("/_matrix/client/v1/media/download/example.org/x/name.png".into()),
        get("/_matrix/client/v1/media/thumbnail/example.org/x?width=9&height=9".into()),
        get("/_matrix/client/v1/media/preview_url?url=http://example.org".into()),
        get("/_matrix/media/v3/preview_url?url=http://example.org".into()),
        get("/_matrix/media/v3/config".into()),
        post("/_matrix/media/v3/upload".into()),
        post("/_matrix/media/v1/create".into()),
        put("/_matrix/media/v3/upload/example.org/x".into()),
        post("/_matrix/client/v3/logout".into()),
        post("/_matrix/client/v3/logout/all".into()),
    ]
}

async fn private_room(server: &TestServer) -> (Person, String, String) {
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"name": "Secret", "topic": "Secret"})).await;
    let event = alice.say(&room, "secret").await;
    (alice, room.to_string(), event)
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_is_told() {
    let server = server().await;
    let (alice, room, event) = private_room(&server).await;
    for (method, path) in endpoints(&room, &event) {
        // An unreadable body changes nothing: the token is looked at first.
        let missing = server.anonymous(method.clone(), &path, None).await;
        missing.fails(401, "M_MISSING_TOKEN");
        let mut stranger = alice.clone();
        stranger.token = "not-a-token".into();
        let wrong = stranger.request(method.clone(), &path, Some(&json!({}))).await;
        wrong.fails(401, "M_UNKNOWN_TOKEN");
        for answer in [missing, wrong] {
            assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
            assert!(!answer.body.to_string().contains("ecret"), "{path}");
        }
        // Knocking, uploads to an address and backups are younger than the old paths.
        if !["/knock/", "/upload/", "/room_keys/", "/unstable/"].iter().any(|young| path.contains(young)) {
            let old = path.replacen("/v3/", "/r0/", 1);
            server.anonymous(method, &old, None).await.fails(401, "M_MISSING_TOKEN");
        }
    }
    // These are younger than the old paths.
    let reports = [format!("rooms/{room}/report"), "users/@alice:example.org/report".into()];
    for path in ["keys/device_signing/upload".into(), "keys/signatures/upload".into()].into_iter().chain(reports) {
        let path = format!("/_matrix/client/v3/{path}");
        server.anonymous(Method::POST, &path, None).await.fails(401, "M_MISSING_TOKEN");
    }
    for method in [Method::PUT, Method::DELETE] {
        let path = "/_matrix/client/v3/profile/@alice:example.org/m.tz";
        server.anonymous(method, path, None).await.fails(401, "M_MISSING_TOKEN");
    }
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
}

#[tokio::test]
async fn who_is_not_in_a_room_cannot_tell_it_from_one_that_does_not_exist() {
    let server = server().await;
    let (_, room, event) = private_room(&server).await;
    let mallory = server.person("mallory").await;
    let nowhere = "!nowhere:example.org";
    for (method, path) in endpoints(&room, &event).into_iter().filter(|(_, path)| path.contains("/rooms/")) {
        // Whether one may join is what joining tells.
        if path.ends_with("/join") {
            continue;
        }
        let body = json!({"user_id": "@mallory:example.org"});
        let body = (method != Method::GET).then_some(&body);
        let here = mallory.request(method.clone(), &path, body).await;
        let there = mallory.request(method, &path.replace(&room, nowhere), body).await;
        assert!(here.status.is_client_error(), "{path}: {}", here.body);
        assert_eq!((here.status, &here.body), (there.status, &there.body), "{path}");
        assert!(!here.body.to_string().contains("ecret"), "{path}");
    }
    let rooms = mallory.get("/_matrix/client/v3/joined_rooms").await.ok();
    assert_eq!(rooms, json!({"joined_rooms": []}));
    let sync = mallory.sync("").await;
    assert!(!sync.to_string().contains("ecret"));
}

#[tokio::test]
async fn every_path_has_cors() {
    let server = server().await;
    let mut paths: Vec<String> = endpoints("!r:example.org", "$e").into_iter().map(|(_, path)| path).collect();
    paths.extend(["/_matrix/client/versions", "/_matrix/client/v3/login", "/_matrix/client/nosuch"].map(String::from));
    for path in paths {
        let answer = server.anonymous(Method::OPTIONS, &path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        for (header, expected) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET,POST,PUT,DELETE,OPTIONS"),
            ("access-control-allow-headers", "x-requested-with,content-type,authorization"),
        ] {
            assert_eq!(answer.headers[header].to_str().unwrap().replace(", ", ","), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_recognised() {
    let server = server().await;
    for path in [
        "/_matrix/client/",
        "/_matrix/client/v3/nosuch",
        "/_matrix/client/v3/rooms/!r:x/nosuch",
        "/_matrix/client/v3/sync/x",
        "/_matrix/media/",
        "/_matrix/media/v3/nosuch",
    ] {
        let answer = server.anonymous(Method::GET, path, None).await;
        answer.fails(404, "M_UNRECOGNIZED");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
    for (method, path) in [
        (Method::DELETE, "/_matrix/client/v3/sync"),
        (Method::GET, "/_matrix/media/v3/upload"),
        (Method::POST, "/_matrix/media/v3/download/example.org/x"),
        (Method::GET, "/_matrix/client/v3/createRoom"),
        (Method::PATCH, "/_matrix/client/v3/rooms/!r:example.org/state/a/b"),
    ] {
        let answer = server.anonymous(method, path, None).await;
        answer.fails(405, "M_UNRECOGNIZED");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
}

#[tokio::test]
async fn garbage_is_refused_and_breaks_nothing() {
    let server = server().await;
    let (alice, room, event) = private_room(&server).await;
    let bodies: [&[u8]; 8] = [
        b"{",
        b"[]",
        b"7",
        b"null",
        b"\"text\"",
        b"\xff\xfe",
        b"{\"user_id\": 7, \"name\": [], \"filter\": 1}",
        b"{}{}",
    ];
    let open = ["register", "login", "refresh"].map(|path| (Method::POST, format!("/_matrix/client/v3/{path}")));
    let logouts = |path: &str| path.contains("/logout");
    let all = endpoints(&room, &event).into_iter().chain(open).filter(|(_, path)| !logouts(path));
    for (method, path) in all.filter(|(method, _)| method != Method::GET) {
        for body in bodies {
            let request = alice.http.request(method.clone(), format!("{}{path}", alice.base));
            let answer = request.bearer_auth(&alice.token).body(body.to_vec()).send().await.unwrap();
            assert!(!answer.status().is_server_error(), "{path} {:?}", String::from_utf8_lossy(body));
        }
    }
    for path in [
        "/_matrix/client/v3/sync?since=x",
        "/_matrix/client/v3/sync?since=t1_1",
        "/_matrix/client/v3/sync?filter={",
        "/_matrix/client/v3/sync?filter=nosuch",
        "/_matrix/client/v3/sync?timeout=-1",
        "/_matrix/client/v3/sync?full_state=maybe",
        "/_matrix/client/v3/rooms/%ff/state",
        "/_matrix/client/v3/rooms/notaroom/state",
        "/_matrix/client/v3/rooms/!a:b!/messages?dir=b",
        "/_matrix/client/v3/rooms/!r0:example.org/messages?dir=x",
        "/_matrix/client/v3/profile/nobody",
        "/_matrix/client/v3/directory/room/tea",
        "/_matrix/client/v3/directory/room/%23",
        "/_matrix/client/v3/directory/list/room/notaroom",
        "/_matrix/client/v3/publicRooms?limit=-1",
        "/_matrix/client/v3/publicRooms?since=x",
        "/_matrix/client/v3/publicRooms?server=%20",
        "/_matrix/client/v1/room_summary/notaroom",
        "/_matrix/client/v1/rooms/!r0:example.org/hierarchy?max_depth=-1",
        "/_matrix/client/v1/media/download/example.org/%ff",
        "/_matrix/client/v1/media/download/example.org/%00",
        "/_matrix/client/v1/media/download/example.org/x?timeout_ms=-1",
        "/_matrix/media/v3/download/%20/..%2f..%2faxle.db",
        "/_matrix/client/v1/media/download/%20/x",
        "/_matrix/client/v1/media/download/other.org/%00",
        "/_matrix/client/v1/media/thumbnail/example.org/%ff?width=1&height=1",
        "/_matrix/client/v1/media/thumbnail/example.org/x?width=1&height=99999999999999999999",
        "/_matrix/media/v3/thumbnail/%20/..%2f..%2faxle.db?width=1&height=1",
        "/_matrix/client/v3/rooms/!r0:example.org/state/%00/%00",
        "/_matrix/client/v3/notifications?from=x",
        "/_matrix/client/v3/notifications?limit=-1",
    ] {
        let answer = alice.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {} {}", answer.status, answer.body);
        assert!(answer.body["errcode"].is_string(), "{path}");
    }
    let big = format!("{{\"body\":\"{}\"}}", "x".repeat(2 << 20));
    let path = format!("{}/_matrix/client/v3/rooms/{room}/send/m.room.message/big", alice.base);
    let answer = alice.http.put(path).bearer_auth(&alice.token).body(big).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    let path = format!("{}/_matrix/client/v3/rooms/{room}/send/m.room.message/deep", alice.base);
    let answer = alice.http.put(path).bearer_auth(&alice.token).body(deep).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    alice.get("/_matrix/client/v3/account/whoami").await.ok();
}

#[tokio::test]
async fn a_token_in_the_query_is_accepted_from_old_clients() {
    let server = server().await;
    let alice = server.person("alice").await;
    let path = format!("/_matrix/client/r0/account/whoami?access_token={}", alice.token);
    server.anonymous(Method::GET, &path, None).await.ok();
}
