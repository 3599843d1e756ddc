//! Devices and keys of users on two servers.

use serde_json::{Value, json};

use crate::people::Person;
use crate::world::{BOB, World};

fn device_keys(user: &str, device: &str, key: &str) -> Value {
    let id = format!("ed25519:{device}");
    json!({
        "user_id": user, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {&id: key}, "signatures": {user: {&id: "c2ln"}},
    })
}

/// What the peer says of bob's devices.
fn list(stream_id: i64, devices: &[(&str, &str)]) -> Value {
    let device = |(id, key): &(&str, &str)| json!({"device_id": id, "keys": device_keys(BOB, id, key)});
    json!({"user_id": BOB, "stream_id": stream_id, "devices": devices.iter().map(device).collect::<Vec<_>>()})
}

fn update(stream_id: i64, prev_id: i64, device: &str, key: &str) -> Value {
    json!({"edu_type": "m.device_list_update", "content": {
        "user_id": BOB, "device_id": device, "stream_id": stream_id, "prev_id": [prev_id],
        "keys": device_keys(BOB, device, key),
    }})
}

async fn query(person: &Person, user: &str) -> Value {
    person.post("keys/query", json!({"device_keys": {user: []}})).await.1
}

/// The ids of bob's devices that alice sees.
async fn devices_of_bob(world: &World) -> Vec<String> {
    let answer = query(&world.alice, BOB).await;
    let devices = answer["device_keys"][BOB].as_object().unwrap_or_else(|| panic!("{answer}"));
    devices.keys().cloned().collect()
}

fn asked(world: &World) -> usize {
    world.peer.keys.lock().unwrap().asked
}

fn say(world: &World, devices: Value) {
    world.peer.keys.lock().unwrap().devices = devices;
}

fn has_changed(sync: &Value, user: &str) -> bool {
    sync["device_lists"]["changed"].as_array().is_some_and(|changed| changed.contains(&json!(user)))
}

#[tokio::test]
async fn a_list_is_kept_while_a_room_is_shared() {
    let world = World::new().await;
    world.room_with_bob().await;
    say(&world, list(5, &[("ONE", "k1")]));
    assert_eq!(devices_of_bob(&world).await, ["ONE"]);
    assert_eq!(devices_of_bob(&world).await, ["ONE"]);
    assert_eq!(asked(&world), 1, "the second answer is from memory");
    // An update that follows is applied.
    let since = world.alice.now().await;
    world.edus("1", json!([update(6, 5, "TWO", "k2")])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await, BOB));
    assert_eq!((devices_of_bob(&world).await, asked(&world)), (vec!["ONE".into(), "TWO".into()], 1));
    let gone = json!({"type": "m.device_list_update", "sender": BOB, "content": {
        "changed": [], "removed": ["ONE"], "stream_id": 7, "prev_id": [6], "user_id": BOB,
    }});
    world.edus("2", json!([gone])).await;
    assert_eq!((devices_of_bob(&world).await, asked(&world)), (vec!["TWO".into()], 1));
    // After a gap the list is asked for again.
    say(&world, list(9, &[("THREE", "k3")]));
    let since = world.alice.now().await;
    world.edus("3", json!([update(9, 8, "THREE", "k3")])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await, BOB));
    assert_eq!((devices_of_bob(&world).await, asked(&world)), (vec!["THREE".into()], 2));
}

#[tokio::test]
async fn a_stranger_is_asked_for_each_time() {
    let world = World::new().await;
    world.peer.keys.lock().unwrap().queried = json!({"device_keys": {BOB: {"ONE": device_keys(BOB, "ONE", "k")}}});
    for n in 1..=2 {
        assert_eq!((devices_of_bob(&world).await, asked(&world)), (vec!["ONE".into()], n));
    }
}

#[tokio::test]
async fn a_server_speaks_for_its_own_users_only() {
    let world = World::new().await;
    world.room_with_bob().await;
    let alice = &world.alice.user_id;
    let mut lie = list(5, &[("ONE", "k1")]);
    let forged = [("TWO", device_keys(alice, "TWO", "k")), ("THREE", device_keys(BOB, "FOUR", "k"))];
    for (device_id, keys) in forged {
        lie["devices"].as_array_mut().unwrap().push(json!({"device_id": device_id, "keys": keys}));
    }
    lie["master_key"] = json!({"user_id": alice, "usage": ["master"], "keys": {"ed25519:x": "x"}});
    say(&world, lie);
    let answer = query(&world.alice, BOB).await;
    assert_eq!(answer["device_keys"][BOB].as_object().unwrap().keys().collect::<Vec<_>>(), ["ONE"]);
    assert_eq!(answer["master_keys"], json!({}));
    // A list of somebody else, and no list at all.
    world.edus("1", json!([update(9, 8, "ONE", "k")])).await;
    for answer in [json!({"user_id": alice, "stream_id": 1, "devices": []}), json!([]), json!({"devices": 7})] {
        say(&world, answer);
        let answer = query(&world.alice, BOB).await;
        assert!(answer["failures"]["a.test"].is_object(), "{answer}");
        assert_eq!(answer["device_keys"].get(BOB), None);
    }
    // More than any user has.
    say(&world, json!({"user_id": BOB, "stream_id": 1, "devices": [], "x": "x".repeat(2_000_000)}));
    assert!(query(&world.alice, BOB).await["failures"]["a.test"].is_object());
}

#[tokio::test]
async fn who_cannot_be_reached_does_not_hold_up_the_rest() {
    let world = World::with(|config| {
        config.federation.overrides.insert(crate::world::name("down.test"), ([127, 0, 0, 1], 1).into());
    })
    .await;
    let keys = device_keys(&world.alice.user_id, &world.alice.device_id, "k");
    world.alice.post("keys/upload", json!({"device_keys": keys})).await;
    let wanted = json!({"device_keys": {&world.alice.user_id: [], "@u:down.test": []}});
    let (status, answer) = world.alice.post("keys/query", wanted).await;
    assert_eq!(status, 200);
    assert_eq!(answer["device_keys"][&world.alice.user_id].as_object().unwrap().len(), 1);
    assert!(answer["failures"]["down.test"].is_object() && answer["failures"].as_object().unwrap().len() == 1);
    let claim = json!({"one_time_keys": {"@u:down.test": {"ONE": "signed_curve25519"}}});
    let (status, answer) = world.alice.post("keys/claim", claim).await;
    assert_eq!((status, answer["failures"].as_object().unwrap().len()), (200, 1));
}

#[tokio::test]
async fn only_keys_that_were_asked_for_are_taken() {
    let world = World::new().await;
    let key = json!({"key": "k", "signatures": {}});
    let too_large = json!({"key": "k".repeat(20_000)});
    world.peer.keys.lock().unwrap().claimed = json!({"one_time_keys": {
        BOB: {
            "ONE": {"curve25519:A": "other", "signed_curve25519:B": key},
            "TWO": {"signed_curve25519:C": too_large},
            "THREE": {"signed_curve25519:D": key},
        },
        &world.alice.user_id: {"ONE": {"signed_curve25519:E": key}},
    }});
    let wanted = json!({BOB: {"ONE": "signed_curve25519", "TWO": "signed_curve25519"}});
    let (_, answer) = world.alice.post("keys/claim", json!({"one_time_keys": wanted})).await;
    assert_eq!(answer["one_time_keys"], json!({BOB: {"ONE": {"signed_curve25519:B": key}}}));
}

#[tokio::test]
async fn changes_of_our_devices_are_told_in_a_chain() {
    let world = World::new().await;
    world.room_with_bob().await;
    let (alice, device) = (world.alice.user_id.clone(), world.alice.device_id.clone());
    let keys = device_keys(&alice, &device, "k");
    world.alice.post("keys/upload", json!({"device_keys": keys})).await;
    let is_update = |edu: &Value| edu["type"] == "m.device_list_update";
    let first = world.peer.until_edu(is_update).await["content"].clone();
    assert_eq!((&first["user_id"], &first["device_id"]), (&json!(alice), &json!(device)));
    assert_eq!((&first["changed"], &first["keys"]), (&json!([keys]), &keys));
    world.alice.put(&format!("devices/{device}"), json!({"display_name": "phone"})).await;
    let second = world.peer.until_edu(|edu| edu["content"]["device_display_name"] == "phone").await["content"].clone();
    assert_eq!(second["prev_id"], json!([first["stream_id"]]));
    let listed = world.get(&format!("/_matrix/federation/v1/user/devices/{alice}")).await.ok();
    assert_eq!((&listed["stream_id"], &listed["devices"][0]["keys"]), (&second["stream_id"], &keys));
    assert_eq!(listed["devices"][0]["device_display_name"], "phone");
    let one = world.get(&format!("/_matrix/federation/v1/user/{alice}/device/{device}")).await.ok();
    assert_eq!(one, keys);
    world.alice.post("logout", json!({})).await;
    let last = world.peer.until_edu(|edu| edu["content"]["deleted"] == true).await["content"].clone();
    assert_eq!((&last["prev_id"], &last["removed"]), (&json!([second["stream_id"]]), &json!([device])));
    for nobody in ["@nobody:hub.test", "@bob:a.test"] {
        let answer = world.get(&format!("/_matrix/federation/v1/user/devices/{nobody}")).await;
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
}

#[tokio::test]
async fn our_keys_are_given_to_other_servers() {
    let world = World::new().await;
    let (alice, device) = (world.alice.user_id.clone(), world.alice.device_id.clone());
    let keys = device_keys(&alice, &device, "k");
    let one_time = json!({"signed_curve25519:A": {"key": "a"}});
    world.alice.post("keys/upload", json!({"device_keys": keys, "one_time_keys": one_time})).await;
    let v1 = "/_matrix/federation/v1/user/keys";
    let wanted = json!({"device_keys": {&alice: [], "@bob:a.test": [], "nobody": []}});
    let answer = world.call("POST", &format!("{v1}/query"), wanted.to_string()).await.ok();
    assert_eq!(answer["device_keys"].as_object().unwrap().keys().collect::<Vec<_>>(), [&alice]);
    assert_eq!(answer["device_keys"][&alice][&device]["keys"], keys["keys"]);
    let wanted = json!({"one_time_keys": {&alice: {&device: "signed_curve25519"}, BOB: {"ONE": "x"}}});
    let claim = async || world.call("POST", &format!("{v1}/claim"), wanted.to_string()).await.ok();
    assert_eq!(claim().await["one_time_keys"], json!({&alice: {&device: one_time}}));
    assert_eq!(claim().await["one_time_keys"], json!({}), "each key once");
}

#[tokio::test]
async fn cross_signing_keys_travel_too() {
    let world = World::new().await;
    world.room_with_bob().await;
    let key = crate::world::key("cross-signing").verify_key().to_base64();
    let master = |user: &str| json!({"user_id": user, "usage": ["master"], "keys": {format!("ed25519:{key}"): key}});
    say(&world, list(5, &[("ONE", "k1")]));
    assert_eq!(query(&world.alice, BOB).await["master_keys"], json!({}));
    let since = world.alice.now().await;
    let update = json!({"user_id": BOB, "master_key": master(BOB)});
    world.edus("1", json!([{"edu_type": "m.signing_key_update", "content": update}])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await, BOB));
    assert_eq!(query(&world.alice, BOB).await["master_keys"][BOB]["keys"], master(BOB)["keys"]);
    assert_eq!(asked(&world), 1);

    let ours = master(&world.alice.user_id);
    let (status, answer) = world.alice.post("keys/device_signing/upload", json!({"master_key": ours})).await;
    assert_eq!(status, 200, "{answer}");
    let edu = world.peer.until_edu(|edu| edu["edu_type"] == "m.signing_key_update").await;
    assert_eq!(edu["content"]["master_key"]["keys"], ours["keys"]);
    let listed = world.get(&format!("/_matrix/federation/v1/user/devices/{}", world.alice.user_id)).await.ok();
    assert_eq!(listed["master_key"]["keys"], ours["keys"]);
}
