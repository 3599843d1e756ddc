//! Encrypted rooms, and devices that come late, or begin again with an older copy of their keys.

use std::path::PathBuf;

use crate::encryption::bodies;
use crate::support::chat::{Chat, session};
use crate::support::{Network, Server};

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

/// What lies on the disk of a session: its file, and its keys.
fn files(server: &Server, name: &str) -> Vec<PathBuf> {
    let path = session(server, name);
    let prefix = path.file_name().unwrap().to_string_lossy().into_owned();
    let all = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix)).collect()
}

/// A backup of a client's files is put back, while there is more that it has said since then.
#[test]
fn keys_that_were_put_back_from_a_backup_are_not_used_again() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = alice.ok("/create Tea public")["room_id"].as_str().unwrap().to_owned();
    bob.ok(&format!("/join {room}"));
    for chat in [&mut alice, &mut bob] {
        chat.ok("/wait devices 2");
    }
    alice.ok("before the backup");
    bob.hear("before the backup");
    assert!(alice.end().0.success());
    let backup: Vec<(PathBuf, Vec<u8>)> =
        files(hub, "alice").into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    assert!(backup.len() >= 2);

    let mut alice = Chat::resume(hub, "alice");
    for text in ["after it", "and once more"] {
        alice.ok(text);
        bob.hear(text);
    }
    bob.ok("said by bob");
    alice.hear("said by bob");
    assert!(alice.end().0.success());
    files(hub, "alice").into_iter().for_each(|path| std::fs::remove_file(path).unwrap());
    backup.into_iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());

    let mut alice = Chat::resume(hub, "alice");
    let warned = alice.until(|line| line["type"] == "warning");
    assert_eq!((&warned["warning"], &warned["room_id"]), (&"put_back".into(), &room.as_str().into()));
    alice.ok("with new keys");
    assert_eq!(bob.hear("with new keys")["encrypted"], true);
    // What others said can be read again, and it goes on.
    assert_eq!(alice.hear("said by bob")["encrypted"], true);
    bob.ok("it can be read");
    assert_eq!(alice.hear("it can be read")["encrypted"], true);
    assert_eq!(alice.ok("/epoch")["code"], bob.ok("/epoch")["code"]);
}
