//! `axle admin verify` on databases that were damaged, one thing at a time.

use std::path::{Path, PathBuf};
use std::process::Command;

use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, RoomId, RoomVersion, ServerName, UserId};
use axle_server::key_file::SigningKeys;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use crate::support::chat::Chat;
use crate::support::{Network, until};

/// What a person would call the first message.
const TRUTH: &str = "the truth";

/// A hub and a participant that have been stopped, and a room of both.
struct Stopped {
    _network: Network,
    hub: PathBuf,
    participant: PathBuf,
    room: String,
}

/// Something to break, and a part of what is to be said about it.
type Damage = (&'static str, fn(&Connection), &'static str);

impl Stopped {
    fn new() -> Self {
        let mut network = Network::start(["hub.test", "one.test"]);
        let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
        let room = alice.create_room(&json!({ "preset": "public_chat", "topic": "first" }));
        alice.say(&room, "before bob");
        bob.join(&room, "hub.test").ok();
        alice.say(&room, TRUTH);
        let typo = bob.say(&room, "a typo");
        let redact = format!("rooms/{}/redact/{}/t", crate::support::escape(&room), crate::support::escape(&typo));
        bob.call(reqwest::Method::PUT, &redact, Some(&json!({}))).ok();
        let topic = format!("rooms/{}/state/m.room.topic", crate::support::escape(&room));
        alice.call(reqwest::Method::PUT, &topic, Some(&json!({ "topic": "second" }))).ok();
        bob.say(&room, "an answer");
        alice.say(&room, "the end");
        bob.hear(&room, "the end");
        // History from before the join is fetched, too.
        until("bob has all of it", || bob.heard(&room).contains(&"before bob".to_owned()).then_some(()));
        network.servers.iter_mut().for_each(|server| assert!(server.stop().success()));
        let [hub, participant] = &network.servers[..] else { panic!("two servers") };
        Self { hub: hub.data(), participant: participant.data(), room, _network: network }
    }
}

/// `axle admin verify`: the report and the exit status.
fn verify(data: &Path) -> (Value, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_axle"))
        .args(["admin", "--json", "verify", "--data"])
        .arg(data)
        .env_clear()
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no report: {stderr}"));
    (report, output.status.code().unwrap())
}

/// A copy of a data folder in which something was changed.
fn damaged(data: &Path, damage: impl FnOnce(&Connection)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let conn = Connection::open(copy.path().join("axle.db")).unwrap();
    damage(&conn);
    conn.close().unwrap();
    copy
}

fn run(conn: &Connection, sql: &str) {
    assert!(conn.execute(sql, []).unwrap() > 0, "nothing was changed by {sql}");
}

/// The event with this text.
const SAYING: &str = "json ->> '$.content.body' =";

/// Changes the JSON of the event with this text.
fn edit(conn: &Connection, body: &str, change: impl FnOnce(&mut Value)) {
    let find = format!("SELECT stream, json FROM event WHERE {SAYING} ?1");
    let (stream, json): (i64, String) = conn.query_row(&find, [body], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut event = serde_json::from_str(&json).unwrap();
    change(&mut event);
    conn.execute("UPDATE event SET json = ?2 WHERE stream = ?1", params![stream, event.to_string()]).unwrap();
}

fn flip_signature(event: &mut Value) {
    for keys in event["signatures"].as_object_mut().unwrap().values_mut() {
        for signature in keys.as_object_mut().unwrap().values_mut() {
            let mut text = signature.as_str().unwrap().to_owned();
            let other = if text.starts_with('A') { "B" } else { "A" };
            text.replace_range(..1, other);
            *signature = text.into();
        }
    }
}

/// What holds on a hub as well as elsewhere.
const EVERYWHERE: &[Damage] = &[
    ("content", |conn| edit(conn, TRUTH, |event| event["content"]["body"] = json!("a lie")), "does not fit its hash"),
    ("signature", |conn| edit(conn, TRUTH, flip_signature), "the signature of hub.test is wrong"),
    ("no signature", |conn| edit(conn, TRUTH, |event| event["signatures"] = json!({})), "hub.test is missing"),
    (
        "a key that is unknown",
        |conn| {
            edit(conn, TRUTH, |event| {
                let keys = event["signatures"]["hub.test"].as_object_mut().unwrap();
                let signature = std::mem::take(keys).into_iter().next().unwrap().1;
                keys.insert("ed25519:other".into(), signature);
            });
        },
        "the key that hub.test signed with is not known",
    ),
    ("no JSON", |conn| run(conn, &format!("UPDATE event SET json = 'x' WHERE {SAYING} 'the truth'")), "cannot be read"),
    ("no event", |conn| run(conn, &format!("UPDATE event SET json = '{{}}' WHERE {SAYING} 'the truth'")), "is missing"),
    ("parents", |conn| edit(conn, TRUTH, |event| event["prev_events"] = json!([])), "its content gives the id"),
    (
        "event id",
        |conn| {
            run(conn, &format!("UPDATE event SET event_id = '$other' WHERE {SAYING} 'the truth'"));
        },
        "its content gives the id",
    ),
    (
        "LPDU hash",
        |conn| {
            run(conn, &format!("UPDATE event SET lpdu_hash = NULL WHERE {SAYING} 'an answer'"));
        },
        "another LPDU hash than it carries",
    ),
    (
        "LPDU hash where there is none",
        |conn| {
            run(conn, &format!("UPDATE event SET lpdu_hash = zeroblob(32) WHERE {SAYING} 'the truth'"));
        },
        "another LPDU hash than it carries",
    ),
    (
        "membership",
        |conn| {
            run(conn, "UPDATE current_state SET membership = 'ban' WHERE state_key = '@bob:one.test'");
        },
        "has @bob:one.test as ban",
    ),
    (
        "state key",
        |conn| {
            run(conn, "UPDATE current_state SET state_key = '@eve:one.test' WHERE state_key = '@bob:one.test'");
        },
        "has the state m.room.member @eve:one.test",
    ),
    (
        "current state",
        |conn| {
            run(conn, "DELETE FROM current_state WHERE event_type = 'm.room.topic'");
        },
        "has the state m.room.topic  from no event",
    ),
    // The newest topic was never set, as far as the tables go.
    (
        "a change of state",
        |conn| {
            run(
                conn,
                "UPDATE current_state SET (event, event_id) = (SELECT stream, event_id FROM event
                   WHERE json ->> '$.content.topic' = 'first') WHERE event_type = 'm.room.topic'",
            );
            run(conn, "UPDATE room SET state_id = (SELECT parent FROM state_change WHERE id = state_id)");
            run(
                conn,
                "DELETE FROM state_change WHERE event =
                   (SELECT stream FROM event WHERE json ->> '$.content.topic' = 'second')",
            );
        },
        "its current state has",
    ),
    (
        "where a change of state holds",
        |conn| {
            run(
                conn,
                "UPDATE state_change SET holds_from = holds_from - 3 WHERE event = (SELECT stream FROM event
                   WHERE json ->> '$.content.topic' = 'second')",
            );
        },
        "the stored state before it has",
    ),
    (
        "what a change of state is about",
        |conn| {
            run(conn, "UPDATE state_change SET event_type = 'm.room.name' WHERE event_type = 'm.room.topic'");
        },
        "which it is not",
    ),
    (
        "an event is rejected",
        |conn| {
            run(conn, &format!("UPDATE event SET status = 2, position = NULL WHERE {SAYING} 'the truth'"));
        },
        "stored as rejected, but nothing is wrong with it",
    ),
    (
        "an event has no position",
        |conn| {
            run(conn, &format!("UPDATE event SET position = NULL WHERE {SAYING} 'the truth'"));
        },
        "was accepted, but has no position",
    ),
    (
        "an event is no longer accepted",
        |conn| {
            run(conn, &format!("UPDATE event SET status = 3 WHERE {SAYING} 'the truth'"));
        },
        "has a position, but was not accepted",
    ),
    (
        "an event is gone",
        |conn| {
            run(conn, &format!("DELETE FROM event WHERE {SAYING} 'the truth'"));
        },
        "lacks what was between positions",
    ),
    (
        "two events have changed places",
        |conn| {
            let place = |text: &str| -> i64 {
                conn.query_row(&format!("SELECT position FROM event WHERE {SAYING} ?1"), [text], |row| row.get(0))
                    .unwrap()
            };
            let (one, two) = (place(TRUTH), place("an answer"));
            for (from, to) in [(one, -999), (two, one), (-999, two)] {
                conn.execute("UPDATE event SET position = ?2 WHERE position = ?1", [from, to]).unwrap();
            }
        },
        "which stands before it",
    ),
    (
        "a redaction is not noted",
        |conn| {
            run(conn, "UPDATE event SET redacted_by = NULL WHERE redacted_by IS NOT NULL");
        },
        "but not marked so",
    ),
    (
        "a redaction is made up",
        |conn| {
            run(
                conn,
                &format!(
                    "UPDATE event SET redacted_by = (SELECT event_id FROM event WHERE {SAYING} 'an answer')
                            WHERE {SAYING} 'the truth'"
                ),
            );
        },
        "which does not redact it",
    ),
    (
        "room version",
        |conn| {
            run(conn, "UPDATE room SET version = 'org.matrix.i-d.ralston-mimi-linearized-matrix.02'");
        },
        "content.room_version is not",
    ),
    ("the end of a room", |conn| run(conn, "UPDATE room SET counted_to = counted_to + 1000"), "is counted up to"),
    ("how many events", |conn| run(conn, "UPDATE room SET events = events + 1"), "events with a position"),
    (
        "a status that there is none of",
        |conn| {
            run(conn, &format!("UPDATE event SET status = 9 WHERE {SAYING} 'the truth'"));
        },
        "event status 9 is unknown",
    ),
    (
        "a hub's fault of no room",
        |conn| {
            run(conn, "INSERT INTO hub_fault VALUES (1, 99, 'hub.test', '$e', 'forbidden', 'x', 0)");
        },
        "of a hub's fault is not there",
    ),
];

#[test]
fn every_kind_of_damage_is_found() {
    let stopped = Stopped::new();
    for data in [&stopped.hub, &stopped.participant] {
        let (report, status) = verify(data);
        assert_eq!((&report["problems"], status), (&json!([]), 0), "before any damage");
        assert!(report["events"].as_u64().unwrap() >= 12);
    }
    let mut missed = Vec::new();
    for data in [&stopped.hub, &stopped.participant] {
        for (name, damage, expected) in EVERYWHERE {
            let copy = damaged(data, damage);
            let (report, status) = verify(copy.path());
            let problems = report["problems"].to_string();
            if status != 1 || !problems.contains(expected) {
                missed.push(format!("{name} in {}: status {status}: {problems}", data.display()));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_groups_of_encrypted_rooms_are_checked() {
    let mut network = Network::start(["hub.test"]);
    let mut chat = Chat::register(&network.servers[0], "dora");
    chat.ok("/create One");
    chat.ok("/create Two");
    chat.end();
    assert!(network.servers[0].stop().success());
    let data = network.servers[0].data();
    let (report, status) = verify(&data);
    assert_eq!((&report["problems"], status, &report["rooms"]), (&json!([]), 0, &json!(2)));
    let damages: [(&str, &str); 3] = [
        ("UPDATE group_epoch SET state = x'00'", "its group cannot be read"),
        ("DELETE FROM group_epoch", "the group that its commits have made is not stored"),
        (
            "UPDATE group_epoch SET room = (SELECT sum(id) FROM room) - room",
            "its group is stored as after the commit $",
        ),
    ];
    for (sql, expected) in damages {
        let copy = damaged(&data, |conn| {
            // For a moment both rooms have the same epoch.
            let sql = sql.replace("SET room =", "SET epoch = epoch + room, room =");
            run(conn, &sql);
        });
        let (report, status) = verify(copy.path());
        assert_eq!((status, &report["problem_count"]), (1, &json!(2)), "{sql}: {report}");
        assert!(report["problems"].to_string().contains(expected), "{sql}: {report}");
    }
}

/// An event that the rules forbid, although everything about it is in order.
#[test]
fn a_forbidden_event_is_found_and_a_rejected_one_is_not_complained_of() {
    let stopped = Stopped::new();
    let keys = SigningKeys::load(&stopped.hub.join("signing-keys.json")).unwrap();
    for (data, is_hub) in [(&stopped.hub, true), (&stopped.participant, false)] {
        let insert = |conn: &Connection, accepted: bool| {
            let head: (i64, String, i64) = conn
                .query_row(
                    "SELECT e.position, e.event_id, r.id FROM room_now r JOIN event e ON e.position = r.head",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap();
            let create = "SELECT event_id FROM event WHERE json ->> '$.type' = 'm.room.create'";
            let create: String = conn.query_row(create, [], |row| row.get(0)).unwrap();
            let event = forged(&stopped.room, [&create, &head.1], &keys);
            let (position, status) = if accepted { (Some(head.0 + 1), 0) } else { (None, 2) };
            conn.execute(
                "INSERT INTO event (stream, room, position, status, event_id, json)
                 VALUES ((SELECT max(stream) + 1 FROM event), ?1, ?2, ?3, ?4, ?5)",
                params![head.2, position, status, event.event_id().as_str(), event.json()],
            )
            .unwrap();
            conn.execute("UPDATE room SET newest_stream = (SELECT max(stream) FROM event)", []).unwrap();
            if accepted {
                let sql = "UPDATE room SET (counted_to, events) = (SELECT n.head, count(*) FROM room_now n, event e
                           WHERE n.id = room.id AND e.room = room.id AND e.position IS NOT NULL)";
                conn.execute(sql, []).unwrap();
            }
        };
        let (report, status) = verify(damaged(data, |conn| insert(conn, true)).path());
        let problems = report["problems"].to_string();
        assert_eq!((status, report["problem_count"].as_u64()), (1, Some(1)), "hub {is_hub}: {problems}");
        let expected = "it should have been rejected: the event is forbidden: the sender is not in the room";
        assert!(problems.contains(expected), "hub {is_hub}: {problems}");
        let (report, status) = verify(damaged(data, |conn| insert(conn, false)).path());
        assert_eq!((status, &report["problems"]), (0, &json!([])), "hub {is_hub}");
    }
}

/// Some hubs send nothing more to a server whose last user has left: the LPDU of the leave ends the stay.
#[test]
fn a_leave_that_was_not_sent_back_is_no_problem() {
    let stopped = Stopped::new();
    let keys = SigningKeys::load(&stopped.participant.join("signing-keys.json")).unwrap();
    let (hub, one) = (ServerName::parse("hub.test").unwrap(), ServerName::parse("one.test").unwrap());
    let template = Template {
        room_id: RoomId::parse(&stopped.room).unwrap(),
        event_type: "m.room.member".into(),
        state_key: Some("@bob:one.test".into()),
        sender: UserId::parse("@bob:one.test").unwrap(),
        origin_server_ts: 1_700_000_000_000,
        content: json!({ "membership": "leave" }).as_object().unwrap().clone(),
    };
    let leave = template.into_lpdu(RoomVersion::I1, &hub, &one, &keys.current).unwrap();
    let copy = damaged(&stopped.participant, |conn| {
        let id = leave.event_id().as_str();
        let next = "(SELECT max(stream) + 1 FROM event)";
        let sql =
            format!("INSERT INTO event (stream, room, status, event_id, json) SELECT {next}, id, 3, ?1, ?2 FROM room");
        conn.execute(&sql, params![id, leave.json()]).unwrap();
        run(
            conn,
            "INSERT INTO state_change (parent, room, event_type, state_key, holds_from, stream, event)
                   SELECT r.state_id, r.id, 'm.room.member', '@bob:one.test', r.head + 1, max(e.stream), max(e.stream)
                   FROM room_now r JOIN event e",
        );
        run(
            conn,
            "UPDATE room SET newest_stream = (SELECT max(stream) FROM event),
                   state_id = (SELECT max(id) FROM state_change)",
        );
        conn.execute(
            "UPDATE current_state SET (event, event_id, membership) = ((SELECT max(stream) FROM event), ?1, 'leave')
             WHERE state_key = '@bob:one.test'",
            [id],
        )
        .unwrap();
        run(conn, "DELETE FROM searchable_member WHERE user_id = '@bob:one.test'");
    });
    let (report, status) = verify(copy.path());
    assert_eq!((&report["problems"], status), (&json!([]), 0));
}

/// A message of somebody who is not in the room, in the hub's name.
fn forged(room: &str, create_and_parent: [&String; 2], keys: &SigningKeys) -> Event {
    let hub = ServerName::parse("hub.test").unwrap();
    let [create, parent] = create_and_parent.map(|id| EventId::parse(id.as_str()).unwrap());
    let template = Template {
        room_id: RoomId::parse(room).unwrap(),
        event_type: "m.room.message".into(),
        state_key: None,
        sender: UserId::parse("@stranger:hub.test").unwrap(),
        origin_server_ts: 1_700_000_000_000,
        content: json!({ "body": "I was never here" }).as_object().unwrap().clone(),
    };
    template.into_pdu(RoomVersion::I1, &[create], &[parent], &hub, &keys.current).unwrap()
}
