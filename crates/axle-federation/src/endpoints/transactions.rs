//! Each transaction is processed once, also when its sender goes away ("Transaction Identifiers").

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::{MatrixError, ServerName};
use axle_room::inbound::{Begin, MAX_PEERS, Transactions};
use axle_store::{Delivery, InboundResponse};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Failure};
use super::lines::Lines;

/// The endpoint of transactions, in the store's words.
const SEND: &str = "send";
/// Larger answers are not kept: a repeated request is processed again, which its event survives, being known already.
const MAX_KEPT_ANSWER_BYTES: usize = 256 * 1024;

/// How long a transaction waits for another one of the same server before it is answered `M_BAD_STATE`.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Answers given, and requests in work.
pub(super) struct Inbound {
    store: Arc<dyn Delivery + Send + Sync>,
    sends: Mutex<Sends>,
    send_ended: Notify,
    lines: Lines,
    others: Mutex<HashMap<Key, watch::Receiver<Option<Outcome>>>>,
}

#[derive(Default)]
struct Sends {
    transactions: Transactions<Answer>,
    /// Origins whose last answers are in memory, either given since the start or read from the store.
    complete: HashSet<ServerName>,
}

type Key = (ServerName, &'static str, String);
type Outcome = Result<Answer, MatrixError>;

impl Inbound {
    pub(super) fn new(store: Arc<dyn Delivery + Send + Sync>) -> Arc<Self> {
        let (sends, send_ended, lines, others) = Default::default();
        Arc::new(Self { store, sends, send_ended, lines, others })
    }

    /// `PUT /send/:txnId`: one at a time from each origin. Another one is given a moment for the first to end, in the
    /// order of arrival, before it is refused: some servers send without waiting, and never again what was refused.
    ///
    /// The draft says to refuse it at once. Waiting is bounded in time, number and bytes (see [`Lines`]), so that
    /// a server which goes on too fast gets the draft's answer.
    pub(super) async fn send<F>(
        self: &Arc<Self>,
        origin: &ServerName,
        txn_id: &str,
        bytes: usize,
        work: F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.recall(origin, txn_id).await?;
        let bad_state = || MatrixError::bad_state("Another transaction of this server is in work.");
        let deadline = Instant::now() + PATIENCE;
        let line = self.lines.join(origin, bytes).ok_or_else(bad_state)?;
        let turn = timeout_at(deadline, line.turn()).await.map_err(|_| bad_state())?;
        loop {
            let mut ended = std::pin::pin!(self.send_ended.notified());
            // Registered before looking, so that an end in between is not missed.
            ended.as_mut().enable();
            let begun = self.sends().transactions.begin(origin, SEND, txn_id);
            match begun {
                Begin::Answered(answer) => return Ok(answer),
                Begin::BadState => timeout_at(deadline, ended).await.map_err(|_| bad_state())?,
                Begin::Process => break,
                Begin::Wait => ended.await,
            }
        }
        drop(turn);
        let ticket = Ticket { inbound: self.clone(), origin: origin.clone(), txn_id: txn_id.to_owned(), answer: None };
        // In a task of its own: it goes on when the sender has gone.
        let task = tokio::spawn(ticket.process(work));
        Ok(task.await.map_err(|_| MatrixError::unknown("The request could not be processed."))??)
    }

    /// Any other endpoint with a transaction id. Several of an origin may be in work.
    pub(super) async fn once<F>(
        self: &Arc<Self>,
        origin: &ServerName,
        endpoint: &'static str,
        txn_id: &str,
        work: F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        if let Some(answer) = self.stored(origin, endpoint, txn_id).await? {
            return Ok(answer);
        }
        let key: Key = (origin.clone(), endpoint, txn_id.to_owned());
        let mut receiver = {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            match others.get(&key) {
                Some(receiver) => receiver.clone(),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    others.insert(key.clone(), receiver.clone());
                    tokio::spawn(self.clone().work_once(key, sender, work));
                    receiver
                }
            }
        };
        let lost = || MatrixError::unknown("The request could not be processed.");
        let outcome = receiver.wait_for(Option::is_some).await.map_err(|_| lost())?.clone();
        Ok(outcome.ok_or_else(lost)??)
    }

    async fn work_once<F>(self: Arc<Self>, key: Key, sender: watch::Sender<Option<Outcome>>, work: F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        // Removed whatever happens; a sender dropped without a word tells those who wait.
        let _entry = Entry { inbound: self.clone(), key: key.clone() };
        let outcome = work.await;
        if let Ok(answer) = &outcome
            && answer.body.len() <= MAX_KEPT_ANSWER_BYTES
        {
            self.record(&key.0, key.1, &key.2, answer);
        }
        let _ = sender.send(Some(outcome));
    }

    /// After a start, the last answer may be in the store only.
    async fn recall(&self, origin: &ServerName, txn_id: &str) -> Result<(), Failure> {
        if self.sends().complete.contains(origin) {
            return Ok(());
        }
        let stored = self.stored(origin, SEND, txn_id).await?;
        let mut sends = self.sends();
        if let Some(answer) = stored {
            sends.transactions.restore(origin, SEND, txn_id, answer);
        }
        if sends.complete.len() >= MAX_PEERS {
            sends.complete.clear();
        }
        sends.complete.insert(origin.clone());
        Ok(())
    }

    async fn stored(&self, origin: &ServerName, endpoint: &str, txn_id: &str) -> Result<Option<Answer>, Failure> {
        let stored = self.store.inbound_response(origin, endpoint, txn_id).await;
        let stored = stored.map_err(|error| MatrixError::unknown(error.to_string()))?;
        Ok(stored.map(|response| Answer { status: response.status, body: response.body.into() }))
    }

    fn record(&self, origin: &ServerName, endpoint: &str, txn_id: &str, answer: &Answer) {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        self.store.record_inbound(origin, endpoint, txn_id, InboundResponse { status: answer.status, body });
    }

    fn sends(&self) -> MutexGuard<'_, Sends> {
        // Nothing panics while it is held; were it to, the answers are still whole.
        self.sends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction in work. However it ends, the next one may begin.
struct Ticket {
    inbound: Arc<Inbound>,
    origin: ServerName,
    txn_id: String,
    answer: Option<Answer>,
}

impl Ticket {
    async fn process(mut self, work: impl Future<Output = Outcome>) -> Outcome {
        let answer = work.await?;
        self.inbound.record(&self.origin, SEND, &self.txn_id, &answer);
        self.answer = Some(answer.clone());
        Ok(answer)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut sends = self.inbound.sends();
        match self.answer.take() {
            Some(answer) => sends.transactions.finish(&self.origin, SEND, &self.txn_id, answer),
            None => sends.transactions.abort(&self.origin, SEND, &self.txn_id),
        }
        drop(sends);
        self.inbound.send_ended.notify_waiters();
    }
}

struct Entry {
    inbound: Arc<Inbound>,
    key: Key,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.inbound.others.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
