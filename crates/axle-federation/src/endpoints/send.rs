//! `PUT /send/:txnId`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::limits::{MAX_EDUS_PER_TRANSACTION, MAX_PDUS_PER_TRANSACTION};
use axle_protocol::{MatrixError, ServerName};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::{Signed, SignedTransaction};
use super::params::{Params, txn_id};
use crate::edu::Edu;
use crate::{TransactionOutcome, UserService};

/// The body, as far as its envelope.
#[derive(Deserialize)]
pub(super) struct Transaction {
    pdus: Vec<Box<RawValue>>,
    #[serde(default)]
    edus: Vec<Value>,
}

#[derive(Serialize)]
struct Response {
    failed_pdus: BTreeMap<String, Reason>,
}

#[derive(Serialize)]
struct Reason {
    error: String,
}

pub(super) async fn send(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    SignedTransaction(Signed { origin, body }): SignedTransaction<Transaction>,
) -> Result<Answer, Failure> {
    let id = txn_id(&id)?;
    at_most(body.pdus.len(), MAX_PDUS_PER_TRANSACTION, "pdus")?;
    at_most(body.edus.len(), MAX_EDUS_PER_TRANSACTION, "edus")?;
    federation.heard_from(&origin);
    let bytes = body.pdus.iter().map(|pdu| pdu.get().len()).sum();
    let (service, users, sender) = (federation.service.clone(), federation.users.clone(), origin.clone());
    let work = async move {
        let edus = body.edus.into_iter().filter_map(|edu| Edu::parse(edu, &sender));
        let (kept, fleeting): (Vec<Edu>, Vec<Edu>) = edus.partition(Edu::is_kept);
        // Keys come before what they open, and who is typing after who has joined.
        take_edus(users.as_deref(), &sender, kept).await?;
        let TransactionOutcome { failed_pdus } = service.transaction(&sender, body.pdus).await?;
        take_edus(users.as_deref(), &sender, fleeting).await?;
        let failed_pdus = failed_pdus.into_iter().map(|(id, error)| (id, Reason { error })).collect();
        Answer::json(&Response { failed_pdus }).map_err(|failure| failure.0)
    };
    federation.inbound.send(&origin, id, bytes, work).await
}

async fn take_edus(users: Option<&dyn UserService>, sender: &ServerName, edus: Vec<Edu>) -> Result<(), MatrixError> {
    match users {
        Some(users) if !edus.is_empty() => users.edus(sender, edus).await,
        _ => Ok(()),
    }
}

fn at_most(count: usize, limit: usize, field: &str) -> Result<(), MatrixError> {
    if count > limit {
        return Err(MatrixError::bad_json(format!("{field} has {count} entries; there may be {limit}.")));
    }
    Ok(())
}
