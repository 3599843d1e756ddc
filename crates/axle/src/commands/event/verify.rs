//! `axle event verify`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axle_protocol::event::Verification;
use axle_protocol::signing::{KeyMap, SignatureStatus};
use axle_protocol::{EventId, EventKind, KeyId, ServerName, VerifyKey, base64};
use serde::Serialize;

use super::lines::{Line, answer_each};
use crate::commands::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A JSON file: server name -> key id -> public key in unpadded base64.
    #[arg(long)]
    keys: PathBuf,
}

/// What is said about one event.
#[derive(Serialize)]
struct Answer {
    /// The reference hash as an id.
    event_id: EventId,
    /// If another id stood beside the event's fields: that.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_event_id: Option<String>,
    kind: EventKind,
    /// As computed, where the event carries one.
    lpdu_hash: Option<String>,
    lpdu_hash_ok: Option<bool>,
    /// As computed, where the event carries one.
    content_hash: Option<String>,
    content_hash_ok: Option<bool>,
    /// Of each server that must have signed.
    signatures: BTreeMap<ServerName, SignatureStatus>,
    /// All hashes match and all signatures are good.
    valid: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let keys = read_keys(&args.keys)?;
    Ok(answer_each(|line| {
        let answer = verify(line, &keys);
        let valid = answer.valid;
        (answer, valid)
    })?)
}

fn verify(line: &Line, keys: &KeyMap) -> Answer {
    let event = &line.event;
    let verification = event.verify(keys);
    let valid = verification.is_valid();
    let Verification { signatures, hashes } = verification;
    Answer {
        event_id: event.event_id().clone(),
        claimed_event_id: line.claimed_id.clone().filter(|id| id != event.event_id().as_str()),
        kind: event.kind(),
        lpdu_hash: hashes.lpdu.map(|_| base64::encode(event.computed_lpdu_hash())),
        lpdu_hash_ok: hashes.lpdu,
        content_hash: hashes.content.map(|_| base64::encode(event.computed_content_hash())),
        content_hash_ok: hashes.content,
        signatures: signatures.into_iter().map(|(needed, status)| (needed.server, status)).collect(),
        valid,
    }
}

fn read_keys(path: &Path) -> Result<KeyMap, String> {
    let problem = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|error| problem(&error))?;
    let servers: BTreeMap<ServerName, BTreeMap<KeyId, String>> =
        serde_json::from_slice(&bytes).map_err(|error| problem(&error))?;
    let mut keys = KeyMap::default();
    for (server, own) in servers {
        for (id, text) in own {
            let key = VerifyKey::from_base64(&text)
                .ok_or_else(|| problem(&format_args!("{id} of {server} is not an ed25519 public key in base64")))?;
            keys.insert(server.clone(), id, key);
        }
    }
    Ok(keys)
}
