//! Encrypted rooms, and members that do what they should not.

use crate::support::chat::Chat;
use crate::support::{Network, Spoiler, until};

/// A member commits what nobody can apply. The others say so, the hub goes back, and everybody goes on without that device.
#[test]
fn a_commit_that_nobody_can_apply_stops_no_room() {
    let network = Network::start(["hub.test", "one.test", "two.test"]);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    let (mut alice, mut bob, mut carol) =
        (Chat::register(hub, "alice"), Chat::register(one, "bob"), Chat::register(two, "carol"));
    let spoiler = Spoiler::start(&hub.url());
    let mut mallory = Chat::register_through(hub, &spoiler.url(), "mallory");
    let room = alice.ok("/create Tea public")["room_id"].as_str().unwrap().to_owned();
    bob.ok(&format!("/join {room}"));
    carol.ok(&format!("/join {room} hub.test"));
    mallory.ok(&format!("/join {room}"));
    for chat in [&mut alice, &mut bob, &mut carol, &mut mallory] {
        chat.ok("/wait devices 4");
    }
    // Nobody else is there to let in a further device of Mallory's.
    for chat in [alice, bob, carol] {
        assert!(chat.end().0.success());
    }
    spoiler.begin();
    let mut laptop = Chat::log_in(hub, "mallory", "laptop");
    laptop.ok(&format!("/room {room}"));
    until("a commit was spoiled", || (spoiler.spoiled() > 0).then_some(()));
    let (mut bob, mut carol) = (Chat::resume(one, "bob"), Chat::resume(two, "carol"));
    for chat in [&mut bob, &mut carol] {
        chat.ok(&format!("/room {room}"));
    }
    until("the others are in one group", || {
        let chats = [&mut bob, &mut carol, &mut laptop];
        let codes = chats.map(|chat| {
            chat.ok("/sync");
            chat.run("/epoch")["code"].clone()
        });
        let devices = bob.ok("/devices")["devices"].as_array().unwrap().len();
        (codes.iter().all(|code| *code == codes[0] && !code.is_null()) && devices == 5).then_some(())
    });
    bob.ok("on we go");
    for chat in [&mut carol, &mut laptop] {
        assert_eq!(chat.hear("on we go")["encrypted"], true);
    }
    let mut alice = Chat::resume(hub, "alice");
    assert_eq!(alice.hear("on we go")["encrypted"], true);
    alice.ok(&format!("/room {room}"));
    alice.ok("what did I miss?");
    for chat in [&mut bob, &mut carol, &mut laptop] {
        assert_eq!(chat.hear("what did I miss?")["encrypted"], true);
    }
}
