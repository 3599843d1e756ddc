//! `PUT /send/:txnId`.

use std::collections::BTreeMap;

use axle_protocol::ServerName;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::answer;
use super::path::{both, encode};
use super::{Client, ClientError};

const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// The answer to a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendAnswer {
    /// Reason by event id: of the event as sent, or of what the receiver made of it.
    pub failed: BTreeMap<String, String>,
}

/// The body of a transaction, canonical if the events and EDUs are. It may be sent to several servers.
pub fn transaction_body<'a>(pdus: impl Iterator<Item = &'a str> + Clone, edus: &[&'a str]) -> Bytes {
    let size: usize = pdus.clone().chain(edus.iter().copied()).map(|item| item.len() + 1).sum();
    let mut body = String::with_capacity(size + 32);
    body.push('{');
    if !edus.is_empty() {
        push_array(&mut body, "edus", edus.iter().copied());
        body.push(',');
    }
    push_array(&mut body, "pdus", pdus);
    body.push('}');
    body.into()
}

/// `"name":[...]`.
fn push_array<'a>(out: &mut String, name: &str, items: impl Iterator<Item = &'a str>) {
    out.push('"');
    out.push_str(name);
    out.push_str("\":[");
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}

impl Client {
    /// Sends a transaction whose body was made by [`transaction_body`].
    pub async fn send_transaction(
        &self,
        to: &ServerName,
        txn_id: &str,
        body: Bytes,
    ) -> Result<SendAnswer, ClientError> {
        let ask = self.with_body(Method::PUT, body, MAX_ANSWER_BYTES);
        let paths = both("v2", &format!("send/{}", encode(txn_id)));
        read(&self.ask_either(to, &paths, &ask).await?)
    }
}

/// `failed_pdus` of the draft, `pdus` of Matrix.
fn read(body: &Bytes) -> Result<SendAnswer, ClientError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        failed_pdus: BTreeMap<String, Outcome>,
        #[serde(default)]
        pdus: BTreeMap<String, Outcome>,
    }
    #[derive(Deserialize)]
    struct Outcome {
        error: Option<String>,
    }
    let answer: Answer = answer::json(body)?;
    let outcomes = answer.pdus.into_iter().filter(|(_, outcome)| outcome.error.is_some()).chain(answer.failed_pdus);
    let failed = outcomes.map(|(id, outcome)| (id, outcome.error.unwrap_or_default())).collect();
    Ok(SendAnswer { failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let body = |pdus: &[&str], edus: &[&str]| {
            String::from_utf8(transaction_body(pdus.iter().copied(), edus).to_vec()).unwrap()
        };
        assert_eq!(body(&[], &[]), r#"{"pdus":[]}"#);
        assert_eq!(body(&[r#"{"a":1}"#, r#"{"b":2}"#], &[]), r#"{"pdus":[{"a":1},{"b":2}]}"#);
        assert_eq!(body(&["{}"], &[r#"{"type":"m.x"}"#, "{}"]), r#"{"edus":[{"type":"m.x"},{}],"pdus":[{}]}"#);
    }

    #[test]
    fn answers() {
        let failed = |text: &'static str| read(&Bytes::from_static(text.as_bytes())).unwrap().failed;
        assert!(failed("{}").is_empty());
        assert!(failed(r#"{"failed_pdus":{}}"#).is_empty());
        assert_eq!(failed(r#"{"failed_pdus":{"$a":{"error":"no"}}}"#)["$a"], "no");
        assert_eq!(failed(r#"{"failed_pdus":{"$a":{}}}"#)["$a"], "");
        let matrix = failed(r#"{"pdus":{"$a":{},"$b":{"error":"no"}}}"#);
        assert_eq!((matrix.len(), &*matrix["$b"]), (1, "no"));
        assert!(read(&Bytes::from_static(b"<html>")).is_err());
    }
}
