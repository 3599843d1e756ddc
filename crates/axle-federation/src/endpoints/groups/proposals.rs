//! `POST /proposals/:roomId`

use std::sync::Arc;

use axum::extract::State;

use super::{Federation, SentProposal};
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Signed;
use crate::endpoints::params::{Params, room_id};

pub(super) async fn proposals(
    State(federation): State<Arc<Federation>>,
    Params(room): Params<String>,
    Signed { origin, body }: Signed<SentProposal>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let (sender, message) = body.read(&origin)?;
    federation.groups()?.propose(&origin, &room_id(&room)?, sender, message).await?;
    Ok(Answer::ok("{}"))
}
