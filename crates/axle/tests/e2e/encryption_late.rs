//! Encrypted rooms, and devices that come late.

use crate::encryption::bodies;
use crate::support::Network;
use crate::support::chat::Chat;

/// A device is let in while it is off, and comes back after far more commits than the hub keeps whole states of.
#[test]
fn who_was_let_in_while_they_were_off_reads_all_that_was_said() {
    const ROUNDS: usize = 20;
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let mut carol = Chat::register(hub, "carol");
    // It leaves KeyPackages with its server.
    assert!(Chat::log_in(one, "bob", "laptop").end().0.success());
    let room = alice.ok("/create Tea public")["room_id"].as_str().unwrap().to_owned();
    bob.ok(&format!("/join {room}"));
    for chat in [&mut alice, &mut bob] {
        chat.ok("/wait devices 3");
    }
    alice.ok("said at first");
    for round in 0..ROUNDS {
        // Two commits: one is hers, the other removes her.
        carol.ok(&format!("/join {room}"));
        alice.ok("/wait devices 4");
        carol.ok("/leave");
        alice.ok("/wait devices 3");
        alice.ok(&format!("said in round {round}"));
    }
    let mut laptop = Chat::log_in(one, "bob", "laptop");
    laptop.ok(&format!("/room {room}"));
    laptop.ok("/wait devices 3");
    // Its first sync brings the newest; the rest is in history.
    let read = bodies(&mut laptop);
    let said = (0..ROUNDS).map(|round| format!("said in round {round}"));
    for text in std::iter::once("said at first".to_owned()).chain(said) {
        assert!(read.contains(&text) || laptop.hear(&text)["encrypted"] == true, "{text}");
    }
    laptop.ok("I have read all of it");
    for chat in [&mut alice, &mut bob] {
        assert_eq!(chat.hear("I have read all of it")["encrypted"], true);
    }
}
