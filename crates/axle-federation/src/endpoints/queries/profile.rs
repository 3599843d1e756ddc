//! `GET /_matrix/federation/v1/query/profile`.

use std::sync::Arc;

use axum::extract::State;

use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::Origin;
use crate::endpoints::params::{Search, user_id};

pub(super) async fn profile(
    State(federation): State<Arc<Federation>>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let user_id = user_id(search.required("user_id")?)?;
    Answer::json(&federation.queries()?.profile(&user_id, search.first("field")).await?)
}
