//! Which servers a server ACL allows.
#![allow(clippy::unwrap_used)]

use axle_protocol::ServerAcl;
use proptest::prelude::*;
use serde_json::{Value, json};

fn acl(content: Value) -> ServerAcl {
    ServerAcl::from_content(content.as_object().unwrap())
}

#[track_caller]
fn check(content: Value, allowed: &[&str], denied: &[&str]) {
    let acl = acl(content);
    for server in allowed {
        assert!(acl.allows(server), "{server} is not allowed");
    }
    for server in denied {
        assert!(!acl.allows(server), "{server} is allowed");
    }
}

#[test]
fn who_is_denied_is_not_allowed() {
    let content = json!({"allow": ["*"], "deny": ["evil.org", "*.evil.org", "?.wicked.net"]});
    let allowed = ["good.org", "notevil.org", "evil.org.uk", "wicked.net", ".wicked.net", "ab.wicked.net"];
    check(content, &allowed, &["evil.org", "a.evil.org", "a.b.evil.org", ".evil.org", "a.wicked.net"]);
    let content = json!({"allow": ["*.org", "matrix.example"], "deny": ["a.org"]});
    check(content, &["b.org", "matrix.example"], &["a.org", "org", "a.example", "matrix.example.com"]);
}

#[test]
fn a_port_and_capitals_make_no_difference() {
    let content = json!({"allow": ["*.ORG", "a.net"], "deny": ["Evil.org"]});
    check(
        content,
        &["good.org", "GOOD.org:8448", "a.net:1", "A.NET"],
        &["evil.org", "EVIL.ORG", "evil.org:8448", "eViL.org:1", "b.net:8448"],
    );
    // A pattern with a port is one of names with a colon, which no host has.
    check(json!({"allow": ["a.org:8448", "a.net:*"]}), &[], &["a.org", "a.org:8448", "a.net:8448"]);
}

#[test]
fn addresses_can_be_kept_out_whatever_the_lists_say() {
    let addresses = ["1.2.3.4", "1.2.3.4:8448", "[::1]", "[::1]:8448", "[1234:5678::abcd]", "[1234:5678::ABCD]:1"];
    let names = ["a.org", "a.org:8448", "1.2.3.4.org", "4.org:80", "1.2.3"];
    let all: Vec<&str> = addresses.into_iter().chain(names).collect();
    check(json!({"allow": ["*"], "allow_ip_literals": false}), &names, &addresses);
    check(json!({"allow": ["*", "1.2.3.4"], "allow_ip_literals": false}), &names, &addresses);
    // What is not said, or is no boolean, is yes.
    for said in [json!(true), json!(null), json!("false"), json!(0)] {
        check(json!({"allow": ["*"], "allow_ip_literals": said}), &all, &[]);
    }
    check(json!({"allow": ["*"]}), &all, &[]);
    let content = json!({"allow": ["*"], "deny": ["1.2.3.*", "[::1]", "[1234:*]"]});
    check(content, &["1.2.4.4", "[::2]:8448", "[::11]"], &["1.2.3.4", "[::1]:8448", "[1234:5678::abcd]"]);
}

#[test]
fn without_an_allow_list_nobody_is_allowed() {
    for content in [
        json!({}),
        json!({"allow": []}),
        json!({"allow": null}),
        json!({"allow": "*"}),
        json!({"allow": {"0": "*"}}),
        json!({"allow": [["*"], 7, null, true]}),
        json!({"deny": ["evil.org"], "allow_ip_literals": true}),
    ] {
        check(content, &[], &["a.org", "evil.org", "1.2.3.4"]);
    }
    // One entry that is none does no harm to the others.
    check(json!({"allow": [7, "a.org"], "deny": [null, "evil.org", {}]}), &["a.org"], &["evil.org", "b.org"]);
    for deny in [json!(null), json!("*"), json!({"*": "*"}), json!([7, ["*"]])] {
        check(json!({"allow": ["*"], "deny": deny}), &["a.org"], &[]);
    }
}

#[test]
fn patterns() {
    let cases: [(&str, &[&str], &[&str]); 12] = [
        ("*", &["a", "a.b"], &[]),
        ("**", &["a", "a.b"], &[]),
        ("?", &["a"], &["ab", "a.b"]),
        ("?*", &["a", "ab"], &[]),
        ("*?", &["a", "ab"], &[]),
        ("*??", &["ab", "abc"], &["a"]),
        ("a*b", &["ab", "axb", "abab"], &["a", "b", "ba", "abx"]),
        ("a*b*c", &["abc", "axbxc", "abbcbc"], &["ac", "acb", "abcx"]),
        ("*a*", &["a", "xa", "ax", "xax"], &["b"]),
        ("*.a?.org", &["x.ab.org", "x.y.ab.org"], &["ab.org", "x.a.org", "x.abc.org"]),
        ("", &[], &["a"]),
        // None of these stands for more than itself, and none is in a host.
        (r"[ab]\.(c|d)+", &[], &["a.c", "b.d", "a.cd"]),
    ];
    for (pattern, matching, others) in cases {
        check(json!({"allow": [pattern]}), matching, others);
        check(json!({"allow": ["*"], "deny": [pattern]}), others, matching);
    }
    check(json!({"allow": ["*"], "deny": ["é*", "*é", "\u{212a}.org"]}), &["a.org", "k.org"], &[]);
}

#[test]
fn no_pattern_takes_long() {
    let host = format!("{}b", "a".repeat(254));
    let longest = "a".repeat(256);
    let content = json!({"allow": ["*"], "deny": [
        format!("{}c", "*a".repeat(254)),
        format!("{}c", "*a?".repeat(120)),
        format!("*{}c", "a".repeat(127)),
        "*".repeat(60_000) + "c",
        longest.clone(),
        format!("*{longest}"),
        "?".repeat(60_000),
    ]});
    check(content, &[&host, &format!("{host}:8448")], &["abc"]);
    // What is no server name is not allowed.
    check(json!({"allow": ["*"]}), &[], &[&longest]);
}

/// What patterns mean, as simply as it can be said.
fn stands_for(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => stands_for(rest, text),
        (Some((b'*', rest)), Some((_, later))) => stands_for(rest, text) || stands_for(pattern, later),
        (Some((byte, rest)), Some((first, later))) => (*byte == b'?' || byte == first) && stands_for(rest, later),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn a_pattern_stands_for_what_it_says(pattern in "[ab.?*]{0,9}", host in "[ab.]{1,9}", port in "(:[0-9]{1,4})?") {
        let expected = stands_for(pattern.as_bytes(), host.as_bytes());
        let server = format!("{host}{port}");
        prop_assert_eq!(acl(json!({"allow": [&pattern]})).allows(&server), expected);
        prop_assert_eq!(acl(json!({"allow": ["*"], "deny": [&pattern]})).allows(&server), !expected);
        let shouted = pattern.to_uppercase();
        prop_assert_eq!(acl(json!({"allow": [shouted]})).allows(&server), expected);
    }

    #[test]
    fn no_content_makes_it_panic(allow in "\\PC{0,40}", deny in "\\PC{0,40}", server in "\\PC{0,40}") {
        let acl = acl(json!({"allow": [allow, "*"], "deny": [deny]}));
        acl.allows(&server);
    }
}
