//! `axle chat`: a chat in the terminal, or by commands on standard input.

mod account;
mod app;
mod command;
mod describe;
mod files;
mod lines;
mod login;
mod render;
mod request;
mod script;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use super::Outcome;

pub(super) use account::key_path;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the server's client API, such as https://hub.example.org.
    #[arg(long, value_name = "URL", env = "AXLE_SERVER")]
    server: Option<String>,
    /// User name, or whole user id. Without it the last session goes on.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Password; asked for if it is needed and not given.
    #[arg(long, env = "AXLE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Create the account.
    #[arg(long, requires = "user")]
    register: bool,
    /// Registration token, for servers that ask for one.
    #[arg(long, requires = "register")]
    token: Option<String>,
    /// Certificate (PEM) of a CA to trust beside the public ones.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the session is kept; usually under ~/.local/state/axle/chat.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Read commands line by line from standard input, print JSON lines.
    #[arg(long, visible_alias = "json")]
    script: bool,
    /// With --script: stop at the first command that fails.
    #[arg(long, requires = "script")]
    fail_fast: bool,
    /// End the remembered session and do nothing else.
    #[arg(long, conflicts_with_all = ["script", "register"])]
    logout: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        if args.logout {
            login::log_out(&args).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let (client, file) = login::client(&args).await?;
        let opened = account::Opened::open(client, &file).await?;
        if args.script { script::run(opened, args.fail_fast).await } else { terminal::run(opened).await }
    });
    // A read of standard input cannot be called back; the process ends without it.
    runtime.shutdown_background();
    outcome
}
