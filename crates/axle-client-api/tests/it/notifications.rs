//! What notified a user, or would have.

use ruma::api::client::push::get_notifications::v3::Response;
use serde_json::{Value, json};

use crate::common::{Person, as_ruma, server, two_in_a_room};

const PATH: &str = "/_matrix/client/v3/notifications";

/// (text, whether it is read) of a page, and where the next one begins.
async fn page(person: &Person, query: &str) -> (Vec<(String, bool)>, Option<String>) {
    let answer = person.get(&format!("{PATH}?{query}")).await.ok();
    as_ruma::<Response>(&answer);
    let of = |it: &Value| (it["event"]["content"]["body"].as_str().unwrap().to_owned(), it["read"].as_bool().unwrap());
    let found = answer["notifications"].as_array().unwrap().iter().map(of).collect();
    (found, answer["next_token"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn the_newest_come_first_and_in_pages() {
    let server = server().await;
    let (alice, bob, room) = two_in_a_room(&server).await;
    let other = alice.create_room(json!({"preset": "public_chat"})).await;
    alice.say(&other, "unheard").await;
    bob.join(&other).await.ok();
    let one = alice.say(&room, "one").await;
    alice.say(&other, "two").await;
    bob.say(&room, "mine").await;
    let mention = json!({"msgtype": "m.text", "body": "three", "m.mentions": {"user_ids": [bob.user_id]}});
    alice.send(&room, "m.room.message", mention).await;
    let gone = alice.say(&other, "gone").await;
    alice.redact(&other, &gone).await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{one}"), json!({})).await.ok();

    let expected = [("three".to_owned(), false), ("two".into(), false), ("one".into(), true)];
    assert_eq!(page(&bob, "").await, (expected.to_vec(), None));
    let (first, next) = page(&bob, "limit=2").await;
    assert_eq!(first, expected[..2]);
    assert_eq!(page(&bob, &format!("limit=2&from={}", next.unwrap())).await, (expected[2..].to_vec(), None));
    assert_eq!(page(&bob, "only=highlight").await, (vec![("three".into(), false)], None));
    let answer = bob.get(&format!("{PATH}?limit=1")).await.ok();
    let notification = &answer["notifications"][0];
    assert_eq!((&notification["room_id"], &notification["event"]["sender"]), (&json!(room), &json!(alice.user_id)));
    assert!(notification["actions"].as_array().unwrap().contains(&json!("notify")), "{notification}");
    assert_eq!(notification["ts"], notification["event"]["origin_server_ts"]);
    assert_eq!(notification["profile_tag"], "");
    // Who has left is told nothing more of the room.
    bob.leave(&room).await.ok();
    assert_eq!(page(&bob, "").await, (vec![("two".into(), false)], None));
}
