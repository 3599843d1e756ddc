//! `POST /invite/:txnId`.

use axle_protocol::{Event, ServerName, canonical_json};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer;
use super::path::{both, encode};
use super::{Client, ClientError};

const MAX_ANSWER_BYTES: usize = 512 * 1024;

impl Client {
    /// Asks a hub (with an LPDU) or the invited user's server (with a PDU) to take an invite. Returns the signed event,
    /// not checked yet.
    pub async fn invite(
        &self,
        to: &ServerName,
        txn_id: &str,
        event: &Event,
        stripped_state: &[Value],
    ) -> Result<Box<RawValue>, ClientError> {
        let ask = self.with_body(Method::POST, body(event, stripped_state), MAX_ANSWER_BYTES);
        let paths = both("v3", &format!("invite/{}", encode(txn_id)));
        answer::invited(&self.ask_either(to, &paths, &ask).await?)
    }
}

/// Canonical, with the event as it is.
fn body(event: &Event, stripped_state: &[Value]) -> Bytes {
    let mut body = String::with_capacity(event.json().len() + 1024);
    body.push_str("{\"event\":");
    body.push_str(event.json());
    body.push_str(",\"invite_room_state\":[");
    for (i, state) in stripped_state.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        canonical_json::write_value(&mut body, state);
    }
    body.push_str("],\"room_version\":");
    canonical_json::write_string(&mut body, event.version().as_str());
    body.push('}');
    body.into()
}
