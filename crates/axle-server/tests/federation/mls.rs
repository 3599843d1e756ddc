//! Devices and KeyPackages of MLS, to and from another server in the draft's form and in Matrix's, right and wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use axle_mls::algorithm::KEY_PACKAGE_ALGORITHM;
use axle_mls::{CheckedKeyPackage, DeviceInfo, DeviceKey};
use axle_protocol::{UserId, base64};
use openmls_rust_crypto::OpenMlsRustCrypto;
use serde_json::{Value, json};

use crate::support::Ask;
use crate::world::{BOB, HUB, PEER, World, key};

const V1: &str = "/_matrix/federation/v1";
const UNSTABLE: &str = "/_matrix/federation/unstable/org.matrix.i-d.ralston-mimi-linearized-matrix.02";
const HOUR: u64 = 3600;

/// A device of MLS.
pub struct Device(DeviceKey);

impl Device {
    pub fn of(user_id: &str, device_id: &str) -> Self {
        Self::with_key(user_id, device_id, 1)
    }

    fn with_key(user_id: &str, device_id: &str, seed: u8) -> Self {
        Self(DeviceKey::from_seed(UserId::parse(user_id).unwrap(), device_id, &[seed; 32]).unwrap())
    }

    /// What it signs and publishes.
    pub fn object(&self) -> Value {
        serde_json::from_str(DeviceInfo::sign(&self.0).json()).unwrap()
    }

    /// A KeyPackage with its id.
    pub fn key_package(&self, last_resort: bool) -> (String, String) {
        let bytes = self.bytes(1, last_resort);
        (CheckedKeyPackage::parse(&bytes).unwrap().key_id(), base64::encode(bytes))
    }

    /// A KeyPackage that was good an hour ago, or is still an hour, or so.
    fn bytes(&self, hours_from_now: i64, last_resort: bool) -> Vec<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let until = now.checked_add_signed(hours_from_now * HOUR as i64).unwrap();
        self.0.key_package(&OpenMlsRustCrypto::default(), (until - 2 * HOUR, until), last_resort).unwrap()
    }
}

fn list(devices: &[(&str, Value)]) -> Value {
    let device = |(id, keys): &(&str, Value)| json!({"device_id": id, "keys": keys});
    json!({"user_id": BOB, "stream_id": 1, "devices": devices.iter().map(device).collect::<Vec<_>>()})
}

/// As the draft has it.
fn update(changed: Value, removed: Value) -> Value {
    json!({"type": "m.device_list_update", "sender_id": BOB, "content": {"changed": changed, "removed": removed}})
}

/// Bob's devices as alice sees them; of these, if any are named.
async fn devices_of_bob(world: &World, named: &[&str]) -> Value {
    let (_, mut answer) = world.alice.post("keys/query", json!({"device_keys": {BOB: named}})).await;
    let mut devices = answer["device_keys"][BOB].take();
    // The own server adds it, always, and it is not signed.
    for device in devices.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        assert_eq!(device.as_object_mut().unwrap().remove("unsigned"), Some(json!({})));
    }
    devices
}

async fn claim(world: &World, devices: &[&str]) -> Value {
    let wanted = devices.iter().map(|id| ((*id).to_owned(), json!(KEY_PACKAGE_ALGORITHM)));
    let wanted = json!({"one_time_keys": {BOB: serde_json::Map::from_iter(wanted)}});
    world.alice.post("keys/claim", wanted).await.1["one_time_keys"].clone()
}

fn has_changed(sync: &Value) -> bool {
    sync["device_lists"]["changed"].as_array().is_some_and(|changed| changed.contains(&json!(BOB)))
}

#[tokio::test]
async fn claims_are_answered_in_both_forms() {
    let world = World::new().await;
    let (alice, device_id) = (world.alice.user_id.clone(), world.alice.device_id.clone());
    let device = Device::of(&alice, &device_id);
    let (one, two, last) = (device.key_package(false), device.key_package(false), device.key_package(true));
    let one_time = json!({&one.0: one.1, &two.0: two.1});
    let keys = json!({"device_keys": device.object(), "one_time_keys": one_time, "fallback_keys": {&last.0: last.1}});
    assert_eq!(world.alice.post("keys/upload", keys).await.0, 200);
    let wanted = json!({"one_time_keys": {
        &alice: {&device_id: KEY_PACKAGE_ALGORITHM, "NOSUCH": KEY_PACKAGE_ALGORITHM},
        "@nobody:hub.test": {"X": KEY_PACKAGE_ALGORITHM}, BOB: {"X": KEY_PACKAGE_ALGORITHM},
    }});
    let mut given = Vec::new();
    for path in [V1, UNSTABLE, V1, UNSTABLE] {
        let answer = world.call("POST", &format!("{path}/user/keys/claim"), wanted.to_string()).await.ok();
        let keys = answer["one_time_keys"][&alice][&device_id].clone();
        assert_eq!(answer["one_time_keys"], json!({&alice: {&device_id: keys}}), "nothing else");
        let keys = keys.as_object().unwrap().clone();
        let (id, key) = keys.iter().find(|(id, _)| *id != KEY_PACKAGE_ALGORITHM).unwrap();
        assert_eq!((keys.len(), &keys[KEY_PACKAGE_ALGORITHM]), (2, key), "the same key in both forms");
        given.push(id.clone());
    }
    let (first, rest) = given.split_at(2);
    assert!(first.contains(&one.0) && first.contains(&two.0), "{given:?}");
    assert_eq!(rest, [last.0.clone(), last.0]);
    for (method, path) in [("GET", V1), ("GET", UNSTABLE), ("PUT", UNSTABLE)] {
        let ask = |id: &str| {
            let ask = Ask::without_body(method, &format!("{path}/user/{alice}/device/{id}"));
            ask.signed_by(PEER, HUB, &key(PEER))
        };
        assert_eq!(world.send(ask(&device_id)).await.ok(), device.object());
        world.send(ask("NOSUCH")).await.fails(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_server_that_knows_the_draft_only() {
    let world = World::new().await;
    world.room_with_bob().await;
    let (one, two) = (Device::of(BOB, "ONE"), Device::of(BOB, "TWO"));
    {
        let mut keys = world.peer.keys.lock().unwrap();
        keys.draft_only = true;
        keys.single.insert("ONE".into(), one.object());
        keys.single.insert("TWO".into(), two.object());
    }
    let single_asked = || std::mem::take(&mut world.peer.keys.lock().unwrap().single_asked);
    assert_eq!(devices_of_bob(&world, &[]).await, json!({}), "nobody has told of any");
    // One that is told of is asked for, and kept.
    let since = world.alice.now().await;
    world.edus("1", json!([update(json!([one.object()]), json!([]))])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await));
    for _ in 0..2 {
        assert_eq!(devices_of_bob(&world, &[]).await, json!({"ONE": one.object()}));
    }
    assert_eq!(single_asked(), Vec::<String>::new(), "its update has said it all");
    // One that is named is asked for, too.
    assert_eq!(devices_of_bob(&world, &["TWO"]).await, json!({"TWO": two.object()}));
    assert!(single_asked().contains(&"TWO".to_owned()));
    // A KeyPackage without an id gets the one that its device should have given it.
    let (id, key_package) = one.key_package(false);
    let of_one = json!({"ONE": {KEY_PACKAGE_ALGORITHM: key_package}});
    world.peer.keys.lock().unwrap().claimed = json!({"one_time_keys": {BOB: of_one}});
    assert_eq!(claim(&world, &["ONE"]).await, json!({BOB: {"ONE": {id: key_package}}}));
    // Gone is gone, and an update that is too long leaves nothing that could be wrong.
    let since = world.alice.now().await;
    world.edus("2", json!([update(json!([]), json!(["ONE"]))])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await));
    world.peer.keys.lock().unwrap().single.remove("ONE");
    assert_eq!(devices_of_bob(&world, &[]).await, json!({"TWO": two.object()}));
    assert_eq!(claim(&world, &["ONE"]).await, json!({}));
    let since = world.alice.now().await;
    let many: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    world.edus("3", json!([update(json!([]), json!(many))])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await));
    single_asked();
    assert_eq!(devices_of_bob(&world, &[]).await, json!({}));
    assert_eq!(single_asked(), Vec::<String>::new());
}

#[tokio::test]
async fn devices_that_are_not_valid_are_none() {
    let world = World::new().await;
    world.room_with_bob().await;
    let good = Device::of(BOB, "GOOD");
    let mut unsigned = Device::of(BOB, "UNSIGNED").object();
    unsigned["signatures"] = json!({});
    let mut changed = Device::of(BOB, "CHANGED").object();
    changed["algorithms"] = json!(["m.other"]);
    let of_eve = Device::of("@eve:a.test", "EVE").object();
    let mut as_bobs = of_eve.clone();
    as_bobs["user_id"] = json!(BOB);
    let all = [
        ("GOOD", good.object()),
        ("UNSIGNED", unsigned.clone()),
        ("CHANGED", changed.clone()),
        ("EVE", of_eve),
        ("EVE", as_bobs),
    ];
    world.peer.keys.lock().unwrap().devices = list(&all);
    assert_eq!(devices_of_bob(&world, &[]).await, json!({"GOOD": good.object()}));
    // One that was valid is none any more, by an update in either form.
    let mut gone = good.object();
    gone["signatures"][BOB] = json!({});
    let since = world.alice.now().await;
    let in_matrix_form = json!({"edu_type": "m.device_list_update", "content": {
        "user_id": BOB, "device_id": "GOOD", "stream_id": 2, "prev_id": [1], "keys": gone,
    }});
    world.edus("1", json!([in_matrix_form])).await;
    assert!(has_changed(&world.alice.sync(Some(&since), 0).await));
    assert_eq!(devices_of_bob(&world, &[]).await, json!({}));
    world.peer.keys.lock().unwrap().draft_only = true;
    world.edus("2", json!([update(json!([unsigned, changed, 7, {"device_id": 7}]), json!([{}]))])).await;
    assert_eq!(devices_of_bob(&world, &[]).await, json!({}));
    // Without a valid device its KeyPackages are not even asked for.
    let asked = world.peer.keys.lock().unwrap().asked;
    world.peer.keys.lock().unwrap().single.insert("UNSIGNED".into(), unsigned);
    let (id, key_package) = Device::of(BOB, "UNSIGNED").key_package(false);
    world.peer.keys.lock().unwrap().claimed = json!({"one_time_keys": {BOB: {"UNSIGNED": {id: key_package}}}});
    assert_eq!(claim(&world, &["UNSIGNED"]).await, json!({}));
    // A list and a query, which are not there, and no claim.
    assert_eq!(world.peer.keys.lock().unwrap().asked - asked, 2);
}

#[tokio::test]
async fn key_packages_that_are_not_good_are_not_handed_on() {
    let world = World::new().await;
    world.room_with_bob().await;
    let ids = ["GOOD", "OTHER", "KEY", "OLD", "NEW", "BROKEN", "OBJECT", "LARGE", "SUITE", "NAMELESS"];
    let devices: Vec<_> = ids.iter().map(|id| (*id, Device::of(BOB, id).object())).collect();
    let (good, other) = (Device::of(BOB, "GOOD"), Device::of(BOB, "OTHER"));
    let name = |version: &str| format!("{KEY_PACKAGE_ALGORITHM}:{version}");
    let mut broken = Device::of(BOB, "BROKEN").bytes(1, false);
    *broken.last_mut().unwrap() ^= 1;
    let (id, key_package) = good.key_package(false);
    let encoded = |device: &Device, hours: i64| json!(base64::encode(device.bytes(hours, false)));
    {
        let mut keys = world.peer.keys.lock().unwrap();
        keys.devices = list(&devices);
        keys.claimed = json!({"one_time_keys": {
            BOB: {
                "GOOD": {&id: key_package},
                "OTHER": {name("1"): encoded(&good, 1)},
                "KEY": {name("1"): encoded(&Device::with_key(BOB, "KEY", 2), 1)},
                "OLD": {name("1"): encoded(&Device::of(BOB, "OLD"), -1)},
                "NEW": {name("1"): encoded(&Device::of(BOB, "NEW"), 4)},
                "BROKEN": {name("1"): base64::encode(broken)},
                "OBJECT": {name("1"): {"key": encoded(&Device::of(BOB, "OBJECT"), 1)}},
                "LARGE": {name("1"): "A".repeat(100_000)},
                "SUITE": {"m.mls.v1.key_package.other:1": encoded(&Device::of(BOB, "SUITE"), 1)},
                "NAMELESS": {name(""): encoded(&Device::of(BOB, "NAMELESS"), 1)},
                "NOTASKED": {name("1"): encoded(&other, 1)},
            },
            &world.alice.user_id: {"GOOD": {name("1"): encoded(&good, 1)}},
        }});
    }
    let claimed = claim(&world, &ids).await;
    assert_eq!(claimed, json!({BOB: {"GOOD": {&id: key_package}}}));
}

#[tokio::test]
async fn many_devices_at_once_are_told_in_pieces() {
    let world = World::new().await;
    world.room_with_bob().await;
    // Two devices lose their keys in one change, and a third one later.
    let mut people = Vec::new();
    for _ in 0..2 {
        let person = world.alice.log_in_again().await;
        let device = Device::of(&person.user_id, &person.device_id);
        assert_eq!(person.post("keys/upload", json!({"device_keys": device.object()})).await.0, 200);
        let is_it = |edu: &Value| edu["content"]["changed"] == json!([device.object()]);
        let edu = world.peer.until_edu(is_it).await;
        assert_eq!((&edu["sender"], &edu["sender_id"]), (&json!(person.user_id), &json!(person.user_id)));
        assert_eq!((&edu["type"], &edu["content"]["removed"]), (&json!("m.device_list_update"), &json!([])));
        people.push(person);
    }
    world.alice.post("logout/all", json!({})).await;
    let mut gone: Vec<&str> = people.iter().map(|person| &*person.device_id).collect();
    gone.sort_unstable();
    world.peer.until_edu(|edu| edu["content"]["removed"] == json!(gone)).await;
}
