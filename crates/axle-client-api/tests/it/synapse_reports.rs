//! What users reported, as Synapse's tools read it.

use serde_json::{Value, json};

use crate::common::{Person, server, two_in_a_room};
use crate::synapse::admin;

const ADMIN: &str = "/_synapse/admin/v1";

async fn report(who: &Person, path: &str, reason: &str) {
    who.post(&format!("/_matrix/client/v3/{path}"), json!({"reason": reason})).await.ok();
}

fn reasons(found: &Value, key: &str) -> Vec<String> {
    found[key].as_array().unwrap().iter().map(|report| report["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn events_that_were_reported_are_listed_shown_and_done_with() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    alice.set_state(&room, "m.room.name", json!({"name": "Tea"})).await;
    let other = bob.create_room(json!({"preset": "public_chat"})).await;
    alice.join(&other).await.ok();
    let (first, second) = (bob.say(&room, "rude").await, alice.say(&room, "ruder").await);
    let third = bob.say(&other, "elsewhere").await;
    report(&alice, &format!("rooms/{room}/report/{first}"), "one").await;
    report(&bob, &format!("rooms/{room}/report/{second}"), "two").await;
    report(&alice, &format!("rooms/{other}/report/{third}"), "three").await;
    // Reported, too, but no events.
    report(&alice, &format!("rooms/{room}/report"), "the room").await;
    report(&alice, "users/@bob:example.org/report", "the user").await;

    let path = format!("{ADMIN}/event_reports");
    let list = async |query: &str| root.get(&format!("{path}?{query}")).await.ok();
    let all = list("").await;
    assert_eq!(reasons(&all, "event_reports"), ["three", "two", "one"]);
    assert_eq!((&all["total"], all.get("next_token")), (&json!(3), None));
    let one = all["event_reports"][2].clone();
    let expected = json!({
        "id": one["id"],
        "received_ts": one["received_ts"],
        "room_id": room,
        "event_id": first,
        "user_id": "@alice:example.org",
        "reason": "one",
        "score": null,
        "sender": "@bob:example.org",
        "canonical_alias": null,
        "name": "Tea",
    });
    assert_eq!(one, expected);
    assert!(one["id"].is_i64() && one["received_ts"].as_i64().unwrap() > 1_600_000_000_000);
    for (query, expected) in [
        ("dir=f", vec!["one", "two", "three"]),
        ("user_id=@bob:example.org", vec!["two"]),
        ("user_id=alice", vec!["three", "one"]),
        (&format!("room_id={room}"), vec!["two", "one"]),
        ("event_sender_user_id=@bob:example.org", vec!["three", "one"]),
        ("event_sender_user_id=@bob:example.org&user_id=nobody", vec![]),
    ] {
        let found = list(query).await;
        assert_eq!(
            (reasons(&found, "event_reports"), found["total"].as_u64()),
            (expected.iter().map(|reason| (*reason).to_owned()).collect(), Some(expected.len() as u64))
        );
    }
    let page = list("limit=2").await;
    assert_eq!((reasons(&page, "event_reports"), &page["next_token"]), (vec!["three".into(), "two".into()], &json!(2)));
    let rest = list("limit=2&from=2").await;
    assert_eq!((reasons(&rest, "event_reports"), rest.get("next_token")), (vec!["one".into()], None));
    for refused in ["from=-1", "limit=-1", "dir=x"] {
        root.get(&format!("{path}?{refused}")).await.fails(400, "M_INVALID_PARAM");
    }

    // What it was is still to be seen when the sender has taken it back.
    bob.redact(&room, &first).await;
    let id = one["id"].as_i64().unwrap();
    let detailed = root.get(&format!("{path}/{id}")).await.ok();
    assert_eq!(detailed["event_json"]["content"]["body"], "rude");
    assert_eq!((&detailed["sender"], &detailed["name"]), (&json!("@bob:example.org"), &json!("Tea")));
    root.delete(&format!("{path}/{id}"), json!({})).await.ok();
    root.delete(&format!("{path}/{id}"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.get(&format!("{path}/{id}")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(reasons(&list("").await, "event_reports"), ["three", "two"]);
    for nonsense in ["x", "-1"] {
        root.get(&format!("{path}/{nonsense}")).await.fails(400, "M_INVALID_PARAM");
        root.delete(&format!("{path}/{nonsense}"), json!({})).await.fails(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn users_who_were_reported_are_listed_shown_and_done_with() {
    let server = server().await;
    let root = admin(&server).await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let event = bob.say(&room, "rude").await;
    report(&alice, "users/@bob:example.org/report", "one").await;
    report(&bob, "users/@alice:example.org/report", "two").await;
    report(&alice, &format!("rooms/{room}/report/{event}"), "an event").await;

    let path = format!("{ADMIN}/user_reports");
    let list = async |query: &str| root.get(&format!("{path}?{query}")).await.ok();
    let all = list("").await;
    assert_eq!((reasons(&all, "user_reports"), &all["total"]), (vec!["two".into(), "one".into()], &json!(2)));
    let one = all["user_reports"][1].clone();
    let expected = json!({
        "id": one["id"],
        "received_ts": one["received_ts"],
        "target_user_id": "@bob:example.org",
        "user_id": "@alice:example.org",
        "reason": "one",
    });
    assert_eq!(one, expected);
    assert_eq!(reasons(&list("dir=f&limit=1").await, "user_reports"), ["one"]);
    assert_eq!(list("limit=1").await["next_token"], 1);
    assert_eq!(reasons(&list("target_user_id=alice").await, "user_reports"), ["two"]);
    assert_eq!(reasons(&list("user_id=alice").await, "user_reports"), ["one"]);
    let this = format!("{path}/{}", one["id"]);
    assert_eq!(root.get(&this).await.ok(), one);
    // A number of something else is not one of these.
    root.get(&format!("{ADMIN}/event_reports/{}", one["id"])).await.fails(404, "M_NOT_FOUND");
    root.delete(&format!("{ADMIN}/event_reports/{}", one["id"]), json!({})).await.fails(404, "M_NOT_FOUND");
    let of_event = root.get(&format!("{ADMIN}/event_reports")).await.ok()["event_reports"][0]["id"].clone();
    root.delete(&format!("{path}/{of_event}"), json!({})).await.fails(404, "M_NOT_FOUND");
    root.delete(&this, json!({})).await.ok();
    root.get(&this).await.fails(404, "M_NOT_FOUND");
    root.get(&format!("{path}/x")).await.fails(400, "M_INVALID_PARAM");
}
