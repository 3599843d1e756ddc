//! Which rooms have a running worker, and how to reach it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::RoomId;
use lru::LruCache;
use tokio::sync::{mpsc, watch};

use super::worker::Job;

/// Jobs that may wait for one worker; whoever comes next waits to hand over.
const MAILBOX: usize = 1024;
/// Rooms in memory at a time. Beyond, the one used longest ago is asked to go.
const MAX_LOADED: usize = 1024;

/// The running workers, the most recently used first.
pub(super) struct Registry {
    workers: Mutex<Workers>,
    /// Held by every worker; when all are gone, closing is done.
    running: watch::Sender<()>,
    /// For those who wait for something else than a job.
    closing: watch::Sender<bool>,
}

struct Workers {
    by_room: LruCache<RoomId, mpsc::Sender<Job>>,
    closed: bool,
}

/// Shows that a worker runs.
pub(super) struct Running {
    _alive: watch::Receiver<()>,
}

impl Registry {
    pub(super) fn new() -> Self {
        let workers = Workers { by_room: LruCache::unbounded(), closed: false };
        Self { workers: Mutex::new(workers), running: watch::channel(()).0, closing: watch::channel(false).0 }
    }

    /// The way to a room's worker; `start` starts one on a new mailbox. `None`: the server is shutting down.
    pub(super) fn worker(
        &self,
        room_id: &RoomId,
        start: impl FnOnce(mpsc::Receiver<Job>, Running),
    ) -> Option<mpsc::Sender<Job>> {
        let mut workers = self.lock();
        if workers.closed {
            return None;
        }
        // A worker that panicked has dropped its mailbox.
        if let Some(sender) = workers.by_room.get(room_id).filter(|sender| !sender.is_closed()) {
            return Some(sender.clone());
        }
        if workers.by_room.len() >= MAX_LOADED
            && let Some((_, oldest)) = workers.by_room.peek_lru()
        {
            // A full mailbox means that it is busy: then it stays.
            let _ = oldest.try_send(Job::Rest);
        }
        let (sender, receiver) = mpsc::channel(MAILBOX);
        workers.by_room.put(room_id.clone(), sender.clone());
        start(receiver, Running { _alive: self.running.subscribe() });
        Some(sender)
    }

    /// A worker asks to end. `true`: it is forgotten, and nobody can hand it anything any more.
    pub(super) fn forget(&self, room_id: &RoomId, mailbox: &mpsc::Receiver<Job>) -> bool {
        let mut workers = self.lock();
        // Senders are handed out under this lock only. If the one kept here is the last, nothing can come any more.
        let last = mailbox.is_empty() && mailbox.sender_strong_count() == 1;
        if last {
            workers.by_room.pop(room_id);
        }
        last
    }

    /// Lets every worker end when it has done what is in its mailbox, and waits for that.
    pub(super) async fn close(&self) {
        {
            let mut workers = self.lock();
            workers.closed = true;
            workers.by_room.clear();
        }
        self.closing.send_replace(true);
        self.running.closed().await;
    }

    /// Waits, but not longer than until closing begins. `false`: it has begun.
    pub(super) async fn pause(&self, duration: Duration) -> bool {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            _ = closing.wait_for(|closing| *closing) => false,
        }
    }

    /// How many rooms are in memory.
    pub(super) fn len(&self) -> usize {
        self.lock().by_room.len()
    }

    fn lock(&self) -> MutexGuard<'_, Workers> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
