//! `axle chat --script`: commands in, JSON lines out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use serde_json::Value;

use super::{PATIENCE, Server};

/// A script that is being typed.
pub(crate) struct Chat {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What was printed and not asked for yet.
    seen: Vec<Value>,
    typed: usize,
}

impl Chat {
    /// Makes an account, and begins.
    pub(crate) fn register(server: &Server, name: &str) -> Self {
        Self::start(server, name, &["--register"])
    }

    /// Makes an account, and begins, with the server at this address.
    pub(crate) fn register_through(server: &Server, url: &str, name: &str) -> Self {
        Self::start_at(url, name, &session(server, name), &["--register"])
    }

    /// Goes on with the session of before.
    pub(crate) fn resume(server: &Server, name: &str) -> Self {
        Self::start(server, name, &[])
    }

    /// Another device of a user, with a session under its own name.
    pub(crate) fn log_in(server: &Server, name: &str, device: &str) -> Self {
        Self::start_at(&server.url(), name, &session(server, device), &[])
    }

    fn start(server: &Server, name: &str, args: &[&str]) -> Self {
        Self::start_at(&server.url(), name, &session(server, name), args)
    }

    fn start_at(url: &str, name: &str, session: &Path, args: &[&str]) -> Self {
        let mut child = command(url, session, name)
            .arg("--script")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the output.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take();
        let mut chat = Self { child, input, lines, seen: Vec::new(), typed: 0 };
        chat.until(|line| line["type"] == "ready");
        chat
    }

    /// Types a line; the result.
    pub(crate) fn run(&mut self, line: &str) -> Value {
        self.typed += 1;
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let number = self.typed;
        let result = self.until(|line| line["type"] == "result" && line["line"] == number);
        assert_eq!(result["command"], line.trim());
        result
    }

    /// Types a line that must succeed; the result.
    pub(crate) fn ok(&mut self, line: &str) -> Value {
        let result = self.run(line);
        assert_eq!(result["ok"], true, "{result}");
        result
    }

    /// Types a line that must fail; errcode and error.
    pub(crate) fn fails(&mut self, line: &str) -> (String, String) {
        let result = self.run(line);
        assert_eq!(result["ok"], false, "{result}");
        let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
        (text("errcode"), text("error"))
    }

    /// The next line that is printed, now or soon, for which this holds. Those before it are remembered.
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        if let Some(found) = self.seen.iter().position(&mut is_it) {
            return self.seen.remove(found);
        }
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => panic!("never printed; before it: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended; before that: {:#?}", self.seen),
            };
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if is_it(&line) {
                return line;
            }
            self.seen.push(line);
        }
    }

    /// The next message with this text.
    pub(crate) fn hear(&mut self, text: &str) -> Value {
        self.until(|line| line["type"] == "event" && line["event"]["content"]["body"] == text)
    }

    /// Stops it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The end of the input; the exit status, and how many commands failed.
    pub(crate) fn end(mut self) -> (ExitStatus, u64) {
        drop(self.input.take());
        let end = self.until(|line| line["type"] == "end");
        (self.child.wait().unwrap(), end["failed"].as_u64().unwrap())
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `axle chat` for a user, with a session of its own.
pub(crate) fn command(url: &str, session: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axle"));
    command.args(["chat", "--server", url, "--user", name, "--session"]).arg(session).env_clear();
    command.env("AXLE_PASSWORD", "a long password");
    command
}

/// Where a user's session is kept.
pub(crate) fn session(server: &Server, name: &str) -> PathBuf {
    server.setup.folder.join(format!("{name}.session"))
}
