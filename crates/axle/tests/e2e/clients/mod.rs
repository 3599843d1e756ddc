//! Clients that people use, as their registries have them, against real servers.
//!
//! The first run installs them below the target folder; later ones find them there.

pub(crate) mod install;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Network, Server, Setup};

/// Runs a client's script: it prints its steps, and fails at the first thing that is not as it should be.
fn run(mut command: Command, servers: &[&Server]) {
    let scratch = tempfile::tempdir().unwrap();
    command.arg(scratch.path()).args(servers.iter().map(|server| server.url()));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (steps, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{steps}");
    assert!(output.status.success(), "{:?}\n{complaint}", output.status);
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients").join(name)
}

/// A server that says where clients reach it.
fn public(folder: &Path) -> Server {
    let mut server = Server::new(Setup::alone(folder, "hub.test"));
    let public = format!("[client]\npublic_url = {:?}\n", server.url());
    server.setup.config = server.setup.config.replace("[client]\n", &public);
    server.start();
    server
}

/// A script that uses matrix-js-sdk.
fn js_sdk(name: &str, content: &str) -> Command {
    let (package, lock) = (include_str!("js/package.json"), include_str!("js/package-lock.json"));
    let mut command = Command::new("node");
    command.arg(install::node("js", package, lock, &[(name, content)]).join(name));
    command
}

/// matrix-nio with vodozemac: encryption on one server, and between two.
#[test]
fn matrix_nio() {
    let network = Network::start(["hub.test", "one.test"]);
    let [hub, one] = &network.servers[..] else { unreachable!("two were started") };
    let mut command = Command::new(install::python("nio", include_str!("requirements.txt")));
    command.arg(script("matrix_nio.py"));
    run(command, &[hub, one]);
}

/// matrix-js-sdk with the cryptography in Rust: what Element does after the first login and on a second device.
#[test]
fn matrix_js_sdk() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::new(Setup::alone(folder.path(), "hub.test"));
    server.start();
    run(js_sdk("matrix_js_sdk.mjs", include_str!("js/matrix_js_sdk.mjs")), &[&server]);
}

/// The same logging in by OAuth 2.0. It is of 2025, when it wanted ID tokens.
#[test]
fn matrix_js_sdk_by_oauth() {
    let folder = tempfile::tempdir().unwrap();
    let server = public(folder.path());
    run(js_sdk("oauth.mjs", include_str!("js/oauth.mjs")), &[&server]);
}

/// Hydrogen, a web client, in Chromium: what people see and press.
#[test]
fn web() {
    let folder = tempfile::tempdir().unwrap();
    // The client asks for the server's address first, and would complain of an error.
    let server = public(folder.path());
    let (package, lock) = (include_str!("web/package.json"), include_str!("web/package-lock.json"));
    let files = [
        ("index.html", include_str!("web/index.html")),
        ("main.js", include_str!("web/main.js")),
        ("app.mjs", include_str!("web/app.mjs")),
        ("person.mjs", include_str!("web/person.mjs")),
        ("hydrogen.mjs", include_str!("web/hydrogen.mjs")),
    ];
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients/screenshots");
    let mut command = Command::new("node");
    command.arg(install::node("web", package, lock, &files).join("hydrogen.mjs"));
    command.arg(install::chromium()).arg(screenshots);
    run(command, &[&server]);
}
