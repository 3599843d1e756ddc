//! A store in memory that fails when told to, for tests.
//!
//! It means the same as [`sqlite`](crate::sqlite) and shares no code with it. Writes are durable at once, unless they
//! are [held](MemoryStore::hold): then they wait, in order, for [`release`](MemoryStore::release) or
//! [`crash`](MemoryStore::crash). What nobody waits for (acknowledgements, attempts, answers to transactions) becomes
//! durable along with the next write, as it does on a disk.

mod account_data;
mod accounts;
mod administration;
mod append;
mod application_services;
mod data;
mod dehydrated;
mod delayed_events;
mod delivery;
mod device_keys;
mod device_lists;
mod devices;
mod directory;
mod edus;
mod faults;
mod forgotten;
mod groups;
mod guests;
mod key_backups;
mod keys;
mod log;
mod login_tokens;
mod media;
mod media_administration;
mod notice_rooms;
mod oauth;
mod one_time_keys;
mod operator;
mod profiles;
mod pushers;
mod receipts;
mod relations;
mod remote_media;
mod reports;
mod restored;
mod room_lists;
mod search;
mod snapshot;
mod state;
mod to_device;
mod url_previews;
mod user_directory;
mod user_tokens;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::StoreError;
use data::{Data, Volatile};

/// A store in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    data: Data,
    volatile: Volatile,
    held: VecDeque<Held>,
    holding: bool,
    closed: bool,
    failures: usize,
    delay: Option<Duration>,
}

/// A write that waits; the argument is what to answer instead of doing it.
type Held = Box<dyn FnOnce(&mut Data, Fate) + Send>;

/// What becomes of a held write.
enum Fate {
    /// Done and answered.
    Answered,
    /// Done, but the machine stopped before anyone was told.
    Unanswered,
    /// Lost.
    Lost,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `count` writes fail; nothing of them is stored.
    pub fn fail_writes(&self, count: usize) {
        self.lock().failures = count;
    }

    /// Every write takes so long (of tokio's clock) before it is stored.
    pub fn set_delay(&self, delay: Option<Duration>) {
        self.lock().delay = delay;
    }

    /// Writes wait from now on.
    pub fn hold(&self) {
        self.lock().holding = true;
    }

    /// How many writes wait.
    pub fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Stores and answers what waits; writes wait no more.
    pub fn release(&self) {
        self.end_hold(usize::MAX, || Fate::Answered);
    }

    /// The machine loses power: of the writes that wait the first `kept` reached the disk, the others are lost, and
    /// none was answered; what nobody waits for is lost too. Then it starts again.
    pub fn crash(&self, kept: usize) {
        self.lock().volatile = Volatile::default();
        self.end_hold(kept, || Fate::Unanswered);
    }

    fn end_hold(&self, kept: usize, fate: impl Fn() -> Fate) {
        let mut inner = self.lock();
        inner.holding = false;
        for (index, held) in std::mem::take(&mut inner.held).into_iter().enumerate() {
            inner.flush();
            held(&mut inner.data, if index < kept { fate() } else { Fate::Lost });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a write, now or when it is no longer held.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Data) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let delay = self.lock().delay;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.lock();
            if inner.closed {
                return Err(StoreError::Io("the store is closed".into()));
            }
            if inner.failures > 0 {
                inner.failures -= 1;
                return Err(StoreError::Io("a write failed, as it was told to".into()));
            }
            let held: Held = Box::new(move |data, fate| {
                let result = match fate {
                    Fate::Answered => work(data),
                    Fate::Unanswered => work(data).and_then(|_| Err(crashed())),
                    Fate::Lost => Err(crashed()),
                };
                // Whoever asked may have gone away.
                let _ = reply.send(result);
            });
            if inner.holding {
                inner.held.push_back(held);
            } else {
                inner.flush();
                held(&mut inner.data, Fate::Answered);
            }
        }
        answer.await.map_err(|_| crashed())?
    }
}

impl Inner {
    /// Makes durable what nobody waits for.
    fn flush(&mut self) {
        self.data.take_over(std::mem::take(&mut self.volatile));
    }
}

fn crashed() -> StoreError {
    StoreError::Io("the machine lost power".into())
}
