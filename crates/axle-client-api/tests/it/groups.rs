//! The paths of groups: what is handed to the room's group, what is refused before, and who is told nothing.

use axle_client_api::{Rate, RateLimits};
use axle_mls::DeviceKey;
use axle_mls::hub::{Report, Verdict};
use axle_mls::limits::{MAX_BOUND_EVENTS, MAX_MESSAGE_BYTES, MAX_REPORT_BYTES};
use axle_protocol::{MatrixError, RoomId, base64};
use serde_json::{Value, json};

use crate::common::{Person, config, server, server_with, two_in_a_room};

fn path(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/unstable/im.axle.mls.v1/rooms/{room}/{rest}")
}

/// A member event as it is prepared, of which the client makes nothing.
fn member(sender: &Person, of: &Person, membership: &str) -> Value {
    json!({
        "type": "m.room.member", "room_id": "!r:example.org", "sender": sender.user_id, "state_key": of.user_id,
        "origin_server_ts": 1, "content": {"membership": membership}
    })
}

fn commit() -> Value {
    json!({"message": "AAAA", "public_group_state": "AAAA", "prev_commit_event_id": "$before"})
}

fn report(person: &Person, room: &RoomId, verdict: Verdict) -> Value {
    let key = DeviceKey::from_seed(person.user_id.clone(), &person.device_id, &[1; 32]).unwrap();
    serde_json::from_str(&Report::sign(&key, room, 7, b"commit", verdict).to_json()).unwrap()
}

#[tokio::test]
async fn it_is_announced() {
    let server = server().await;
    let versions = server.anonymous(reqwest::Method::GET, "/_matrix/client/versions", None).await.ok();
    assert_eq!(versions["unstable_features"]["im.axle.mls.v1"], true);
}

#[tokio::test]
async fn what_is_asked_reaches_the_group_and_its_answer_the_client() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let (user, at) = (alice.user_id.as_str(), room.as_str());

    assert_eq!(alice.get(&path(&room, "group")).await.ok(), json!({"epoch": 7}));
    assert_eq!(alice.get(&path(&room, "group?commit=$c-1")).await.ok(), json!({"epoch": 7}));
    let asked = [json!({"user": user, "room": at, "group": "now"}), json!({"user": user, "room": at, "group": "$c-1"})];
    assert_eq!(server.groups.asked(), asked);

    let bound = json!({"auth_events": ["$a"]});
    assert_eq!(alice.post(&path(&room, "binding"), json!({})).await.ok(), bound);
    let kick = json!({"user_id": bob.user_id, "membership": "leave", "reason": "spam"});
    let body = json!({"add": ["@carol:other.org"], "member": kick});
    assert_eq!(alice.post(&path(&room, "binding"), body).await.ok(), bound);
    let ban = json!({"member": {"user_id": "@eve:other.org", "membership": "ban"}});
    alice.post(&path(&room, "binding"), ban).await.ok();
    let asked = server.groups.asked();
    assert_eq!(asked[0], json!({"user": user, "room": at, "add": [], "member": null}));
    let content = json!({"reason": "spam"});
    let expected = json!({"user_id": bob.user_id, "membership": "leave", "content": content});
    assert_eq!((&asked[1]["add"], &asked[1]["member"]), (&json!(["@carol:other.org"]), &expected));
    assert_eq!(asked[2]["member"], json!({"user_id": "@eve:other.org", "membership": "ban", "content": {}}));

    let prepared = member(&alice, &bob, "leave");
    let paired = alice.post(&path(&room, "pair"), json!({"member": prepared, "commit": commit()})).await.ok();
    assert_eq!(paired, json!({"member_event_id": "$member", "commit_event_id": "$commit"}));
    let asked = json!([{"user": user, "room": at, "member": prepared, "commit": commit()}]);
    assert_eq!(json!(server.groups.asked()), asked);
    let own = member(&bob, &bob, "leave");
    let paired = bob.post(&path(&room, "pair"), json!({"member": own, "proposal": {"message": "AAAA"}})).await.ok();
    assert_eq!(paired, json!({"member_event_id": "$member"}));
    let asked = json!([{"user": bob.user_id, "room": at, "member": own, "proposal": "AAAA"}]);
    assert_eq!(json!(server.groups.asked()), asked);

    assert_eq!(alice.post(&path(&room, "proposals"), json!({"message": "AAAB"})).await.ok(), json!({}));
    assert_eq!(server.groups.asked(), [json!({"user": user, "room": at, "propose": "AAAB"})]);

    let cannot = report(&alice, &room, Verdict::CannotApply);
    assert_eq!(alice.post(&path(&room, "reports"), cannot.clone()).await.ok(), json!({"rolled_back_to": 6}));
    assert_eq!(server.groups.asked(), [json!({"user": user, "room": at, "report": cannot})]);
    let applied = report(&alice, &room, Verdict::Applied);
    assert_eq!(alice.post(&path(&room, "reports"), applied).await.ok(), json!({}));
}

#[tokio::test]
async fn the_same_pair_again_is_the_same_transaction() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let own = member(&bob, &bob, "leave");
    let leave = json!({"member": own, "proposal": {"message": "AAAA"}});
    let path = path(&room, "pair");
    bob.post(&path, leave.clone()).await.ok();
    // Also when it has been done, and they are not in the room any more.
    bob.leave(&room).await.ok();
    bob.post(&path, leave).await.ok();
    alice.post(&path, json!({"member": member(&alice, &bob, "leave"), "commit": commit()})).await.ok();
    let mut other = commit();
    other["message"] = json!("AAAB");
    alice.post(&path, json!({"member": member(&alice, &bob, "leave"), "commit": other})).await.ok();
    let txns = server.groups.txns.lock().unwrap().clone();
    assert_eq!(txns[0], txns[1]);
    assert_eq!((&txns[0].user_id, &txns[0].device_id), (&bob.user_id, &bob.device_id));
    assert_ne!(txns[1], txns[2]);
    assert_ne!(txns[2], txns[3], "another commit");
}

#[tokio::test]
async fn refusals_of_the_group_are_told_as_they_are() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let refusal = MatrixError::new(409, "IM.AXLE.MLS.WRONG_EPOCH", "the group is in epoch 8");
    *server.groups.refusal.lock().unwrap() = Some(refusal);
    let kick = json!({"member": member(&alice, &bob, "leave"), "commit": commit()});
    alice.get(&path(&room, "group")).await.fails(409, "IM.AXLE.MLS.WRONG_EPOCH");
    for (endpoint, body) in [
        ("binding", json!({})),
        ("pair", kick),
        ("proposals", json!({"message": "AAAA"})),
        ("reports", report(&alice, &room, Verdict::Applied)),
    ] {
        let answer = alice.post(&path(&room, endpoint), body).await;
        answer.fails(409, "IM.AXLE.MLS.WRONG_EPOCH");
        assert_eq!(answer.body["error"], "the group is in epoch 8");
    }
}

#[tokio::test]
async fn strangers_are_told_nothing() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let mallory = server.person("mallory").await;
    alice.set_state(&room, "m.room.join_rules", json!({"join_rule": "invite"})).await;
    bob.leave(&room).await.ok();
    for stranger in [&mallory, &bob] {
        let pair = json!({"member": member(stranger, &alice, "leave"), "commit": commit()});
        for room in [room.clone(), RoomId::parse("!nowhere:example.org").unwrap()] {
            stranger.get(&path(&room, "group")).await.fails(403, "M_FORBIDDEN");
            stranger.get(&path(&room, "group?commit=$c")).await.fails(403, "M_FORBIDDEN");
            stranger.get(&path(&room, "group?commit=bad")).await.fails(403, "M_FORBIDDEN");
            stranger.post(&path(&room, "binding"), json!({})).await.fails(403, "M_FORBIDDEN");
            stranger.post(&path(&room, "pair"), pair.clone()).await.fails(403, "M_FORBIDDEN");
            stranger.post(&path(&room, "proposals"), json!({"message": "AAAA"})).await.fails(403, "M_FORBIDDEN");
            let report = report(stranger, &room, Verdict::Applied);
            stranger.post(&path(&room, "reports"), report).await.fails(403, "M_FORBIDDEN");
        }
    }
    assert_eq!(server.groups.asked(), Vec::<Value>::new());
    // Where everybody may read, everybody may join the group by themselves; and nothing else.
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "world_readable"})).await;
    mallory.get(&path(&room, "group")).await.ok();
    mallory.post(&path(&room, "proposals"), json!({"message": "AAAA"})).await.fails(403, "M_FORBIDDEN");
    assert_eq!(server.groups.asked().len(), 1);
}

#[tokio::test]
async fn who_may_join_may_join_the_group_with_the_same_stroke() {
    let server = server().await;
    let (alice, _, public) = two_in_a_room(&server).await;
    let carol = server.person("carol").await;
    let private = alice.create_room(json!({"preset": "private_chat", "invite": [carol.user_id]})).await;
    carol
        .put(&format!("/_matrix/client/v3/profile/{}/displayname", carol.user_id), json!({"displayname": "C"}))
        .await
        .ok();
    let join = json!({"member": {"user_id": carol.user_id, "membership": "join", "reason": "hello"}});
    for room in [&public, &private] {
        carol.get(&path(room, "group")).await.ok();
        carol.post(&path(room, "binding"), join.clone()).await.ok();
        let pair = json!({"member": member(&carol, &carol, "join"), "commit": commit()});
        carol.post(&path(room, "pair"), pair).await.ok();
        let asked = server.groups.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[1]["member"]["content"], json!({"displayname": "C", "reason": "hello"}), "{:?}", asked[1]);
        // Nothing else is hers.
        carol.get(&path(room, "group?commit=$c")).await.fails(403, "M_FORBIDDEN");
        carol.post(&path(room, "binding"), json!({})).await.fails(403, "M_FORBIDDEN");
        carol.post(&path(room, "proposals"), json!({"message": "AAAA"})).await.fails(403, "M_FORBIDDEN");
        let leave = json!({"member": member(&carol, &carol, "leave"), "commit": commit()});
        carol.post(&path(room, "pair"), leave).await.fails(403, "M_FORBIDDEN");
        let other = json!({"member": {"user_id": "@dave:example.org", "membership": "join"}});
        carol.post(&path(room, "binding"), other).await.fails(400, "M_INVALID_PARAM");
    }
    carol.join(&public).await.ok();
    carol.post(&path(&public, "binding"), join.clone()).await.fails(403, "M_FORBIDDEN");
    alice.moderate("ban", &private, &carol.user_id).await.ok();
    carol.post(&path(&private, "binding"), join).await.fails(403, "M_FORBIDDEN");
    carol.get(&path(&private, "group")).await.fails(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn what_people_keep_of_a_room_goes_with_them_by_this_door_too() {
    let server = server().await;
    let (alice, bob, old) = two_in_a_room(&server).await;
    let tags = |room: &RoomId| format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", bob.user_id);
    bob.put(&format!("{}/m.favourite", tags(&old)), json!({"order": 0.5})).await.ok();
    let upgrade = format!("/_matrix/client/v3/rooms/{old}/upgrade");
    let version = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";
    let upgraded = alice.post(&upgrade, json!({"new_version": version})).await.ok();
    let new = RoomId::parse(upgraded["replacement_room"].as_str().unwrap()).unwrap();
    bob.post(&path(&new, "pair"), json!({"member": member(&bob, &bob, "join"), "commit": commit()})).await.ok();
    assert_eq!(bob.get(&tags(&new)).await.ok(), json!({"tags": {"m.favourite": {"order": 0.5}}}));
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_what_is_wrong() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let member = |membership: &str| member(&alice, &bob, membership);
    let too_long = base64::encode(vec![1; MAX_MESSAGE_BYTES + 3]);
    let many: Vec<String> = (0..=MAX_BOUND_EVENTS).map(|n| format!("@u{n}:other.org")).collect();
    let large = json!({"message": "AAAA", "public_group_state": "AAAA", "x": "x".repeat(65_536)});
    let mut other_room = report(&alice, &room, Verdict::Applied);
    other_room["room_id"] = json!("!other:example.org");
    let mut large_report = report(&alice, &room, Verdict::Applied);
    large_report["x"] = json!("x".repeat(MAX_REPORT_BYTES));
    let with_member = |member: Value| json!({"member": member, "commit": commit()});
    for (endpoint, body, status, errcode, named) in [
        ("binding", json!({"add": [7]}), 400, "M_BAD_JSON", "string"),
        ("binding", json!({"add": ["carol"]}), 400, "M_INVALID_PARAM", "user"),
        ("binding", json!({"add": many}), 400, "M_INVALID_PARAM", "256"),
        ("binding", json!({"member": {"user_id": bob.user_id}}), 400, "M_BAD_JSON", "membership"),
        (
            "binding",
            json!({"member": {"user_id": bob.user_id, "membership": "join"}}),
            400,
            "M_INVALID_PARAM",
            "`leave`",
        ),
        ("binding", json!({"member": {"user_id": bob.user_id, "membership": "x"}}), 400, "M_INVALID_PARAM", "`leave`"),
        ("pair", json!({"commit": commit()}), 400, "M_BAD_JSON", "member"),
        ("pair", json!({"member": member("leave")}), 400, "M_BAD_JSON", "either"),
        (
            "pair",
            json!({"member": member("leave"), "commit": commit(), "proposal": {"message": "AAAA"}}),
            400,
            "M_BAD_JSON",
            "either",
        ),
        ("pair", with_member(json!({"sender": alice.user_id})), 400, "M_BAD_JSON", "state_key"),
        ("pair", with_member(json!("x".repeat(65_537))), 413, "M_TOO_LARGE", "65536"),
        (
            "pair",
            json!({"member": member("leave"), "commit": {"message": "AAAA"}}),
            400,
            "M_BAD_JSON",
            "public_group_state",
        ),
        ("pair", json!({"member": member("leave"), "commit": [1]}), 400, "M_BAD_JSON", ""),
        ("pair", json!({"member": member("leave"), "commit": large}), 413, "M_TOO_LARGE", "65536"),
        ("pair", json!({"member": member("leave"), "proposal": {"message": "!"}}), 400, "M_BAD_JSON", "base64"),
        ("proposals", json!({}), 400, "M_BAD_JSON", "message"),
        ("proposals", json!({"message": "!"}), 400, "M_BAD_JSON", "base64"),
        ("proposals", json!({"message": ""}), 400, "M_BAD_JSON", "base64"),
        ("proposals", json!({"message": too_long}), 413, "M_TOO_LARGE", "49152"),
        ("reports", json!({}), 400, "M_BAD_JSON", "report"),
        ("reports", other_room, 400, "M_BAD_JSON", "another room"),
        ("reports", report(&bob, &room, Verdict::Applied), 403, "M_FORBIDDEN", "somebody else"),
        ("reports", large_report, 413, "M_TOO_LARGE", "4096"),
    ] {
        let answer = alice.post(&path(&room, endpoint), body.clone()).await;
        answer.fails(status, errcode);
        let error = answer.body["error"].as_str().unwrap();
        assert!(error.contains(named), "{endpoint} {body}: {error}");
    }
    // What was prepared for somebody else.
    bob.post(&path(&room, "pair"), with_member(member("leave"))).await.fails(403, "M_FORBIDDEN");
    alice.get(&path(&room, "group?commit=x")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(server.groups.asked(), Vec::<Value>::new());
}

#[tokio::test]
async fn only_who_is_in_or_at_the_door_is_kicked() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let kick = json!({"member": {"user_id": bob.user_id, "membership": "leave"}});
    alice.moderate("ban", &room, &bob.user_id).await.ok();
    alice.post(&path(&room, "binding"), kick.clone()).await.fails(403, "M_FORBIDDEN");
    alice.moderate("unban", &room, &bob.user_id).await.ok();
    alice.post(&path(&room, "binding"), kick.clone()).await.fails(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    alice.post(&path(&room, "binding"), kick).await.ok();
}

#[tokio::test]
async fn who_is_suspended_leaves_and_nothing_else() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let root = server.person("root").await;
    assert!(server.store.set_admin(&root.user_id, true).await.unwrap());
    let suspend = format!("/_matrix/client/v1/admin/suspend/{}", bob.user_id);
    root.put(&suspend, json!({"suspended": true})).await.ok();
    let ban = json!({"member": {"user_id": alice.user_id, "membership": "ban"}});
    for (endpoint, body) in [
        ("binding", ban),
        ("pair", json!({"member": member(&bob, &alice, "leave"), "proposal": {"message": "AAAA"}})),
        ("pair", json!({"member": member(&bob, &bob, "ban"), "commit": commit()})),
        ("proposals", json!({"message": "AAAA"})),
        ("reports", report(&bob, &room, Verdict::Applied)),
    ] {
        bob.post(&path(&room, endpoint), body).await.fails(403, "M_USER_SUSPENDED");
    }
    bob.get(&path(&room, "group")).await.ok();
    let own = json!({"member": {"user_id": bob.user_id, "membership": "leave"}});
    bob.post(&path(&room, "binding"), own).await.ok();
    let leave = json!({"member": member(&bob, &bob, "leave"), "proposal": {"message": "AAAA"}});
    bob.post(&path(&room, "pair"), leave).await.ok();
    let lock = format!("/_matrix/client/v1/admin/lock/{}", bob.user_id);
    root.put(&lock, json!({"locked": true})).await.ok();
    bob.get(&path(&room, "group")).await.fails(401, "M_USER_LOCKED");
}

#[tokio::test]
async fn what_changes_a_group_is_limited_like_what_changes_a_room() {
    let mut config = config();
    config.limits = RateLimits { changes: Some(Rate { per_second: 0.001, burst: 3 }), ..RateLimits::off() };
    let server = server_with(config).await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({})).await;
    for _ in 0..3 {
        alice.post(&path(&room, "proposals"), json!({"message": "AAAA"})).await.ok();
    }
    for (endpoint, body) in [
        ("proposals", json!({"message": "AAAA"})),
        ("pair", json!({"member": member(&alice, &alice, "leave"), "proposal": {"message": "AAAA"}})),
        ("reports", report(&alice, &room, Verdict::Applied)),
    ] {
        alice.post(&path(&room, endpoint), body).await.fails(429, "M_LIMIT_EXCEEDED");
    }
    // What only reads is not.
    alice.get(&path(&room, "group")).await.ok();
    alice.post(&path(&room, "binding"), json!({})).await.ok();
}
