//! `axle thumbnail`: what a server starts to make a thumbnail of a picture that it does not trust.

use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use axle_media::{ThumbnailError, ThumbnailSize, make_thumbnail, measure_picture};
use axle_server::thumbnails::{EXIT_FAILED, EXIT_NO_PICTURE, EXIT_TOO_LARGE, MEASURE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Outcome;

/// Memory, in bytes: more than the largest picture takes that is decoded.
const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// CPU time, in seconds, until it is told to end, and until it is killed.
const MAX_CPU_SECONDS: (u64, u64) = (10, 12);
/// Standard input and output only.
const MAX_OPEN_FILES: u64 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Width, height and method, as in 96x96-crop, or "measure".
    wanted: Wanted,
}

/// What is wanted of a picture.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Thumbnail(ThumbnailSize),
    Measures,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == MEASURE { Ok(Self::Measures) } else { text.parse().map(Self::Thumbnail) }
    }
}

pub(crate) fn run(args: Args) -> Outcome {
    if confine().is_err() {
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    let picture = std::io::stdin().lock();
    let answer = match args.wanted {
        Wanted::Thumbnail(size) => make_thumbnail(picture, size),
        Wanted::Measures => measure_picture(picture).map(|(width, height)| format!("{width}x{height}").into_bytes()),
    };
    let code = match answer {
        Ok(answer) => match std::io::stdout().lock().write_all(&answer) {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(_) => EXIT_FAILED,
        },
        Err(ThumbnailError::NoPicture) => EXIT_NO_PICTURE,
        Err(ThumbnailError::TooLarge) => EXIT_TOO_LARGE,
        Err(ThumbnailError::Failed(_)) => EXIT_FAILED,
    };
    Ok(ExitCode::from(code))
}

/// Before anything is read. From here on nothing can be opened, written or started.
fn confine() -> std::io::Result<()> {
    // If the machine runs out of memory, this goes, not the server. Not every system has it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limits = [
        (Resource::As, MAX_MEMORY_BYTES, MAX_MEMORY_BYTES),
        (Resource::Cpu, MAX_CPU_SECONDS.0, MAX_CPU_SECONDS.1),
        (Resource::Nofile, MAX_OPEN_FILES, MAX_OPEN_FILES),
        (Resource::Nproc, 0, 0),
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
    ];
    for (resource, current, maximum) in limits {
        // What the system allows already cannot be raised.
        let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let least = |limit: u64| Some(limit.min(allowed));
        setrlimit(resource, Rlimit { current: least(current), maximum: least(maximum) })?;
    }
    Ok(())
}
