//! Requests as they go over a socket, and what is made of the answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use axle_sdk::{
    Attachment, AttachmentError, Client, CreateRoom, Error, JoinRule, NewFile, PageFrom, Registration, RetryPolicy,
};
use serde_json::{Map, Value, json};
use support::TestServer;

fn event_id(id: &str) -> Value {
    json!({"event_id": id})
}

fn error(errcode: &str) -> Value {
    json!({"errcode": errcode, "error": "No."})
}

#[tokio::test]
async fn login_begins_a_session_and_logout_ends_it() {
    let server = TestServer::start().await;
    server.answers([
        (200, json!({"user_id": "@alice:hub.example.test", "device_id": "D", "access_token": "t1"})),
        (200, json!({"user_id": "@alice:hub.example.test", "device_id": "D"})),
        (200, json!({})),
    ]);
    let client = server.anonymous();
    let session = client.login("alice", "wonderland", "laptop").await.unwrap();
    assert_eq!(session.access_token, "t1");
    assert_eq!(session.server, server.url());
    assert_eq!(client.whoami().await.unwrap().user_id, "@alice:hub.example.test");
    client.logout().await.unwrap();
    assert_eq!(client.session(), None);
    assert!(matches!(client.whoami().await, Err(Error::NotLoggedIn)));

    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!((asked[0].path.as_str(), &asked[0].token), ("/_matrix/client/v3/login", &None));
    assert_eq!(asked[0].body["identifier"], json!({"type": "m.id.user", "user": "alice"}));
    assert_eq!(asked[1].token.as_deref(), Some("t1"));
}

#[tokio::test]
async fn registration_takes_the_steps_it_is_asked_for() {
    let server = TestServer::start().await;
    let flows =
        json!([{"stages": ["m.login.email.identity"]}, {"stages": ["m.login.registration_token", "m.login.dummy"]}]);
    server.answers([
        (401, json!({"session": "s1", "flows": flows})),
        (401, json!({"session": "s1", "flows": flows, "completed": ["m.login.registration_token"]})),
        (200, json!({"user_id": "@bob:hub.example.test", "device_id": "D", "access_token": "t"})),
    ]);
    let registration = Registration {
        localpart: "bob".into(),
        password: "pw".into(),
        token: Some("invited".into()),
        device_name: None,
    };
    let session = server.anonymous().register(&registration).await.unwrap();
    assert_eq!(session.user_id, "@bob:hub.example.test");
    let asked = server.asked();
    assert_eq!(asked[0].body.get("auth"), None);
    let token = json!({"type": "m.login.registration_token", "token": "invited", "session": "s1"});
    assert_eq!(asked[1].body["auth"], token);
    assert_eq!(asked[2].body["auth"], json!({"type": "m.login.dummy", "session": "s1"}));
}

#[tokio::test]
async fn registration_says_what_it_cannot_do() {
    let server = TestServer::start().await;
    let registration = Registration { localpart: "bob".into(), password: "pw".into(), ..Registration::default() };
    server.answers([(401, json!({"session": "s", "flows": [{"stages": ["m.login.recaptcha"]}]}))]);
    let refused = server.anonymous().register(&registration).await.unwrap_err();
    assert!(matches!(refused, Error::RegistrationStep(steps) if steps == ["m.login.recaptcha"]));

    let flows = json!([{"stages": ["m.login.registration_token"]}]);
    server.answers([
        (401, json!({"session": "s", "flows": flows})),
        (401, json!({"session": "s", "flows": flows, "errcode": "M_FORBIDDEN", "error": "used up"})),
    ]);
    let registration = Registration { token: Some("old".into()), ..registration };
    let refused = server.anonymous().register(&registration).await.unwrap_err();
    assert_eq!(refused.errcode(), Some("M_FORBIDDEN"));
}

#[tokio::test]
async fn a_message_is_sent_again_under_the_same_transaction() {
    let server = TestServer::start().await;
    server.answers([(504, error("M_UNKNOWN"))]);
    server.answers_html(502);
    server.answers([
        (429, json!({"errcode": "M_LIMIT_EXCEEDED", "error": "slow", "retry_after_ms": 5})),
        (200, event_id("$1")),
    ]);
    let id = server.client().send_text("!r:hub.example.test", "hi", "txn/1").await.unwrap();
    assert_eq!(id, "$1");
    let asked = server.asked();
    let path = "/_matrix/client/v3/rooms/!r:hub.example.test/send/m.room.message/txn%2F1";
    assert_eq!(asked.iter().map(|ask| ask.path.as_str()).collect::<Vec<_>>(), [path; 4]);
    assert!(asked.iter().all(|ask| ask.method == "PUT" && ask.body == json!({"msgtype": "m.text", "body": "hi"})));
}

#[tokio::test]
async fn what_would_be_done_twice_is_not_sent_again() {
    let server = TestServer::start().await;
    server.answers([(504, error("M_UNKNOWN")), (200, json!({}))]);
    let failed = server.client().invite("!r:hub.example.test", "@bob:x.test").await.unwrap_err();
    assert_eq!(failed.api().unwrap().status, 504);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_final_and_typed() {
    let server = TestServer::start().await;
    server.answers([(403, error("M_FORBIDDEN")), (200, event_id("$1"))]);
    let refused = server.client().send_text("!r:x.test", "hi", "t").await.unwrap_err();
    let api = refused.api().unwrap();
    assert_eq!((api.status, api.errcode.as_str(), api.message.as_str()), (403, "M_FORBIDDEN", "No."));
    assert_eq!(refused.to_string(), "No. (M_FORBIDDEN)");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn patience_ends() {
    let server = TestServer::start().await;
    server.answers(std::iter::repeat_n((503, error("M_UNKNOWN")), 8));
    let client = server.client().with_retry(RetryPolicy { give_up_after: Duration::from_millis(700) });
    assert!(client.send_text("!r:x.test", "hi", "t").await.unwrap_err().is_transient());
    // At 0 and at 250 ms; the next would be at 750 ms.
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_said_to_be() {
    let server = TestServer::start().await;
    server.answers_html(404);
    let failed = server.impatient().whoami().await.unwrap_err();
    assert!(matches!(&failed, Error::BadAnswer { reason, .. } if reason.contains("Bad Gateway")), "{failed}");
}

#[tokio::test]
async fn nobody_there() {
    let address = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let client = Client::builder(format!("http://{address}")).retry(RetryPolicy::NEVER).build().unwrap();
    let failed = client.versions().await.unwrap_err();
    assert!(matches!(failed, Error::Transport { .. }), "{failed}");
    assert_eq!(failed.to_string(), format!("no answer from http://{address}"));
}

#[tokio::test]
async fn paths_and_bodies() {
    let server = TestServer::start().await;
    let client = server.impatient();
    let room = json!({"room_id": "!r:x.test"});
    server.answers([
        (200, room.clone()),
        (200, room.clone()),
        (200, room),
        (200, json!({})),
        (200, event_id("$1")),
        (200, event_id("$2")),
        (200, json!({"chunk": [{"type": "m.x", "sender": "@a:x.test", "event_id": "$0"}], "start": "a", "end": "b"})),
        (
            200,
            json!({"chunk": [{"type": "m.room.member", "state_key": "@a:x.test", "sender": "@a:x.test",
                                "content": {"membership": "join"}}]}),
        ),
    ]);
    assert_eq!(client.create_room(&CreateRoom::named("Tea", JoinRule::Knock)).await.unwrap(), "!r:x.test");
    client.join("!r:x.test", &["a.test".into(), "b.test:8448".into()]).await.unwrap();
    client.knock("!r:x.test", &[], Some("let me in")).await.unwrap();
    client.kick("!r:x.test", "@b:x.test", Some("rude")).await.unwrap();
    client.put_state("!r:x.test", "m.room.topic", "", &Map::new()).await.unwrap();
    client.redact("!r:x.test", "$0", None, "t").await.unwrap();
    let page = client.messages("!r:x.test", &PageFrom::Before("p q".into()), 20).await.unwrap();
    assert_eq!((page.chunk.len(), page.end.as_deref()), (1, Some("b")));
    let members = client.members("!r:x.test").await.unwrap();
    assert_eq!((members[0].user_id.as_str(), members[0].membership.as_str()), ("@a:x.test", "join"));

    let asked = server.asked();
    let lines: Vec<String> = asked.iter().map(|ask| format!("{} {} {}", ask.method, ask.path, ask.body)).collect();
    let expected = [
        r#"POST createRoom {"initial_state":[{"content":{"join_rule":"knock"},"state_key":"","type":"m.room.join_rules"}],"name":"Tea","preset":"private_chat"}"#,
        "POST join/!r:x.test?via=a.test&server_name=a.test&via=b.test%3A8448&server_name=b.test%3A8448 {}",
        r#"POST knock/!r:x.test {"reason":"let me in"}"#,
        r#"POST rooms/!r:x.test/kick {"reason":"rude","user_id":"@b:x.test"}"#,
        "PUT rooms/!r:x.test/state/m.room.topic {}",
        "PUT rooms/!r:x.test/redact/$0/t {}",
        "GET rooms/!r:x.test/messages?dir=b&limit=20&from=p+q null",
        "GET rooms/!r:x.test/members null",
    ];
    let expected = expected.map(|line| line.replacen(' ', " /_matrix/client/v3/", 1));
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_file_is_uploaded_sent_and_fetched() {
    let server = TestServer::start().await;
    let client = server.client();
    server.answers([
        (200, json!({"m.upload.size": 100})),
        (503, error("M_UNKNOWN")),
        (200, json!({"content_uri": "mxc://hub.example.test/abc"})),
        (200, event_id("$1")),
    ]);
    let file = NewFile { name: "a b.txt".into(), mimetype: "text/plain".into(), bytes: b"leaves".to_vec() };
    assert_eq!(client.send_file("!r:x.test", file, "t").await.unwrap(), "$1");
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|ask| format!("{} {}", ask.method, ask.path)).collect();
    let upload = "POST /_matrix/media/v3/upload?filename=a+b.txt";
    let send = "PUT /_matrix/client/v3/rooms/!r:x.test/send/m.room.message/t";
    assert_eq!(paths, ["GET /_matrix/client/v1/media/config", upload, upload, send]);
    assert!(asked.iter().all(|ask| ask.token.as_deref() == Some("secret")));
    for upload in &asked[1..3] {
        assert_eq!((upload.bytes.as_slice(), upload.content_type.as_deref()), (&b"leaves"[..], Some("text/plain")));
    }
    let content = &asked[3].body;
    let expected = json!({
        "msgtype": "m.file", "body": "a b.txt", "filename": "a b.txt", "url": "mxc://hub.example.test/abc",
        "info": {"mimetype": "text/plain", "size": 6},
    });
    assert_eq!(*content, expected);

    server.answers_text("leaves");
    let attachment = Attachment::of(content.as_object().unwrap()).unwrap();
    assert_eq!(client.fetch(&attachment).await.unwrap(), b"leaves");
    assert_eq!(server.asked()[0].path, "/_matrix/client/v1/media/download/hub.example.test/abc");
}

#[tokio::test]
async fn files_are_bounded() {
    let server = TestServer::start().await;
    let client = server.impatient();
    server.answers([(200, json!({"m.upload.size": 5}))]);
    let error = client.upload(b"leaves".to_vec(), "text/plain", None).await.unwrap_err();
    assert!(matches!(error, Error::Attachment(AttachmentError::TooLarge { limit: 5 })), "{error}");
    assert_eq!(error.to_string(), "the file is larger than 5 bytes");
    assert_eq!(server.asked().len(), 1, "nothing was uploaded");

    for (limit, fits) in [(6, true), (5, false), (0, false)] {
        server.answers_text("leaves");
        assert_eq!(client.download("mxc://hub.example.test/abc", limit).await.is_ok(), fits);
    }
    server.asked();
    let error = client.download("mxc://hub.example.test/../../v3/sync", 6).await.unwrap_err();
    assert!(matches!(error, Error::Attachment(AttachmentError::Malformed(_))), "{error}");
    assert_eq!(server.asked().len(), 0);
}
