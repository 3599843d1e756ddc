//! Servers that are killed in mid-conversation.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::Network;

/// The hub dies and comes back while both participants talk: whatever anybody was told is sent stays sent, once.
#[test]
fn a_killed_hub_comes_back_with_nothing_lost() {
    let mut network = Network::start(["hub.test", "one.test", "two.test"]);
    let (alice, bob, carol) = (
        network.servers[0].register("alice"),
        network.servers[1].register("bob"),
        network.servers[2].register("carol"),
    );
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    for user in [&bob, &carol] {
        user.join(&room, "hub.test").ok();
    }
    let stop = AtomicBool::new(false);
    let (room_id, stopped) = (&room, &stop);
    // Says numbered things until told to stop; those that were acknowledged. What is not acknowledged is said again,
    // under the same transaction id, as clients do.
    let talk = |user: &'static str, speaker: &crate::support::User| {
        let mut said = Vec::new();
        for number in 0.. {
            let text = format!("{user} {number}");
            loop {
                let answer = speaker.send_as(room_id, &text, &format!("n{number}"));
                if answer.status == 200 {
                    said.push((text, answer.body["event_id"].as_str().unwrap().to_owned()));
                    break;
                }
                assert!(matches!(answer.status, 502..=504), "{answer:?}");
                if stopped.load(Ordering::Relaxed) {
                    return said;
                }
            }
            if stopped.load(Ordering::Relaxed) {
                return said;
            }
        }
        said
    };
    let said = std::thread::scope(|scope| {
        let talks = [scope.spawn(|| talk("bob", &bob)), scope.spawn(|| talk("carol", &carol))];
        for round in 0..3 {
            let heard = format!("go on {round}");
            alice.say(&room, &heard);
            bob.hear(&room, &heard);
            network.servers[0].kill();
            network.servers[0].start();
        }
        alice.say(&room, "enough");
        stop.store(true, Ordering::Relaxed);
        talks.into_iter().flat_map(|talk| talk.join().unwrap()).collect::<Vec<_>>()
    });
    for user in [&bob, &carol] {
        user.hear(&room, "enough");
    }
    bob.say(&room, "end of bob");
    carol.say(&room, "end of carol");
    for user in [&alice, &bob, &carol] {
        user.hear(&room, "end of carol");
    }
    let log = alice.log(&room);
    let ids = |log: &[serde_json::Value]| log.iter().map(|event| event["event_id"].clone()).collect::<Vec<_>>();
    for user in [&bob, &carol] {
        assert_eq!(ids(&user.log(&room)), ids(&log), "{} has another log", user.id);
    }
    for (text, event_id) in &said {
        let found: Vec<_> = log.iter().filter(|event| event["content"]["body"] == **text).collect();
        assert_eq!(found.len(), 1, "{text} is there {} times", found.len());
        assert_eq!(found[0]["event_id"], **event_id);
    }
    for server in &network.servers {
        assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
    }
}
