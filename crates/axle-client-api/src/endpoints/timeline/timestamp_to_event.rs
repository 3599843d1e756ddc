//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
//!
//! There is no index by time: it would cost every message a write, for something that is asked for seldom. The hub's
//! order is nearly that of time, so the place is found by halving positions, a few events a step; clocks that are wrong
//! are made up for by looking at what stands around that place.

use axle_protocol::MatrixError;
use axle_store::{Direction, StoredEvent};
use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};
use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use crate::error::ApiResult;
use crate::ids;
use crate::page;
use crate::render::origin_server_ts;
use crate::session::Session;
use crate::state::Api;
use crate::visibility::Access;

/// Events on each side of a place that are looked at, for the order of time is not quite that of positions.
const WINDOW: usize = 100;
/// Events that tell together what time it was at a place: a wrong clock does not lead the search astray.
const PROBE: usize = 5;
/// How often one request reads on when what it read is hidden.
const MAX_READS: usize = 10;

pub(crate) async fn timestamp_to_event(api: Api, session: Session, request: Request) -> ApiResult<Response> {
    let room_id = ids::room(&request.room_id)?;
    let access = Access::of(&api, &session.user_id, &room_id).await?;
    access.require_some(&api).await?;
    let ts = i64::try_from(u64::from(request.ts.0)).unwrap_or(i64::MAX);
    let search = Search { api: &api, access: &access, ts, direction: page::direction(request.dir) };
    let Some((found, event)) = search.closest().await? else {
        return Err(MatrixError::not_found("There is no such event in this room.").into());
    };
    let found = UInt::try_from(found).unwrap_or_default();
    Ok(Response::new(ids::ruma_event(&event.event_id)?, MilliSecondsSinceUnixEpoch(found)))
}

/// A search for the event that is closest to a time.
struct Search<'a> {
    api: &'a Api,
    access: &'a Access,
    /// Milliseconds since the Unix epoch.
    ts: i64,
    /// Forward: the event is not older than that; backward: not newer.
    direction: Direction,
}

impl Search<'_> {
    /// The closest event that the user may see, and when it was made.
    async fn closest(&self) -> ApiResult<Option<(i64, StoredEvent)>> {
        let place = self.place().await?;
        let mut at = self.window_start(place).await?;
        for _ in 0..MAX_READS {
            let chunk = self.read(at, self.direction, 2 * WINDOW).await?;
            let Some(next) = chunk.last().map(|event| page::next(event, self.direction)) else { break };
            let mut closest: Option<(i64, StoredEvent)> = None;
            for event in page::visible(self.api, self.access, self.direction, chunk).await? {
                let time = origin_server_ts(&event)?;
                let distance = |time: i64| time.abs_diff(self.ts);
                let closer = closest.as_ref().is_none_or(|(best, _)| distance(time) < distance(*best));
                if self.fits(time) && closer {
                    closest = Some((time, event));
                }
            }
            if closest.is_some() {
                return Ok(closest);
            }
            at = next;
        }
        Ok(None)
    }

    /// Whether an event of this time is what is asked for.
    fn fits(&self, time: i64) -> bool {
        match self.direction {
            Direction::Forward => time >= self.ts,
            Direction::Backward => time <= self.ts,
        }
    }

    /// Whether an event of this time lies beyond the place that is looked for.
    fn is_beyond(&self, time: i64) -> bool {
        match self.direction {
            Direction::Forward => time >= self.ts,
            Direction::Backward => time > self.ts,
        }
    }

    /// The position that would part earlier from later events if they were in the order of time.
    async fn place(&self) -> ApiResult<i64> {
        let edge = async |direction| {
            let first = self.api.store.timeline(self.access.room_id(), None, direction, 1).await?.pop();
            ApiResult::Ok(first.and_then(|event| event.position))
        };
        let (Some(mut low), Some(last)) = (edge(Direction::Forward).await?, edge(Direction::Backward).await?) else {
            return Ok(0);
        };
        let end = self.access.end(self.api).await?;
        let mut high = end.map_or(last.saturating_add(1), |end| end.min(last.saturating_add(1)));
        while low < high {
            let middle = low + high.saturating_sub(low) / 2;
            let probe = self.read(middle, Direction::Forward, PROBE).await?;
            let first = probe.first().and_then(|event| event.position).filter(|position| *position < high);
            match (first, median_time(&probe)?) {
                (Some(first), Some(time)) if !self.is_beyond(time) => low = first.saturating_add(1),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Where to begin: a window before the place, in the direction of reading.
    async fn window_start(&self, place: i64) -> ApiResult<i64> {
        let opposite = match self.direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        let window = self.read(place, opposite, WINDOW).await?;
        Ok(window.last().map_or(place, |event| page::next(event, opposite)))
    }

    /// Events from just before or after a place on.
    async fn read(&self, at: i64, direction: Direction, limit: usize) -> ApiResult<Vec<StoredEvent>> {
        let from = match direction {
            Direction::Forward => at,
            Direction::Backward => at.saturating_sub(1),
        };
        Ok(self.api.store.timeline(self.access.room_id(), Some(from), direction, limit).await?)
    }
}

fn median_time(events: &[StoredEvent]) -> ApiResult<Option<i64>> {
    let mut times = events.iter().map(origin_server_ts).collect::<ApiResult<Vec<i64>>>()?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied())
}
