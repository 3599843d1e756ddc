//! How other servers are reached, as Synapse's tools show it.

use axle_protocol::{RoomVersion, ServerName};
use axle_store::{Append, DeliveryChange};
use serde_json::{Value, json};

use crate::common::{Person, server};
use crate::synapse::admin;

const PATH: &str = "/_synapse/admin/v1/federation/destinations";

async fn names(root: &Person, query: &str) -> Vec<String> {
    let found = root.get(&format!("{PATH}?{query}")).await.ok();
    let names = found["destinations"].as_array().unwrap().iter().map(|it| it["destination"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

#[tokio::test]
async fn destinations_are_listed_and_tried_again() {
    let server = server().await;
    let root = admin(&server).await;
    assert_eq!(root.get(PATH).await.ok(), json!({"destinations": [], "total": 0}));
    let room = root.create_room(json!({"preset": "public_chat"})).await;
    let [a, b] = ["a.example", "b.example"].map(|name| ServerName::parse(name).unwrap());
    let head = server.store.load_room(&room).await.unwrap().unwrap().head.unwrap().position;
    let start = |destination: &ServerName| DeliveryChange::Start { destination: destination.clone(), after: head };
    let append = Append {
        room_id: room.clone(),
        room_version: RoomVersion::I1,
        expected_head: Some(head),
        events: Vec::new(),
        deliveries: vec![start(&b), start(&a)],
        settled_lpdus: Vec::new(),
        announcements: Vec::new(),
        groups: Vec::new(),
        client_txns: Vec::new(),
        lpdus_unasked: false,
        made_here: false,
    };
    server.store.append(append).await.unwrap();
    server.store.record_attempt(&b, 1_700_000_000_000, Some("timed out".into()));
    // Written with what is written next.
    root.say(&room, "hello").await;

    assert_eq!(names(&root, "").await, ["a.example", "b.example"]);
    assert_eq!(names(&root, "dir=b").await, ["b.example", "a.example"]);
    assert_eq!(names(&root, "order_by=failure_ts&dir=b").await, ["b.example", "a.example"]);
    assert_eq!(names(&root, "destination=B.EX").await, ["b.example"]);
    let page = root.get(&format!("{PATH}?limit=1")).await.ok();
    assert_eq!((&page["total"], &page["next_token"]), (&json!(2), &json!("1")));
    let rest = root.get(&format!("{PATH}?limit=1&from=1")).await.ok();
    assert_eq!((&rest["destinations"][0]["destination"], rest.get("next_token")), (&json!("b.example"), None));
    for refused in ["order_by=luck", "dir=x", "limit=-1"] {
        root.get(&format!("{PATH}?{refused}")).await.fails(400, "M_INVALID_PARAM");
    }

    let good = root.get(&format!("{PATH}/a.example")).await.ok();
    assert_eq!(good, page["destinations"][0]);
    assert_eq!((&good["retry_last_ts"], &good["retry_interval"]), (&json!(0), &json!(0)));
    assert_eq!((&good["failure_ts"], good["last_successful_stream_ordering"].is_i64()), (&Value::Null, true));
    let failing = root.get(&format!("{PATH}/b.example")).await.ok();
    assert_eq!((&failing["failure_ts"], &failing["retry_last_ts"]), (&json!(1_700_000_000_000_i64), &Value::Null));
    root.get(&format!("{PATH}/c.example")).await.fails(404, "M_NOT_FOUND");

    let rooms = async |query: &str| root.get(&format!("{PATH}/b.example/rooms?{query}")).await.ok();
    let newest = server.store.load_room(&room).await.unwrap().unwrap().head.unwrap().stream;
    let all = json!({"rooms": [{"room_id": room, "stream_ordering": newest}], "total": 1});
    assert_eq!(rooms("limit=1&dir=b").await, all);
    assert_eq!(rooms("from=1").await, json!({"rooms": [], "total": 1}));
    root.get(&format!("{PATH}/c.example/rooms")).await.fails(404, "M_NOT_FOUND");

    let reset = async |name: &str| root.post(&format!("{PATH}/{name}/reset_connection"), json!({})).await;
    reset("c.example").await.fails(404, "M_NOT_FOUND");
    reset("a.example").await.fails(400, "M_UNKNOWN");
    assert_eq!(server.servers.tried(), []);
    assert_eq!(reset("b.example").await.ok(), json!({}));
    assert_eq!(server.servers.tried(), [b]);
}
