//! `GET /_matrix/federation/v1/publicRooms`, and `POST` with a filter.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;

use crate::PublicRoomsQuery;
use crate::endpoints::Federation;
use crate::endpoints::answer::{Answer, Failure};
use crate::endpoints::authenticate::{Origin, Signed};
use crate::endpoints::params::Search;

/// The body of the `POST`.
#[derive(Deserialize)]
pub(super) struct Body {
    limit: Option<u64>,
    since: Option<String>,
    #[serde(default)]
    filter: Option<Filter>,
    #[serde(default)]
    include_all_networks: bool,
    third_party_instance_id: Option<String>,
}

#[derive(Deserialize, Default)]
struct Filter {
    generic_search_term: Option<String>,
    #[serde(default)]
    room_types: Option<Vec<Option<String>>>,
}

pub(super) async fn page(
    State(federation): State<Arc<Federation>>,
    search: Search,
    Origin(origin): Origin,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let text = |name: &str| search.first(name).map(str::to_owned);
    let query = PublicRoomsQuery {
        limit: search.integer("limit")?,
        since: text("since"),
        include_all_networks: search.first("include_all_networks") == Some("true"),
        third_party_instance_id: text("third_party_instance_id"),
        ..PublicRoomsQuery::default()
    };
    Answer::json(&federation.queries()?.public_rooms(query).await?)
}

pub(super) async fn search(
    State(federation): State<Arc<Federation>>,
    Signed { origin, body }: Signed<Body>,
) -> Result<Answer, Failure> {
    federation.limit(&origin)?;
    let filter = body.filter.unwrap_or_default();
    let query = PublicRoomsQuery {
        limit: body.limit,
        since: body.since,
        search_term: filter.generic_search_term,
        room_types: filter.room_types.unwrap_or_default(),
        include_all_networks: body.include_all_networks,
        third_party_instance_id: body.third_party_instance_id,
    };
    Answer::json(&federation.queries()?.public_rooms(query).await?)
}
