//! Users' devices and keys.

use serde_json::json;

use super::world::{UNSTABLE, World};
use crate::support::Ask;

#[tokio::test]
async fn devices_of_a_user() {
    let world = World::new().await;
    let list = world.get("/_matrix/federation/v1/user/devices/@u:hub.test").await.ok();
    let devices = json!([{"device_id": "ONE", "keys": {"device_id": "ONE"}}]);
    assert_eq!(list, json!({"user_id": "@u:hub.test", "stream_id": 7, "devices": devices}));
    for path in ["/_matrix/federation/v1", UNSTABLE] {
        let device = world.get(&format!("{path}/user/@u:hub.test/device/ONE")).await.ok();
        assert_eq!(device, json!({"device_id": "ONE"}));
        world.get(&format!("{path}/user/@u:hub.test/device/TWO")).await.fails(404, "M_NOT_FOUND");
    }
    // As the draft's note on implementations has it.
    let put = Ask::without_body("PUT", &format!("{UNSTABLE}/user/@u:hub.test/device/ONE"));
    assert_eq!(world.send(put.signed()).await.ok(), json!({"device_id": "ONE"}));
    world.service.calls();
    world.get("/_matrix/federation/v1/user/devices/u").await.fails(400, "M_INVALID_PARAM");
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn keys_are_asked_for_within_bounds() {
    let world = World::new().await;
    let path = "/_matrix/federation/v1/user/keys";
    world.call("POST", &format!("{path}/query"), &json!({"device_keys": {"@u:hub.test": []}})).await.ok();
    world.call("POST", &format!("{path}/claim"), &json!({"one_time_keys": {"@u:hub.test": {"ONE": "x"}}})).await.ok();
    assert_eq!(world.service.calls(), [r#"query {"@u:hub.test":[]}"#, r#"claim {"@u:hub.test":{"ONE":"x"}}"#]);
    let users: serde_json::Map<_, _> = (0..1_001).map(|n| (format!("@u{n}:hub.test"), json!([]))).collect();
    world.call("POST", &format!("{path}/query"), &json!({"device_keys": users})).await.fails(400, "M_INVALID_PARAM");
    let devices: serde_json::Map<_, _> = (0..1_001).map(|n| (n.to_string(), json!("x"))).collect();
    let claim = json!({"one_time_keys": {"@u:hub.test": devices}});
    world.call("POST", &format!("{path}/claim"), &claim).await.fails(400, "M_INVALID_PARAM");
    for what in ["query", "claim"] {
        for body in [json!({}), json!({"device_keys": 1, "one_time_keys": []}), json!({"device_keys": {"@u": "x"}})] {
            world.call("POST", &format!("{path}/{what}"), &body).await.fails(400, "M_BAD_JSON");
        }
    }
    assert_eq!(world.service.count(), 0);
}
