//! `GET /user/devices/:userId`

use std::sync::Arc;

use axum::extract::State;

use super::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Params, user_id};

pub(super) async fn devices(
    State(federation): State<Arc<Federation>>,
    Params(user): Params<String>,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    Answer::json(&federation.users()?.devices(&user_id(&user)?).await?)
}
