//! The one thread that writes, and group commit: whatever is queued when it comes round goes into one transaction,
//! made durable by one fsync, and only then is anyone answered.

mod commit;
mod thread;
mod tx;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use crate::StoreError;
use commit::Committer;
use thread::Worker;
pub(super) use tx::{Effects, Tx};

/// A queued write. It may run more than once: a batch that one write spoils is run again, each in a savepoint.
trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<T, F> {
    work: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.result = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // Whoever asked may have gone away.
        let _ = reply.send(outcome.and_then(|()| result.ok_or_else(stopped)));
    }
}

enum Message {
    Job(Box<dyn Job>),
    /// There is something to write that nobody waits for.
    Later,
    Close,
}

/// The queue of the writer thread. Dropping it writes what is queued and ends the thread.
pub(super) struct Writer {
    queue: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on its connection.
    pub(super) fn start(conn: Connection, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let committer = Committer::new(conn, shared.clone())?;
        let (queue, messages) = channel();
        let worker = Worker::new(committer, shared, messages);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a write; the answer comes when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Task { work, result: None, reply };
        self.queue.send(Message::Job(Box::new(task))).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Tells that something waits that nobody waits for.
    pub(super) fn nudge(&self) {
        // A writer that has ended is reported to the next one who waits.
        let _ = self.queue.send(Message::Later);
    }
}

impl Writer {
    /// Writes what is queued and ends the thread. Later writes fail. Blocks.
    pub(super) fn close(&self) {
        // An error: the thread has ended already.
        let _ = self.queue.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn stopped() -> StoreError {
    StoreError::Io("the store's writer has stopped".into())
}
