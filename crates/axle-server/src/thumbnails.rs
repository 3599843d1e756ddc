//! Thumbnails, each made in a process of its own: a decoder that runs amok on a hostile picture takes nothing with it.
//!
//! The process is this program once more, with [`COMMAND`] and the size as arguments, or [`MEASURE`] to learn how large the
//! picture is. It gets the picture on standard input and answers on standard output. It limits itself, in memory and time,
//! before it reads.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use axle_client_api::Thumbnailer;
use axle_media::{MAX_THUMBNAIL_BYTES, ThumbnailError, ThumbnailSize};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// The subcommand of this program that makes a thumbnail.
pub const COMMAND: &str = "thumbnail";
/// What stands for the size if the picture is only to be measured; the answer is its width and height, as `320x200`.
pub const MEASURE: &str = "measure";
/// What that ends with if there is no picture to be read.
pub const EXIT_NO_PICTURE: u8 = 3;
/// And if the picture is too large.
pub const EXIT_TOO_LARGE: u8 = 4;
/// And if the picture could not be read from the disk or the thumbnail not be written.
pub const EXIT_FAILED: u8 = 5;

/// How long one may take. That is more than the CPU time it may use: the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(30);
/// This program, where its path is not known.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// What a program in Rust that panics ends with.
const EXIT_PANIC: i32 = 101;
/// By which signals a process ends that a picture broke: SIGILL, SIGABRT (no memory is left of what it may have), SIGBUS,
/// SIGFPE, SIGSEGV and SIGXCPU (no time is). Others come from outside.
const BREAKING_SIGNALS: [i32; 6] = [4, 6, 7, 8, 11, 24];

/// Makes thumbnails in processes.
#[derive(Debug)]
pub struct ThumbnailProcesses {
    program: PathBuf,
}

impl ThumbnailProcesses {
    /// By this program.
    pub(crate) fn new() -> Self {
        Self { program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from(OWN_PROGRAM)) }
    }

    /// By this program file of Axle.
    pub fn of(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// What the process answers.
    async fn ask(&self, picture: File, argument: &str) -> Result<Vec<u8>, ThumbnailError> {
        let failed = ThumbnailError::Failed;
        let ran = timeout(TIMEOUT, self.run(picture, argument)).await;
        let ran = ran.map_err(|_| failed(format!("it took more than {} seconds", TIMEOUT.as_secs())))?;
        let (status, answer) = ran.map_err(|error| failed(format!("{}: {error}", self.program.display())))?;
        outcome(status)?;
        Ok(answer)
    }

    async fn run(&self, picture: File, argument: &str) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let mut child = Command::new(&self.program)
            .arg(COMMAND)
            .arg(argument)
            .env_clear()
            // Else the allocator takes a gibibyte of addresses at once, which is more than the process may have.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .stdin(Stdio::from(picture))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut answer = Vec::new();
        if let Some(output) = child.stdout.take() {
            output.take(MAX_THUMBNAIL_BYTES + 1).read_to_end(&mut answer).await?;
        }
        Ok((child.wait().await?, answer))
    }
}

#[async_trait]
impl Thumbnailer for ThumbnailProcesses {
    async fn make(&self, picture: File, size: ThumbnailSize) -> Result<Vec<u8>, ThumbnailError> {
        let thumbnail = self.ask(picture, &size.to_string()).await?;
        match u64::try_from(thumbnail.len()) {
            Ok(bytes) if bytes <= MAX_THUMBNAIL_BYTES => Ok(thumbnail),
            _ => Err(ThumbnailError::NoPicture),
        }
    }

    async fn measure(&self, picture: File) -> Result<(u32, u32), ThumbnailError> {
        let answer = self.ask(picture, MEASURE).await?;
        let size = str::from_utf8(&answer).ok().and_then(|text| text.split_once('x'));
        let size = size.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        size.ok_or_else(|| ThumbnailError::Failed("the process did not say how large the picture is".into()))
    }
}

/// What the end of a process means.
fn outcome(status: ExitStatus) -> Result<(), ThumbnailError> {
    let is_exit = |code: u8| status.code() == Some(i32::from(code));
    if status.success() {
        return Ok(());
    }
    if is_exit(EXIT_TOO_LARGE) {
        return Err(ThumbnailError::TooLarge);
    }
    if is_exit(EXIT_NO_PICTURE) {
        return Err(ThumbnailError::NoPicture);
    }
    let is_broken = status.signal().is_some_and(|signal| BREAKING_SIGNALS.contains(&signal));
    if is_broken || status.code() == Some(EXIT_PANIC) {
        // It would do so again.
        tracing::warn!(%status, "a picture broke the process that was to read it");
        return Err(ThumbnailError::NoPicture);
    }
    Err(ThumbnailError::Failed(format!("the process ended with {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_happen_again_is_a_refusal() {
        let exit = |code: u8| outcome(ExitStatus::from_raw(i32::from(code) << 8));
        let killed = |signal: i32| outcome(ExitStatus::from_raw(signal));
        assert_eq!(exit(0), Ok(()));
        assert_eq!(exit(EXIT_TOO_LARGE), Err(ThumbnailError::TooLarge));
        for broken in [exit(EXIT_NO_PICTURE), exit(101), killed(6), killed(11), killed(24)] {
            assert_eq!(broken, Err(ThumbnailError::NoPicture));
        }
        // An older program that does not know the command, a full disk, a machine without memory, an operator.
        for other in [exit(1), exit(2), exit(EXIT_FAILED), killed(9), killed(15)] {
            assert!(matches!(other, Err(ThumbnailError::Failed(_))), "{other:?}");
        }
    }
}
