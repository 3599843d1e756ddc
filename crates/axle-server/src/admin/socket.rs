//! The socket in the data folder of a running server: a line with a [`Request`], answered by a line with the outcome.
//!
//! `{"ok": ...}` or `{"error": "..."}`. Who may open the folder may administer the server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{Admin, AdminError, Request};
use crate::folder::FILE_MODE;

/// The longest request.
pub const MAX_LINE_BYTES: u64 = 65_536;
/// For a request to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// After a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What stands in an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(Value),
    Error(String),
}

/// Why a running server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// There is no running server.
    #[error("no server answers at {path}: {error}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The connection broke, or the answer was not one.
    #[error("the server broke off: {0}")]
    Broken(String),
    /// The command failed.
    #[error(transparent)]
    Refused(#[from] AdminError),
}

/// Opens the socket and answers until told to stop. When the task ends, the socket is gone, and commands under way are
/// broken off.
pub async fn listen(path: &Path, admin: Admin, mut stop: watch::Receiver<bool>) -> std::io::Result<JoinHandle<()>> {
    // Left over from a process that was killed: the folder's lock says that no other one is there.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(FILE_MODE))?;
    let path = path.to_owned();
    Ok(tokio::spawn(async move {
        let mut commands = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = listener.accept() => accepted,
                Some(_) = commands.join_next() => continue,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let admin = admin.clone();
            commands.spawn(async move {
                if let Err(error) = serve(stream, &admin).await {
                    tracing::debug!(%error, "an administration request failed");
                }
            });
        }
        commands.shutdown().await;
        let _ = std::fs::remove_file(&path);
    }))
}

async fn serve(stream: UnixStream, admin: &Admin) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_LINE_BYTES));
    tokio::time::timeout(READ_TIMEOUT, reader.read_until(b'\n', &mut line))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => match admin.execute(request).await {
            Ok(value) => Answer::Ok(value),
            Err(error) => Answer::Error(error.0),
        },
        Err(error) => Answer::Error(format!("not a command: {error}")),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Asks a running server.
pub async fn ask(path: &Path, request: &Request) -> Result<Value, SocketError> {
    let connect = UnixStream::connect(path).await;
    let stream = connect.map_err(|error| SocketError::Unreachable { path: path.into(), error })?;
    let (reader, mut writer) = stream.into_split();
    let broken = |error: &dyn std::fmt::Display| SocketError::Broken(error.to_string());
    let mut text = serde_json::to_vec(request).map_err(|error| broken(&error))?;
    text.push(b'\n');
    writer.write_all(&text).await.map_err(|error| broken(&error))?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).await.map_err(|error| broken(&error))?;
    match serde_json::from_str(&line).map_err(|error| broken(&error))? {
        Answer::Ok(value) => Ok(value),
        Answer::Error(error) => Err(AdminError(error).into()),
    }
}
