//! A server whose database is lost, and that is put back from a backup.

use std::path::Path;

use serde_json::json;

use crate::support::chat::Chat;
use crate::support::{Network, Server, User, until};

/// Puts a backup in the place of a server's database, as the README says.
fn put_back(server: &mut Server, backup: &Path) {
    server.kill();
    let database = server.data().join("axle.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    std::fs::copy(backup, &database).unwrap();
    server.start();
}

fn assert_sound(server: &Server) {
    let report = server.admin_ok(&["verify"], "");
    assert_eq!(report["problem_count"], 0, "{report}");
    assert_eq!(server.admin_ok(&["list-faults"], ""), json!([]));
}

/// The room is encrypted, and its members and its group have changed since the backup.
#[test]
fn a_hub_that_lost_its_database_goes_on_where_it_was() {
    let mut network = Network::start(["hub.test", "one.test", "two.test"]);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let (mut carol, mut dan) = (Chat::register(two, "carol"), Chat::register(one, "dan"));
    let room = alice.ok("/create Tea public")["room_id"].as_str().unwrap().to_owned();
    for chat in [&mut bob, &mut carol] {
        chat.ok(&format!("/join {room}"));
    }
    for chat in [&mut alice, &mut bob, &mut carol] {
        chat.ok("/wait devices 3");
    }
    alice.ok("in the backup");
    bob.hear("in the backup");
    let backup = hub.setup.folder.join("backup.db");
    hub.admin_ok(&["backup", backup.to_str().unwrap()], "");
    dan.ok(&format!("/join {room}"));
    bob.ok("/wait devices 4");
    carol.ok("/leave");
    for chat in [&mut alice, &mut bob, &mut dan] {
        chat.ok("/wait devices 3");
    }
    dan.ok("not in the backup");
    for chat in [&mut alice, &mut bob] {
        chat.hear("not in the backup");
    }

    put_back(&mut network.servers[0], &backup);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    for (speaker, text) in [(0, "said by bob"), (1, "said by dan"), (2, "said by alice")] {
        let chats = [&mut bob, &mut dan, &mut alice];
        chats[speaker].ok(text);
        for (listener, chat) in chats.into_iter().enumerate() {
            assert!(listener == speaker || chat.hear(text)["encrypted"] == true);
        }
    }
    let codes = [&mut alice, &mut bob, &mut dan].map(|chat| chat.ok("/epoch")["code"].clone());
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    // Carol is out, and comes in again as anybody would.
    carol.ok(&format!("/join {room}"));
    bob.ok("/wait devices 4");
    bob.ok("welcome back");
    carol.hear("welcome back");
    [hub, one, two].into_iter().for_each(assert_sound);
}

/// A copy of the database that nobody has marked, such as a snapshot of a disk.
#[test]
fn an_operator_says_so_of_other_copies() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.join(&room, "hub.test").ok();
    let hub = &mut network.servers[0];
    hub.stop();
    let copy = hub.setup.folder.join("copy.db");
    std::fs::copy(hub.data().join("axle.db"), &copy).unwrap();
    hub.start();
    bob.say(&room, "after the copy");
    alice.hear(&room, "after the copy");
    hub.stop();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", hub.data().join("axle.db").display()));
    }
    std::fs::copy(&copy, hub.data().join("axle.db")).unwrap();
    hub.start_with(&["--restored"]);
    alice.hear(&room, "after the copy");
    until("the room is open", || (alice.send(&room, "and so on").status == 200).then_some(()));
    bob.hear(&room, "and so on");
    network.servers.iter().for_each(assert_sound);
}

/// What a device publishes: its keys, and one to be used once.
fn publish(user: &User, device: &str, once: &str) {
    let keys = json!({
        "user_id": user.id, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("ed25519:{device}"): "key" }, "signatures": {},
    });
    let body =
        json!({ "device_keys": keys, "one_time_keys": { format!("signed_curve25519:{once}"): { "key": once } } });
    user.post("keys/upload", &body).ok();
}

fn devices_of(of: &User, by: &User) -> usize {
    let answer = by.post("keys/query", &json!({ "device_keys": { &of.id: [] } })).ok();
    answer["device_keys"][&of.id].as_object().map_or(0, serde_json::Map::len)
}

/// A key of a device that is to be used once, if there is one.
fn claim(of: &User, device: &str, by: &User) -> Option<String> {
    let wanted = json!({ "one_time_keys": { &of.id: { device: "signed_curve25519" } } });
    let answer = by.post("keys/claim", &wanted).ok();
    Some(answer["one_time_keys"][&of.id][device].as_object()?.keys().next()?.clone())
}

/// What a copy has of devices and their keys is not what others know by now.
#[test]
fn devices_that_are_gone_and_keys_that_are_used_do_not_come_back() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (alice, bob) = (hub.register("alice"), one.register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.join(&room, "hub.test").ok();
    let device = alice.get("account/whoami").ok()["device_id"].as_str().unwrap().to_owned();
    publish(&alice, &device, "AAAA");
    let backup = hub.setup.folder.join("backup.db");
    hub.admin_ok(&["backup", backup.to_str().unwrap()], "");
    let session = hub.login("alice", "a long password").ok();
    let other = User::new(hub.url(), &session);
    publish(&other, session["device_id"].as_str().unwrap(), "BBBB");
    until("both are known", || (devices_of(&alice, &bob) == 2).then_some(()));
    assert_eq!(claim(&alice, &device, &bob).as_deref(), Some("signed_curve25519:AAAA"));

    put_back(&mut network.servers[0], &backup);
    until("one is gone", || (devices_of(&alice, &bob) == 1).then_some(()));
    assert_eq!(claim(&alice, &device, &bob), None, "it was given out");
    assert_eq!(alice.sync("")["device_one_time_keys_count"]["signed_curve25519"].as_u64().unwrap_or(0), 0);
    publish(&alice, &device, "CCCC");
    assert_eq!(claim(&alice, &device, &bob).as_deref(), Some("signed_curve25519:CCCC"));
    network.servers.iter().for_each(assert_sound);
}
