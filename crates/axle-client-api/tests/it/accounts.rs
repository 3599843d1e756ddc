//! Registering, logging in and out, profiles.

use std::net::IpAddr;

use axle_client_api::{ClientApiConfig, Contact, Rate, RateLimits, Registration, Support, create_user};
use axle_protocol::ServerName;
use axle_store::RegistrationToken;
use reqwest::Method;
use ruma::api::client::{account, discovery, profile, session};
use serde_json::{Value, json};

use crate::common::{Answer, SERVER, TestServer, as_ruma, config, server, server_with};

const REGISTER: &str = "/_matrix/client/v3/register";
const LOGIN: &str = "/_matrix/client/v3/login";

async fn register(server: &TestServer, body: Value) -> Answer {
    server.anonymous(Method::POST, REGISTER, Some(&body)).await
}

async fn login(server: &TestServer, user: &str, password: &str) -> Answer {
    let body = json!({
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password
    });
    server.anonymous(Method::POST, LOGIN, Some(&body)).await
}

#[tokio::test]
async fn open_registration_goes_through_one_stage() {
    let server = server().await;
    let first = register(&server, json!({})).await;
    assert_eq!(first.status, 401);
    assert_eq!(first.body["flows"], json!([{"stages": ["m.login.dummy"]}]));
    assert_eq!(first.body["params"], json!({}));
    let session = first.body["session"].as_str().unwrap();
    // Some clients ask first how far they are.
    let asking = json!({"username": "alice", "password": "correct horse", "auth": {"session": session}});
    let asked = register(&server, asking).await;
    assert_eq!(asked.status, 401);
    assert_eq!(asked.body["flows"], first.body["flows"]);
    assert_eq!(asked.body.get("errcode"), None);
    // Or send what authenticates nobody.
    for auth in [json!({}), json!({"initial_device_display_name": "nio"})] {
        let asked = register(&server, json!({"username": "alice", "password": "correct horse", "auth": auth})).await;
        assert_eq!((asked.status, &asked.body["flows"]), (401.try_into().unwrap(), &first.body["flows"]));
    }
    let auth = json!({"type": "m.login.dummy", "session": session});
    let body = json!({"username": "alice", "password": "correct horse", "auth": auth, "device_id": "PHONE"});
    let answer = register(&server, body.clone()).await.ok();
    assert_eq!(answer["user_id"], "@alice:example.org");
    assert_eq!(answer["device_id"], "PHONE");
    as_ruma::<account::register::v3::Response>(&answer);
    let alice = server.person_from(&answer);
    let me = alice.get("/_matrix/client/v3/account/whoami").await.ok();
    assert_eq!(me, json!({"user_id": "@alice:example.org", "device_id": "PHONE"}));
    let other = json!({"username": "alice", "password": "correct horse", "auth": {"type": "m.login.dummy"}});
    register(&server, other).await.fails(400, "M_USER_IN_USE");
    // Who has lost the answer asks again, in the same session and with the same password.
    let again = register(&server, body.clone()).await.ok();
    assert_eq!((&again["user_id"], &again["device_id"]), (&answer["user_id"], &json!("PHONE")));
    let mut guess = body;
    guess["password"] = json!("wrong horse");
    register(&server, guess).await.fails(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn a_session_of_registration_remembers_what_was_wanted() {
    let server = server().await;
    let wanted = json!({
        "username": "alice", "password": "correct horse", "device_id": "PHONE",
        "initial_device_display_name": "My phone", "inhibit_login": true
    });
    let session = register(&server, wanted).await.body["session"].clone();
    let auth = json!({"type": "m.login.dummy", "session": session});
    let answer = register(&server, json!({"auth": auth})).await.ok();
    assert_eq!(answer["user_id"], "@alice:example.org");
    assert!(answer.get("access_token").is_none_or(Value::is_null), "{answer}");
    login(&server, "alice", "correct horse").await.ok();
    // Nobody's session remembers anything for another.
    let unknown = json!({"auth": {"type": "m.login.dummy", "session": "another"}});
    register(&server, unknown).await.fails(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn a_name_that_was_made_up_is_kept_for_the_session() {
    let server = server().await;
    let password = json!({"password": "correct horse"});
    let session = register(&server, password).await.body["session"].clone();
    let body = json!({"password": "correct horse", "auth": {"type": "m.login.dummy", "session": session}});
    let first = register(&server, body.clone()).await.ok();
    assert_eq!(register(&server, body).await.ok()["user_id"], first["user_id"]);
}

#[tokio::test]
async fn a_name_is_made_up_and_a_login_can_be_left_out() {
    let server = server().await;
    let auth = json!({"type": "m.login.dummy"});
    let body = json!({"password": "correct horse", "auth": auth, "inhibit_login": true});
    let answer = register(&server, body).await.ok();
    assert!(answer.get("access_token").is_none_or(Value::is_null), "{answer}");
    login(&server, answer["user_id"].as_str().unwrap(), "correct horse").await.ok();
}

#[tokio::test]
async fn bad_names_and_passwords_are_refused() {
    let server = server().await;
    let auth = json!({"type": "m.login.dummy"});
    for name in ["Älice", "al ice", "", "a:b", &"x".repeat(250)] {
        let body = json!({"username": name, "password": "correct horse", "auth": auth});
        register(&server, body).await.fails(400, "M_INVALID_USERNAME");
    }
    let short = json!({"username": "bob", "password": "short", "auth": auth});
    register(&server, short).await.fails(400, "M_WEAK_PASSWORD");
    let none = json!({"username": "bob", "auth": auth});
    register(&server, none).await.fails(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn capitals_in_names_do_not_count() {
    let server = server().await;
    let auth = json!({"type": "m.login.dummy"});
    let body = json!({"username": "Alice-Upper", "password": "correct horse", "auth": auth});
    assert_eq!(register(&server, body).await.ok()["user_id"], "@alice-upper:example.org");
    let again = json!({"username": "alice-UPPER", "password": "correct horse", "auth": auth});
    register(&server, again).await.fails(400, "M_USER_IN_USE");
    for name in ["ALICE-upper", "@Alice-Upper:example.org"] {
        let session = server.person_from(&login(&server, name, "correct horse").await.ok());
        let me = session.get("/_matrix/client/v3/account/whoami").await.ok();
        assert_eq!(me["user_id"], "@alice-upper:example.org");
    }
    for name in ["@Alice-Upper:EXAMPLE.org", "@Alice-Upper", "@Alice:Upper:example.org"] {
        login(&server, name, "correct horse").await.fails(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn what_is_not_utf8_is_not_json() {
    let server = server().await;
    let url = format!("{}{REGISTER}", server.base);
    let answer = server.http.post(url).body(b"{\"nobody reads this\": \"a\x81\"}".to_vec()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let error: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(error["errcode"], "M_NOT_JSON");
}

#[tokio::test]
async fn closed_means_closed() {
    let mut config = config();
    config.registration = Registration::Closed;
    let server = server_with(config).await;
    let body = json!({"username": "eve", "password": "correct horse", "auth": {"type": "m.login.dummy"}});
    register(&server, body).await.fails(403, "M_FORBIDDEN");
    let available = "/_matrix/client/v3/register/available?username=eve";
    server.anonymous(Method::GET, available, None).await.fails(403, "M_FORBIDDEN");
    let name = ServerName::parse(SERVER).unwrap();
    create_user(&*server.store, &name, "eve", Some("correct horse"), false).await.unwrap();
    login(&server, "eve", "correct horse").await.ok();
}

#[tokio::test]
async fn a_registration_token_is_used_up() {
    let mut config = config();
    config.registration = Registration::Token;
    let server = server_with(config).await;
    let token = RegistrationToken { token: "welcome".into(), uses_left: Some(1), completed: 0, expires_ts: None };
    server.store.put_registration_token(token).await.unwrap();
    let body = |name: &str, token: &str| {
        json!({
            "username": name,
            "password": "correct horse",
            "auth": {"type": "m.login.registration_token", "token": token}
        })
    };
    let challenge = register(&server, json!({"username": "alice"})).await;
    assert_eq!(challenge.body["flows"], json!([{"stages": ["m.login.registration_token"]}]));
    for wrong in [body("alice", "guess"), json!({"username": "alice", "auth": {"type": "m.login.dummy"}})] {
        let answer = register(&server, wrong).await;
        answer.fails(401, "M_FORBIDDEN");
        assert!(answer.body["flows"].is_array());
    }
    let validity =
        |token: &str| format!("/_matrix/client/v1/register/m.login.registration_token/validity?token={token}");
    let ask = async |token: &str| server.anonymous(Method::GET, &validity(token), None).await.ok();
    assert_eq!((ask("welcome").await, ask("guess").await), (json!({"valid": true}), json!({"valid": false})));
    register(&server, body("alice", "welcome")).await.ok();
    assert_eq!(ask("welcome").await, json!({"valid": false}), "used up");
    register(&server, body("bob", "welcome")).await.fails(401, "M_FORBIDDEN");
}

#[tokio::test]
async fn where_nobody_needs_a_registration_token_none_is_judged() {
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity?token=welcome";
    server().await.anonymous(Method::GET, path, None).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn accounts_have_no_addresses() {
    let server = server().await;
    let alice = server.person("alice").await;
    let email = json!({"client_secret": "secret", "email": "a@example.org", "send_attempt": 1});
    let msisdn = json!({"client_secret": "secret", "country": "GB", "phone_number": "1", "send_attempt": 1});
    for occasion in ["account/3pid", "account/password", "register"] {
        for (medium, body) in [("email", &email), ("msisdn", &msisdn)] {
            let path = format!("/_matrix/client/v3/{occasion}/{medium}/requestToken");
            server.anonymous(Method::POST, &path, Some(body)).await.fails(403, "M_THREEPID_DENIED");
        }
    }
    let add = json!({"client_secret": "secret", "sid": "1"});
    alice.post("/_matrix/client/v3/account/3pid/add", add).await.fails(403, "M_THREEPID_DENIED");
    let bind = json!({"client_secret": "secret", "sid": "1", "id_server": "id.example.org", "id_access_token": "x"});
    alice.post("/_matrix/client/v3/account/3pid/bind", bind).await.fails(403, "M_THREEPID_DENIED");
    let address = json!({"medium": "email", "address": "a@example.org"});
    for path in ["delete", "unbind"] {
        let gone = alice.post(&format!("/_matrix/client/v3/account/3pid/{path}"), address.clone()).await.ok();
        assert_eq!(gone, json!({"id_server_unbind_result": "no-support"}));
    }
}

#[tokio::test]
async fn free_names_can_be_asked_for() {
    let server = server().await;
    server.person("alice").await;
    let ask = |name: &str| format!("/_matrix/client/v3/register/available?username={name}");
    let free = server.anonymous(Method::GET, &ask("bob"), None).await.ok();
    assert_eq!(free, json!({"available": true}));
    server.anonymous(Method::GET, &ask("alice"), None).await.fails(400, "M_USER_IN_USE");
    server.anonymous(Method::GET, &ask("b,b"), None).await.fails(400, "M_INVALID_USERNAME");
    server.anonymous(Method::GET, &ask("Alice"), None).await.fails(400, "M_USER_IN_USE");
    let path = "/_matrix/client/v3/register/available";
    server.anonymous(Method::GET, path, None).await.fails(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn people_log_in_by_name_or_id_on_old_and_new_paths() {
    let server = server().await;
    let registered = server.person("alice").await;
    let flows = server.anonymous(Method::GET, LOGIN, None).await.ok();
    assert_eq!(
        flows,
        json!({"flows": [{"type": "m.login.password"}, {"type": "m.login.token", "get_login_token": true}]})
    );
    as_ruma::<session::get_login_types::v3::Response>(&flows);
    for user in ["alice", "@alice:example.org"] {
        let answer = login(&server, user, "correct horse").await.ok();
        as_ruma::<session::login::v3::Response>(&answer);
        assert_ne!(answer["access_token"], json!(registered.token));
    }
    let old = json!({"type": "m.login.password", "user": "alice", "password": "correct horse"});
    let answer = server.anonymous(Method::POST, "/_matrix/client/r0/login", Some(&old)).await.ok();
    server.person_from(&answer).get("/_matrix/client/r0/account/whoami").await.ok();
    for (user, password) in
        [("alice", "wrong horse"), ("nobody", "correct horse"), ("@alice:other.org", "correct horse"), ("A!", "x")]
    {
        login(&server, user, password).await.fails(403, "M_FORBIDDEN");
    }
    for (body, code) in [
        (json!({}), "M_BAD_JSON"),
        (json!({"type": 7}), "M_BAD_JSON"),
        (json!({"type": "m.login.sso"}), "M_UNKNOWN"),
        (json!({"type": "m.login.password", "password": "x"}), "M_MISSING_PARAM"),
        (json!({"type": "m.login.password", "user": "alice"}), "M_MISSING_PARAM"),
        (json!({"type": "m.login.password", "identifier": {"type": "m.id.phone"}, "password": "x"}), "M_UNKNOWN"),
    ] {
        server.anonymous(Method::POST, LOGIN, Some(&body)).await.fails(400, code);
    }
}

#[tokio::test]
async fn a_device_that_logs_in_again_keeps_its_id_and_name_and_loses_its_token() {
    let server = server().await;
    let alice = server.person("alice").await;
    let body = json!({
        "type": "m.login.password", "user": "alice", "password": "correct horse",
        "device_id": alice.device_id, "initial_device_display_name": "another name"
    });
    let again = server.person_from(&server.anonymous(Method::POST, LOGIN, Some(&body)).await.ok());
    assert_eq!(again.device_id, alice.device_id);
    alice.get("/_matrix/client/v3/account/whoami").await.fails(401, "M_UNKNOWN_TOKEN");
    let devices = again.get("/_matrix/client/v3/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
    assert_eq!(devices["devices"][0]["display_name"], "test");
    let one = again.get(&format!("/_matrix/client/v3/devices/{}", alice.device_id)).await.ok();
    assert_eq!(one["device_id"], devices["devices"][0]["device_id"]);
    assert_eq!(one["display_name"], "test");
    again.get("/_matrix/client/v3/devices/NOSUCH").await.fails(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn logging_out_ends_one_session_or_all() {
    let server = server().await;
    let phone = server.person("alice").await;
    let desk = server.person_from(&login(&server, "alice", "correct horse").await.ok());
    let whoami = "/_matrix/client/v3/account/whoami";
    phone.request(Method::POST, "/_matrix/client/v3/logout", None).await.ok();
    phone.get(whoami).await.fails(401, "M_UNKNOWN_TOKEN");
    desk.get(whoami).await.ok();
    let third = server.person_from(&login(&server, "alice", "correct horse").await.ok());
    desk.post("/_matrix/client/v3/logout/all", json!({})).await.ok();
    for gone in [desk, third] {
        gone.get(whoami).await.fails(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn guessing_passwords_is_throttled_by_account_and_address() {
    let mut config = config();
    config.limits = RateLimits { login_account: Some(Rate { per_second: 0.001, burst: 3 }), ..RateLimits::off() };
    let mut server = server_with(config).await;
    server.person("alice").await;
    server.person("bob").await;
    // What is right does not count.
    for _ in 0..5 {
        login(&server, "alice", "correct horse").await.ok();
    }
    for _ in 0..3 {
        login(&server, "alice", "wrong horse").await.fails(403, "M_FORBIDDEN");
    }
    let refused = login(&server, "alice", "correct horse").await;
    refused.fails(429, "M_LIMIT_EXCEEDED");
    assert!(refused.body["retry_after_ms"].as_u64().unwrap() > 0);
    assert!(refused.headers.contains_key("retry-after"));
    login(&server, "bob", "correct horse").await.ok();
    // Who guesses locks nobody out but themselves.
    let elsewhere = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    server.http = elsewhere;
    login(&server, "alice", "correct horse").await.ok();
    for _ in 0..3 {
        login(&server, "alice", "wrong horse").await.fails(403, "M_FORBIDDEN");
    }
    login(&server, "alice", "wrong horse").await.fails(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_refused_login_is_no_guess() {
    let mut config = config();
    let rate = |burst| Some(Rate { per_second: 0.001, burst });
    config.limits = RateLimits { login_account: rate(2), login_address: rate(3), ..RateLimits::off() };
    let server = server_with(config).await;
    server.person("bob").await;
    for _ in 0..2 {
        login(&server, "alice", "wrong horse").await.fails(403, "M_FORBIDDEN");
    }
    for _ in 0..5 {
        login(&server, "alice", "wrong horse").await.fails(429, "M_LIMIT_EXCEEDED");
    }
    login(&server, "bob", "correct horse").await.ok();
}

#[tokio::test]
async fn guessing_passwords_is_throttled_by_address() {
    let mut config = config();
    config.limits = RateLimits { login_address: Some(Rate { per_second: 0.001, burst: 3 }), ..RateLimits::off() };
    let server = server_with(config).await;
    for guess in ["a", "b", "c"] {
        login(&server, guess, "wrong horse").await.fails(403, "M_FORBIDDEN");
    }
    login(&server, "d", "wrong horse").await.fails(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn profiles_are_public_and_rooms_learn_of_changes() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let room = alice.create_room(json!({})).await;
    let of_alice = "/_matrix/client/v3/profile/@alice:example.org";
    let profile = server.anonymous(Method::GET, of_alice, None).await.ok();
    assert_eq!(profile, json!({"displayname": "alice"}), "until she says otherwise");
    let since = alice.now().await;
    alice.put(&format!("{of_alice}/displayname"), json!({"displayname": "Alice"})).await.ok();
    let news = alice.sync(&format!("since={since}&timeout=30000")).await;
    let event = &news["rooms"]["join"][room.as_str()]["timeline"]["events"][0];
    assert_eq!(event["content"], json!({"membership": "join", "displayname": "Alice"}));
    alice.put(&format!("{of_alice}/avatar_url"), json!({"avatar_url": "mxc://example.org/a"})).await.ok();
    let profile = server.anonymous(Method::GET, of_alice, None).await.ok();
    assert_eq!(profile, json!({"displayname": "Alice", "avatar_url": "mxc://example.org/a"}));
    as_ruma::<profile::get_profile::v3::Response>(&profile);
    let name = server.anonymous(Method::GET, &format!("{of_alice}/displayname"), None).await.ok();
    assert_eq!(name, json!({"displayname": "Alice"}));
    let avatar = server.anonymous(Method::GET, &format!("{of_alice}/avatar_url"), None).await.ok();
    assert_eq!(avatar, json!({"avatar_url": "mxc://example.org/a"}));
    bob.put(&format!("{of_alice}/displayname"), json!({"displayname": "Eve"})).await.fails(403, "M_FORBIDDEN");
    for bad in ["a\nb".to_owned(), "x".repeat(1001)] {
        alice.put(&format!("{of_alice}/avatar_url"), json!({"avatar_url": bad})).await.fails(400, "M_INVALID_PARAM");
    }
    alice.put(&format!("{of_alice}/avatar_url"), json!({"avatar_url": "http://x"})).await.ok();
    let long = json!({"displayname": "x".repeat(300)});
    alice.put(&format!("{of_alice}/displayname"), long).await.fails(400, "M_INVALID_PARAM");
    for unknown in ["@nobody:example.org", "@alice:other.org"] {
        let path = format!("/_matrix/client/v3/profile/{unknown}");
        server.anonymous(Method::GET, &path, None).await.fails(404, "M_NOT_FOUND");
    }
    // A new room is joined under the new name.
    let second = alice.create_room(json!({})).await;
    let member = format!("/_matrix/client/v3/rooms/{second}/state/m.room.member/@alice:example.org");
    assert_eq!(alice.get(&member).await.ok()["displayname"], "Alice");
}

#[tokio::test]
async fn filters_are_kept_for_their_user() {
    let server = server().await;
    let (alice, bob) = (server.person("alice").await, server.person("bob").await);
    let path = "/_matrix/client/v3/user/@alice:example.org/filter";
    let filter = json!({"room": {"timeline": {"limit": 3}, "include_leave": true}});
    let id = alice.post(path, filter.clone()).await.ok()["filter_id"].as_str().unwrap().to_owned();
    assert_eq!(alice.post(path, filter.clone()).await.ok()["filter_id"], json!(id));
    assert_eq!(alice.get(&format!("{path}/{id}")).await.ok(), filter);
    alice.get(&format!("{path}/nosuch")).await.fails(404, "M_NOT_FOUND");
    bob.get(&format!("{path}/{id}")).await.fails(403, "M_FORBIDDEN");
    let of_bob = "/_matrix/client/v3/user/@bob:example.org/filter";
    bob.get(&format!("{of_bob}/{id}")).await.fails(404, "M_NOT_FOUND");
    bob.post(path, filter).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn users_learn_whom_to_ask() {
    let contact = |text: &str| Contact::try_from(text.to_owned()).unwrap();
    let support = Support {
        page: Some("https://example.org/help".into()),
        admins: vec![contact("@admin:example.org"), contact("admin@example.org")],
        security: vec![contact("security@example.org")],
    };
    let server = server_with(ClientApiConfig { support, ..config() }).await;
    let told = server.anonymous(Method::GET, "/.well-known/matrix/support", None).await.ok();
    let expected = json!({
        "contacts": [
            {"role": "m.role.admin", "matrix_id": "@admin:example.org"},
            {"role": "m.role.admin", "email_address": "admin@example.org"},
            {"role": "m.role.security", "email_address": "security@example.org"}
        ],
        "support_page": "https://example.org/help"
    });
    assert_eq!(told, expected);
    as_ruma::<discovery::discover_support::Response>(&told);
    for wrong in ["", "admin", "@admin", "admin@", "@a b:example.org", "a b@example.org"] {
        assert!(Contact::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn clients_learn_what_the_server_can() {
    let mut config = config();
    config.public_base_url = Some("https://chat.example.org".into());
    let server = server_with(config).await;
    let versions = server.anonymous(Method::GET, "/_matrix/client/versions", None).await.ok();
    assert!(versions["versions"].as_array().unwrap().contains(&json!("v1.1")));
    // Element looks for these, whatever the versions: without the first it sets no encryption up.
    for feature in ["org.matrix.e2e_cross_signing", "org.matrix.msc3827.stable"] {
        assert_eq!(versions["unstable_features"][feature], true, "{feature}");
    }
    as_ruma::<discovery::get_supported_versions::Response>(&versions);
    let known = server.anonymous(Method::GET, "/.well-known/matrix/client", None).await.ok();
    assert_eq!(known, json!({"m.homeserver": {"base_url": "https://chat.example.org"}}));
    server.anonymous(Method::GET, "/.well-known/matrix/support", None).await.fails(404, "M_NOT_FOUND");
    let alice = server.person("alice").await;
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await.ok();
    let expected = json!({
        "capabilities": {
            "m.3pid_changes": {"enabled": false},
            "m.change_password": {"enabled": true},
            "m.get_login_token": {"enabled": true},
            "m.profile_fields": {"enabled": true},
            "m.room_versions": {"default": "I.1", "available": {"I.1": "stable"}},
            "m.set_avatar_url": {"enabled": true},
            "m.set_displayname": {"enabled": true}
        }
    });
    assert_eq!(capabilities, expected);
    as_ruma::<discovery::get_capabilities::v3::Response>(&capabilities);
    let threepids = alice.get("/_matrix/client/v3/account/3pid").await.ok();
    assert_eq!(threepids, json!({"threepids": []}));
    assert_eq!(alice.get("/_matrix/client/v3/thirdparty/protocols").await.ok(), json!({}));
    // Clients that are forbidden to use one do not ask again every minute.
    alice.get("/_matrix/client/v3/voip/turnServer").await.fails(403, "M_FORBIDDEN");
    let rules = alice.get("/_matrix/client/v3/pushrules/").await.ok();
    as_ruma::<ruma::api::client::push::get_pushrules_all::v3::Response>(&rules);
}
