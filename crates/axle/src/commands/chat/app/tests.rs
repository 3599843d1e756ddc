//! The application driven by its inputs, and what its screen shows.

use std::time::Duration;

use axle_sdk::SyncResponse;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::{App, Effect, Input, Notice, Page};
use crate::commands::chat::render;
use crate::commands::chat::request::{Answer, Failure, Request};

const ALICE: &str = "@alice:hub.example.test";
const BOB: &str = "@bob:amber.example.test";
const TEA: &str = "!tea:hub.example.test";
/// 2026-11-23, 12:00 UTC.
const NOON: i64 = 1_795_435_200_000;

fn app() -> App {
    App::new(ALICE, "t", (110, 20))
}

fn screen(app: &App) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| render::draw(app, frame)).unwrap();
    terminal.backend().clone()
}

fn state(id: &str, minute: i64, sender: &str, event_type: &str, key: &str, content: Value) -> Value {
    let ts = NOON + minute * 60_000;
    json!({"event_id": id, "sender": sender, "type": event_type, "state_key": key, "content": content,
           "origin_server_ts": ts})
}

fn member(id: &str, minute: i64, sender: &str, user: &str, membership: &str) -> Value {
    state(id, minute, sender, "m.room.member", user, json!({"membership": membership}))
}

fn message(id: &str, minute: i64, sender: &str, body: &str) -> Value {
    let mut event = state(id, minute, sender, "m.room.message", "", json!({"msgtype": "m.text", "body": body}));
    event.as_object_mut().unwrap().remove("state_key");
    event
}

fn synced(rooms: Value) -> Input {
    let response: SyncResponse = serde_json::from_value(json!({"next_batch": "s", "rooms": rooms})).unwrap();
    Input::Synced(Box::new(response))
}

fn tea(events: &[Value]) -> Input {
    synced(json!({"join": {TEA: {
        "im.axle.hub_server": "hub.example.test", "timeline": {"events": events, "prev_batch": "p0"},
    }}}))
}

/// Alice in a room of hers with Bob; an invite to another.
fn furnished() -> App {
    let mut app = app();
    app.handle(tea(&[
        state("$1", 0, ALICE, "m.room.create", "", json!({"room_version": "I.1"})),
        member("$2", 0, ALICE, ALICE, "join"),
        state("$3", 0, ALICE, "m.room.join_rules", "", json!({"join_rule": "public"})),
        state("$4", 0, ALICE, "m.room.name", "", json!({"name": "Tea"})),
        state("$5", 0, ALICE, "m.room.topic", "", json!({"topic": "leaves and water"})),
        member("$6", 1, BOB, BOB, "join"),
        message("$7", 2, BOB, "hello from amber"),
    ]));
    app.handle(synced(json!({"invite": {"!x:birch.example.test": {"invite_state": {"events": [
        state("", 0, "@carol:birch.example.test", "m.room.name", "", json!({"name": "Secret"})),
        member("", 3, "@carol:birch.example.test", ALICE, "invite"),
    ]}}}})));
    app
}

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.handle(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn enter(app: &mut App, line: &str) -> Vec<Effect> {
    for c in line.chars() {
        assert!(key(app, KeyCode::Char(c)).is_empty());
    }
    key(app, KeyCode::Enter)
}

fn request(mut effects: Vec<Effect>) -> Request {
    assert_eq!(effects.len(), 1, "{effects:?}");
    match effects.remove(0) {
        Effect::Perform(request) => request,
        Effect::Quit => panic!("it quits"),
    }
}

fn refused() -> Failure {
    Failure { errcode: Some("M_FORBIDDEN".into()), message: "You may not speak here (M_FORBIDDEN)".into() }
}

#[test]
fn nothing_yet() {
    insta::assert_snapshot!(screen(&app()));
}

#[test]
fn a_room_and_an_invite() {
    insta::assert_snapshot!(screen(&furnished()));
}

#[test]
fn an_invite_is_shown_and_answered() {
    let mut app = furnished();
    key(&mut app, KeyCode::BackTab);
    insta::assert_snapshot!(screen(&app));
    let Request::Join { room, via } = request(enter(&mut app, "/accept")) else { panic!("not a join") };
    assert_eq!((room.as_str(), via), ("!x:birch.example.test", vec!["birch.example.test".to_owned()]));
    let Request::Leave { .. } = request(enter(&mut app, "/reject")) else { panic!("not a leave") };
}

#[test]
fn messages_on_their_way_failed_and_taken_back() {
    let mut app = furnished();
    let first = request(enter(&mut app, "this one is refused"));
    let second = request(enter(&mut app, "this one is on its way"));
    let third = request(enter(&mut app, "this one is accepted"));
    app.handle(Input::Answered { request: first, result: Err(refused()) });
    app.handle(Input::Answered { request: third, result: Ok(Answer::Event("$9".into())) });
    let redaction = json!({"event_id": "$8", "sender": BOB, "type": "m.room.redaction", "origin_server_ts": NOON,
                           "content": {"redacts": "$7", "reason": "typo"}});
    app.handle(tea(&[redaction]));
    insta::assert_snapshot!(screen(&app));

    let Request::Send { txn, .. } = request(enter(&mut app, "/retry")) else { panic!("not a message") };
    let Request::Send { txn: of_second, .. } = second else { panic!("not a message") };
    assert_ne!(txn, of_second);
    app.handle(Input::Answered {
        request: Request::Send { room: TEA.into(), content: serde_json::Map::new(), txn },
        result: Err(refused()),
    });
    enter(&mut app, "/discard");
    assert_eq!(app.room().unwrap().outgoing().len(), 2);
}

fn file(id: &str, minute: i64, name: &str, caption: &str) -> Value {
    let mut event = message(id, minute, BOB, caption);
    event["content"] = json!({"msgtype": "m.file", "body": caption, "filename": name, "url": "mxc://amber.example.test/abc",
                              "info": {"size": 12_345}});
    event
}

#[test]
fn files_have_numbers_and_are_kept() {
    let mut app = furnished();
    app.handle(tea(&[file("$8", 3, "lake.png", "at the lake"), file("$9", 4, "../\u{1b}[2J.txt", "../\u{1b}[2J.txt")]));
    let shown = screen(&app).to_string();
    // What is too long for the line goes on in the next.
    for line in ["[file 2: lake.png, 12.3 ", "at the lake", "[file 1: _[2J.txt, 12.3 ", " kB] "] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    let Request::Save { file, path } = request(enter(&mut app, "/save 2 /tmp/a b.png")) else { panic!("not a save") };
    assert_eq!((file.name.as_str(), path.to_str()), ("lake.png", Some("/tmp/a b.png")));
    let Request::Save { file: other, .. } = request(enter(&mut app, "/save $8")) else { panic!("not a save") };
    assert_eq!(other, file);
    let answer = Answer::Saved { path: "/tmp/a b.png".into(), size: 12_345 };
    let request = Request::Save { file, path: "/tmp/a b.png".into() };
    app.handle(Input::Answered { request, result: Ok(answer) });
    assert_eq!(app.notice, Some(Notice::Info("kept as /tmp/a b.png, 12.3 kB".into())));
    for nothing in ["/save 3", "/save 0", "/save $7", "/save $none"] {
        assert!(enter(&mut app, nothing).is_empty());
        assert!(matches!(&app.notice, Some(Notice::Error(_))), "{nothing}");
    }
}

#[test]
fn a_file_that_failed_is_sent_again() {
    let mut app = furnished();
    let sent = request(enter(&mut app, "/send /tmp/a b.png"));
    let Request::SendFile { path, txn, .. } = &sent else { panic!("not a file") };
    assert_eq!(path.to_str(), Some("/tmp/a b.png"));
    assert!(screen(&app).to_string().contains("[file: a b.png] (sending)"));
    let txn = txn.clone();
    app.handle(Input::Answered { request: sent, result: Err(refused()) });
    assert!(screen(&app).to_string().contains("NOT SENT"));
    let Request::SendFile { txn: again, .. } = request(enter(&mut app, "/retry")) else { panic!("not a file") };
    assert_eq!(again, txn, "the same transaction");
    let again = Request::SendFile { room: TEA.into(), path: "/tmp/a b.png".into(), txn };
    app.handle(Input::Answered { request: again, result: Ok(Answer::Event("$8".into())) });
    assert!(enter(&mut app, "/retry").is_empty());
}

#[test]
fn a_lost_connection_is_said() {
    let mut app = furnished();
    app.handle(Input::Lost {
        error: "no answer from https://hub.example.test: connection refused".into(),
        retry_in: Duration::from_millis(600),
    });
    insta::assert_snapshot!(screen(&app));
    app.handle(tea(&[]));
    assert!(format!("{}", screen(&app)).contains("connected"));
}

#[test]
fn long_history_scrolls_and_is_fetched_at_the_top() {
    let mut app = app();
    let events: Vec<Value> = (0..40).map(|n| message(&format!("${n}"), n, BOB, &format!("line {n}"))).collect();
    app.handle(tea(&events));
    for _ in 0..2 {
        assert!(key(&mut app, KeyCode::PageUp).is_empty());
    }
    let Request::History { room, .. } = request(key(&mut app, KeyCode::PageUp)) else { panic!("not history") };
    assert_eq!(room, TEA);
    // One page at a time.
    assert!(key(&mut app, KeyCode::PageUp).is_empty());
    insta::assert_snapshot!(screen(&app));

    let page = serde_json::from_value(json!({"chunk": [message("$old", -1, BOB, "the very first")]})).unwrap();
    let asked = Request::History { room: TEA.into(), from: axle_sdk::PageFrom::Newest };
    app.handle(Input::Answered { request: asked, result: Ok(Answer::Page(page)) });
    key(&mut app, KeyCode::PageUp);
    let shown = format!("{}", screen(&app));
    assert!(shown.contains("the very first") && shown.contains("— the beginning —"), "{shown}");
}

#[test]
fn who_reads_older_messages_keeps_them_in_sight() {
    let mut app = app();
    let events: Vec<Value> = (0..40).map(|n| message(&format!("${n}"), n, BOB, &format!("line {n}"))).collect();
    app.handle(tea(&events));
    key(&mut app, KeyCode::PageUp);
    let top = |app: &App| {
        let shown = format!("{}", screen(app));
        shown.lines().find(|line| line.contains("line ")).map(str::to_owned)
    };
    let before = top(&app);
    app.handle(tea(&[message("$new", 50, BOB, "two\nlines")]));
    assert_eq!(top(&app), before);
    key(&mut app, KeyCode::Esc);
    assert!(format!("{}", screen(&app)).contains("lines"));
}

#[test]
fn a_kick_is_told() {
    let mut app = furnished();
    let mut kick = member("$8", 4, BOB, ALICE, "leave");
    kick["content"]["reason"] = json!("too much\u{1b}[31m sugar");
    app.handle(synced(json!({"leave": {TEA: {"timeline": {"events": [kick]}}}})));
    let Some(Notice::Info(text)) = &app.notice else { panic!("no notice") };
    assert_eq!(text, "@bob:amber.example.test put you out of Tea: too much\u{fffd}[31m sugar");
    insta::assert_snapshot!(screen(&app));
}

#[test]
fn news_elsewhere_is_counted_until_it_is_seen() {
    let mut app = furnished();
    key(&mut app, KeyCode::BackTab);
    app.handle(tea(&[message("$8", 5, BOB, "one"), message("$9", 5, BOB, "two")]));
    assert!(format!("{}", screen(&app)).contains("Tea (2)"));
    enter(&mut app, "/room tea");
    assert!(app.unread.is_empty());
    assert_eq!(app.current.as_deref(), Some(TEA));
}

#[test]
fn a_room_that_was_made_is_shown_when_it_arrives() {
    let mut app = app();
    let create = request(enter(&mut app, "/create Tea public"));
    app.handle(Input::Answered { request: create, result: Ok(Answer::Room(TEA.into())) });
    assert!(format!("{}", screen(&app)).contains("the room is on its way"));
    app.handle(tea(&[state("$4", 0, ALICE, "m.room.name", "", json!({"name": "Tea"}))]));
    assert!(format!("{}", screen(&app)).contains("hub: hub.example.test (your server)"));
}

#[test]
fn mistakes_are_answered() {
    let mut app = app();
    for (line, answer) in [
        ("hello", "there is no room to do this in"),
        ("/kick bob", "is no user id"),
        ("/dance", "there is no /dance"),
        ("/sync", "for scripts"),
        ("/room x", "there is no room"),
    ] {
        assert!(enter(&mut app, line).is_empty());
        let Some(Notice::Error(text)) = &app.notice else { panic!("{line}: no error") };
        assert!(text.contains(answer), "{line}: {text}");
    }
}

#[test]
fn a_refused_command_is_told() {
    let mut app = furnished();
    let kick = request(enter(&mut app, "/kick @bob:amber.example.test"));
    app.handle(Input::Answered { request: kick, result: Err(refused()) });
    assert!(format!("{}", screen(&app)).contains("✗ You may not speak here (M_FORBIDDEN)"));
}

#[test]
fn help_covers_the_screen_until_a_key() {
    let mut app = furnished();
    app.handle(Input::Resized(110, 26));
    enter(&mut app, "/help");
    insta::assert_snapshot!(screen(&app));
    key(&mut app, KeyCode::Char('x'));
    assert!(app.page.is_none() && app.editor.text().is_empty());
}

#[test]
fn any_size_of_screen_is_drawn() {
    let mut app = furnished();
    enter(&mut app, "a message that is longer than the screen is wide");
    key(&mut app, KeyCode::Char('x'));
    for (width, height) in [(1, 1), (5, 2), (30, 5), (59, 8), (60, 8), (99, 10), (300, 100)] {
        app.handle(Input::Resized(width, height));
        screen(&app);
        app.page = Some((Page::Help, 0));
        screen(&app);
        app.page = None;
    }
    app.handle(Input::Resized(40, 10));
    insta::assert_snapshot!(screen(&app));
}

#[test]
fn control_c_and_quit_end_it() {
    let mut app = furnished();
    assert!(matches!(enter(&mut app, "/quit")[..], [Effect::Quit]));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(matches!(app.handle(Input::Key(control_c))[..], [Effect::Quit]));
}

/// A hub that was caught, told by a sync.
fn fault(id: &str, detail: &str) -> Value {
    json!({"event_id": id, "kind": "forbidden", "detail": detail, "origin_server_ts": NOON})
}

/// A room of another server's with much in it, on a screen of this size.
fn busy(width: u16, height: u16) -> App {
    let mut app = furnished();
    app.handle(Input::Resized(width, height));
    app.handle(synced(json!({"join": {"!far:amber.example.test": {
        "im.axle.hub_server": "amber.example.test",
        "timeline": {"events": [
            state("$f1", 0, BOB, "m.room.name", "", json!({"name": "A room whose name is longer than its list is wide"})),
            member("$f2", 0, BOB, ALICE, "join"),
            message("$f3", 1, BOB, "漢字も 🍵 wide characters, and a line that is too long for a small screen"),
            message("$f4", 2, BOB, "aWordThatIsLongerThanTheScreenIsWideAndMustBeBrokenSomewhereOrItWouldBeCutOffHere"),
        ]},
    }}})));
    enter(&mut app, "/room a room");
    app.handle(tea(&[message("$10", 5, BOB, "unread"), message("$11", 5, BOB, "unread, too")]));
    app
}

#[test]
fn a_screen_of_80_by_24() {
    insta::assert_snapshot!(screen(&busy(80, 24)));
}

#[test]
fn a_screen_of_60_by_15() {
    insta::assert_snapshot!(screen(&busy(60, 15)));
}

#[test]
fn what_a_hub_does_wrong_is_shown_and_explained() {
    let mut app = busy(80, 24);
    app.handle(synced(json!({"join": {"!far:amber.example.test": {
        "im.axle.hub_server": "amber.example.test",
        "im.axle.hub_faults": [fault("$bad", "the event is forbidden: the sender is not in the room")],
    }}})));
    insta::assert_snapshot!("a_fault_is_told", screen(&app));
    // The same again is no news.
    key(&mut app, KeyCode::Esc);
    app.handle(synced(json!({"join": {"!far:amber.example.test": {
        "im.axle.hub_faults": [fault("$bad", "the event is forbidden: the sender is not in the room")],
    }}})));
    assert_eq!(app.notice, None);
    enter(&mut app, "/faults");
    insta::assert_snapshot!("faults_are_explained", screen(&app));
    key(&mut app, KeyCode::Esc);
    enter(&mut app, "/room tea");
    enter(&mut app, "/faults");
    assert!(format!("{}", screen(&app)).contains("Nothing: hub.example.test has done nothing wrong"));
}

/// Faults of before the program began are marked, but not cried out.
#[test]
fn old_faults_are_marked_only() {
    let mut app = app();
    app.handle(synced(json!({"join": {TEA: {
        "im.axle.hub_server": "hub.example.test", "im.axle.hub_faults": [fault("$1", "x"), fault("$2", "y")],
    }}})));
    assert_eq!(app.notice, None);
    assert!(format!("{}", screen(&app)).contains("the hub did wrong 2 times"));
}

#[test]
fn long_errors_are_shown_whole() {
    let mut app = busy(60, 15);
    let kick = request(enter(&mut app, "/kick @bob:amber.example.test"));
    let message =
        "an error that is too long for one line of a small screen, and of which the end matters most: READ ME";
    app.handle(Input::Answered { request: kick, result: Err(Failure { errcode: None, message: message.into() }) });
    let shown = format!("{}", screen(&app));
    assert!(shown.contains("READ ME"), "{shown}");
}

#[test]
fn pages_scroll_on_small_screens() {
    let mut app = busy(60, 15);
    enter(&mut app, "/help");
    insta::assert_snapshot!("help_on_a_small_screen", screen(&app));
    for _ in 0..20 {
        key(&mut app, KeyCode::PageDown);
    }
    let shown = format!("{}", screen(&app));
    assert!(shown.contains("Times are UTC.") && shown.contains("any key closes this"), "{shown}");
    key(&mut app, KeyCode::Up);
    assert!(!format!("{}", screen(&app)).contains("Times are UTC."));
    key(&mut app, KeyCode::Enter);
    assert!(app.page.is_none());
    enter(&mut app, "/members");
    assert!(format!("{}", screen(&app)).contains("Members (1)"));
    key(&mut app, KeyCode::Esc);
    enter(&mut app, "/rooms");
    insta::assert_snapshot!("all_rooms", screen(&app));
}

#[test]
fn the_current_room_stays_in_sight_in_a_long_list() {
    let mut app = app();
    app.handle(Input::Resized(80, 10));
    let rooms: serde_json::Map<String, Value> = (10..40)
        .map(|n| {
            let name = state("$n", 0, ALICE, "m.room.name", "", json!({"name": format!("Room {n}")}));
            (format!("!r{n}:hub.example.test"), json!({"timeline": {"events": [name]}}))
        })
        .collect();
    app.handle(synced(json!({"join": rooms})));
    enter(&mut app, "/room room 35");
    let shown = format!("{}", screen(&app));
    assert!(shown.contains("26 Room 35"), "{shown}");
}
