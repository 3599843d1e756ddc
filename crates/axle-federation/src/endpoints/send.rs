//! `PUT /send/:txnId`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axle_protocol::MatrixError;
use axle_protocol::limits::{MAX_EDUS_PER_TRANSACTION, MAX_PDUS_PER_TRANSACTION};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::{Signed, SignedTransaction};
use super::params::{Params, txn_id};
use crate::TransactionOutcome;

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
    let (service, sender) = (federation.service.clone(), origin.clone());
    let work = async move {
        let edus = body.edus.into_iter().filter_map(edu).collect();
        let TransactionOutcome { failed_pdus } = service.transaction(&sender, body.pdus, edus).await?;
        let failed_pdus = failed_pdus.into_iter().map(|(id, error)| (id, Reason { error })).collect();
        Answer::json(&Response { failed_pdus }).map_err(|failure| failure.0)
    };
    federation.inbound.send(&origin, id, bytes, work).await
}

fn at_most(count: usize, limit: usize, field: &str) -> Result<(), MatrixError> {
    if count > limit {
        return Err(MatrixError::bad_json(format!("{field} has {count} entries; there may be {limit}.")));
    }
    Ok(())
}

/// An EDU in the draft's form: Matrix says `edu_type` for `type`, and the draft's own text both `sender` and
/// `sender_id`. What is no EDU is left out: nothing waits for it.
fn edu(edu: Value) -> Option<Value> {
    let Value::Object(mut edu) = edu else { return None };
    rename(&mut edu, "edu_type", "type");
    rename(&mut edu, "sender_id", "sender");
    (edu.get("type").is_some_and(Value::is_string) && edu.get("content").is_some_and(Value::is_object))
        .then_some(Value::Object(edu))
}

fn rename(edu: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = edu.remove(from) {
        edu.entry(to).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn edus_in_every_form() {
        let expected = json!({"type": "m.x", "sender": "@a:b", "content": {}});
        for form in [
            expected.clone(),
            json!({"edu_type": "m.x", "sender": "@a:b", "content": {}}),
            json!({"type": "m.x", "sender_id": "@a:b", "content": {}}),
            json!({"type": "m.x", "edu_type": "m.y", "sender": "@a:b", "sender_id": "@c:d", "content": {}}),
        ] {
            assert_eq!(edu(form), Some(expected.clone()));
        }
        for none in [json!(null), json!([]), json!({}), json!({"type": 1, "content": {}}), json!({"type": "m.x"})] {
            assert_eq!(edu(none), None);
        }
    }
}
