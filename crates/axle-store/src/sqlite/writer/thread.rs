//! The thread that writes what is queued.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::commit::Length;
use super::{Job, Message, Seat};
use crate::sqlite::Shared;
use crate::sqlite::later::Later;

/// At most so many writes share a transaction.
const MAX_BATCH: usize = 1024;
/// Writes that nobody waits for are made so seldom, as part of a transaction that somebody waits for, or of their own.
pub(super) const LATER_DELAY: Duration = Duration::from_millis(250);
/// And when they could not be written.
const RETRY_DELAY: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    seat: Seat,
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    /// How long writes that nobody waits for may wait.
    delay: Duration,
    /// When they were made last.
    later_at: Instant,
}

impl Worker {
    pub(super) fn new(seat: Seat, shared: Arc<Shared>, messages: Receiver<Message>) -> Self {
        Self { seat, shared, messages, delay: LATER_DELAY, later_at: Instant::now() }
    }

    pub(super) fn run(mut self) {
        let mut open = true;
        while open {
            let mut jobs = Vec::new();
            open = self.collect(&mut jobs);
            let Ok(mut seat) = self.seat.lock() else { return };
            // A write has panicked.
            let Some(committer) = seat.as_mut() else { return };
            // With the seat: only the transaction that writes it may say that it is written.
            let later = if !open || jobs.is_empty() || self.later_at.elapsed() >= self.delay {
                self.later_at = Instant::now();
                self.shared.take_later()
            } else {
                Later::default()
            };
            let is_written = committer.commit(jobs, later, Length::Any);
            self.delay = if is_written { LATER_DELAY } else { RETRY_DELAY };
        }
        if let Some(committer) = self.seat.lock().ok().and_then(|mut seat| seat.take()) {
            committer.close();
        }
    }

    /// Waits for work and takes all there is; `false`: the store is being closed.
    fn collect(&self, jobs: &mut Vec<Box<dyn Job>>) -> bool {
        match self.first() {
            Some(Message::Job(job)) => jobs.push(job),
            Some(Message::Later) => {}
            Some(Message::Close) | None => return false,
        }
        while jobs.len() < MAX_BATCH {
            match self.messages.try_recv() {
                Ok(Message::Job(job)) => jobs.push(job),
                Ok(Message::Later) => {}
                Ok(Message::Close) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => break,
            }
        }
        true
    }

    /// What to begin the next transaction with. A writer that is busy need not be woken for what nobody waits for.
    fn first(&self) -> Option<Message> {
        loop {
            match self.messages.recv_timeout(self.delay) {
                Ok(Message::Later) => {}
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if !self.shared.may_sleep() => return Some(Message::Later),
                Err(RecvTimeoutError::Timeout) => {
                    let message = self.messages.recv();
                    self.shared.woken();
                    if !matches!(message, Ok(Message::Later)) {
                        return message.ok();
                    }
                }
            }
        }
    }
}
