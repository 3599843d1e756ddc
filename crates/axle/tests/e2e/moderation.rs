//! Invites, knocks, kicks and bans between servers.

use serde_json::json;

use crate::support::chat::Chat;
use crate::support::{Network, until};

#[test]
fn a_knock_is_answered_by_an_invite() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({
        "initial_state": [{ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } }],
    }));
    assert_eq!(bob.join(&room, "hub.test").error(), (403, "M_FORBIDDEN"));
    bob.knock(&room, "hub.test").ok();
    alice.await_membership(&room, &bob.id, "knock");
    alice.moderate("invite", &room, &bob.id).ok();
    bob.await_invite(&room);
    bob.join(&room, "hub.test").ok();
    bob.say(&room, "thank you");
    alice.hear(&room, "thank you");
}

#[test]
fn an_invite_can_be_declined_and_a_knock_taken_back() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let closed = alice.create_room(&json!({ "preset": "private_chat" }));
    alice.moderate("invite", &closed, &bob.id).ok();
    bob.await_invite(&closed);
    bob.leave(&closed).ok();
    alice.await_membership(&closed, &bob.id, "leave");
    assert_eq!(bob.join(&closed, "hub.test").error(), (403, "M_FORBIDDEN"));

    let knock = alice.create_room(&json!({
        "initial_state": [{ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } }],
    }));
    bob.knock(&knock, "hub.test").ok();
    alice.await_membership(&knock, &bob.id, "knock");
    bob.leave(&knock).ok();
    alice.await_membership(&knock, &bob.id, "leave");
}

#[test]
fn kick_and_ban_hold() {
    let network = Network::start(["hub.test", "one.test", "two.test"]);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    let (alice, bob, carol) = (hub.register("alice"), one.register("bob"), two.register("carol"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    for user in [&bob, &carol] {
        user.join(&room, "hub.test").ok();
    }
    // Nobody without the power to.
    assert_eq!(bob.moderate("kick", &room, &carol.id).error(), (403, "M_FORBIDDEN"));
    assert_eq!(carol.moderate("ban", &room, &alice.id).error(), (403, "M_FORBIDDEN"));

    alice.moderate("kick", &room, &bob.id).ok();
    bob.await_membership(&room, &bob.id, "leave");
    assert_eq!(bob.send(&room, "still here?").error(), (403, "M_FORBIDDEN"));
    // The room is public: who was kicked may come back.
    bob.join(&room, "hub.test").ok();
    bob.say(&room, "back");
    carol.hear(&room, "back");

    alice.moderate("ban", &room, &carol.id).ok();
    carol.await_membership(&room, &carol.id, "ban");
    assert_eq!(carol.join(&room, "hub.test").error(), (403, "M_FORBIDDEN"));
    assert_eq!(carol.send(&room, "let me in").error(), (403, "M_FORBIDDEN"));
    alice.say(&room, "among ourselves");
    bob.hear(&room, "among ourselves");
    assert!(!carol.heard(&room).contains(&"among ourselves".to_owned()));

    alice.moderate("unban", &room, &carol.id).ok();
    carol.join(&room, "hub.test").ok();
    carol.say(&room, "thanks");
    alice.hear(&room, "thanks");
}

#[test]
fn who_leaves_while_the_hub_is_down_is_out_of_its_rooms() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (alice, bob, ben) = (hub.register("alice"), one.register("bob"), one.register("ben"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.join(&room, "hub.test").ok();
    ben.join(&room, "hub.test").ok();
    let (mut dora, mut cleo) = (Chat::register(hub, "dora"), Chat::register(one, "cleo"));
    let secret = dora.ok("/create Secret public")["room_id"].as_str().unwrap().to_owned();
    cleo.ok(&format!("/join {secret} hub.test"));
    cleo.ok("/wait devices 2");

    network.servers[0].kill();
    std::thread::scope(|scope| {
        let said = scope.spawn(|| bob.send(&room, "is anybody there?"));
        let one = &network.servers[1];
        until("it is queued", || (one.metric("axle_outbound_pending_events") > 0.0).then_some(()));
        bob.leave(&room).ok();
        cleo.ok("/leave");
        assert_eq!(bob.get("joined_rooms").ok()["joined_rooms"], json!([]));
        cleo.ok("/sync");
        assert_eq!(cleo.ok("/rooms")["rooms"][0]["membership"], "leave");
        network.servers[0].start();
        said.join().unwrap().ok();
    });

    alice.await_membership(&room, &bob.id, "leave");
    alice.hear(&room, "is anybody there?");
    dora.until(|line| line["type"] == "connection" && line["state"] == "restored");
    dora.ok("/wait membership @cleo:one.test leave");
    dora.ok("/wait devices 1");
    alice.say(&room, "who is left?");
    ben.hear(&room, "who is left?");
    for server in &network.servers {
        assert_eq!(server.admin_ok(&["verify"], "")["problems"], json!([]), "{}", server.name());
        assert!(server.admin_ok(&["list-faults"], "").as_array().unwrap().is_empty());
    }
}
