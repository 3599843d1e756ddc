//! Groups of rooms: what reaches the hub, and what does not.

use axle_protocol::MatrixError;
use axle_protocol::limits::MAX_EVENT_BYTES;
use serde_json::json;

use super::world::World;

const GROUPS: &str = "/_matrix/federation/unstable/im.axle.mls.v1";

fn path(rest: &str) -> String {
    format!("{GROUPS}/{rest}/!r:hub.test")
}

#[tokio::test]
async fn what_participants_send_reaches_the_hub() {
    let world = World::new().await;
    assert_eq!(world.get(&path("group")).await.ok(), json!({"epoch": 7}));
    world.get(&format!("{}?commit=$c", path("group"))).await.ok();
    let pair = json!({"member": {"n": 1}, "commit": {"n": 2}});
    let paired = world.call("POST", &path("pair"), &pair).await.ok();
    assert_eq!(paired, json!({"member_event_id": "$m", "commit_event_id": "$c"}));
    let leave = json!({"member": {"n": 1}, "proposal": {"sender": "@u:a.test", "message": "AAAB"}});
    assert_eq!(world.call("POST", &path("pair"), &leave).await.ok(), json!({"member_event_id": "$m"}));
    let proposal = json!({"sender": "@u:a.test", "message": "AAAB"});
    assert_eq!(world.call("POST", &path("proposals"), &proposal).await.ok(), json!({}));
    let report = |report| json!({ "report": report });
    let answer = world.call("POST", &path("reports"), &report(json!({"verdict": "x"}))).await.ok();
    assert_eq!(answer, json!({"rolled_back_to": 6}));
    assert_eq!(world.call("POST", &path("reports"), &report(json!({}))).await.ok(), json!({}));
    assert_eq!(
        world.service.calls(),
        [
            "group a.test !r:hub.test now",
            "group a.test !r:hub.test $c",
            r#"pair a.test !r:hub.test {"n":1} commit {"n":2}"#,
            r#"pair a.test !r:hub.test {"n":1} proposal @u:a.test AAAB"#,
            "propose a.test !r:hub.test @u:a.test AAAB",
            r#"report a.test !r:hub.test {"verdict":"x"}"#,
            "report a.test !r:hub.test {}",
        ]
    );
}

#[tokio::test]
async fn what_is_malformed_or_somebody_elses_does_not() {
    let world = World::new().await;
    let proposal = |sender: &str, message: &str| json!({"sender": sender, "message": message});
    let long = "A".repeat(MAX_EVENT_BYTES + 4);
    for (endpoint, body, status, errcode) in [
        ("pair", json!({"commit": {}}), 400, "M_BAD_JSON"),
        ("pair", json!({"member": {}}), 400, "M_BAD_JSON"),
        ("pair", json!({"member": {}, "commit": {}, "proposal": proposal("@u:a.test", "AAAA")}), 400, "M_BAD_JSON"),
        ("pair", json!({"member": {}, "proposal": proposal("@u:b.test", "AAAA")}), 403, "M_FORBIDDEN"),
        ("proposals", json!({"message": "AAAA"}), 400, "M_BAD_JSON"),
        ("proposals", proposal("u", "AAAA"), 400, "M_BAD_JSON"),
        ("proposals", proposal("@u:b.test", "AAAA"), 403, "M_FORBIDDEN"),
        ("proposals", proposal("@u:a.test", "!"), 400, "M_BAD_JSON"),
        ("proposals", proposal("@u:a.test", ""), 400, "M_BAD_JSON"),
        ("proposals", proposal("@u:a.test", &long), 413, "M_TOO_LARGE"),
        ("reports", json!({}), 400, "M_BAD_JSON"),
        ("reports", json!({"report": []}), 400, "M_BAD_JSON"),
    ] {
        world.call("POST", &path(endpoint), &body).await.fails(status, errcode);
    }
    world.get(&format!("{}?commit=x", path("group"))).await.fails(404, "M_NOT_FOUND");
    world.get(&format!("{GROUPS}/group/r")).await.fails(404, "M_NOT_FOUND");
    assert_eq!(world.service.count(), 0);
}

#[tokio::test]
async fn refusals_are_told_as_they_are() {
    let world = World::new().await;
    world.service.refuse(MatrixError::new(409, "IM.AXLE.MLS.WRONG_EPOCH", "the group is in epoch 8"));
    world.get(&path("group")).await.fails(409, "IM.AXLE.MLS.WRONG_EPOCH");
    let pair = json!({"member": {}, "commit": {}});
    let answer = world.call("POST", &path("pair"), &pair).await.fails(409, "IM.AXLE.MLS.WRONG_EPOCH");
    assert_eq!(answer["error"], "the group is in epoch 8");
}
