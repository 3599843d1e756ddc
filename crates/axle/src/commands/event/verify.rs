//! `axle event verify`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axle_protocol::event::{RequiredSignature, Verification};
use axle_protocol::signing::{KeyMap, SignatureStatus};
use axle_protocol::{Event, EventId, EventKind, KeyId, ServerName, VerifyKey, base64};
use serde::Serialize;

use super::lines::{Line, answer_each};
use crate::commands::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A JSON file: server name -> key id -> public key in base64, such as {"example.org": {"ed25519:1": "..."}}.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

/// What the ids of keys that sign events begin with.
const ALGORITHM: &str = "ed25519:";
const REDACTED: &str =
    "signed as it should be, but only what a redaction leaves is here: hashes of the whole cannot match";

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
    /// Of servers that have signed without having to, as the invited user's server does. They decide nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    other_signatures: BTreeMap<ServerName, SignatureStatus>,
    /// Why the hashes do not match, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
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
    let is_redacted = verification.is_signed() && !valid && event.redacted().canonical_json() == event.canonical_json();
    let needed = event.required_signatures();
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
        other_signatures: other_signatures(event, &needed, keys),
        note: is_redacted.then_some(REDACTED),
        valid,
    }
}

/// Signatures beyond those that are needed, over whichever form of the event fits.
fn other_signatures(
    event: &Event,
    needed: &[RequiredSignature],
    keys: &KeyMap,
) -> BTreeMap<ServerName, SignatureStatus> {
    let signers = event.signers().filter_map(|signer| ServerName::parse(signer).ok());
    let others = signers.filter(|signer| needed.iter().all(|needed| needed.server != *signer));
    let check = |server: ServerName| {
        let as_form = |form| event.check_signature(&RequiredSignature { server: server.clone(), form }, keys);
        let (finished, partial) = (as_form(event.kind()), as_form(EventKind::Lpdu));
        let status = if partial == SignatureStatus::Ok { partial } else { finished };
        (server, status)
    };
    others.map(check).collect()
}

fn read_keys(path: &Path) -> Result<KeyMap, String> {
    let problem = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|error| problem(&error))?;
    let servers: BTreeMap<ServerName, BTreeMap<String, String>> =
        serde_json::from_slice(&bytes).map_err(|error| problem(&error))?;
    let mut keys = KeyMap::default();
    for (server, own) in servers {
        // Keys of other kinds sign no events.
        for (id, text) in own.into_iter().filter(|(id, _)| id.starts_with(ALGORITHM)) {
            let wrong = |what: &str| problem(&format_args!("{id} of {server} is not {what}"));
            let key_id = KeyId::parse(&id).map_err(|_| wrong("a key id; write it like ed25519:1"))?;
            // Either alphabet of base64, with or without padding: what it means is clear.
            let text = text.trim().replace('-', "+").replace('_', "/");
            let key = VerifyKey::from_base64(&text).ok_or_else(|| wrong("an ed25519 public key in base64"))?;
            keys.insert(server.clone(), key_id, key);
        }
    }
    Ok(keys)
}
