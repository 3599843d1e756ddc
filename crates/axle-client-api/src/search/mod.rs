//! Searching messages ("Server Side Search" in Matrix's specification).
//!
//! Messages are put into the index when the server has time for it: never by the one who sends them, not while people
//! write unless too many wait, and by the store's writer for a part of its time only. A search waits a while for what came
//! before it.

mod context;
mod find;
mod rank;

use std::time::Duration;

use axle_store::StoreError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

pub(crate) use context::{Around, Context};
pub(crate) use find::{Asked, Found, Order, Place, find};
pub(crate) use rank::split;

/// Events that are looked at at once to be put into the index.
const BATCH: usize = 500;
/// How often it is looked whether there is something to do and time for it. Nobody sent anything for so long: there is.
const INTERVAL: Duration = Duration::from_secs(5);
/// How many events the index may be behind while people write. A search that comes then waits for these.
const MAX_BEHIND: i64 = 50_000;
/// After each batch that no search waits for a pause of so many times what it took, so that others can write.
const PAUSE_FACTOR: u32 = 4;
/// The longest of these pauses; and the pause when the store has failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a search waits for the index. Then it searches what is in it.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// How far messages can be searched.
pub(crate) struct Index {
    /// The stream position.
    to: watch::Sender<i64>,
    /// A search waits.
    wanted: Notify,
}

impl Default for Index {
    fn default() -> Self {
        Self { to: watch::Sender::new(BEFORE_EVERYTHING), wanted: Notify::new() }
    }
}

impl Index {
    /// Waits until what came up to this stream position can be searched, but not for long.
    async fn reaches(&self, until: i64) {
        let mut to = self.to.subscribe();
        self.wanted.notify_one();
        // What comes too late is not found.
        let _ = timeout(MAX_WAIT, to.wait_for(|to| *to >= until)).await;
    }
}

/// Keeps messages searchable.
pub(crate) async fn keep_indexed(api: &Api) {
    let index = &api.index;
    loop {
        match api.store.searchable_to().await {
            Ok(to) => {
                index.to.send_replace(to);
                break;
            }
            Err(error) => tracing::error!(%error, "it cannot be read how far messages can be searched"),
        }
        sleep(LONGEST_PAUSE).await;
    }
    let mut seen = BEFORE_EVERYTHING;
    loop {
        let wanted = tokio::select! {
            () = sleep(INTERVAL) => false,
            () = index.wanted.notified() => true,
        };
        if let Err(error) = go_on(api, wanted, &mut seen).await {
            tracing::error!(%error, "messages cannot be made searchable");
            sleep(LONGEST_PAUSE).await;
        }
    }
}

/// Indexes what there is, if there is time for it. `seen`: the newest stream position when it was looked last.
async fn go_on(api: &Api, mut wanted: bool, seen: &mut i64) -> Result<(), StoreError> {
    let index = &api.index;
    let until = api.store.max_stream().await?;
    let busy = until != std::mem::replace(seen, until);
    let mut to = *index.to.borrow();
    if busy && !wanted && until.saturating_sub(to) < MAX_BEHIND {
        return Ok(());
    }
    while to < until {
        let begun = Instant::now();
        to = api.store.make_searchable(to, BATCH).await?;
        index.to.send_replace(to);
        let pause = (begun.elapsed() * PAUSE_FACTOR).min(LONGEST_PAUSE);
        if !wanted {
            wanted = timeout(pause, index.wanted.notified()).await.is_ok();
        }
    }
    Ok(())
}
