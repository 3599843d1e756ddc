//! One server of the demo: its folder, its configuration, its process.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axle_sdk::{Client, RetryPolicy};
use axle_server::admin::VerifyReport;
use tokio::time::Instant;

use super::Failure;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A server, running or not.
#[derive(Debug)]
pub(in crate::commands) struct Server {
    name: String,
    folder: PathBuf,
    client_address: SocketAddr,
    ca: String,
    child: Option<Child>,
}

impl Server {
    /// A server whose folder holds `axle.toml`. It is not started yet.
    pub(in crate::commands) fn new(name: &str, folder: &Path, client_address: SocketAddr, ca: &str) -> Self {
        Self { name: name.into(), folder: folder.into(), client_address, ca: ca.into(), child: None }
    }

    /// Its server name.
    pub(in crate::commands) fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it.
    pub(in crate::commands) fn url(&self) -> String {
        format!("https://{}", self.client_address)
    }

    /// Its process, while it runs.
    pub(in crate::commands) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// A client of it, not logged in.
    pub(in crate::commands) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::builder(self.url()).ca_certificate(&self.ca).build()?)
    }

    /// Starts the process. [`Self::ready`] waits until it answers.
    pub(in crate::commands) fn start(&mut self) -> Result<(), Failure> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut command = axle()?;
        command.arg("serve").arg("--config").arg(self.folder.join("axle.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        // In a group of its own: Ctrl-C is for the demo, which then ends its servers.
        command.process_group(0);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Waits until clients are answered. Returns how long that took.
    pub(in crate::commands) async fn ready(&mut self) -> Result<Duration, Failure> {
        let client = self.client()?.with_retry(RetryPolicy::NEVER);
        let start = Instant::now();
        loop {
            let error = match client.versions().await {
                Ok(_) => return Ok(start.elapsed()),
                Err(error) => error,
            };
            self.check()?;
            if start.elapsed() > START {
                return Err(format!("{} does not answer: {error}", self.name).into());
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    /// Fails if the process has ended.
    pub(in crate::commands) fn check(&mut self) -> Result<(), Failure> {
        match self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
            Some(status) => Err(format!("{} has ended: {status}", self.name).into()),
            None => Ok(()),
        }
    }

    /// kill -9.
    pub(in crate::commands) fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Lets the process live on when the demo has ended.
    pub(in crate::commands) fn let_go(&mut self) {
        self.child = None;
    }

    /// What `axle admin verify` says of the data folder.
    pub(in crate::commands) async fn verify(&self) -> Result<VerifyReport, Failure> {
        let mut command = tokio::process::Command::from(axle()?);
        command.arg("admin").arg("--data").arg(self.folder.join("data")).args(["--json", "verify"]);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            format!("axle admin verify on {}: {} {said}", self.name, output.status).into()
        })
    }

    /// The last lines of its log.
    pub(in crate::commands) fn tail(&self, lines: usize) -> Vec<String> {
        let text = File::open(self.log_file()).and_then(std::io::read_to_string).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log.txt")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        self.kill().ok();
    }
}

/// This very program, without the settings that the caller's environment has for a server of theirs.
fn axle() -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AXLE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
