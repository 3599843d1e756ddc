//! Writing, and group commit: whatever is queued when the writer's thread comes round goes into one transaction, made
//! durable by one fsync, and only then is anyone answered. Who is [alone](company) makes a small write himself.

mod commit;
mod company;
mod thread;
mod tx;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use super::later::Later;
use crate::StoreError;
use commit::{Committer, Length};
use company::Company;
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

/// What writes: `None` when it is closed.
type Seat = Arc<Mutex<Option<Committer>>>;

/// The queue of the writer thread. Dropping it writes what is queued and ends the thread.
pub(super) struct Writer {
    queue: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    seat: Seat,
    company: Arc<Company>,
}

impl Writer {
    /// Starts the thread on its connection.
    pub(super) fn start(conn: Connection, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let company = Arc::new(Company::default());
        let seat = Arc::new(Mutex::new(Some(Committer::new(conn, shared.clone(), company.clone())?)));
        let (queue, messages) = channel();
        let worker = Worker::new(seat.clone(), shared, messages);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), seat, company })
    }

    /// Queues a write; the answer comes when it is durable.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let _asking = self.company.ask();
        self.queue(work).await
    }

    /// Makes a write that is so small that its commit is what takes time. If nobody else writes, it blocks until that is
    /// done: usually a fraction of a millisecond, and longer where the disk hesitates or a foreign process has the file.
    pub(super) async fn write_small<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let asking = self.company.ask();
        let work = if asking.is_alone() { self.write_here(work) } else { Err(work) };
        match work {
            Ok(outcome) => outcome,
            Err(work) => self.queue(work).await,
        }
    }

    /// Makes a write here and now, unless the writer's thread is at it.
    fn write_here<T, F>(&self, work: F) -> Result<Result<T, StoreError>, F>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let Ok(mut seat) = self.seat.try_lock() else { return Err(work) };
        let Some(committer) = seat.as_mut() else { return Ok(Err(stopped())) };
        let (reply, mut answer) = oneshot::channel();
        let jobs: Vec<Box<dyn Job>> = vec![Box::new(Task { work, result: None, reply })];
        let commit = AssertUnwindSafe(|| committer.commit(jobs, Later::default(), Length::Short));
        if catch_unwind(commit).is_err() {
            // Whoever asked goes on; the connection is in the middle of a transaction, and is closed.
            seat.take();
        }
        Ok(answer.try_recv().unwrap_or_else(|_| Err(stopped())))
    }

    async fn queue<T, F>(&self, work: F) -> Result<T, StoreError>
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
    /// Fails if nothing is written any more: it is closed, or a write has panicked.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        match self.seat.try_lock() {
            Ok(seat) if seat.is_none() => Err(stopped()),
            Err(TryLockError::Poisoned(_)) => Err(stopped()),
            // Somebody writes.
            Ok(_) | Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// Writes what is queued and ends the thread. Later writes fail. Blocks.
    pub(super) fn close(&self) {
        // An error: the thread has ended already.
        let _ = self.queue.send(Message::Close);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread had panicked");
        }
        // The thread has closed it, unless something panicked.
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axle_protocol::ServerName;

    use super::super::{Options, SqliteStore};
    use super::company::ALONE;
    use super::*;
    use crate::{Delivery as _, InboundResponse, Operator as _};

    /// Commits that are quicker than any, whatever the disk does beside this test.
    const QUICK_COMMITS: usize = 100;

    /// A store whose next small write is made by who asks for it.
    async fn alone(folder: &tempfile::TempDir) -> SqliteStore {
        let store = SqliteStore::open(folder.path().join("axle.db"), Options::default()).unwrap();
        for _ in 0..ALONE {
            store.write_small(|_| Ok(())).await.unwrap();
        }
        let writer = store.writer().unwrap();
        // The thread answers before it gets up.
        drop(writer.seat.lock().unwrap());
        (0..QUICK_COMMITS).for_each(|_| writer.company.took(Duration::ZERO));
        store
    }

    fn thread_name() -> Option<String> {
        std::thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn who_is_alone_writes_himself_and_nothing_large() {
        let folder = tempfile::tempdir().unwrap();
        let store = alone(&folder).await;
        assert_eq!(store.write_small(|_| Ok(thread_name())).await.unwrap(), thread_name());
        assert_eq!(store.write(|_| Ok(thread_name())).await.unwrap().as_deref(), Some("store-writer"));
    }

    /// Also while something else is committed.
    #[tokio::test]
    async fn an_answer_is_known_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = alone(&folder).await;
        let origin = ServerName::parse("a.test").unwrap();
        {
            let mut seat = store.writer().unwrap().seat.lock().unwrap();
            store.record_inbound(&origin, "send", "1", InboundResponse { status: 200, body: "{}".into() });
            // So long that the thread wants to write it.
            std::thread::sleep(thread::LATER_DELAY * 3);
            let (reply, _answer) = oneshot::channel();
            let task = Task { work: |_: &mut Tx<'_>| Ok(()), result: None, reply };
            seat.as_mut().unwrap().commit(vec![Box::new(task)], Later::default(), Length::Short);
            assert!(store.unwritten_response(&origin, "send", "1").is_some());
        }
        assert!(store.inbound_response(&origin, "send", "1").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_write_that_panics_ends_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = alone(&folder).await;
        let panics = store.write_small::<(), _>(|_| panic!("on purpose"));
        assert!(matches!(panics.await, Err(StoreError::Io(_))));
        assert!(matches!(store.write(|_| Ok(())).await, Err(StoreError::Io(_))));
        assert!(matches!(store.write_small(|_| Ok(())).await, Err(StoreError::Io(_))));
        assert!(matches!(store.probe().await, Err(StoreError::Io(_))), "it is not healthy");
        drop(store);
        let store = alone(&folder).await;
        assert!(matches!(store.probe().await, Ok(())));
        let panics = store.write::<(), _>(|_| panic!("on purpose, in the thread"));
        assert!(matches!(panics.await, Err(StoreError::Io(_))));
        assert!(matches!(store.write_small(|_| Ok(())).await, Err(StoreError::Io(_))));
        assert!(matches!(store.probe().await, Err(StoreError::Io(_))), "it is not healthy");
    }
}
