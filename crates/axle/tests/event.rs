//! `axle event` through the binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const HUB: &str = "localhost:3000";
const PART: &str = "localhost:3001";

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../axle-protocol/tests/vectors/events.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The answers and the exit status.
fn run(args: &[&str], input: &[u8]) -> (Vec<Value>, i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_axle"))
        .arg("event")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let answers = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (answers, output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn verify(keys: &Value, lines: &[String]) -> (Vec<Value>, i32) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys.to_string()).unwrap();
    let (answers, status, stderr) =
        run(&["verify", "--keys", file.path().to_str().unwrap()], lines.join("\n").as_bytes());
    assert_eq!(stderr, "");
    (answers, status)
}

fn verify_one(keys: &Value, event: &Value) -> (Value, i32) {
    let (mut answers, status) = verify(keys, &[event.to_string()]);
    assert_eq!(answers.len(), 1);
    (answers.remove(0), status)
}

#[test]
fn events_of_another_implementation() {
    let vectors = vectors();
    let cases = vectors["events"].as_array().unwrap();
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for case in cases {
        lines.push(case["event"].to_string());
        let from_lpdu = case.get("lpdu").is_some();
        let mut signatures = json!({HUB: "ok"});
        if from_lpdu {
            signatures[PART] = json!("ok");
        }
        let mut answer = json!({
            "event_id": case["event_id"], "kind": "pdu",
            "lpdu_hash": case["lpdu_hash"], "lpdu_hash_ok": from_lpdu.then_some(true),
            "content_hash": case["content_hash"], "content_hash_ok": true,
            "signatures": signatures, "valid": true,
        });
        if case["event"]["content"]["membership"] == "invite" {
            // By the invited user's server: nobody needs it.
            answer["other_signatures"] = json!({PART: "ok"});
        }
        expected.push(answer);
        if from_lpdu {
            lines.push(case["lpdu"].to_string());
            expected.push(json!({
                "event_id": case["lpdu_event_id"], "kind": "lpdu",
                "lpdu_hash": case["lpdu_hash"], "lpdu_hash_ok": true, "content_hash": null, "content_hash_ok": null,
                "signatures": {PART: "ok"}, "valid": true,
            }));
        }
    }
    assert_eq!(lines.len(), 12);
    let (answers, status) = verify(&vectors["public_keys"], &lines);
    assert_eq!(answers, expected);
    assert_eq!(status, 0);
}

#[test]
fn what_is_wrong_is_told() {
    let vectors = vectors();
    let keys = &vectors["public_keys"];
    let case = vectors["events"].as_array().unwrap().iter().rfind(|case| case.get("lpdu").is_some()).unwrap();
    let event = &case["event"];

    let mut changed = event.clone();
    changed["content"]["body"] = json!("another text");
    let (answer, status) = verify_one(keys, &changed);
    assert_eq!(answer["signatures"], json!({HUB: "ok", PART: "ok"}));
    assert_eq!((&answer["lpdu_hash_ok"], &answer["content_hash_ok"]), (&json!(false), &json!(false)));
    assert_ne!(answer["content_hash"], case["content_hash"]);
    assert_eq!((&answer["valid"], status), (&json!(false), 1));

    let mut moved = event.clone();
    moved["prev_events"] = json!(["$elsewhere"]);
    let (answer, status) = verify_one(keys, &moved);
    assert_eq!(answer["signatures"], json!({HUB: "bad", PART: "ok"}));
    assert_eq!((&answer["lpdu_hash_ok"], &answer["content_hash_ok"]), (&json!(true), &json!(false)));
    assert_eq!(status, 1);

    let mut unsigned = event.clone();
    unsigned["signatures"].as_object_mut().unwrap().remove(PART);
    let (answer, status) = verify_one(keys, &unsigned);
    assert_eq!(answer["signatures"], json!({HUB: "ok", PART: "missing"}));
    assert_eq!(status, 1);

    let (answer, status) = verify_one(&json!({HUB: keys[HUB]}), event);
    assert_eq!(answer["signatures"], json!({HUB: "ok", PART: "unknown_key"}));
    assert_eq!((&answer["valid"], status), (&json!(false), 1));
}

#[test]
fn an_event_id_beside_the_fields_is_not_part_of_the_event() {
    let vectors = vectors();
    let case = &vectors["events"][8];
    let mut event = case["event"].clone();
    event["event_id"] = case["event_id"].clone();
    let (answer, status) = verify_one(&vectors["public_keys"], &event);
    assert_eq!((&answer["event_id"], &answer["valid"], status), (&case["event_id"], &json!(true), 0));
    assert!(answer.get("claimed_event_id").is_none());
    event["event_id"] = json!("$other");
    let (answer, _) = verify_one(&vectors["public_keys"], &event);
    assert_eq!((&answer["event_id"], &answer["claimed_event_id"]), (&case["event_id"], &json!("$other")));
}

#[test]
fn a_malformed_line_does_not_end_the_run() {
    let vectors = vectors();
    let good = vectors["events"][0]["event"].to_string();
    let lines = [
        good.clone(),
        "no json".into(),
        "[]".into(),
        "{}".into(),
        String::new(),
        "   ".into(),
        good.replacen('{', "{\"type\":\"x\",", 1),
        "[".repeat(100_000),
        format!("\"{}\"", "x".repeat(3_000_000)),
        good.replace("m.room.create", &"x".repeat(300)),
        good,
    ];
    let (answers, status) = verify(&vectors["public_keys"], &lines);
    assert_eq!(status, 1);
    assert_eq!(answers.len(), lines.len(), "a line for each line");
    for answer in &answers[1..10] {
        assert_eq!(answer["valid"], json!(false));
        assert!(answer["error"].is_string(), "{answer}");
        assert!(answer.as_object().unwrap().len() == 2);
    }
    assert_eq!(answers[4]["error"], "the line is empty");
    assert_eq!((&answers[0]["valid"], &answers[10]["valid"]), (&json!(true), &json!(true)));
}

#[test]
fn bytes_that_are_no_text_are_answered() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "{}").unwrap();
    let args = ["verify", "--keys", keys.path().to_str().unwrap()];
    let (answers, status, _) = run(&args, b"\xff\xfe\n\0\0\n{\"a\":\"\xc0\"}\r\n");
    assert_eq!((answers.len(), status), (3, 1));
    let (answers, status, _) = run(&args, b"");
    assert_eq!((answers.len(), status), (0, 0));
}

#[test]
fn unusable_keys_are_told() {
    for (keys, because) in [
        ("", "EOF"),
        ("[]", "map"),
        ("{\"a b\":{}}", "server name"),
        ("{\"a\":{\"ed25519:\":\"x\"}}", "ed25519: of a is not a key id"),
        ("{\"a\":{\"ed25519:1\":\"AAAA\"}}", "ed25519:1 of a is not an ed25519 public key"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), keys).unwrap();
        let (answers, status, stderr) = run(&["verify", "--keys", file.path().to_str().unwrap()], b"{}\n");
        assert_eq!((answers.len(), status), (0, 1));
        assert!(stderr.contains(because), "{stderr}");
    }
    let (_, status, stderr) = run(&["verify", "--keys", "/nonexistent/keys.json"], b"");
    assert_eq!(status, 1);
    assert!(stderr.contains("/nonexistent/keys.json"), "{stderr}");
}

#[test]
fn the_bytes_behind_hashes_and_signatures() {
    let vectors = vectors();
    let case = &vectors["events"][8];
    let input = format!("{}\n{}\n", case["event"], case["lpdu"]);
    let (answers, status, _) = run(&["show"], input.as_bytes());
    assert_eq!(status, 0);
    assert_eq!(answers[0]["event_id"], case["event_id"]);
    assert_eq!(answers[0]["content_hash_input"], case["canonical_for_content_hash"]);
    assert_eq!(answers[0]["pdu_signed"], case["canonical_redacted_for_reference_hash"]);
    assert_eq!(answers[1]["kind"], "lpdu");
    assert_eq!((&answers[1]["content_hash_input"], &answers[1]["pdu_signed"]), (&json!(null), &json!(null)));
    for answer in &answers {
        assert_eq!(answer["lpdu_hash_input"], case["canonical_for_lpdu_hash"]);
        assert_eq!(answer["lpdu_signed"], case["signatures"][0]["signed_bytes"]);
    }
}

#[test]
fn line_ends_of_other_systems_and_empty_lines_at_the_end_change_nothing() {
    let vectors = vectors();
    let good = vectors["events"][0]["event"].to_string();
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), vectors["public_keys"].to_string()).unwrap();
    let input = format!("\u{feff}{good}\r\n{good}\r\n\r\n\n  \n");
    let (answers, status, _) = run(&["verify", "--keys", keys.path().to_str().unwrap()], input.as_bytes());
    assert_eq!((answers.len(), status), (2, 0), "{answers:?}");
}

/// Keys as other programs write them.
#[test]
fn keys_in_any_alphabet_and_of_other_kinds() {
    let vectors = vectors();
    let event = &vectors["events"][0]["event"];
    let key = vectors["public_keys"][HUB]["ed25519:1"].as_str().unwrap();
    let url_safe = key.replace('+', "-").replace('/', "_");
    assert_ne!(key, url_safe);
    for written in [url_safe.clone(), format!("{key}="), format!("{url_safe}="), format!(" {key}\n")] {
        let keys = json!({
            HUB: {"ed25519:1": written, "ed25519:another": vectors["public_keys"][PART]["ed25519:1"], "curve25519:1": "x"},
            "else.where": {},
        });
        let (answer, status) = verify_one(&keys, event);
        assert_eq!((&answer["signatures"], status), (&json!({HUB: "ok"}), 0), "{keys}");
    }
    // The right key under another id is another key.
    let (answer, status) = verify_one(&json!({HUB: {"ed25519:2": key}}), event);
    assert_eq!((&answer["signatures"], status), (&json!({HUB: "unknown_key"}), 1));
}

/// Ids of keys that this program would not give, and signatures that are none.
#[test]
fn odd_signatures_are_judged_one_by_one() {
    let vectors = vectors();
    let (keys, good) = (&vectors["public_keys"], &vectors["events"][0]["event"]);
    let with = |own: Value| {
        let mut event = good.clone();
        event["signatures"][HUB] = own;
        verify_one(keys, &event)
    };
    let signature = &good["signatures"][HUB]["ed25519:1"];
    assert_eq!(with(json!({"ed25519:1": signature, "ed25519:a!": "x", "p256:1": "x"})).0["signatures"][HUB], "ok");
    assert_eq!(with(json!({"ed25519:a!": signature})).0["signatures"][HUB], "unknown_key");
    assert_eq!(with(json!({"ed25519:1": "no base64!"})).0["signatures"][HUB], "bad");
    assert_eq!(with(json!({"ed25519:1": ""})).0["signatures"][HUB], "bad");
    assert_eq!(with(json!({})).0["signatures"][HUB], "missing");
    let (answer, status) = with(json!({"ed25519:1": 7}));
    assert!(answer["error"].as_str().unwrap().contains("signatures"), "{answer}");
    assert_eq!(status, 1);
}

/// The server of an invited user signs, too; so may anybody. They are told of and decide nothing.
#[test]
fn signatures_beyond_the_needed_are_told_apart() {
    let vectors = vectors();
    let mut event = vectors["events"][0]["event"].clone();
    event["signatures"][PART] = json!({"ed25519:1": "AAAA"});
    event["signatures"]["else.where"] = json!({"ed25519:1": "AAAA"});
    let (answer, status) = verify_one(&vectors["public_keys"], &event);
    assert_eq!(answer["signatures"], json!({HUB: "ok"}));
    assert_eq!(answer["other_signatures"], json!({PART: "bad", "else.where": "unknown_key"}));
    assert_eq!((&answer["valid"], status), (&json!(true), 0));
}

#[test]
fn a_redacted_event_is_told_from_a_forged_one() {
    let vectors = vectors();
    let case = vectors["events"].as_array().unwrap().iter().rfind(|case| case.get("lpdu").is_some()).unwrap();
    let mut redacted = case["event"].clone();
    redacted["content"] = json!({});
    let (answer, status) = verify_one(&vectors["public_keys"], &redacted);
    assert_eq!((&answer["event_id"], status), (&case["event_id"], 1));
    assert_eq!((&answer["content_hash_ok"], &answer["lpdu_hash_ok"]), (&json!(false), &json!(false)));
    assert_eq!(answer["signatures"], json!({HUB: "ok", PART: "ok"}));
    assert!(answer["note"].as_str().unwrap().contains("redaction"), "{answer}");
    redacted["content"] = json!({"body": "forged"});
    assert!(verify_one(&vectors["public_keys"], &redacted).0.get("note").is_none());
}

/// What is beside the fields that events have is covered by the content hash, whatever it is.
#[test]
fn odd_fields_are_hashed_like_any_other() {
    let vectors = vectors();
    for odd in [json!({"unsigned": {"age": 7}}), json!({"depth": 3}), json!({"": null}), json!({"\u{10ffff}": [1.5]})] {
        let mut event = vectors["events"][0]["event"].clone();
        event.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        let (answer, status) = verify_one(&vectors["public_keys"], &event);
        assert_eq!((&answer["content_hash_ok"], &answer["valid"], status), (&json!(false), &json!(false), 1), "{odd}");
        assert_eq!(
            (&answer["event_id"], &answer["signatures"]),
            (&vectors["events"][0]["event_id"], &json!({HUB: "ok"}))
        );
    }
    let mut bare = vectors["events"][0]["event"].clone();
    bare.as_object_mut().unwrap().remove("hashes");
    let (answer, status) = verify_one(&vectors["public_keys"], &bare);
    assert_eq!((answer["error"].as_str().unwrap(), status), ("the field \"hashes\" is missing", 1));
}

/// An LPDU with floating point and what a hub made of it, from a further implementation.
#[test]
fn from_lpdu_to_pdu() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../axle-protocol/tests/vectors/lpdu_to_pdu.json");
    let vector: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys: serde_json::Map<String, Value> = vector["public_keys"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(server, key)| (server.clone(), json!({"ed25519:1": key})))
        .collect();
    let lines = [vector["step2_signed_lpdu"].to_string(), vector["step3_pdu"].to_string()];
    let (answers, status) = verify(&Value::Object(keys), &lines);
    assert_eq!(status, 0, "{answers:?}");
    assert_eq!((&answers[0]["event_id"], &answers[1]["event_id"]), (&vector["lpdu_event_id"], &vector["event_id"]));
    assert_eq!(answers[0]["signatures"], json!({"part.example.org": "ok"}));
    assert_eq!(answers[1]["signatures"], json!({"part.example.org": "ok", "hub.example.org": "ok"}));
    let (shown, _, _) = run(&["show"], lines.join("\n").as_bytes());
    assert_eq!(shown[0]["lpdu_signed"], vector["lpdu_signed_bytes"]);
    assert_eq!(shown[1]["content_hash_input"], vector["pdu_content_hash_input"]);
    assert_eq!(shown[1]["pdu_signed"], vector["pdu_signed_and_reference_hashed_bytes"]);
}
