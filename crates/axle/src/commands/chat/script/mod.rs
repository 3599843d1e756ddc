//! `axle chat --script`: commands from standard input, JSON lines on standard output.

mod news;
mod notices;
mod output;
mod run;
mod tell;

use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::account::Opened;
use super::command::Command;
use crate::commands::Outcome;
use news::News;
use output::Output;
use run::Script;

/// How long a command waits for something to happen, if the script does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);

/// Runs the script on standard input. The exit status tells whether every command did what it should.
pub(super) async fn run(opened: Opened, fail_fast: bool) -> Outcome {
    let mut script = Script::begin(opened, Output::new(std::io::stdout())).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut number, mut failed) = (0, 0);
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            news = script.news.next() => {
                script.take_in(news?).await?;
                continue;
            }
        };
        let Some(line) = line else { break };
        number += 1;
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let command = Command::parse(text);
        if command == Ok(Command::Quit) {
            break;
        }
        if !script.run_line(number, text, command).await? {
            failed += 1;
            if fail_fast {
                break;
            }
        }
    }
    script.out.end(failed)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
