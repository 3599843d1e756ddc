//! `axle chat --script` against real servers: every command, its errors, and a server that dies meanwhile.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::chat::{Chat, command, session};
use crate::support::{Network, Server, Setup};

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// Two people on two servers use every command there is.
#[test]
fn a_conversation_by_every_command() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (mut alice, mut bob) = (Chat::register(hub, "alice"), Chat::register(one, "bob"));

    let made = alice.ok("/create Tea time private");
    let tea = text(&made, "room_id").to_owned();
    assert_eq!(bob.fails(&format!("/join {tea}")).0, "M_FORBIDDEN");
    alice.ok("/invite @bob:one.test");
    let invite = bob.ok("/wait invite Tea time");
    assert_eq!((text(&invite, "room_id"), text(&invite, "inviter")), (&*tea, "@alice:hub.test"));
    bob.ok("/accept");
    let rooms = bob.ok("/rooms");
    assert_eq!(rooms["rooms"][0]["hub"], "hub.test");
    assert_eq!((&rooms["rooms"][0]["title"], &rooms["rooms"][0]["membership"]), (&json!("Tea time"), &json!("join")));

    let said = bob.ok("what is there to drink?");
    let heard = alice.hear("what is there to drink?");
    assert_eq!(heard["event"]["event_id"], said["event_id"]);
    assert_eq!(text(&heard, "room_id"), tea);
    alice.ok("/say /etc/teapot");
    bob.hear("/etc/teapot");
    alice.ok("/topic leaves and water");
    bob.ok("/wait event m.room.topic");
    assert_eq!(bob.ok("/rooms")["rooms"][0]["topic"], "leaves and water");
    // Taken back is taken back everywhere.
    bob.ok("/redact a typo");
    alice.ok("/wait event m.room.redaction");
    let members = bob.ok("/members");
    assert_eq!(members["members"].as_array().unwrap().len(), 2);

    assert_eq!(bob.fails("/kick @alice:hub.test").0, "M_FORBIDDEN");
    assert_eq!(bob.fails("/topic mine").0, "M_FORBIDDEN");
    bob.ok("/fails M_FORBIDDEN /kick @alice:hub.test");
    alice.ok("/kick @bob:one.test too loud");
    bob.until(|line| line["type"] == "membership" && line["now"] == "leave");
    bob.fails("am I heard?");
    alice.ok("/ban @bob:one.test for good");
    assert_eq!(bob.fails(&format!("/join {tea} hub.test")).0, "M_FORBIDDEN");
    alice.ok("/unban @bob:one.test");
    assert_eq!(alice.ok("/faults")["faults"], json!([]));

    let club = text(&alice.ok("/create Club knock"), "room_id").to_owned();
    bob.ok(&format!("/knock {club} via hub.test"));
    alice.ok("/wait membership @bob:one.test knock");
    alice.ok("/invite @bob:one.test");
    bob.ok(&format!("/wait invite {club}"));
    bob.ok("/accept");
    bob.ok("/leave");
    alice.ok("/wait membership @bob:one.test leave");
    alice.ok("/invite @bob:one.test");
    bob.ok("/wait invite");
    bob.ok("/reject");
    bob.ok("/sync");
    assert!(bob.fails("/accept").1.contains("not invited"));

    let square = text(&alice.ok("/create Square public"), "room_id").to_owned();
    bob.ok(&format!("/join {square}"));
    alice.ok("/room Tea time");
    alice.ok("/room Square");
    bob.ok("I am back");
    alice.ok("/wait message I am back");
    alice.ok("/leave");
    bob.ok("/wait membership @alice:hub.test leave");
    bob.ok("/sync");
    assert!(bob.ok("/help")["commands"].as_array().unwrap().len() > 20);

    let (status, failed) = alice.end();
    assert!(status.success() && failed == 0);
    let (status, failed) = bob.end();
    assert_eq!((status.code(), failed), (Some(1), 6));
}

#[test]
fn history_is_paged_and_complete() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let alice = hub.register("alice");
    let room = alice.create_room(&json!({ "preset": "public_chat", "name": "Long" }));
    for number in 0..120 {
        alice.say(&room, &format!("line {number}"));
    }
    // Before bob came: his server has to fetch it.
    let mut bob = Chat::register(one, "bob");
    bob.ok(&format!("/join {room} hub.test"));
    let mut bodies = Vec::new();
    loop {
        let page = bob.ok("/history");
        let events = page["events"].as_array().unwrap();
        let page_bodies = events.iter().filter_map(|event| event["content"]["body"].as_str().map(str::to_owned));
        bodies.splice(0..0, page_bodies);
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(bodies, (0..120).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert!(bob.fails("/history").1.contains("beginning"));
}

#[test]
fn mistakes_say_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let mut alice = Chat::register(&server, "alice");
    for (line, expected) in [
        ("hello", "there is no room to do this in; /create, /join or /room first"),
        ("/members", "no current room"),
        ("/dance", "/help lists what there is"),
        ("/kick bob", "write it like @alice:example.org"),
        ("/join tea", "write it like !room:example.org"),
        ("/create", "write /create NAME [public|private|knock]"),
        ("/wait for it", "write /wait"),
        ("/retry", "in the terminal only"),
        ("/room nowhere", "there is no room \"nowhere\""),
        ("/fails /help", "it should have failed"),
    ] {
        let (_, error) = alice.fails(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
    assert_eq!(alice.fails("/join !nowhere:hub.test").0, "M_NOT_FOUND");
    let waited = alice.fails("/wait 0 invite");
    assert_eq!(waited.1, "it did not happen within 0 s");
    let (status, failed) = alice.end();
    assert_eq!((status.code(), failed), (Some(1), 12));
}

/// The program tells of it, comes back by itself, and misses nothing.
#[test]
fn a_server_that_was_killed_is_found_again() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let (mut alice, bob) = (Chat::register(&network.servers[0], "alice"), network.servers[1].register("bob"));
    let room = text(&alice.ok("/create Square public --plain"), "room_id").to_owned();
    bob.join(&room, "hub.test").ok();
    alice.ok("/wait membership @bob:one.test join");
    network.servers[0].kill();
    alice.until(|line| line["type"] == "connection" && line["state"] == "lost");
    network.servers[0].start();
    alice.until(|line| line["type"] == "connection" && line["state"] == "restored");
    bob.say(&room, "are you there?");
    alice.hear("are you there?");
    alice.ok("still here");
    bob.hear(&room, "still here");
    assert!(alice.end().0.success());
    // The session outlives the program.
    let mut again = Chat::resume(&network.servers[0], "alice");
    again.hear("still here");
    assert_eq!(again.ok("/rooms")["rooms"][0]["room_id"], *room);
    // With one room there is no question which is meant.
    again.ok("here again");
    again.ok("/create Coffee");
    again.ok("/room Square");
    assert!(again.end().0.success());
    let mut unsure = Chat::resume(&network.servers[0], "alice");
    assert!(unsure.fails("whither").1.contains("/room"));
}

#[test]
fn sessions_begin_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let (url, session) = (server.url(), session(&server, "alice"));
    let run = |args: &[&str], password: &str| {
        let mut command = command(&url, &session, "alice");
        let output = command.args(args).env("AXLE_PASSWORD", password).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(run(&["--script"], "a long password").1.contains("M_FORBIDDEN"), "there is no such account yet");
    assert!(run(&["--script", "--register"], "short").1.contains("at least 8"));
    assert_eq!(run(&["--script", "--register"], "a long password"), (Some(0), String::new()));
    assert!(run(&["--script", "--register"], "a long password").1.contains("taken"));
    assert_eq!(run(&["--script"], "a long password"), (Some(0), String::new()));
    let other = |option: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axle"));
        let command = command.args(["chat", "--script", option, value, "--session"]).arg(&session);
        String::from_utf8(command.env_clear().stdin(Stdio::null()).output().unwrap().stderr).unwrap()
    };
    assert!(other("--user", "bob").contains("is of @alice:hub.test"));
    assert!(other("--user", "@alice:other.test").contains("is of @alice:hub.test"));
    assert!(other("--server", "http://127.0.0.1:1").contains("is of @alice:hub.test"));
    assert_eq!(run(&["--logout"], "a long password"), (Some(0), String::new()));
    assert!(run(&["--logout"], "a long password").1.contains("nobody is logged in here"));
    server.stop();
    let (code, said) = run(&["--script"], "a long password");
    assert_eq!(code, Some(1));
    assert!(said.contains(&server.setup.client.to_string()), "{said}");
}

#[test]
fn a_token_is_asked_for_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::alone(folder.path(), "hub.test");
    setup.config = setup.config.replace("mode = \"open\"", "mode = \"token\"");
    let mut server = Server::new(setup);
    server.start();
    let register = |args: &[&str]| {
        let mut command = command(&server.url(), &session(&server, "alice"), "alice");
        let output = command.args(["--script", "--register"]).args(args).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(register(&[]).1.contains("give --token TOKEN"));
    assert!(register(&["--token", "wrong"]).1.contains("not valid"));
    let made = server.admin_ok(&["create-token", "--uses", "1"], "");
    assert_eq!(register(&["--token", text(&made, "token")]), (true, String::new()));
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    let mut child = command(&server.url(), &session(&server, "alice"), "alice")
        .args(["--script", "--register", "--fail-fast"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let script = "# a comment\n\n/create Tea\n/dance\nnever said\n";
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let results: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["type"] == "result")
        .collect();
    assert_eq!(results.len(), 2);
    assert_eq!((&results[0]["line"], &results[1]["line"]), (&json!(3), &json!(4)));
}
