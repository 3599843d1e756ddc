//! Three servers hold a conversation.

use serde_json::json;

use crate::support::{Network, User};

/// What everyone has of a room, event by event.
fn assert_same_log(room: &str, users: &[&User]) {
    let first = users[0].log(room);
    let ids = |events: &[serde_json::Value]| -> Vec<String> {
        events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    };
    for other in &users[1..] {
        let log = other.log(room);
        assert_eq!(ids(&log), ids(&first), "{} and {} differ", other.id, users[0].id);
        for (a, b) in log.iter().zip(&first) {
            for field in ["type", "sender", "state_key", "content", "origin_server_ts"] {
                assert_eq!(a[field], b[field], "{} and {} differ in {a}", other.id, users[0].id);
            }
        }
    }
}

#[test]
fn hub_and_two_participants_talk_in_all_directions() {
    let network = Network::start(["hub.test", "one.test", "two.test"]);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    let (alice, bob, carol) = (hub.register("alice"), one.register("bob"), two.register("carol"));

    let room = alice.create_room(&json!({ "preset": "private_chat", "name": "A room" }));
    alice.moderate("invite", &room, &bob.id).ok();
    bob.await_invite(&room);
    bob.join(&room, "hub.test").ok();
    // A participant's user invites, too.
    bob.moderate("invite", &room, &carol.id).ok();
    carol.await_invite(&room);
    carol.join(&room, "one.test").ok();

    for round in 0..3 {
        for user in [&alice, &bob, &carol] {
            user.say(&room, &format!("{round} from {}", user.id));
        }
    }
    for user in [&alice, &bob, &carol] {
        user.hear(&room, &format!("2 from {}", carol.id));
    }
    assert_same_log(&room, &[&alice, &bob, &carol]);
    assert_eq!(alice.heard(&room).len(), 9);
    for server in &network.servers {
        let report = server.admin_ok(&["verify"], "");
        assert_eq!(report["problem_count"], 0, "{report}");
    }
}

#[test]
fn a_participant_that_was_down_catches_up() {
    let mut network = Network::start(["hub.test", "one.test", "two.test"]);
    let users: Vec<User> =
        network.servers.iter().zip(["alice", "bob", "carol"]).map(|(server, name)| server.register(name)).collect();
    let [alice, bob, carol] = &users[..] else { panic!("three users") };
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    for user in [bob, carol] {
        user.join(&room, "hub.test").ok();
    }
    carol.say(&room, "before");
    bob.hear(&room, "before");

    network.servers[2].kill();
    for number in 0..60 {
        let speaker = if number % 2 == 0 { alice } else { bob };
        speaker.say(&room, &format!("missed {number}"));
    }
    network.servers[2].start();
    carol.hear(&room, "missed 59");
    carol.say(&room, "after");
    for user in [alice, bob] {
        user.hear(&room, "after");
    }
    assert_same_log(&room, &[alice, bob, carol]);
    assert_eq!(carol.heard(&room).len(), 62);
}

#[test]
fn a_person_who_joins_late_reads_what_was_said_before() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    for number in 0..70 {
        alice.say(&room, &format!("early {number}"));
    }
    bob.join(&room, "hub.test").ok();
    bob.say(&room, "late");
    assert_eq!(bob.heard(&room).len(), 71);
    assert_same_log(&room, &[&alice, &bob]);
}

#[test]
fn rooms_of_the_version_that_others_speak_today() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let version = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";
    let room = alice.create_room(&json!({ "preset": "public_chat", "room_version": version }));
    bob.join(&room, "hub.test").ok();
    bob.say(&room, "in the unstable version");
    alice.hear(&room, "in the unstable version");
    assert_eq!(alice.log(&room)[0]["content"]["room_version"], version);
    let refused = alice.post("createRoom", &json!({ "room_version": "99" }));
    assert_eq!(refused.error(), (400, "M_UNSUPPORTED_ROOM_VERSION"));
}
