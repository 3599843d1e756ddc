//! `GET /make_join`, `/make_leave`, `/make_knock`.

use std::sync::Arc;

use axle_protocol::MatrixError;
use axum::extract::State;
use serde_json::Value;

use super::Federation;
use super::answer::{Answer, Failure};
use super::authenticate::Origin;
use super::params::{Params, Search, room_id, user_id};
use crate::{MembershipChange, RoomTemplate};

type Ids = Params<(String, String)>;

pub(super) async fn make_join(
    State(federation): State<Arc<Federation>>,
    ids: Ids,
    search: Search,
    origin: Origin,
) -> Result<Answer, Failure> {
    make(&federation, MembershipChange::Join, ids, &search, origin).await
}

pub(super) async fn make_leave(
    State(federation): State<Arc<Federation>>,
    ids: Ids,
    search: Search,
    origin: Origin,
) -> Result<Answer, Failure> {
    make(&federation, MembershipChange::Leave, ids, &search, origin).await
}

pub(super) async fn make_knock(
    State(federation): State<Arc<Federation>>,
    ids: Ids,
    search: Search,
    origin: Origin,
) -> Result<Answer, Failure> {
    make(&federation, MembershipChange::Knock, ids, &search, origin).await
}

async fn make(
    federation: &Federation,
    change: MembershipChange,
    Params((room, user)): Ids,
    search: &Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let versions = search.all("ver");
    let versions = match change {
        MembershipChange::Leave => None,
        _ if versions.is_empty() => return Err(MatrixError::missing_param("ver is missing").into()),
        _ => Some(versions.as_slice()),
    };
    let (room, user) = (room_id(&room)?, user_id(&user)?);
    let template = federation.service.make_membership(&origin, change, &room, &user, versions).await?;
    Answer::json(&both_readings(template))
}

/// The draft shows the answer of `make_join` bare and that of `make_leave` inside `event`; peers expect either.
fn both_readings(template: RoomTemplate) -> Value {
    let mut answer = template.event.clone();
    answer.insert("event".into(), Value::Object(template.event));
    answer.insert("room_version".into(), template.room_version.as_str().into());
    Value::Object(answer)
}
