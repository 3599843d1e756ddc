//! ts-mls: a process of Node.js with the package from npm, which the first run installs below the target folder.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use axle_mls::event::{CommitContent, RoomBinding};
use axle_mls::member::HubState;
use axle_mls::{Credential, Layering};
use axle_protocol::{RoomId, base64};
use serde_json::{Value, json};

use super::scenarios::{in_a_group_of_ours, in_a_group_of_theirs};
use super::{Change, Foreign, Implementation, Made};

#[test]
fn ts_mls_on_top() {
    let mut node = TsMls::start();
    in_a_group_of_ours(Layering::OnTop, &mut node);
    in_a_group_of_theirs(Layering::OnTop, &mut node);
}

#[test]
fn ts_mls_bound() {
    let mut node = TsMls::start();
    in_a_group_of_ours(Layering::Bound, &mut node);
    in_a_group_of_theirs(Layering::Bound, &mut node);
}

struct TsMls {
    node: Rc<RefCell<Node>>,
    devices: usize,
}

struct Node {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

struct Device {
    node: Rc<RefCell<Node>>,
    name: usize,
    credential: Credential,
}

impl TsMls {
    fn start() -> Self {
        let mut node = Command::new("node");
        node.arg("member.mjs").current_dir(install()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = node.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { node: Rc::new(RefCell::new(Node { process, input, output })), devices: 0 }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    fn ask(&mut self, command: &Value) -> Result<Value, String> {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Implementation for TsMls {
    fn device(&mut self, user_id: &str, device_id: &str) -> Box<dyn Foreign> {
        self.devices += 1;
        let name = self.devices;
        let command = json!({"do": "device", "name": name, "user_id": user_id, "device_id": device_id});
        let answer = self.node.borrow_mut().ask(&command).unwrap();
        let credential = Credential::decode(&bytes(&answer, "identity")).unwrap();
        assert_eq!((credential.user_id.as_str(), credential.device_id.as_str()), (user_id, device_id));
        Box::new(Device { node: self.node.clone(), name, credential })
    }

    /// It reads one sender instead of a vector of them.
    fn knows_external_senders(&self) -> bool {
        false
    }

    /// Of Removes it takes more than one for that, and with Updates it fails.
    fn makes_the_paths_that_others_need(&self) -> bool {
        false
    }
}

impl Device {
    fn try_to(&mut self, command: &str, mut with: Value) -> Result<Value, String> {
        with["do"] = command.into();
        with["name"] = self.name.into();
        self.node.borrow_mut().ask(&with)
    }

    fn ask(&mut self, command: &str, with: Value) -> Value {
        self.try_to(command, with).unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

impl Foreign for Device {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn key_package(&mut self) -> Vec<u8> {
        bytes(&self.ask("key_package", json!({})), "key_package")
    }

    fn create(&mut self, room: &RoomId, binding: Option<&RoomBinding>) -> Made {
        made(&self.ask("create", json!({"room_id": room.as_str(), "binding": bound(binding)})))
    }

    fn join(&mut self, welcome: &[u8], ratchet_tree: &[u8]) {
        self.ask("join", json!({"welcome": base64::encode(welcome), "ratchet_tree": base64::encode(ratchet_tree)}));
    }

    fn join_external(&mut self, hub: &HubState, resync: bool, binding: Option<&RoomBinding>) -> Made {
        made(&self.ask(
            "join_external",
            json!({
                "group_info": base64::encode(&hub.group_info), "ratchet_tree": base64::encode(&hub.ratchet_tree),
                "resync": resync, "binding": bound(binding), "whole": binding.is_none(),
            }),
        ))
    }

    fn propose(&mut self, change: &Change, binding: Option<&RoomBinding>) -> Vec<u8> {
        let mut command = json_of(change);
        command["binding"] = bound(binding);
        bytes(&self.ask("propose", command), "message")
    }

    fn commit(&mut self, changes: &[Change], queued: &[Vec<u8>], binding: Option<&RoomBinding>) -> Made {
        let (proposals, queued): (Vec<Value>, Vec<String>) =
            (changes.iter().map(json_of).collect(), queued.iter().map(base64::encode).collect());
        let binding_json = bound(binding);
        made(&self.ask(
            "commit",
            json!({"proposals": proposals, "queued": queued, "binding": binding_json, "whole": binding.is_none()}),
        ))
    }

    fn settle(&mut self, taken: bool) {
        self.ask("settle", json!({"taken": taken}));
    }

    fn process(&mut self, content: &CommitContent) -> bool {
        let proposals: Vec<String> = content.proposals.iter().map(base64::encode).collect();
        let command = json!({"message": base64::encode(&content.message), "proposals": proposals});
        self.ask("process", command)["removed"].as_bool().unwrap()
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        bytes(&self.ask("encrypt", json!({"plaintext": base64::encode(plaintext)})), "ciphertext")
    }

    fn decrypt(&mut self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let answer = self.try_to("decrypt", json!({"ciphertext": base64::encode(ciphertext)}));
        Some(bytes(&answer.ok()?, "plaintext"))
    }

    fn authenticator(&mut self) -> Vec<u8> {
        bytes(&self.ask("authenticator", json!({})), "authenticator")
    }
}

/// The ids and the hash alone: the script encodes them by itself.
fn bound(binding: Option<&RoomBinding>) -> Value {
    let Some(binding) = binding else { return Value::Null };
    let auth_events: Vec<&str> = binding.auth_events.iter().map(|id| id.as_str()).collect();
    json!({"auth_events": auth_events, "member_event": binding.member_event.map(base64::encode)})
}

fn json_of(change: &Change) -> Value {
    match change {
        Change::Add(package) => json!({"add": base64::encode(package)}),
        Change::Remove(device) => json!({"remove": base64::encode(device.encode())}),
    }
}

fn bytes(answer: &Value, field: &str) -> Vec<u8> {
    base64::decode(answer[field].as_str().unwrap()).unwrap()
}

fn made(answer: &Value) -> Made {
    let welcome = answer["welcome"].is_string().then(|| bytes(answer, "welcome"));
    Made { message: bytes(answer, "message"), group_state: bytes(answer, "public_group_state"), welcome }
}

/// A folder with the packages and the script.
fn install() -> PathBuf {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let (package, lock) = (include_str!("ts/package.json"), include_str!("ts/package-lock.json"));
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hasher = DefaultHasher::new();
    lock.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ts-mls-{:016x}", hasher.finish()));
    // Written last: an installation that was broken off is made anew.
    let complete = folder.join("complete");
    if !complete.exists() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("package.json"), package).unwrap();
        std::fs::write(folder.join("package-lock.json"), lock).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]).current_dir(&folder);
        assert!(npm.status().unwrap().success(), "{npm:?}");
        std::fs::write(complete, "").unwrap();
    }
    // The script may be newer than the packages are.
    std::fs::write(folder.join("member.mjs"), include_str!("ts/member.mjs")).unwrap();
    folder
}
