//! `axle admin`: on a running server by the socket in its data folder, else on the folder itself.

mod password;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axle_protocol::{RoomId, ServerName, UserId};
use axle_server::admin::{Admin, Request, VerifyReport, ask};
use axle_server::folder::{DataFolder, FolderError};
use serde_json::Value;

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's data folder.
    #[arg(long, value_name = "FOLDER", env = "AXLE_DATA", default_value = "axle-data", global = true)]
    data: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an account. The password is asked for, or read from standard input.
    CreateUser {
        /// The part of the user id before the colon.
        name: String,
        /// Make it without a password; nobody can log in until one is set.
        #[arg(long)]
        no_password: bool,
        /// The user may administer the server.
        #[arg(long)]
        admin: bool,
    },
    /// Set a password and log all of the user's devices out. The password is asked for, or read from standard input.
    ResetPassword {
        /// User name, or whole user id.
        user: String,
    },
    /// Show all accounts.
    ListUsers,
    /// Show all rooms.
    ListRooms,
    /// Copy the database to a new file, also while the server runs.
    Backup {
        /// Must not be there yet.
        file: PathBuf,
    },
    /// Check the database, and of every room the events, the auth rules, and what is stored beside the events. Exit
    /// status 1 if anything is wrong.
    Verify {
        /// Only this room.
        room: Option<RoomId>,
    },
    /// Make a new signing key; the old one stays published. The server must be stopped.
    RotateKey,
    /// Show the signing keys, the one in use first.
    ListKeys,
    /// Refuse everything from a server, or in a room.
    #[command(subcommand)]
    Block(Target),
    /// Take a block back.
    #[command(subcommand)]
    Unblock(Target),
    /// Show what is blocked.
    ListBlocks,
    /// Show the queues towards other servers, and events that were refused for good.
    ListDestinations,
    /// Show what the hubs of rooms did that they should not have: forged, forbidden or repeated events, and the like.
    ListFaults,
    /// Show which rooms, events and users were reported by users, and why.
    ListReports,
    /// Make a registration token.
    CreateToken {
        /// The token; random if not given.
        token: Option<String>,
        /// How often it may be used; any number of times if not given.
        #[arg(long)]
        uses: Option<u32>,
    },
    /// Show all registration tokens.
    ListTokens,
}

#[derive(Debug, clap::Subcommand)]
enum Target {
    /// A server, by name.
    Server {
        /// Its name.
        name: ServerName,
    },
    /// A room, by id.
    Room {
        /// Its id.
        room_id: RoomId,
    },
}

pub(crate) fn run(args: Args) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = request(args.command, &args.data)?;
    let answer = runtime.block_on(execute(&args.data, request.clone()))?;
    show::answer(&request, &answer, args.json)?;
    let failed =
        matches!(request, Request::Verify { .. }) && serde_json::from_value::<VerifyReport>(answer)?.problem_count > 0;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn request(command: Command, data: &Path) -> Result<Request, Box<dyn std::error::Error>> {
    Ok(match command {
        Command::CreateUser { name, no_password, admin } => {
            let password = if no_password { None } else { Some(password::read()?) };
            Request::CreateUser { localpart: name, password, admin }
        }
        Command::ResetPassword { user } => {
            Request::ResetPassword { user_id: user_id(&user, data)?, password: password::read()? }
        }
        Command::ListUsers => Request::ListUsers,
        Command::ListRooms => Request::ListRooms,
        Command::Backup { file } => Request::Backup { file: std::path::absolute(file)? },
        Command::Verify { room } => Request::Verify { room_id: room },
        Command::RotateKey => Request::RotateKey,
        Command::ListKeys => Request::ListKeys,
        Command::Block(target) => block(target, true),
        Command::Unblock(target) => block(target, false),
        Command::ListBlocks => Request::ListBlocks,
        Command::ListDestinations => Request::ListDestinations,
        Command::ListFaults => Request::ListFaults,
        Command::ListReports => Request::ListReports,
        Command::CreateToken { token, uses } => Request::CreateToken { token, uses },
        Command::ListTokens => Request::ListTokens,
    })
}

fn block(target: Target, blocked: bool) -> Request {
    match target {
        Target::Server { name } => Request::BlockServer { server: name, blocked },
        Target::Room { room_id } => Request::BlockRoom { room_id, blocked },
    }
}

fn user_id(text: &str, data: &Path) -> Result<UserId, Box<dyn std::error::Error>> {
    if text.starts_with('@') {
        return Ok(UserId::parse(text)?);
    }
    let server = DataFolder::server_name_of(data)?;
    Ok(UserId::parse(format!("@{text}:{server}"))?)
}

async fn execute(data: &Path, request: Request) -> Result<Value, Box<dyn std::error::Error>> {
    match DataFolder::open_existing(data) {
        Ok(folder) => Ok(Admin::on_folder(&folder)?.execute(request).await?),
        Err(FolderError::InUse(_)) => Ok(ask(&DataFolder::admin_socket(data), &request).await?),
        Err(error) => Err(error.into()),
    }
}
