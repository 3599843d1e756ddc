//! The other servers of a benchmark: they answer key requests, swallow transactions, join rooms and send load. One
//! process plays any number of servers, so that what they cost is not the hub's.
//!
//! Commands come as JSON lines on standard input, answers go as JSON lines to standard output; see [`Command`].

mod load;
mod receive;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use axle_protocol::{KeyId, RoomId, ServerName, SigningKey};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::super::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct PeersArgs {
    /// How many servers to be.
    #[arg(long)]
    servers: usize,
    /// What their names begin with; `.bench.test:PORT` follows the number.
    #[arg(long)]
    prefix: String,
    /// PEM file of the certificate authority.
    #[arg(long)]
    ca: PathBuf,
    /// PEM file of the certificate for all the names.
    #[arg(long)]
    cert: PathBuf,
    /// PEM file of its key.
    #[arg(long)]
    key: PathBuf,
}

/// What a benchmark can ask of its peers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Command {
    /// Where the hub is.
    Hub { name: String, address: SocketAddr },
    /// Server number `server` joins rooms with its first user.
    Join { server: usize, rooms: Vec<RoomId> },
    /// Further users of a server join a room that it is in.
    Members { server: usize, room: RoomId, count: usize },
    /// A server's first user sends messages, `per_txn` in a transaction: those of one transaction to one room, the
    /// next to the next; or, if they are mixed, each to another room.
    Load { server: usize, rooms: Vec<RoomId>, mixed: bool, events: usize, per_txn: usize, bytes: usize },
    /// Waits until every server has got this many events since the start.
    Wait { events: u64 },
}

/// What they answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The names of the servers, in the first line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) names: Vec<ServerName>,
    /// The port they listen on, in the first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    /// How long the command took, in microseconds.
    #[serde(default)]
    pub(super) micros: u64,
}

/// The localpart of the user that joins a server's rooms.
pub(super) const FIRST_USER: &str = "user0";

/// A server that is played.
pub(super) struct Peer {
    name: ServerName,
    key: SigningKey,
}

pub(crate) fn run(args: PeersArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(args))
}

async fn serve(args: PeersArgs) -> Outcome {
    let listener = receive::bind().await?;
    let port = listener.local_addr()?.port();
    let mut peers = Vec::with_capacity(args.servers);
    for number in 0..args.servers {
        let name = ServerName::parse(format!("{}{number}.bench.test:{port}", args.prefix))?;
        peers.push(Peer { key: SigningKey::from_seed(KeyId::parse("ed25519:1")?, &seed(number)), name });
    }
    let peers = Arc::new(peers);
    let counts = receive::listen(listener, &args.cert, &args.key, Arc::clone(&peers))?;
    let names = peers.iter().map(|peer| peer.name.clone()).collect();
    answer(&Answer { error: None, names, port: Some(port), micros: 0 })?;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sender = load::Sender::new(&args.ca, peers)?;
    while let Some(line) = lines.next_line().await? {
        let started = Instant::now();
        let outcome = match serde_json::from_str(&line)? {
            Command::Wait { events } => counts.wait(events).await,
            command => sender.run(command).await,
        };
        let micros = match &outcome {
            Ok(Some(measured)) => measured.as_micros(),
            _ => started.elapsed().as_micros(),
        };
        let error = outcome.err().map(|error| error.to_string());
        answer(&Answer { error, names: Vec::new(), port: None, micros: micros as u64 })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn seed(number: usize) -> [u8; 32] {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    seed
}

fn answer(answer: &Answer) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    out.flush()
}
