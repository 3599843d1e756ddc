//! `POST /send_join/:txnId`, `/send_leave/:txnId`, `/send_knock/:txnId`, and Matrix's `PUT` of the first two.

use std::sync::Arc;

use axle_protocol::{ServerName, canonical_json};
use axum::extract::State;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Federation;
use super::answer::{Answer, Failure, push_array};
use super::authenticate::Signed;
use super::params::{Params, txn_id};
use crate::{MembershipChange, SentMembership};

type Body = Signed<Box<RawValue>>;

pub(super) async fn send_join(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    body: Body,
) -> Result<Answer, Failure> {
    take(&federation, MembershipChange::Join, &id, body).await
}

pub(super) async fn send_leave(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    body: Body,
) -> Result<Answer, Failure> {
    take(&federation, MembershipChange::Leave, &id, body).await
}

pub(super) async fn send_knock(
    State(federation): State<Arc<Federation>>,
    Params(id): Params<String>,
    body: Body,
) -> Result<Answer, Failure> {
    take(&federation, MembershipChange::Knock, &id, body).await
}

/// `PUT /v2/send_join/:roomId/:eventId`.
pub(super) async fn send_join_by_event(
    State(federation): State<Arc<Federation>>,
    Params((_, event)): Params<(String, String)>,
    body: Body,
) -> Result<Answer, Failure> {
    take(&federation, MembershipChange::Join, &event, body).await
}

/// `PUT /v2/send_leave/:roomId/:eventId`.
pub(super) async fn send_leave_by_event(
    State(federation): State<Arc<Federation>>,
    Params((_, event)): Params<(String, String)>,
    body: Body,
) -> Result<Answer, Failure> {
    take(&federation, MembershipChange::Leave, &event, body).await
}

async fn take(
    federation: &Arc<Federation>,
    change: MembershipChange,
    id: &str,
    Signed { origin, body }: Body,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let endpoint = match change {
        MembershipChange::Join => "send_join",
        MembershipChange::Leave => "send_leave",
        MembershipChange::Knock => "send_knock",
    };
    let (federation_, sender) = (federation.clone(), origin.clone());
    let work = async move {
        let sent = federation_.service.send_membership(&sender, change, body).await?;
        Ok(Answer::ok(response(sent, federation_.server_name())))
    };
    federation.inbound.once(&origin, endpoint, txn_id(id)?, work).await
}

fn response(sent: SentMembership, own: &ServerName) -> String {
    match sent {
        SentMembership::Leave => "{}".into(),
        SentMembership::Knock { stripped_state } => {
            // Matrix's name for the same beside the draft's.
            canonical_json::to_string(&json!({
                "knock_room_state": stripped_state.clone(),
                "stripped_state": stripped_state,
            }))
        }
        SentMembership::Join { event, state, auth_chain } => {
            let size: usize = state.iter().chain(&auth_chain).map(|event| event.len() + 1).sum();
            let mut out = String::with_capacity(size + event.len() + 256);
            out.push('{');
            push_array(&mut out, "auth_chain", &auth_chain);
            out.push_str(",\"event\":");
            out.push_str(&event);
            out.push_str(",\"members_omitted\":false,\"origin\":");
            canonical_json::write_value(&mut out, &Value::from(own.as_str()));
            out.push(',');
            push_array(&mut out, "state", &state);
            out.push('}');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        let own = ServerName::parse("hub.test").unwrap();
        let join = SentMembership::Join {
            event: r#"{"e":1}"#.into(),
            state: vec![r#"{"s":1}"#.into(), r#"{"s":2}"#.into()],
            auth_chain: Vec::new(),
        };
        assert_eq!(
            response(join, &own),
            r#"{"auth_chain":[],"event":{"e":1},"members_omitted":false,"origin":"hub.test","state":[{"s":1},{"s":2}]}"#
        );
        assert_eq!(response(SentMembership::Leave, &own), "{}");
        let knock = SentMembership::Knock { stripped_state: vec![json!({"type": "m.room.name"})] };
        assert_eq!(
            response(knock, &own),
            r#"{"knock_room_state":[{"type":"m.room.name"}],"stripped_state":[{"type":"m.room.name"}]}"#
        );
    }
}
