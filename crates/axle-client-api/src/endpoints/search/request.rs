//! The request of a search.

use axle_protocol::MatrixError;
use axle_store::SearchKey;
use ruma::api::IncomingRequest;
use ruma::api::client::search::search_events::v3::{
    Criteria, GroupingKey, OrderBy, Request as RumaRequest, Response as RumaResponse, SearchKeys,
};
use ruma::api::error::DeserializationError;
use serde_json::Value;

use crate::error::ApiResult;
use crate::event_filter::EventFilter;
use crate::json_request::metadata_like;
use crate::search::{Asked, Context, Order, Place};

/// Results of one page, if the client does not say.
const DEFAULT_LIMIT: usize = 10;
/// The most results of one page.
const MAX_LIMIT: usize = 100;
/// The longest text to search for, in bytes.
const MAX_TERM_BYTES: usize = 1024;
/// The most words in it.
const MAX_WORDS: usize = 32;

/// ruma's request, and whether it asks for context: ruma does not tell that from asking for what context is by default.
pub(crate) struct Request {
    request: RumaRequest,
    wants_context: bool,
}

/// What a search is to answer.
pub(crate) struct Wanted {
    pub(crate) asked: Asked,
    pub(crate) context: Option<Context>,
    pub(crate) state: bool,
    pub(crate) groups: Vec<GroupingKey>,
}

impl Request {
    /// `None`: nothing is searched for.
    pub(crate) fn wanted(self) -> ApiResult<Option<Wanted>> {
        let from = self.request.next_batch.as_deref().map(Place::parse).transpose()?;
        let Some(criteria) = self.request.search_categories.room_events else { return Ok(None) };
        let context = self.wants_context.then(|| context(&criteria));
        let groups = criteria.groupings.group_by.iter().filter_map(|grouping| grouping.key.clone()).collect();
        let state = criteria.include_state.unwrap_or(false);
        let words = words(&criteria.search_term)?;
        let keys = keys(criteria.keys.as_deref());
        let order = if criteria.order_by == Some(OrderBy::Recent) { Order::Recent } else { Order::Rank };
        let filter = EventFilter::new(criteria.filter);
        let limit = filter.limit().unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        Ok(Some(Wanted { asked: Asked { words, keys, filter, order, limit, from }, context, state, groups }))
    }
}

fn context(criteria: &Criteria) -> Context {
    let number = |limit| usize::try_from(u64::from(limit)).unwrap_or(usize::MAX);
    let context = &criteria.event_context;
    Context {
        before: number(context.before_limit),
        after: number(context.after_limit),
        profiles: context.include_profile,
    }
}

/// The words of what is searched for; what has neither a letter nor a digit says nothing.
fn words(term: &str) -> Result<Vec<String>, MatrixError> {
    if term.len() > MAX_TERM_BYTES {
        return Err(MatrixError::invalid_param(format!("A search has at most {MAX_TERM_BYTES} bytes.")));
    }
    let words = term.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
    Ok(words.take(MAX_WORDS).map(str::to_owned).collect())
}

fn keys(asked: Option<&[SearchKeys]>) -> Vec<SearchKey> {
    let Some(asked) = asked else { return vec![SearchKey::Body, SearchKey::Name, SearchKey::Topic] };
    let key = |key: &SearchKeys| match key {
        SearchKeys::ContentBody => Some(SearchKey::Body),
        SearchKeys::ContentName => Some(SearchKey::Name),
        SearchKeys::ContentTopic => Some(SearchKey::Topic),
        _ => None,
    };
    asked.iter().filter_map(key).collect()
}

metadata_like!(Request, RumaRequest);

impl IncomingRequest for Request {
    type EndpointError = <RumaRequest as IncomingRequest>::EndpointError;
    type OutgoingResponse = RumaResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body: Value = serde_json::from_slice(request.body())?;
        let wants_context = body.pointer("/search_categories/room_events/event_context").is_some();
        Ok(Self { request: RumaRequest::try_from_http_request_inner(request, path_args)?, wants_context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_no_word() {
        assert_eq!(words("  tea \"AND\" -- c++ !? 5").unwrap(), ["tea", "\"AND\"", "c++", "5"]);
        assert!(words(" - ").unwrap().is_empty());
        assert_eq!(words(&"a ".repeat(200)).unwrap().len(), MAX_WORDS);
        assert!(words(&"a".repeat(MAX_TERM_BYTES + 1)).is_err());
    }
}
