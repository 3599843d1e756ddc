//! Encrypted rooms as people see them: `axle chat --script` against real servers.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::chat::{Chat, command, session};
use crate::support::{Network, Server, Setup, Wiretap, until};

fn room_of(made: &Value) -> String {
    made["room_id"].as_str().unwrap().to_owned()
}

fn heard(chat: &mut Chat, text: &str) -> Value {
    let line = chat.hear(text);
    assert_eq!(line["encrypted"], true, "{line}");
    assert_eq!(line["event"]["type"], "m.room.message");
    line
}

/// What the history of the current room says that can be read.
pub(crate) fn bodies(chat: &mut Chat) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let page = chat.run("/history");
        if page["ok"] == false {
            break;
        }
        let events = page["events"].as_array().unwrap().clone();
        let text = |event: &Value| event["content"]["body"].as_str().map(str::to_owned);
        bodies.splice(0..0, events.iter().filter_map(text));
        if page["more"] == false {
            break;
        }
    }
    bodies
}

/// Every byte below a folder.
fn contains(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        // A file of the database's may go while it is looked at.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

fn same_code(chats: &mut [&mut Chat]) {
    let codes: Vec<Value> = chats.iter_mut().map(|chat| chat.ok("/epoch")).collect();
    assert!(codes.windows(2).all(|pair| pair[0]["code"] == pair[1]["code"]), "{codes:?}");
    assert!(codes[0]["code"].as_str().unwrap().len() > 30);
}

#[test]
fn two_people_on_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let (mut alice, mut bob) = (Chat::register(&server, "alice"), Chat::register(&server, "bob"));
    let room = room_of(&alice.ok("/create Tea"));
    alice.ok("/wait devices 1");
    alice.ok("/invite @bob:hub.test");
    bob.ok("/wait invite");
    bob.ok("/accept");
    bob.ok("/wait devices 2");
    alice.ok("/wait devices 2");
    // Alice has made the group, and Bob has come in with his join: nobody has had to let him in.
    for sender in ["@alice:hub.test", "@bob:hub.test"] {
        let commit = alice.until(|line| line["event"]["type"] == "m.mls.commit");
        assert_eq!(commit["event"]["sender"], sender);
    }
    alice.ok("are the leaves in?");
    heard(&mut bob, "are the leaves in?");
    let said = bob.ok("they are");
    assert_eq!(heard(&mut alice, "they are")["event"]["event_id"], said["event_id"]);
    same_code(&mut [&mut alice, &mut bob]);
    // What is said in the clear is said so on purpose.
    alice.ok("/create Square public --plain");
    alice.ok("for everybody to read");
    let plain = alice.hear("for everybody to read");
    assert_eq!(plain["encrypted"], Value::Null);
    alice.ok(&format!("/room {room}"));

    let devices = alice.ok("/devices")["devices"].as_array().unwrap().clone();
    let bobs = devices.iter().find(|it| it["user_id"] == "@bob:hub.test").unwrap();
    assert_eq!(bobs["trust"], "unverified");
    alice.ok(&format!("/verify @bob:hub.test {}", bobs["device_id"].as_str().unwrap()));
    assert_eq!(alice.fails("/verify @bob:hub.test NOBODY").1, "no such device is known");
    let shown = bob.ok("/devices")["devices"].as_array().unwrap().clone();
    let alices = shown.iter().find(|it| it["user_id"] == "@alice:hub.test").unwrap();
    assert_eq!(alices["safety_code"], bobs["safety_code"]);
    assert_eq!(alice.end().1, 1);
    let mut alice = Chat::resume(&server, "alice");
    alice.ok("/room Tea");
    let devices = alice.ok("/devices")["devices"].as_array().unwrap().clone();
    assert!(devices.iter().any(|it| it["user_id"] == "@bob:hub.test" && it["trust"] == "verified"));
}

#[test]
fn who_joins_needs_nobody_to_be_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let mut alice = Chat::register(&server, "alice");
    let room = room_of(&alice.ok("/create Tea public"));
    alice.ok("/wait devices 1");
    // Nobody is there when Bob comes.
    assert!(alice.end().0.success());
    let mut bob = Chat::register(&server, "bob");
    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    bob.ok("is anybody here?");
    let mut alice = Chat::resume(&server, "alice");
    heard(&mut alice, "is anybody here?");
    alice.ok("/room Tea");
    alice.ok("now I am");
    heard(&mut bob, "now I am");
    same_code(&mut [&mut alice, &mut bob]);
}

#[test]
fn nothing_that_was_said_is_on_a_server() {
    let (mut network, taps) = Network::tapped(["hub.test", "one.test", "two.test"]);
    let [hub, one, two] = &network.servers[..] else { panic!("three servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = room_of(&alice.ok("/create Tea public"));
    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    bob.ok("a plain word that no server reads");
    heard(&mut alice, "a plain word that no server reads");
    let folder = tempfile::tempdir().unwrap();
    exchange_file(&mut bob, &mut alice, folder.path(), "recipe.txt", "a file that no server reads\n");
    show_that_the_search_finds(&mut alice, &mut bob, &network, &taps, folder.path());
    alice.ok(&format!("/room {room}"));
    bob.ok(&format!("/room {room}"));

    // Who comes late reads what is said from then on.
    let mut carol = Chat::register(two, "carol");
    carol.ok(&format!("/join {room} hub.test"));
    carol.ok("/wait devices 3");
    alice.ok("/wait devices 3");
    bob.ok("/wait devices 3");
    alice.ok("welcome, carol; another plain word");
    heard(&mut bob, "welcome, carol; another plain word");
    heard(&mut carol, "welcome, carol; another plain word");
    carol.ok("and a third one of mine");
    heard(&mut bob, "and a third one of mine");
    same_code(&mut [&mut alice, &mut bob, &mut carol]);
    let read = bodies(&mut carol);
    assert!(!read.iter().any(|text| text.contains("no server reads")), "{read:?}");

    // Who is put out reads nothing more, and is out of the group with the same stroke.
    alice.ok("/kick @carol:two.test too loud");
    carol.until(|line| line["type"] == "membership" && line["now"] == "leave");
    alice.ok("/wait devices 2");
    bob.ok("/wait devices 2");
    bob.ok("a fourth, without carol");
    heard(&mut alice, "a fourth, without carol");
    carol.ok("/sync");
    assert!(!carol.fails("am I heard?").1.is_empty());
    carol.kill();

    // A hub that starts again goes on.
    network.servers[0].kill();
    network.servers[0].start();
    alice.until(|line| line["type"] == "connection" && line["state"] == "restored");
    alice.ok("a fifth, after the night");
    heard(&mut bob, "a fifth, after the night");
    bob.ok("/leave");
    alice.ok("/wait membership @bob:one.test leave");
    alice.ok("/wait devices 1");
    alice.ok("a sixth, alone");
    for server in &mut network.servers {
        server.stop();
    }
    let said = ["plain word", "third one of mine", "without carol", "after the night", "sixth, alone"];
    for (server, tap) in network.servers.iter().zip(&taps) {
        for text in said.into_iter().chain(["file that no server reads", "recipe.txt", "A256CTR"]) {
            assert!(!contains(&server.data(), text), "{text:?} is on {}", server.name());
            assert_eq!(tap.heard(text), [false; 2], "{text:?} went to or from {}", server.name());
        }
        assert!(contains(&server.data(), "m.room.encrypted"), "{}", server.name());
        assert!(tap.heard("m.room.encrypted").contains(&true), "{}", server.name());
    }
}

/// What is said and sent in a room that is not encrypted is found on the servers and between them, so that finding nothing
/// means that there is nothing.
fn show_that_the_search_finds(
    alice: &mut Chat,
    bob: &mut Chat,
    network: &Network,
    [hub_tap, one_tap, _]: &[Wiretap; 3],
    folder: &Path,
) {
    let square = room_of(&alice.ok("/create Square public --plain"));
    bob.ok(&format!("/join {square}"));
    alice.ok("said in the clear by alice");
    bob.hear("said in the clear by alice");
    bob.ok("said in the clear by bob");
    alice.hear("said in the clear by bob");
    exchange_file(alice, bob, folder, "notice.txt", "a file for everybody\n");
    assert_eq!(one_tap.heard("said in the clear by alice"), [true, false]);
    assert!(hub_tap.heard("said in the clear by bob")[0]);
    assert!(hub_tap.heard("a file for everybody")[1]);
    let [hub, one, _] = &network.servers[..] else { panic!("three servers") };
    for text in ["said in the clear by alice", "said in the clear by bob", "a file for everybody"] {
        until("it is on both servers", || (contains(&hub.data(), text) && contains(&one.data(), text)).then_some(()));
    }
}

/// One sends a file, which is some lines of a text; the other keeps it.
fn exchange_file(from: &mut Chat, to: &mut Chat, folder: &Path, name: &str, line: &str) {
    let content = line.repeat(2000);
    let (sent, kept) = (folder.join(name), folder.join(format!("kept {name}")));
    std::fs::write(&sent, &content).unwrap();
    let event = from.ok(&format!("/send {}", sent.display()))["event_id"].clone();
    assert_eq!(to.hear(name)["event"]["event_id"], event);
    let answer = to.ok(&format!("/save {} {}", event.as_str().unwrap(), kept.display()));
    assert_eq!((answer["path"].as_str(), answer["size"].as_u64()), (kept.to_str(), Some(content.len() as u64)));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), content);
}

/// The commands for files, and what they say when they cannot.
#[test]
fn files_are_sent_and_kept() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = room_of(&alice.ok("/create Tea public"));
    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    alice.ok("/wait devices 2");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    exchange_file(&mut alice, &mut bob, at, "first.txt", "one\n");
    exchange_file(&mut alice, &mut bob, at, "second.txt", "two\n");
    // Without a name, the newest; into a folder, under its own name, and nothing is overwritten.
    let other = at.join("other");
    std::fs::create_dir(&other).unwrap();
    bob.ok(&format!("/save {}", other.display()));
    bob.ok(&format!("/save 2 {}", other.display()));
    assert_eq!(std::fs::read_to_string(other.join("first.txt")).unwrap(), "one\n".repeat(2000));
    assert_eq!(std::fs::read_to_string(other.join("second.txt")).unwrap(), "two\n".repeat(2000));
    assert!(bob.fails(&format!("/save 2 {}", other.display())).1.contains("is there already"));
    assert!(bob.fails("/save 3").1.contains("no such file"));
    assert!(bob.fails(&format!("/send {}", other.display())).1.contains("is not a file"));
    assert!(!bob.fails(&format!("/send {}", at.join("none").display())).1.is_empty());
    // A message without one.
    let said = alice.ok("that is all")["event_id"].clone();
    heard(&mut bob, "that is all");
    assert_eq!(bob.fails(&format!("/save {}", said.as_str().unwrap())).1, "the message has no file");
    // Another start of the program, which reads what it keeps of the messages.
    bob.kill();
    let mut bob = Chat::resume(one, "bob");
    bob.ok(&format!("/room {room}"));
    bob.ok(&format!("/save 1 {}", at.join("again.txt").display()));
    assert_eq!(std::fs::read_to_string(at.join("again.txt")).unwrap(), "two\n".repeat(2000));
}

#[test]
fn several_devices_of_one_person() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = room_of(&alice.ok("/create Tea public"));
    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    alice.ok("/wait devices 2");
    let mut laptop = Chat::log_in(one, "bob", "laptop");
    laptop.ok(&format!("/room {room}"));
    laptop.ok("/wait devices 3");
    let warned = alice.until(|line| line["type"] == "warning");
    assert_eq!((&warned["warning"], &warned["user_id"]), (&json!("new_device"), &json!("@bob:one.test")));
    laptop.ok("from the laptop");
    heard(&mut alice, "from the laptop");
    heard(&mut bob, "from the laptop");
    alice.ok("to both");
    heard(&mut laptop, "to both");
    heard(&mut bob, "to both");
    same_code(&mut [&mut alice, &mut bob, &mut laptop]);
    // It logs out, and is out of the group.
    assert!(laptop.end().0.success());
    let status = command(&one.url(), &session(one, "laptop"), "bob").arg("--logout").status().unwrap();
    assert!(status.success());
    assert!(!session(one, "laptop").with_extension("session.keys").exists());
    alice.ok("/wait devices 2");
    bob.ok("/wait devices 2");
    alice.ok("to one");
    heard(&mut bob, "to one");
}

#[test]
fn a_client_that_was_killed_goes_on_from_its_keys() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = room_of(&alice.ok("/create Tea public"));
    // One uses a session at a time.
    let output = command(&hub.url(), &session(hub, "alice"), "alice").arg("--script").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("one at a time"), "{said}");

    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    for round in 0..4 {
        alice.ok(&format!("alice in round {round}"));
        bob.ok(&format!("bob in round {round}"));
        heard(&mut alice, &format!("bob in round {round}"));
        // In the middle of things: somebody has just come.
        let mut other = Chat::register(one, &format!("other{round}"));
        other.ok(&format!("/join {room} hub.test"));
        alice.kill();
        alice = Chat::resume(hub, "alice");
        alice.ok(&format!("/room {room}"));
        let count = 3 + round;
        alice.ok(&format!("/wait devices {count}"));
        bob.ok(&format!("/wait devices {count}"));
        other.ok(&format!("/wait devices {count}"));
        assert!(other.end().0.success());
    }
    let read = bodies(&mut alice);
    bob.ok("the last word");
    heard(&mut alice, "the last word");
    same_code(&mut [&mut alice, &mut bob]);
    // What it had read before it was killed, it still has.
    alice.kill();
    let mut alice = Chat::resume(hub, "alice");
    for round in 0..4 {
        let said = format!("bob in round {round}");
        assert!(read.contains(&said) || alice.run("/sync")["ok"] == true && alice.hear(&said)["encrypted"] == true);
    }
}

/// Nobody is there to let the one in who comes: they let themselves in.
#[test]
fn who_comes_while_nobody_is_there_lets_themselves_in() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));
    let room = room_of(&alice.ok("/create Tea public"));
    alice.ok("before");
    assert!(alice.end().0.success());
    bob.ok(&format!("/join {room}"));
    bob.ok("/wait devices 2");
    bob.ok("is anybody there?");
    let mut alice = Chat::resume(hub, "alice");
    heard(&mut alice, "is anybody there?");
    alice.ok(&format!("/room {room}"));
    alice.ok("I am back");
    heard(&mut bob, "I am back");
    let unread = bodies(&mut bob);
    assert!(!unread.contains(&"before".to_owned()));
    until("both agree", || (alice.ok("/epoch")["code"] == bob.ok("/epoch")["code"]).then_some(()));
}
