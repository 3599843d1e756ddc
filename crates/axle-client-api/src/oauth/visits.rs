//! Who is logged in to the pages about their account. It is kept in memory, and short: after a restart they log in anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axle_protocol::UserId;
use axle_protocol::event::Hash;
use axum::response::Response;
use http::request::Parts;

use super::browser::{cookie, name, set_cookie};
use crate::error::ApiResult;
use crate::session::{random_token, token_hash};
use crate::state::Api;

/// The cookie of a visit.
const COOKIE: &str = "axle-account";
/// Random bytes in it.
const COOKIE_BYTES: usize = 32;
/// How long a visit is.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Visits at once; when there are more, all are over.
const MAX_VISITS: usize = 10_000;

/// Visits, by the hash of their cookies.
#[derive(Default)]
pub(crate) struct Visits(Mutex<HashMap<Hash, (UserId, Instant)>>);

/// Begins a visit; the answer lets the browser be known by it.
pub(crate) fn begin(api: &Api, user_id: UserId, response: &mut Response) -> ApiResult<()> {
    let secret = random_token(COOKIE_BYTES)?;
    let now = Instant::now();
    {
        let mut visits = api.visits.lock();
        if visits.len() >= MAX_VISITS {
            visits.retain(|_, (_, ends)| *ends > now);
        }
        if visits.len() >= MAX_VISITS {
            visits.clear();
        }
        visits.insert(token_hash(&secret), (user_id, now + LIFETIME));
    }
    set_cookie(api, response, COOKIE, &secret)
}

/// Who visits.
pub(crate) fn visitor(api: &Api, head: &Parts) -> ApiResult<Option<UserId>> {
    let Some(hash) = hash(api, head)? else { return Ok(None) };
    let visit = api.visits.lock().get(&hash).cloned();
    Ok(visit.filter(|(_, ends)| *ends > Instant::now()).map(|(user_id, _)| user_id))
}

/// Ends a visit.
pub(crate) fn end(api: &Api, head: &Parts) -> ApiResult<()> {
    if let Some(hash) = hash(api, head)? {
        api.visits.lock().remove(&hash);
    }
    Ok(())
}

fn hash(api: &Api, head: &Parts) -> ApiResult<Option<Hash>> {
    Ok(cookie(head, &name(api, COOKIE)?).map(token_hash))
}

impl Visits {
    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, (UserId, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
