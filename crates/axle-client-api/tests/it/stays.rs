//! Rooms of other servers that this server was in several times.

use axle_protocol::UserId;
use serde_json::json;

use crate::common::rooms::Sent;
use crate::common::server;
use crate::messages::joined_elsewhere;

#[tokio::test]
async fn what_happened_between_two_stays_is_fetched() {
    let server = server().await;
    let alice = server.person("alice").await;
    let room = joined_elsewhere(&server, &alice.user_id, 0).await;
    let carol = UserId::parse("@carol:other.org").unwrap();
    let moves = |membership: &str| {
        let content = json!({"membership": membership});
        let (sender, state_key) = (&alice.user_id, Some(alice.user_id.as_str()));
        server.rooms.event(&room, Sent { sender, event_type: "m.room.member", state_key, content })
    };
    let said = |text: &str| {
        let content = json!({"msgtype": "m.text", "body": text});
        server.rooms.event(&room, Sent { sender: &carol, event_type: "m.room.message", state_key: None, content })
    };
    // The join and a message are there already.
    server.rooms.come_back(&room, 2, &[moves("leave")]).await;
    server.rooms.come_back(&room, 6, &[moves("join"), said("back")]).await;
    let missed = ["missed-1", "missed-2", "missed-3"].map(said).to_vec();
    server.rooms.history.lock().await.insert(room.clone(), missed);
    let all = ["back", "missed-3", "missed-2", "missed-1", "hello"];
    assert_eq!(alice.texts(&room, "dir=b&limit=20").await, all);
    assert!(server.rooms.history.lock().await[&room].is_empty());
    assert_eq!(alice.texts(&room, "dir=b&limit=20").await, all, "it is here now");
}
