//! Push rules: the predefined ones, and those of users.

use reqwest::Method;
use ruma::api::client::push::{get_pushrule, get_pushrules_all};
use serde_json::{Value, json};

use crate::common::{Answer, Person, as_ruma, server};

const RULES: &str = "/_matrix/client/v3/pushrules/";

fn rule(kind: &str, rest: &str) -> String {
    format!("{RULES}global/{kind}/{rest}")
}

/// Ids of a user's own rules of a kind, the most important first.
async fn own(person: &Person, kind: &str) -> Vec<String> {
    let rules = person.get(&format!("{RULES}global/")).await.ok();
    let rules = rules[kind].as_array().unwrap().iter().filter(|rule| rule["default"] == false);
    rules.map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect()
}

async fn add(person: &Person, kind: &str, rest: &str) -> Answer {
    let body = match kind {
        "content" => json!({"actions": ["notify"], "pattern": "tea"}),
        _ => json!({"actions": ["notify"]}),
    };
    person.put(&rule(kind, rest), body).await
}

/// The push rules in an answer of sync.
fn told(sync: &Value) -> Option<&Value> {
    let mut events = sync["account_data"]["events"].as_array().unwrap().iter();
    events.find(|event| event["type"] == "m.push_rules").map(|event| &event["content"]["global"])
}

#[tokio::test]
async fn the_predefined_rules_are_there_from_the_start() {
    let server = server().await;
    let alice = server.person("alice").await;
    let all = alice.get(RULES).await.ok();
    as_ruma::<get_pushrules_all::v3::Response>(&all);
    let ids = |kind: &str| -> Vec<String> {
        let rules = all["global"][kind].as_array().unwrap().iter();
        rules.map(|rule| rule["rule_id"].as_str().unwrap().to_owned()).collect()
    };
    let overrides = [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.contains_display_name",
        ".m.rule.is_room_mention",
        ".m.rule.roomnotif",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ];
    assert_eq!(ids("override"), overrides);
    let underrides = [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ];
    assert_eq!(ids("underride"), underrides);
    assert_eq!(ids("content"), [".m.rule.contains_user_name"]);
    assert_eq!(all["global"]["content"][0]["pattern"], "alice");
    for kind in ["room", "sender"] {
        assert_eq!(all["global"][kind], json!([]));
    }
    assert_eq!(alice.get(&format!("{RULES}global/")).await.ok(), all["global"]);
    let data = "/_matrix/client/v3/user/@alice:example.org/account_data/m.push_rules";
    assert_eq!(alice.get(data).await.ok(), all);
    assert_eq!(told(&alice.sync("").await), Some(&all["global"]));
    let mention = alice.get(&rule("override", ".m.rule.is_user_mention")).await.ok();
    as_ruma::<get_pushrule::v3::Response>(&mention);
    assert_eq!(mention["conditions"][0]["value"], "@alice:example.org");
}

#[tokio::test]
async fn what_is_no_push_rule_is_a_wrong_parameter() {
    let server = server().await;
    let alice = server.person("alice").await;
    for path in ["global", "global/room", "elsewhere/", "global/nosuch/", "global/override/.m.rule.master/colour"] {
        alice.get(&format!("{RULES}{path}")).await.fails(400, "M_UNRECOGNIZED");
    }
    let rule = json!({"actions": ["notify"]});
    for path in ["", "global", "global/room", "global/room/", "elsewhere/room/!a:b", "global/room/!a:b/colour"] {
        alice.put(&format!("{RULES}{path}"), rule.clone()).await.fails(400, "M_UNRECOGNIZED");
    }
    assert_eq!(alice.put(&format!("{RULES}global/nosuch/mine"), rule).await.status, 400);
    alice.get(RULES.trim_end_matches('/')).await.fails(404, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn the_rules_of_a_kind_are_a_list() {
    let server = server().await;
    let alice = server.person("alice").await;
    add(&alice, "content", "tea").await.ok();
    let all = alice.get(RULES).await.ok();
    for kind in ["override", "content", "room", "sender", "underride"] {
        assert_eq!(alice.get(&rule(kind, "")).await.ok(), all["global"][kind]);
    }
}

#[tokio::test]
async fn a_change_is_told_by_sync() {
    let server = server().await;
    let alice = server.person("alice").await;
    let mut sync = alice.sync("").await;
    let room = rule("room", "!foo:example.org");
    for (path, body) in [
        (room.clone(), json!({"actions": ["notify"]})),
        (format!("{room}/enabled"), json!({"enabled": false})),
        (format!("{room}/actions"), json!({"actions": ["dont_notify"]})),
    ] {
        let since = format!("since={}", sync["next_batch"].as_str().unwrap());
        assert_eq!(told(&alice.sync(&since).await), None);
        alice.put(&path, body).await.ok();
        sync = alice.sync(&since).await;
        let rules = told(&sync).unwrap();
        assert_eq!(rules["room"][0]["rule_id"], "!foo:example.org");
        assert_eq!(rules["underride"].as_array().unwrap().len(), 5);
    }
    let expected = json!({
        "rule_id": "!foo:example.org", "default": false, "enabled": false, "actions": ["dont_notify"]
    });
    assert_eq!(alice.get(&room).await.ok(), expected);
    assert_eq!(told(&alice.sync("").await).unwrap()["room"], json!([expected]));
}

#[tokio::test]
async fn rules_are_made_changed_and_removed() {
    let server = server().await;
    let alice = server.person("alice").await;
    add(&alice, "content", "tea").await.ok();
    add(&alice, "sender", "@bob:example.org").await.ok();
    // Conditions may be left out.
    add(&alice, "override", "all").await.ok();
    let tea = alice.get(&rule("content", "tea")).await.ok();
    assert_eq!(tea["pattern"], "tea");
    assert_eq!(alice.get(&rule("override", "all")).await.ok()["conditions"], json!([]));
    assert_eq!(alice.get(&rule("content", "tea/enabled")).await.ok(), json!({"enabled": true}));
    alice.put(&rule("content", "tea/enabled"), json!({"enabled": false})).await.ok();
    let changed = json!({"actions": ["notify", {"set_tweak": "sound", "value": "ring"}], "pattern": "coffee"});
    alice.put(&rule("content", "tea"), changed.clone()).await.ok();
    let tea = alice.get(&rule("content", "tea")).await.ok();
    assert_eq!((&tea["pattern"], &tea["actions"]), (&json!("coffee"), &changed["actions"]));
    assert_eq!(tea["enabled"], false, "it stays as it was");
    assert_eq!(alice.get(&rule("content", "tea/actions")).await.ok()["actions"], changed["actions"]);
    alice.request(Method::DELETE, &rule("content", "tea"), None).await.ok();
    alice.get(&rule("content", "tea")).await.fails(404, "M_NOT_FOUND");
    // Predefined rules can be changed, but not removed.
    alice.put(&rule("override", ".m.rule.master/enabled"), json!({"enabled": true})).await.ok();
    assert_eq!(alice.get(&rule("override", ".m.rule.master")).await.ok()["enabled"], true);
    let removed = alice.request(Method::DELETE, &rule("override", ".m.rule.master"), None).await;
    removed.fails(400, "M_INVALID_PARAM");
    let bob = server.person("bob").await;
    assert_eq!(bob.get(&rule("override", ".m.rule.master")).await.ok()["enabled"], false);
}

#[tokio::test]
async fn rules_go_where_they_are_put() {
    let server = server().await;
    let alice = server.person("alice").await;
    for kind in ["override", "content", "underride"] {
        for id in ["a", "b", "c"] {
            add(&alice, kind, id).await.ok();
        }
        assert_eq!(own(&alice, kind).await, ["c", "b", "a"], "the newest is the most important");
        add(&alice, kind, "d?after=b").await.ok();
        add(&alice, kind, "e?before=c").await.ok();
        assert_eq!(own(&alice, kind).await, ["e", "c", "b", "d", "a"]);
        add(&alice, kind, "b").await.ok();
        assert_eq!(own(&alice, kind).await, ["e", "c", "b", "d", "a"], "it stays where it is");
        add(&alice, kind, "e?after=a").await.ok();
        add(&alice, kind, "a?before=c").await.ok();
        assert_eq!(own(&alice, kind).await, ["a", "c", "b", "d", "e"]);
        add(&alice, kind, "a?after=c&before=b").await.ok();
        assert_eq!(own(&alice, kind).await, ["c", "a", "b", "d", "e"]);
        for wrong in ["x?after=nosuch", "x?before=nosuch", "a?after=a", "e?before=e", "x?before=c&after=d"] {
            add(&alice, kind, wrong).await.fails(400, "M_UNKNOWN");
        }
        add(&alice, kind, "x?before=.m.rule.master").await.fails(400, "M_UNKNOWN");
        assert_eq!(own(&alice, kind).await, ["c", "a", "b", "d", "e"]);
    }
    let rules = alice.get(&format!("{RULES}global/")).await.ok();
    assert_eq!(rules["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn what_makes_no_rule_is_refused() {
    let server = server().await;
    let alice = server.person("alice").await;
    let before = alice.get(RULES).await.ok();
    for id in [".mine", "with%2Fslash", "with%5Cbackslash"] {
        add(&alice, "override", id).await.fails(400, "M_INVALID_PARAM");
    }
    add(&alice, "sender", "nobody").await.fails(400, "M_INVALID_PARAM");
    add(&alice, "nosuch", "a").await.fails(400, "M_INVALID_PARAM");
    add(&alice, "override", &"x".repeat(256)).await.fails(413, "M_TOO_LARGE");
    let pattern = "?".repeat(256);
    let condition = json!({"kind": "event_match", "key": "content.body", "pattern": pattern});
    for (kind, body) in [
        ("content", json!({"actions": [], "pattern": pattern})),
        ("override", json!({"actions": [], "conditions": [condition]})),
    ] {
        alice.put(&rule(kind, "a"), body).await.fails(413, "M_TOO_LARGE");
    }
    alice.put(&rule("override", "a"), json!({})).await.fails(400, "M_BAD_JSON");
    alice.put(&rule("content", "a"), json!({"actions": []})).await.fails(400, "M_BAD_JSON");
    alice.put(&rule("override", "a"), json!([])).await.fails(400, "M_BAD_JSON");
    for (kind, id) in [("override", "a"), ("content", ".m.rule.master"), ("nosuch", "a"), ("room", "!r:example.org")] {
        let path = rule(kind, id);
        for rest in ["", "/enabled", "/actions"] {
            alice.get(&format!("{path}{rest}")).await.fails(404, "M_NOT_FOUND");
        }
        alice.put(&format!("{path}/enabled"), json!({"enabled": true})).await.fails(404, "M_NOT_FOUND");
        alice.put(&format!("{path}/actions"), json!({"actions": []})).await.fails(404, "M_NOT_FOUND");
        alice.request(Method::DELETE, &path, None).await.fails(404, "M_NOT_FOUND");
    }
    alice.get("/_matrix/client/v3/pushrules/device/").await.fails(400, "M_UNRECOGNIZED");
    assert_eq!(alice.get(RULES).await.ok(), before);
}
