//! Searching messages ("Server Side Search" in Matrix's specification).
//!
//! Messages are put into the index beside what else happens: never by the one who sends them, and by the store's writer
//! for a part of its time only. A search waits a while for what came before it.

mod context;
mod find;
mod rank;

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::state::Api;
use crate::token::BEFORE_EVERYTHING;

pub(crate) use context::{Around, Context};
pub(crate) use find::{Asked, Found, Order, Place, find};
pub(crate) use rank::split;

/// Events that are looked at at once to be put into the index.
const BATCH: usize = 200;
/// How often it is looked for new events, if no search wants them sooner.
const INTERVAL: Duration = Duration::from_secs(5);
/// After each batch a pause of so many times what it took, so that others can write.
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
    loop {
        let begun = Instant::now();
        let pause = match go_on(api).await {
            Ok(true) => INTERVAL,
            Ok(false) => (begun.elapsed() * PAUSE_FACTOR).min(LONGEST_PAUSE),
            Err(error) => {
                tracing::error!(%error, "messages cannot be made searchable");
                sleep(LONGEST_PAUSE).await;
                continue;
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = index.wanted.notified() => {}
        }
    }
}

/// Indexes one batch; whether it was the last for now.
async fn go_on(api: &Api) -> Result<bool, axle_store::StoreError> {
    let (until, to) = (api.store.max_stream().await?, *api.index.to.borrow());
    if until <= to {
        return Ok(true);
    }
    let to = api.store.make_searchable(to, BATCH).await?;
    api.index.to.send_replace(to);
    Ok(to >= until)
}
