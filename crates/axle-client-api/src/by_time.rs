//! The event of a room that is closest to a time.
//!
//! There is no index by time: it would cost every message a write, for something that is asked for seldom. The hub's
//! order is nearly that of time, so the place is found by halving positions, a few events a step; clocks that are wrong
//! are made up for by looking at what stands around that place.

use axle_protocol::RoomId;
use axle_store::{Direction, EventStatus, StoredEvent};

use crate::error::ApiResult;
use crate::page;
use crate::render::origin_server_ts;
use crate::state::Api;
use crate::visibility::Access;

/// Events on each side of a place that are looked at, for the order of time is not quite that of positions.
const WINDOW: usize = 100;
/// Events that tell together what time it was at a place: a wrong clock does not lead the search astray.
const PROBE: usize = 5;
/// How often one request reads on when what it read is hidden.
const MAX_READS: usize = 10;
/// How often one request asks the hub for more history.
const MAX_FETCHES: usize = 10;
/// Events that are asked for at a time.
const FETCHED_AT_ONCE: usize = 100;

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Reader<'a> {
    /// A user, who learns of what they may see.
    User(&'a Access),
    /// A server that is in the room: it may know of every event there.
    Server,
}

/// The closest event that the reader may know of, and when it was made. `ts` is in milliseconds since the Unix epoch; what
/// is found is not older than that (forward), or not newer (backward).
pub(crate) async fn closest(
    api: &Api,
    room_id: &RoomId,
    reader: Reader<'_>,
    ts: i64,
    direction: Direction,
) -> ApiResult<Option<(i64, StoredEvent)>> {
    Search { api, room_id, reader, ts, direction }.closest().await
}

/// Fetches history from the hub as long as all that is here of a room is later than that. What is here has to do where
/// the hub does not answer.
pub(crate) async fn reach_back(api: &Api, room_id: &RoomId, ts: i64) -> ApiResult<()> {
    for _ in 0..MAX_FETCHES {
        let Some(first) = api.store.timeline(room_id, None, Direction::Forward, 1).await?.pop() else { break };
        let Some(position) = first.position.filter(|_| origin_server_ts(&first).is_ok_and(|time| time > ts)) else {
            break;
        };
        match api.rooms.fetch_history(room_id, position, FETCHED_AT_ONCE).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::info!(%room_id, ?error, "history from a time before could not be fetched");
                break;
            }
        }
    }
    Ok(())
}

/// A search for the event that is closest to a time.
struct Search<'a> {
    api: &'a Api,
    room_id: &'a RoomId,
    reader: Reader<'a>,
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
            for event in self.visible(chunk).await? {
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

    /// Those of these events that the reader may know of.
    async fn visible(&self, mut events: Vec<StoredEvent>) -> ApiResult<Vec<StoredEvent>> {
        match self.reader {
            Reader::User(access) => page::visible(self.api, access, self.direction, events).await,
            Reader::Server => {
                events.retain(|event| event.status == EventStatus::Accepted);
                Ok(events)
            }
        }
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
            let first = self.api.store.timeline(self.room_id, None, direction, 1).await?.pop();
            ApiResult::Ok(first.and_then(|event| event.position))
        };
        let (Some(mut low), Some(last)) = (edge(Direction::Forward).await?, edge(Direction::Backward).await?) else {
            return Ok(0);
        };
        let end = match self.reader {
            Reader::User(access) => access.end(self.api).await?,
            Reader::Server => None,
        };
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
        Ok(self.api.store.timeline(self.room_id, Some(from), direction, limit).await?)
    }
}

fn median_time(events: &[StoredEvent]) -> ApiResult<Option<i64>> {
    let mut times = events.iter().map(origin_server_ts).collect::<ApiResult<Vec<i64>>>()?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied())
}
