//! The state machine of one destination.

use std::collections::VecDeque;
use std::sync::Arc;

use axle_protocol::ServerName;
use axle_protocol::limits::MAX_PDUS_PER_TRANSACTION;

use super::backoff::Backoff;
use super::{
    Cursor, ERRORS_BEFORE_HALVING, Item, MAX_SUSPECTS, MAX_TRANSACTION_BYTES, Output, REFUSALS_BEFORE_HALVING, Response,
};

/// How many items are read at a time.
const LOAD_LIMIT: usize = 2 * MAX_PDUS_PER_TRANSACTION;

/// The queue towards one server.
#[derive(Debug)]
pub struct Destination {
    name: ServerName,
    txn_prefix: Box<str>,
    txns: u64,
    backoff: Backoff,
    /// How many items the next transaction may have. Halved by refusals, doubled by successes.
    window: usize,
    /// Read and not yet in a transaction, in order.
    ready: VecDeque<Item>,
    loaded: Cursor,
    loading: bool,
    /// There may be more to read than was read.
    more: bool,
    /// Delivered, as far as nothing before it is under suspicion.
    done: Cursor,
    acknowledged: Cursor,
    flight: Option<Flight>,
    /// Events that the other server failed at, each alone, in order. What follows is tried without them.
    suspects: VecDeque<(Item, String)>,
    /// Something got through after the suspects: each has its last chance.
    confirming: bool,
    retry_at: Option<u64>,
    unreachable: bool,
    outputs: VecDeque<Output>,
}

/// The transaction that the other server has not taken yet.
#[derive(Debug)]
struct Flight {
    txn_id: Arc<str>,
    items: Arc<[Item]>,
    sent: bool,
    refusals: u32,
    errors: u32,
    last_chance: bool,
}

/// What an answer says about the transaction.
enum Verdict {
    /// Try again after this long, and count it as a failure or not.
    Again { retry_after_ms: Option<u64> },
    /// An earlier request is still in work.
    InWork,
    /// The request is wrong, and would be again.
    Refusal,
    /// The other server failed while working on it.
    Error,
}

impl Destination {
    /// A queue that has delivered nothing yet. `boot` must differ from every start of this server to the next, since
    /// transaction ids are made from it; `seed` is for jitter.
    pub fn new(name: ServerName, boot: &str, seed: u64) -> Self {
        Self {
            name,
            txn_prefix: boot.into(),
            txns: 0,
            backoff: Backoff::new(seed),
            window: MAX_PDUS_PER_TRANSACTION,
            ready: VecDeque::new(),
            loaded: Cursor::default(),
            loading: false,
            more: false,
            done: Cursor::default(),
            acknowledged: Cursor::default(),
            flight: None,
            suspects: VecDeque::new(),
            confirming: false,
            retry_at: None,
            unreachable: false,
            outputs: VecDeque::new(),
        }
    }

    /// The server.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// Whether everything that was read has been delivered, and nothing is being read.
    pub fn is_idle(&self) -> bool {
        self.flight.is_none() && self.ready.is_empty() && self.suspects.is_empty() && !self.loading && !self.more
    }

    /// Something was queued (or may have been: call this after a start).
    pub fn handle_wake(&mut self) {
        self.more = true;
        self.advance();
    }

    /// What a [`Output::Load`] found, in order.
    pub fn handle_loaded(&mut self, items: Vec<Item>) {
        self.loading = false;
        self.more |= items.len() >= LOAD_LIMIT;
        items.iter().for_each(|item| self.loaded.advance(item.source));
        self.ready.extend(items);
        self.advance();
    }

    /// How the last [`Output::Transmit`] went.
    pub fn handle_response(&mut self, response: Response, now: u64) {
        let Some(mut flight) = self.flight.take_if(|flight| flight.sent) else { return };
        flight.sent = false;
        self.unreachable = matches!(response, Response::Unreachable(_));
        match response {
            Response::Ok { failed } => self.delivered(&flight, failed),
            Response::Unreachable(error) => {
                self.attempted(&error);
                self.retry(flight, None, now);
            }
            Response::Refused { status, errcode, error, retry_after_ms } => {
                let reason = format!("{status} {}: {error}", errcode.as_deref().unwrap_or("without errcode"));
                self.attempted(&reason);
                self.refused(flight, verdict(status, errcode.as_deref(), retry_after_ms), reason, now);
            }
        }
        self.advance();
    }

    /// The time of the last [`Output::SetTimer`] has come.
    pub fn handle_timeout(&mut self, now: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.advance();
        }
    }

    /// The other server was heard of: if it could not be reached, try again now.
    pub fn handle_alive(&mut self) {
        if self.unreachable && self.retry_at.take().is_some() {
            self.unreachable = false;
            self.backoff.reset();
            self.advance();
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Does whatever can be done without another input.
    fn advance(&mut self) {
        if self.more && !self.loading && self.ready.len() < MAX_PDUS_PER_TRANSACTION {
            self.more = false;
            self.loading = true;
            self.outputs.push_back(Output::Load { after: self.loaded, limit: LOAD_LIMIT });
        }
        if self.retry_at.is_some() {
            return;
        }
        if self.flight.is_none() {
            self.flight = self.next_flight();
        }
        if let Some(flight) = &mut self.flight
            && !flight.sent
        {
            flight.sent = true;
            let (txn_id, items) = (Arc::clone(&flight.txn_id), Arc::clone(&flight.items));
            self.outputs.push_back(Output::Transmit { txn_id, items });
        }
    }

    fn next_flight(&mut self) -> Option<Flight> {
        if self.confirming {
            if let Some((item, _)) = self.suspects.pop_front() {
                return Some(self.flight_of(vec![item], true));
            }
            self.confirming = false;
        }
        let nothing_to_try = self.ready.is_empty() && !self.loading;
        if nothing_to_try || self.suspects.len() >= MAX_SUSPECTS {
            self.absolve();
        }
        let mut bytes = 0;
        let fits = |item: &&Item| {
            bytes += item.json.len();
            bytes <= MAX_TRANSACTION_BYTES
        };
        let window = if self.suspects.is_empty() { self.window } else { 1 };
        let count = self.ready.iter().take(window).take_while(fits).count();
        let items: Vec<_> = self.ready.drain(..count).collect();
        (!items.is_empty()).then(|| self.flight_of(items, false))
    }

    fn flight_of(&mut self, items: Vec<Item>, last_chance: bool) -> Flight {
        self.txns += 1;
        let txn_id = format!("{}-{}", self.txn_prefix, self.txns).into();
        Flight { txn_id, items: items.into(), sent: false, refusals: 0, errors: 0, last_chance }
    }

    fn delivered(&mut self, flight: &Flight, failed: Vec<(String, String)>) {
        self.outputs.push_back(Output::Attempted(None));
        let alone = flight.items.len() == 1;
        for (id, reason) in failed {
            // A hub may name an LPDU by the id of what it would have made of it: then only a lone one is known.
            let by_id = flight.items.iter().find(|item| item.event_id.as_str() == id);
            if let Some(item) = by_id.or(flight.items.first().filter(|_| alone)) {
                self.outputs.push_back(Output::Failed { item: item.clone(), reason });
            }
        }
        flight.items.iter().for_each(|item| self.done.advance(item.source));
        self.backoff.reset();
        self.window = (self.window * 2).min(MAX_PDUS_PER_TRANSACTION);
        self.confirming = !self.suspects.is_empty();
        self.acknowledge();
    }

    fn refused(&mut self, mut flight: Flight, verdict: Verdict, reason: String, now: u64) {
        let (count, limit) = match verdict {
            Verdict::Again { retry_after_ms } => return self.retry(flight, retry_after_ms, now),
            Verdict::InWork => {
                let delay = self.backoff.pause();
                return self.wait(flight, delay, now);
            }
            Verdict::Refusal => (&mut flight.refusals, REFUSALS_BEFORE_HALVING),
            Verdict::Error => (&mut flight.errors, ERRORS_BEFORE_HALVING),
        };
        *count += 1;
        if *count < limit {
            return self.retry(flight, None, now);
        }
        match &*flight.items {
            [item] if flight.last_chance || matches!(verdict, Verdict::Refusal) => self.park(item.clone(), reason),
            [item] => {
                self.suspects.push_back((item.clone(), reason));
                self.backoff.reset();
                if self.suspects.len() >= MAX_SUSPECTS || (self.ready.is_empty() && !self.loading && !self.more) {
                    // Nothing to compare with: it may be the other server that is ill, not the event.
                    self.absolve();
                    self.set_timer(super::MAX_DELAY_MS, now);
                }
            }
            items => {
                self.window = (items.len() / 2).max(1);
                self.put_back(items.iter().cloned());
                self.backoff.reset();
            }
        }
    }

    /// All suspects are innocent until something after them gets through: they are tried again, in order.
    fn absolve(&mut self) {
        let suspects = std::mem::take(&mut self.suspects);
        if !suspects.is_empty() {
            self.window = 1;
        }
        self.put_back(suspects.into_iter().map(|(item, _)| item));
    }

    fn put_back(&mut self, items: impl DoubleEndedIterator<Item = Item>) {
        items.rev().for_each(|item| self.ready.push_front(item));
    }

    fn park(&mut self, item: Item, reason: String) {
        self.done.advance(item.source);
        self.outputs.push_back(Output::Park { item, reason });
        self.backoff.reset();
        self.acknowledge();
    }

    fn retry(&mut self, flight: Flight, retry_after_ms: Option<u64>, now: u64) {
        let delay = self.backoff.fail(retry_after_ms);
        self.wait(flight, delay, now);
    }

    fn wait(&mut self, flight: Flight, delay: u64, now: u64) {
        self.flight = Some(flight);
        self.set_timer(delay, now);
    }

    fn set_timer(&mut self, delay: u64, now: u64) {
        self.retry_at = Some(now + delay);
        self.outputs.push_back(Output::SetTimer(now + delay));
    }

    fn acknowledge(&mut self) {
        if self.suspects.is_empty() && self.done != self.acknowledged {
            self.acknowledged = self.done;
            self.outputs.push_back(Output::Acknowledge(self.done));
        }
    }

    fn attempted(&mut self, error: &str) {
        self.outputs.push_back(Output::Attempted(Some(error.to_owned())));
    }
}

fn verdict(status: u16, errcode: Option<&str>, retry_after_ms: Option<u64>) -> Verdict {
    match (status, errcode) {
        (_, Some("M_BAD_STATE")) => Verdict::InWork,
        (429, _) | (_, Some("M_LIMIT_EXCEEDED")) => Verdict::Again { retry_after_ms },
        // About us, the path or the moment, not about the events.
        (401 | 403 | 404 | 405 | 407 | 408 | 421 | 425 | 426, _) => Verdict::Again { retry_after_ms },
        (400..=499, _) => Verdict::Refusal,
        (500, _) => Verdict::Error,
        _ => Verdict::Again { retry_after_ms },
    }
}
