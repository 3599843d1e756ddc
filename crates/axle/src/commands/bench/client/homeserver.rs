//! The homeservers that are measured: Axle, and Synapse from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::process::{Process, free_address};
use super::{Result, synapse};

/// How long a server may take to be ready.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(50);

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// This very binary.
    Axle,
    /// The homeserver that most people run, on SQLite.
    Synapse,
}

/// What Synapse hashes passwords with. Many users are registered sooner with a cheap hash, which then is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passwords {
    Default,
    Cheap,
}

/// A running homeserver with a database of its own.
pub(super) struct Homeserver {
    pub(super) kind: Kind,
    /// Where clients reach it.
    pub(super) url: String,
    process: Process,
    // Removed after the process has ended: fields are dropped in order.
    _folder: tempfile::TempDir,
}

impl Homeserver {
    /// Starts `axle serve`, as it comes but for what Synapse does without here, too: rate limits and presence; and for the
    /// limit of connections: all of the bench's users have one address.
    pub(super) async fn axle() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (client, federation) = (free_address()?, free_address()?);
        let config = folder.path().join("axle.toml");
        let text = format!(
            "server_name = \"bench.test\"\ndata = {:?}\n[client]\nlisten = [\"{client}\"]\n\
             [federation]\nlisten = [\"{federation}\"]\nplain_http = true\n[registration]\nmode = \"open\"\n\
             [rate_limits]\nenabled = false\n[presence]\nenabled = false\n[limits]\nmax_connections_per_address = 10000\n[log]\nfilter = \"warn\"\n",
            folder.path().join("data")
        );
        fs::write(&config, text)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--config").arg(&config);
        Self::start(Kind::Axle, folder, command, client.to_string()).await
    }

    /// Starts Synapse from an environment of Python's.
    pub(super) async fn synapse(python: &Path, passwords: Passwords) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let client = free_address()?;
        let config = synapse::configure(python, folder.path(), client, passwords)?;
        let mut command = Command::new(python);
        command.args(["-m", "synapse.app.homeserver", "-c"]).arg(config).current_dir(folder.path());
        Self::start(Kind::Synapse, folder, command, client.to_string()).await
    }

    async fn start(kind: Kind, folder: tempfile::TempDir, mut command: Command, address: String) -> Result<Self> {
        let log = fs::File::create(log_file(folder.path()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = Process::new(command.spawn()?);
        let mut server = Self { kind, url: format!("http://{address}"), process, _folder: folder };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/_matrix/client/versions", self.url);
        let http = reqwest::Client::builder().no_proxy().build()?;
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = self.process.ended()? {
                let log = fs::read_to_string(log_file(self._folder.path())).unwrap_or_default();
                return Err(format!("{:?} ended with {status}:\n{log}", self.kind).into());
            }
            if started.elapsed() > START_PATIENCE {
                return Err(format!("{:?} did not get ready", self.kind).into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// CPU used since the start, user and system.
    pub(super) fn cpu(&self) -> Result<Duration> {
        Ok(self.process.cpu()?)
    }

    /// Resident memory, in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        Ok(self.process.resident_mib()?)
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}
