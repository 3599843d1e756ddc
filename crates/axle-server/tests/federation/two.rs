//! Two whole servers: what waits for one that is down, and for one that is started again.

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_protocol::RoomId;
use axle_server::listen::Api;
use serde_json::{Value, json};

use crate::mls::Device;
use crate::people::Person;
use crate::setup::Setup;
use crate::world::HUB;

const OTHER: &str = "one.test";

async fn join(person: &Person, room: &RoomId) {
    let (status, answer) = person.post(&format!("join/{room}?server_name={HUB}"), json!({})).await;
    assert_eq!(status, 200, "{answer}");
}

fn ids(sync: &Value) -> Vec<u64> {
    let events = sync["to_device"]["events"].as_array();
    events.into_iter().flatten().filter_map(|event| event["content"]["n"].as_u64()).collect()
}

#[tokio::test]
async fn messages_wait_for_a_server_that_is_down_and_survive_the_sender() {
    let setup = Setup::new(&[HUB, OTHER]);
    let (hub, one) = (setup.start(0).await, setup.start(1).await);
    let alice = Person::register(hub.addresses(Api::Client).next().unwrap(), "alice").await;
    let bob = Person::register(one.addresses(Api::Client).next().unwrap(), "bob").await;
    let send = async |n: u64| {
        let messages = json!({&bob.user_id: {&bob.device_id: {"n": n}}});
        alice.put(&format!("sendToDevice/m.x/{n}"), json!({"messages": messages})).await;
    };
    send(1).await;
    let since = bob.now().await;
    bob.sync_until(since.clone(), |sync| ids(sync).contains(&1).then_some(())).await;
    one.stop().await;
    send(2).await;
    send(3).await;
    // What was answered is durable: it is there for another process, too.
    hub.stop().await;
    let hub = setup.start(0).await;
    let one = setup.start(1).await;
    send(4).await;
    let mut seen = Vec::new();
    let mut at = since;
    while seen.last() != Some(&4) {
        let (got, next) = bob
            .sync_until(at, |sync| {
                let got = ids(sync);
                (!got.is_empty()).then(|| (got, sync["next_batch"].as_str().unwrap().to_owned()))
            })
            .await;
        seen.extend(got);
        at = next;
    }
    assert_eq!(seen, [1, 2, 3, 4], "each once, in order");
    hub.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn both_see_each_other_in_a_room() {
    let setup = Setup::new(&[HUB, OTHER]);
    let (hub, one) = (setup.start(0).await, setup.start(1).await);
    let alice = Person::register(hub.addresses(Api::Client).next().unwrap(), "alice").await;
    let bob = Person::register(one.addresses(Api::Client).next().unwrap(), "bob").await;
    let room = alice.create_room("public").await;
    let since = alice.now().await;
    join(&bob, &room).await;
    let changed = |sync: &Value, user: &str| {
        sync["device_lists"]["changed"].as_array().is_some_and(|users| users.contains(&json!(user)))
    };
    alice.sync_until(since, |sync| changed(sync, &bob.user_id).then_some(())).await;
    let keys = |person: &Person| {
        let id = format!("ed25519:{}", person.device_id);
        json!({
            "user_id": person.user_id, "device_id": person.device_id, "algorithms": [],
            "keys": {&id: "k"}, "signatures": {&person.user_id: {&id: "c2ln"}},
        })
    };
    // Bob's server has asked for her list before she has any keys; it learns of them.
    let wanted = json!({"device_keys": {&alice.user_id: []}});
    let (_, answer) = bob.post("keys/query", wanted.clone()).await;
    assert_eq!(answer["device_keys"][&alice.user_id], json!({}), "{answer}");
    let since = bob.now().await;
    alice.post("keys/upload", json!({"device_keys": keys(&alice)})).await;
    bob.sync_until(since, |sync| changed(sync, &alice.user_id).then_some(())).await;
    let (_, answer) = bob.post("keys/query", wanted).await;
    assert_eq!(answer["device_keys"][&alice.user_id][&alice.device_id]["keys"], keys(&alice)["keys"]);

    // Who types and who reads, on the server that is no hub and on the one that is.
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        let since = to.now().await;
        from.put(&format!("rooms/{room}/typing/{}", from.user_id), json!({"typing": true, "timeout": 60_000})).await;
        let said = from.say(&room, "hello").await;
        let ephemeral = |sync: &Value, kind: &str| {
            let events = sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"].as_array().cloned();
            events.into_iter().flatten().find(|event| event["type"] == kind)
        };
        let types = |sync: &Value| {
            let users = ephemeral(sync, "m.typing")?["content"]["user_ids"].clone();
            users.as_array()?.contains(&json!(from.user_id)).then_some(())
        };
        to.sync_until(since.clone(), types).await;
        from.post(&format!("rooms/{room}/receipt/m.read/{said}"), json!({})).await;
        let reads =
            |sync: &Value| ephemeral(sync, "m.receipt")?["content"][&said]["m.read"].get(&from.user_id).map(|_| ());
        to.sync_until(since, reads).await;
    }
    let since = bob.now().await;
    alice.post(&format!("rooms/{room}/leave"), json!({})).await;
    let left = |sync: &Value| {
        sync["device_lists"]["left"].as_array().is_some_and(|users| users.contains(&json!(alice.user_id))).then_some(())
    };
    bob.sync_until(since, left).await;
    hub.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn devices_and_key_packages_of_mls() {
    let setup = Setup::new(&[HUB, OTHER]);
    let (hub, one) = (setup.start(0).await, setup.start(1).await);
    let alice = Person::register(hub.addresses(Api::Client).next().unwrap(), "alice").await;
    let bob = Person::register(one.addresses(Api::Client).next().unwrap(), "bob").await;
    let room = alice.create_room("public").await;
    join(&bob, &room).await;
    let told = async |since: String| {
        let changed = json!(alice.user_id);
        let is_told = |sync: &Value| sync["device_lists"]["changed"].as_array().is_some_and(|it| it.contains(&changed));
        bob.sync_until(since, |sync| is_told(sync).then_some(())).await;
    };
    let seen = async || {
        let (_, answer) = bob.post("keys/query", json!({"device_keys": {&alice.user_id: []}})).await;
        answer["device_keys"][&alice.user_id].clone()
    };
    let device = Device::of(&alice.user_id, &alice.device_id);
    let (first, last) = (device.key_package(false), device.key_package(true));
    let keys = json!({"one_time_keys": {&first.0: first.1}, "fallback_keys": {&last.0: last.1}});
    let since = bob.now().await;
    assert_eq!(alice.post("keys/upload", json!({"device_keys": device.object()})).await.0, 200);
    told(since).await;
    assert_eq!(alice.post("keys/upload", keys).await.0, 200);
    let mut object = seen().await[&alice.device_id].clone();
    object.as_object_mut().unwrap().remove("unsigned");
    assert_eq!(object, device.object());
    let wanted = json!({"one_time_keys": {&alice.user_id: {&alice.device_id: KEY_PACKAGE_ALGORITHM, "X": "y"}}});
    for (id, key_package) in [first, last.clone(), last] {
        let (_, answer) = bob.post("keys/claim", wanted.clone()).await;
        let claimed = json!({&alice.user_id: {&alice.device_id: {id: key_package}}});
        assert_eq!(answer["one_time_keys"], claimed, "{answer}");
    }
    // A Welcome is a message to the device.
    let since = alice.now().await;
    let welcome = json!({"algorithm": "m.mls.v1.welcome.x", "ciphertext": "AA", "commit_event_id": "$c"});
    let messages = json!({&alice.user_id: {&alice.device_id: welcome}});
    bob.put("sendToDevice/m.room.encrypted/1", json!({"messages": messages})).await;
    let event = |sync: &Value| sync["to_device"]["events"].as_array()?.first().cloned();
    let event = alice.sync_until(since, event).await;
    assert_eq!((&event["sender"], &event["content"]), (&json!(bob.user_id), &welcome));
    // A device that takes its keys back is gone for others.
    let since = bob.now().await;
    alice.post("../unstable/im.axle.keys.v1/withdraw", json!({"device_keys": true})).await;
    told(since).await;
    assert_eq!(seen().await, json!({}));
    let (_, answer) = bob.post("keys/claim", wanted).await;
    assert_eq!(answer["one_time_keys"], json!({}));
    hub.stop().await;
    one.stop().await;
}
