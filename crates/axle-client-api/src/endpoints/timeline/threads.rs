//! `GET /_matrix/client/v1/rooms/{roomId}/threads`

use std::collections::{HashMap, HashSet};

use axle_protocol::EventId;
use axle_store::{StoredEvent, Target, ThreadPlace};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request, Response};

use crate::error::ApiResult;
use crate::ids;
use crate::ignored::Ignored;
use crate::page;
use crate::render::{Format, View, render, sender};
use crate::session::Session;
use crate::state::Api;
use crate::token::Token;
use crate::visibility::Access;

/// Threads of one page, if the client does not say.
const DEFAULT_LIMIT: usize = 20;
/// The most threads of one page.
const MAX_LIMIT: usize = 100;
/// How often one request reads on when what it read is hidden or not wanted.
const MAX_READS: usize = 10;

pub(crate) async fn threads(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    access.require_some(&api).await?;
    let mut before = match &request.from {
        Some(token) => Token::parse(token)?.position(&api, &room_id).await?,
        None => i64::MAX,
    };
    let limit = page::limit(request.limit, DEFAULT_LIMIT, MAX_LIMIT);
    let end = access.end(&api).await?;
    let ignored = &Ignored::of(&api, &session.user_id).await?;
    let reading = Reading { api: &api, session: &session, access: &access, include: request.include, ignored, end };
    let mut roots = Vec::new();
    let mut more = true;
    for _ in 0..MAX_READS {
        let missing = limit.saturating_sub(roots.len());
        if missing == 0 || !more {
            break;
        }
        // One more than is wanted tells whether there is more.
        let read = missing.saturating_add(1);
        let mut places = api.store.threads(&room_id, &session.user_id, before, read).await?;
        more = places.len() > missing;
        places.truncate(missing);
        before = places.last().map_or(before, |place| place.latest);
        roots.extend(reading.roots(&places).await?);
    }
    let mut response = Response::new(render(&api, &session, &roots, View::timeline(Format::Full, end)).await?);
    response.next_batch = more.then(|| Token::Position(before).to_string());
    Ok(response)
}

/// Who reads, and what they want.
struct Reading<'a> {
    api: &'a Api,
    session: &'a Session,
    access: &'a Access,
    include: IncludeThreads,
    ignored: &'a Ignored,
    /// See [`Access::end`].
    end: Option<i64>,
}

impl Reading<'_> {
    /// The events that these threads begin with, in their order, of those that are wanted and may be seen.
    async fn roots(&self, places: &[ThreadPlace]) -> ApiResult<Vec<StoredEvent>> {
        let ids: Vec<EventId> = places.iter().map(|place| place.root.clone()).collect();
        let found = self.api.store.events(&ids).await?.into_iter();
        let mut found: HashMap<EventId, StoredEvent> = found.map(|event| (event.event_id.clone(), event)).collect();
        let mut roots = Vec::new();
        for place in places {
            let Some(root) = found.remove(&place.root).filter(|root| self.wants(place, root)) else { continue };
            if self.access.sees(self.api, &root).await? {
                roots.push(root);
            }
        }
        self.only_seen(roots).await
    }

    fn wants(&self, place: &ThreadPlace, root: &StoredEvent) -> bool {
        let participated = || place.participated || sender(root).as_deref() == Some(self.session.user_id.as_str());
        (self.include != IncludeThreads::Participated || participated()) && !self.ignored.hides(root)
    }

    /// Leaves out what became a thread after the reader had left.
    async fn only_seen(&self, mut roots: Vec<StoredEvent>) -> ApiResult<Vec<StoredEvent>> {
        let Some(end) = self.end else { return Ok(roots) };
        let target = |root: &StoredEvent| Some(Target { event_id: root.event_id.clone(), sender: sender(root)? });
        let targets: Vec<Target> = roots.iter().filter_map(target).collect();
        let user_id = &self.session.user_id;
        let sums = self.api.store.aggregations(self.access.room_id(), &targets, user_id, end).await?;
        let threads = sums.into_iter().filter(|(_, sum)| sum.thread.is_some());
        let threads: HashSet<EventId> = threads.map(|(event_id, _)| event_id).collect();
        roots.retain(|root| threads.contains(&root.event_id));
        Ok(roots)
    }
}
