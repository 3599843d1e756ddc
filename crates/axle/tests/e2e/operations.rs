//! What operators do: stop, configure, administer, back up, exchange certificates.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use crate::support::{Network, Server, Setup, http, until};

fn alone(name: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), name));
    server.start();
    (folder, server)
}

/// `axle serve` that must fail; what it says.
fn serve_fails(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_axle"))
        .arg("serve")
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_server_that_was_stopped_has_forgotten_nothing() {
    let (_folder, mut server) = alone("hub.test");
    let alice = server.register("alice");
    let room = alice.create_room(&json!({}));
    let event = alice.say(&room, "before");
    assert!(server.stop().success(), "{}", server.log());
    server.start();
    assert_eq!(alice.log(&room).last().unwrap()["event_id"], *event);
}

#[test]
fn waiting_syncs_end_when_the_server_stops() {
    let (_folder, mut server) = alone("hub.test");
    let alice = server.register("alice");
    let since = alice.sync("")["next_batch"].as_str().unwrap().to_owned();
    let started = std::time::Instant::now();
    let answer = std::thread::scope(|scope| {
        let poll = scope.spawn(|| alice.get(&format!("sync?timeout=60000&since={since}")));
        // The one request is the sync, the other asks for the metrics.
        until("the sync waits", || (server.metric_sum("axle_requests_in_flight") >= 2.0).then_some(()));
        server.stop();
        poll.join().unwrap()
    });
    assert!(matches!(answer.status, 200 | 503), "{answer:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(30));
}

/// A load balancer sees it, and whoever is being answered is answered.
#[test]
fn a_server_that_drains_says_so() {
    let (_folder, mut server) = alone("hub.test");
    let health = format!("{}/_axle/health", server.url());
    let mut slow = std::net::TcpStream::connect(server.setup.client).unwrap();
    let head = "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: hub.test\r\ncontent-type: application/json\r\n";
    slow.write_all(format!("{head}content-length: 2\r\n\r\n{{").as_bytes()).unwrap();
    until("the request is there", || (server.metric_sum("axle_requests_in_flight") >= 2.0).then_some(()));
    server.signal("TERM");
    let told = until("the server drains", || {
        let answer = http().get(&health).send().ok()?;
        (answer.status() == 503).then(|| answer.text().unwrap())
    });
    assert!(told.contains("stopping"), "{told}");
    let late = http().get(format!("{}/_matrix/client/versions", server.url())).send().unwrap();
    assert_eq!(late.status(), 503);
    slow.write_all(b"}").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(server.ended().success());
}

/// Whoever looks at a server from outside learns that it cannot work.
#[test]
fn a_broken_database_shows_in_the_health() {
    let (_folder, server) = alone("hub.test");
    let health = || http().get(format!("{}/_axle/health", server.url())).send().unwrap();
    assert_eq!(health().json::<serde_json::Value>().unwrap()["status"], "ok");
    let conn = rusqlite::Connection::open(server.data().join("axle.db")).unwrap();
    conn.execute_batch("ALTER TABLE event RENAME TO elsewhere").unwrap();
    let answer = health();
    assert_eq!(answer.status(), 503);
    let said = answer.json::<serde_json::Value>().unwrap();
    assert!(said["status"] == "failing" && said["problem"].as_str().unwrap().contains("event"), "{said}");
    conn.execute_batch("ALTER TABLE elsewhere RENAME TO event").unwrap();
    until("the server is well again", || server.is_healthy().then_some(()));
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let (_folder, mut server) = alone("hub.test");
    server.stop();
    let conn = rusqlite::Connection::open(server.data().join("axle.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    conn.close().unwrap();
    let data = server.data();
    let said =
        serve_fails(&["--data", data.to_str().unwrap(), "--server-name", "hub.test", "--listen", "127.0.0.1:0"], &[]);
    assert!(said.contains("has schema 99") && said.contains("restore a backup"), "{said}");
    let verify = server.admin(&["verify"], "");
    assert!(!verify.status.success() && String::from_utf8_lossy(&verify.stderr).contains("has schema 99"));
}

#[test]
fn a_blocked_room_is_closed_to_everybody() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    network.servers[0].admin_ok(&["block", "room", &room], "");
    assert_eq!(network.servers[0].admin_ok(&["list-blocks"], "")["rooms"], json!([room]));
    until("the block holds", || (alice.send(&room, "x").status == 403).then_some(()));
    assert_ne!(bob.join(&room, "hub.test").status, 200);
    network.servers[0].admin_ok(&["unblock", "room", &room], "");
    until("the block is gone", || (bob.join(&room, "hub.test").status == 200).then_some(()));
    alice.say(&room, "open again");
    bob.hear(&room, "open again");
}

/// A server that is away is named, with what waits for it and why; when it comes back, nothing waits.
#[test]
fn a_stuck_destination_is_listed() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.join(&room, "hub.test").ok();
    alice.say(&room, "before");
    bob.hear(&room, "before");
    network.servers[1].stop();
    for number in 0..3 {
        alice.say(&room, &format!("waits {number}"));
    }
    let stuck = until("the failure is known", || {
        let listed = network.servers[0].admin_ok(&["list-destinations"], "");
        let one =
            listed["destinations"].as_array().unwrap().iter().find(|row| row["destination"] == "one.test")?.clone();
        (one["failing_since"].is_i64()).then_some(one)
    });
    assert_eq!(stuck["pending"], 3, "{stuck}");
    assert!(!stuck["last_error"].as_str().unwrap().is_empty(), "{stuck}");
    assert_eq!(network.servers[0].metric("axle_outbound_destinations_failing"), 1.0);
    network.servers[1].start();
    bob.hear(&room, "waits 2");
    until("nothing waits", || (network.servers[0].metric("axle_outbound_pending_events") == 0.0).then_some(()));
    let listed = network.servers[0].admin_ok(&["list-destinations"], "");
    assert!(listed["destinations"][0]["failing_since"].is_null(), "{listed}");
}

/// Every backup is a whole server, whatever is written meanwhile.
#[test]
fn backups_under_load_are_whole() {
    let (folder, mut server) = alone("hub.test");
    let alice = server.register("alice");
    let room = alice.create_room(&json!({}));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let backups: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) && number < 10_000 {
                alice.say(&room, &format!("line {number}"));
                number += 1;
            }
        });
        let backups = (0..5).map(|number| {
            // Not before something was written since the last one.
            let before = server.metric("axle_events_appended_total");
            until("something is written", || (server.metric("axle_events_appended_total") > before).then_some(()));
            let file = folder.path().join(format!("backup{number}.db"));
            server.admin_ok(&["backup", file.to_str().unwrap()], "");
            file
        });
        let backups = backups.collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        backups
    });
    server.stop();
    let database = server.data().join("axle.db");
    let mut events = 0;
    for backup in backups {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
        }
        std::fs::copy(backup, &database).unwrap();
        let report = server.admin_ok(&["verify"], "");
        assert_eq!(report["problems"], json!([]));
        let now = report["events"].as_u64().unwrap();
        assert!(now > events, "{now} events after {events}");
        events = now;
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("axle.toml");
    let data = folder.path().join("data");
    let (config, data) = (path.to_str().unwrap(), data.to_str().unwrap());
    let cases = [
        ("[client]\nlistn = []\n", vec!["axle.toml, line 2", "listn", "Did you mean listen?"]),
        (
            "server_name = \"10.0.0.1\"\n",
            vec!["axle.toml, line 1", "an IP address is not a server name", "example.org"],
        ),
        ("[log]\nfilter = \"=x=\"\n", vec!["axle.toml, line 2", "not a log filter"]),
        ("[federation]\nlisten = [\"127.0.0.1:1\"]\n", vec!["axle.toml, line 2", "tls_certificate"]),
        (
            "[client]\nlisten = [\"127.0.0.1:0\"]\ntls_certificate = \"/nowhere.pem\"\ntls_key = \"/nowhere.key\"\n",
            vec!["axle.toml, line 3: client.tls_certificate", "/nowhere.pem", "No such file"],
        ),
        (
            "[federation]\nlisten = [\"127.0.0.1:0\"]\nplain_http = true\nca_file = \"/nowhere.crt\"\n",
            vec!["axle.toml, line 4: federation.ca_file", "/nowhere.crt", "No such file"],
        ),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, text).unwrap();
        let said = serve_fails(&["--config", config, "--data", data], &[]);
        for part in expected {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
    let said = serve_fails(&["--data", data], &[("AXLE_CLIENT__LISTEN", "here")]);
    assert!(said.contains("AXLE_CLIENT__LISTEN=127.0.0.1:8008"), "{said}");
    let said = serve_fails(&["--data", data, "--listen", "here"], &[]);
    assert!(said.contains("Write for example --listen 127.0.0.1:8008"), "{said}");
    assert!(serve_fails(&["--config", "/nowhere/axle.toml"], &[]).contains("/nowhere/axle.toml"));
    let said = serve_fails(&["--data", "/proc/nowhere"], &[]);
    assert!(said.contains("--data: data: /proc/nowhere: No such file"), "{said}");
}

#[test]
fn a_data_folder_has_one_server_of_one_name() {
    let (_folder, mut server) = alone("hub.test");
    let data = server.data();
    let data = data.to_str().unwrap();
    let arguments = |name| ["--data", data, "--server-name", name, "--listen", "127.0.0.1:0"];
    assert!(serve_fails(&arguments("hub.test"), &[]).contains("in use by a running server"));
    let taken = server.setup.client.to_string();
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("data");
    let said = serve_fails(&["--data", other.to_str().unwrap(), "--listen", &taken], &[]);
    assert!(
        said.contains(&format!("cannot listen on {taken}")) && said.contains("Another program listens there"),
        "{said}"
    );
    server.stop();
    let said = serve_fails(&arguments("other.test"), &[]);
    assert!(said.contains("belongs to the server hub.test") && said.contains("--server-name hub.test"), "{said}");
}

#[test]
fn accounts_are_administered_while_the_server_runs_and_while_it_does_not() {
    let (_folder, mut server) = alone("hub.test");
    assert_eq!(server.admin_ok(&["create-user", "alice", "--admin"], "first password\n"), "@alice:hub.test");
    let alice = server.login("alice", "first password").ok();
    let alice = crate::support::User::new(server.url(), &alice);
    alice.get("account/whoami").ok();
    server.admin_ok(&["reset-password", "alice"], "second password\n");
    assert_eq!(alice.get("account/whoami").error(), (401, "M_UNKNOWN_TOKEN"));
    assert_eq!(server.login("alice", "first password").status, 403);
    server.login("alice", "second password").ok();
    for (args, problem) in [
        (vec!["create-user", "alice"], "taken"),
        (vec!["create-user", "_server"], "taken"),
        (vec!["create-user", "Not Valid"], "localpart"),
        (vec!["create-user", "bob"], "at least"),
        (vec!["reset-password", "nobody"], "no user"),
        (vec!["block", "server", "hub.test"], "this server"),
        (vec!["unblock", "server", "one.test"], "not blocked"),
        (vec!["unblock", "room", "!tea:hub.test"], "not blocked"),
    ] {
        let output = server.admin(&args, if args[1] == "bob" { "short\n" } else { "long enough\n" });
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(problem), "{args:?}: {said}");
    }
    server.stop();
    server.admin_ok(&["create-user", "carol", "--no-password"], "");
    let users = server.admin_ok(&["list-users"], "");
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["@alice:hub.test", "@carol:hub.test"]);
    assert_eq!((&users[0]["admin"], &users[1]["has_password"]), (&json!(true), &json!(false)));
}

#[test]
fn registration_tokens_let_people_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::alone(folder.path(), "hub.test");
    setup.config = setup.config.replace("mode = \"open\"", "mode = \"token\"");
    let mut server = Server::new(setup);
    server.start();
    let made = server.admin_ok(&["create-token", "--uses", "1"], "");
    let token = made["token"].as_str().unwrap();
    let again = server.admin(&["create-token", token], "");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("already"));
    let register = |name: &str| {
        let url = format!("{}/_matrix/client/v3/register", server.url());
        let begin = http().post(&url).json(&json!({})).send().unwrap().json::<serde_json::Value>().unwrap();
        let auth = json!({ "type": "m.login.registration_token", "token": token, "session": begin["session"] });
        let body = json!({ "username": name, "password": "a long password", "auth": auth });
        http().post(&url).json(&body).send().unwrap().status().as_u16()
    };
    assert_eq!(register("alice"), 200);
    assert_ne!(register("bob"), 200);
    assert_eq!(server.admin_ok(&["list-tokens"], "")[0]["uses_left"], 0);
}

#[test]
fn a_backup_taken_while_the_server_runs_is_a_whole_server() {
    let (folder, mut server) = alone("hub.test");
    let alice = server.register("alice");
    let room = alice.create_room(&json!({ "name": "Kept" }));
    alice.say(&room, "kept");
    let backup = folder.path().join("backup.db");
    let size = server.admin_ok(&["backup", backup.to_str().unwrap()], "");
    assert_eq!(size, std::fs::metadata(&backup).unwrap().len());
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    // A backup overwrites nothing.
    assert!(!server.admin(&["backup", backup.to_str().unwrap()], "").status.success());
    alice.say(&room, "not in the backup");
    let rooms = server.admin_ok(&["list-rooms"], "");
    assert_eq!((&rooms[0]["room_id"], &rooms[0]["name"]), (&json!(room), &json!("Kept")));
    server.stop();

    let database = server.data().join("axle.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    std::fs::copy(&backup, &database).unwrap();
    server.start();
    assert_eq!(alice.heard(&room), ["kept"]);
    alice.say(&room, "goes on");
    assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
}

#[test]
fn verify_finds_what_was_tampered_with() {
    let (_folder, mut server) = alone("hub.test");
    let alice = server.register("alice");
    let room = alice.create_room(&json!({}));
    alice.say(&room, "the truth");
    server.stop();
    let database = server.data().join("axle.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let (truth, lie) = (b"the truth", b"any thing");
    let spots: Vec<usize> = (0..bytes.len() - truth.len()).filter(|at| bytes[*at..].starts_with(truth)).collect();
    assert!(!spots.is_empty());
    for at in spots {
        bytes[at..at + lie.len()].copy_from_slice(lie);
    }
    std::fs::write(&database, bytes).unwrap();
    let output = server.admin(&["verify"], "");
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = report["problems"].to_string();
    assert!(problems.contains("does not fit its hash"), "{problems}");
}

#[test]
fn a_rotated_key_is_used_and_the_old_one_still_vouches() {
    let mut network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    alice.say(&room, "signed with the old key");
    assert!(!network.servers[0].admin(&["rotate-key"], "").status.success(), "not while the server runs");
    network.servers[0].stop();
    assert!(!network.servers[0].data().join("axle.db-wal").exists(), "the database was closed in an orderly way");
    let keys = network.servers[0].admin_ok(&["rotate-key"], "");
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert!(keys[0]["expired_ts"].is_null() && keys[1]["expired_ts"].is_i64());
    network.servers[0].start();

    bob.join(&room, "hub.test").ok();
    alice.say(&room, "signed with the new key");
    bob.hear(&room, "signed with the new key");
    assert!(bob.heard(&room).contains(&"signed with the old key".to_owned()));
    for server in &network.servers {
        assert_eq!(server.admin_ok(&["verify"], "")["problem_count"], 0);
    }
}

#[test]
fn a_blocked_server_is_refused() {
    let network = Network::start(["hub.test", "one.test"]);
    let (alice, bob) = (network.servers[0].register("alice"), network.servers[1].register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    network.servers[0].admin_ok(&["block", "server", "one.test"], "");
    assert_eq!(network.servers[0].admin_ok(&["list-blocks"], "")["servers"], json!(["one.test"]));
    until("the block holds", || (bob.join(&room, "hub.test").status != 200).then_some(()));
    network.servers[0].admin_ok(&["unblock", "server", "one.test"], "");
    until("the block is gone", || (bob.join(&room, "hub.test").status == 200).then_some(()));
}

#[test]
fn certificates_are_exchanged_without_a_restart() {
    let network = Network::start(["hub.test"]);
    let server = &network.servers[0];
    let address = server.setup.federation.unwrap();
    let presented = || {
        // A client each time: connections are not to be used again.
        let answer = network
            .https("hub.test", address)
            .get(format!("https://hub.test:{}/_matrix/key/v2/server", address.port()))
            .send()
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let first = presented();
    assert_eq!(presented(), first);
    network.authority.issue("hub.test");
    server.signal("HUP");
    let second = until("the new certificate is presented", || Some(presented()).filter(|seen| *seen != first));
    // Without a signal, it is found by looking.
    network.authority.issue("hub.test");
    until("the next certificate is presented", || Some(presented()).filter(|seen| *seen != second));
}

#[test]
fn metrics_count_what_happens() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { panic!("two servers") };
    let (alice, bob) = (hub.register("alice"), one.register("bob"));
    let room = alice.create_room(&json!({ "preset": "public_chat" }));
    bob.join(&room, "hub.test").ok();
    let before = hub.metric("axle_events_appended_total");
    bob.say(&room, "count me");
    alice.say(&room, "and me");
    bob.hear(&room, "and me");
    assert_eq!(hub.metric("axle_events_appended_total"), before + 2.0);
    assert!(hub.metric("axle_append_seconds_count") >= 2.0);
    until("everything is delivered", || (hub.metric("axle_outbound_pending_events") == 0.0).then_some(()));
    assert!(
        hub.metric_sum("axle_outbound_transactions_total") >= 1.0 && hub.metric("axle_outbound_events_total") >= 2.0
    );
    assert!(hub.metric("process_resident_memory_bytes") > 1e6);
    assert!(hub.metric_sum("axle_requests_total") > 5.0);
    let url = format!("{}/_axle/metrics", hub.url());
    assert_eq!(http().get(url).header("X-Forwarded-For", "192.0.2.1").send().unwrap().status(), 403);
}
