//! What administrators read of rooms that they are not in, as Synapse's tools know it.

use serde_json::json;

use crate::common::{bodies, server};
use crate::synapse::admin;

const ADMIN: &str = "/_synapse/admin/v1";

#[tokio::test]
async fn an_administrator_reads_rooms_that_they_are_not_in() {
    let server = server().await;
    let root = admin(&server).await;
    let alice = server.person("alice").await;
    let room = alice.create_room(json!({"preset": "private_chat"})).await;
    alice.set_state(&room, "m.room.history_visibility", json!({"history_visibility": "joined"})).await;
    let mut said = Vec::new();
    for text in ["one", "two", "three", "four"] {
        said.push(alice.say(&room, text).await);
    }
    // Whom the administrator ignores is not hidden from them here.
    let ignored = json!({"ignored_users": {"@alice:example.org": {}}});
    let path = "/_matrix/client/v3/user/@root:example.org/account_data/m.ignored_user_list";
    root.put(path, ignored).await.ok();

    let path = format!("{ADMIN}/rooms/{room}");
    let page = root.get(&format!("{path}/messages?dir=b&limit=2")).await.ok();
    assert_eq!(bodies(&page["chunk"]), ["four", "three"]);
    let end = page["end"].as_str().unwrap();
    let rest = root.get(&format!("{path}/messages?dir=b&from={end}")).await.ok();
    assert_eq!(bodies(&rest["chunk"]), ["two", "one"]);
    let forward = root.get(&format!("{path}/messages?limit=500")).await.ok();
    assert_eq!((&forward["chunk"][0]["type"], bodies(&forward["chunk"]).len()), (&json!("m.room.create"), 4));

    let context = root.get(&format!("{path}/context/{}?limit=2", said[1])).await.ok();
    assert_eq!(context["event"]["content"]["body"], "two");
    assert_eq!(
        (bodies(&context["events_before"]), bodies(&context["events_after"])),
        (vec!["one".into()], vec!["three".to_owned()])
    );
    assert!(context["start"].is_string() && context["end"].is_string());
    assert!(context["state"].as_array().unwrap().iter().any(|event| event["type"] == "m.room.create"));
    let alone = root.get(&format!("{path}/context/{}?limit=0", said[1])).await.ok();
    assert_eq!((&alone["events_before"], &alone["events_after"]), (&json!([]), &json!([])));
    root.get(&format!("{path}/context/$nosuch")).await.fails(404, "M_NOT_FOUND");

    let found = root.get(&format!("{path}/timestamp_to_event?ts=32503680000000&dir=b")).await.ok();
    assert_eq!(found["event_id"].as_str(), Some(&*said[3]));
    let found = root.get(&format!("{path}/timestamp_to_event?ts=0")).await.ok();
    assert_eq!(found["event_id"], forward["chunk"][0]["event_id"]);

    let fetched = root.get(&format!("{ADMIN}/fetch_event/{}", said[0])).await.ok();
    assert_eq!((&fetched["event"]["event_id"], &fetched["event"]["content"]["body"]), (&json!(said[0]), &json!("one")));
    assert!(fetched["event"]["signatures"].is_object() && fetched["event"]["auth_events"].is_array());
    root.get(&format!("{ADMIN}/fetch_event/$nosuch")).await.fails(404, "M_NOT_FOUND");

    let nowhere = format!("{ADMIN}/rooms/!nosuch:example.org");
    for path in ["messages", "timestamp_to_event?ts=0", "context/$nosuch"] {
        root.get(&format!("{nowhere}/{path}")).await.fails(404, "M_NOT_FOUND");
    }
    let tea = "/_matrix/client/v3/directory/room/%23tea:example.org";
    alice.put(tea, json!({"room_id": room})).await.ok();
    let aliases = format!("/_matrix/client/v3/rooms/{room}/aliases");
    assert_eq!(root.get(&aliases).await.ok(), json!({"aliases": ["#tea:example.org"]}));
    server.person("bob").await.get(&aliases).await.fails(403, "M_FORBIDDEN");

    // As everybody else, they are not in the room.
    root.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=b")).await.fails(403, "M_FORBIDDEN");
    root.get(&format!("/_matrix/client/v3/rooms/{room}/event/{}", said[0])).await.fails(404, "M_NOT_FOUND");
}
