//! `POST /pair/:roomId`

use std::sync::Arc;

use axle_protocol::{MatrixError, ServerName};
use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Federation, SentProposal};
use crate::ReceivedPair;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Signed;
use crate::endpoints::params::{Params, room_id};

#[derive(Deserialize)]
pub(super) struct Body {
    member: Box<RawValue>,
    commit: Option<Box<RawValue>>,
    proposal: Option<SentProposal>,
}

pub(super) async fn pair(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    Signed { origin, body }: Signed<Body>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let with = received(body.commit, body.proposal, &origin)?;
    Answer::json(&federation.groups()?.pair(&origin, &room_id(&room)?, body.member, with).await?)
}

fn received(
    commit: Option<Box<RawValue>>,
    proposal: Option<SentProposal>,
    origin: &ServerName,
) -> Result<ReceivedPair, MatrixError> {
    match (commit, proposal) {
        (Some(commit), None) => Ok(ReceivedPair::Commit(commit)),
        (None, Some(proposal)) => {
            let (sender, message) = proposal.read(origin)?;
            Ok(ReceivedPair::Proposal { sender, message })
        }
        _ => Err(MatrixError::bad_json("A member event comes with either a commit or a proposal.")),
    }
}
