//! `axle demo` to its end, and what `--keep` leaves.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn demo(args: &[&str], temporary: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axle"));
    // Settings of a server of one's own must not reach those of the demo.
    command.arg("demo").args(args).env_clear().env("TMPDIR", temporary).env("AXLE_DATA", "/nowhere");
    command.stdin(Stdio::null()).output().unwrap()
}

/// The last number before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap();
    before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn the_demo_proves_what_it_claims() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(&[], temporary.path());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let proved = said.lines().find(|line| line.starts_with("PROVED")).unwrap_or_else(|| panic!("{said}"));
    assert!(proved.contains("3 servers hold the same 4 rooms"), "{proved}");
    // The table says the same: a line a room, all three logs equal, and as many events as are claimed.
    let rooms: Vec<&str> = ["Square", "Office", "Club", "Vault"]
        .map(|room| {
            let is_row = |line: &&str| line.trim_start().starts_with(room) && line.contains('$');
            said.lines().find(is_row).unwrap_or_else(|| panic!("no row for {room} in {said}"))
        })
        .into();
    let mut events = 0;
    for row in rooms {
        assert!(row.trim_end().ends_with("yes"), "{row}");
        let ids: Vec<&str> = row.split_whitespace().filter(|word| word.starts_with('$')).collect();
        assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{row}");
        events += row.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    }
    assert_eq!(events, number_before(proved, " events"));
    let steps = ["kill -9 of the hub", "is banned", "knock", "public room", "invite-only", "cannot read", "ciphertext"];
    for step in steps {
        assert!(said.contains(step), "{step:?} is not in {said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where nobody sees them");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn kept_servers_can_be_chatted_on_and_stopped_as_it_says() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(&["--keep"], temporary.path());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let _stop = Stop(said.clone());
    let chats: Vec<&str> = said.lines().map(str::trim).filter(|line| line.contains(" chat --session ")).collect();
    assert!(chats.len() >= 3, "{said}");
    for chat in chats {
        let (line, user) = chat.rsplit_once('#').unwrap();
        let (events, status) = shell(&format!("{} --script", line.trim()), "/rooms\n");
        assert!(status, "{chat}: {events:?}");
        assert_eq!(events[0]["user_id"], user.trim(), "{chat}");
        let rooms = events.iter().find(|event| event["type"] == "result").unwrap();
        // Mallory was let in nowhere.
        let has_rooms = !rooms["rooms"].as_array().unwrap().is_empty();
        assert_eq!(has_rooms, !user.contains("mallory"), "{chat}: {rooms}");
    }
    assert!(shell(stop_line(&said), "").1, "{said}");
    let gone = || std::fs::read_dir(temporary.path()).unwrap().next().is_none().then_some(());
    crate::support::until("everything is gone", gone);
}

/// How it says that the servers are stopped.
fn stop_line(said: &str) -> &str {
    said.lines().map(str::trim).find(|line| line.starts_with("kill ")).expect("a way to stop")
}

/// Stops the servers also when the test fails.
struct Stop(String);

impl Drop for Stop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            shell(stop_line(&self.0), "");
        }
    }
}

/// Runs a line as a person would paste it; JSON lines of the output, and whether it succeeded.
fn shell(line: &str, input: &str) -> (Vec<Value>, bool) {
    let mut child = Command::new("sh").args(["-c", line]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), output.status.success())
}
