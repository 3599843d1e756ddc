//! The state machine of one destination.

use std::collections::VecDeque;
use std::sync::Arc;

use axle_protocol::ServerName;
use axle_protocol::limits::MAX_PDUS_PER_TRANSACTION;

use super::backoff::Backoff;
use super::{
    Cursor, ERRORS_BEFORE_HALVING, Item, MAX_TRANSACTION_BYTES, Output, REFUSALS_BEFORE_HALVING, Response, Source,
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
    /// Delivered, or set aside.
    done: Cursor,
    flight: Option<Flight>,
    /// A transaction without events is under way, to learn whether the other server takes any.
    probing: bool,
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
    /// The other server has just taken a transaction without events.
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
            flight: None,
            probing: false,
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
        self.flight.is_none() && self.ready.is_empty() && !self.loading && !self.more
    }

    /// Whether the other server could not be reached the last time: then [`Destination::handle_alive`] matters, and what
    /// is of use now only is of none.
    pub fn is_unreachable(&self) -> bool {
        self.unreachable
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
        let probed = std::mem::take(&mut self.probing);
        self.unreachable = matches!(response, Response::Unreachable(_));
        match response {
            Response::Ok { .. } if probed => {
                flight.last_chance = true;
                self.flight = Some(flight);
            }
            Response::Ok { failed } => self.delivered(&flight, failed),
            Response::Unreachable(error) => {
                self.attempted(&error);
                self.ready.retain(|item| item.source != Source::Fleeting);
                self.retry(flight, None, now);
            }
            Response::Refused { status, errcode, error, retry_after_ms } => {
                let reason = format!("{status} {}: {error}", errcode.as_deref().unwrap_or("without errcode"));
                self.attempted(&reason);
                match verdict(status, errcode.as_deref(), retry_after_ms) {
                    // It refuses what holds no event: it is not the event's fault.
                    Verdict::Refusal | Verdict::Error if probed => self.retry(flight, None, now),
                    verdict => self.refused(flight, verdict, reason, now),
                }
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
        let probe = self.probing.then(|| self.next_txn_id());
        if let Some(flight) = self.flight.as_mut().filter(|flight| !flight.sent) {
            flight.sent = true;
            let (txn_id, items) = match probe {
                Some(txn_id) => (txn_id, Arc::default()),
                None => (Arc::clone(&flight.txn_id), Arc::clone(&flight.items)),
            };
            self.outputs.push_back(Output::Transmit { txn_id, items });
        }
    }

    fn next_flight(&mut self) -> Option<Flight> {
        let mut bytes = 0;
        let fits = |item: &&Item| {
            let first = bytes == 0;
            bytes += item.json.len();
            first || bytes <= MAX_TRANSACTION_BYTES
        };
        let count = self.ready.iter().take(self.window).take_while(fits).count();
        let items: Arc<[Item]> = self.ready.drain(..count).collect();
        let txn_id = if items.is_empty() { return None } else { self.next_txn_id() };
        Some(Flight { txn_id, items, sent: false, refusals: 0, errors: 0, last_chance: false })
    }

    fn next_txn_id(&mut self) -> Arc<str> {
        self.txns += 1;
        format!("{}-{}", self.txn_prefix, self.txns).into()
    }

    fn delivered(&mut self, flight: &Flight, failed: Vec<(String, String)>) {
        self.outputs.push_back(Output::Attempted(None));
        let is_event = |item: &&Item| !item.source.is_edu();
        let alone = flight.items.iter().filter(is_event).count() == 1;
        for (id, reason) in failed {
            // A hub may name an LPDU by the id of what it would have made of it: then only a lone one is known.
            let is_it = |item: &&Item| item.event_id.as_ref().is_some_and(|event_id| event_id.as_str() == id);
            let by_id = flight.items.iter().find(is_it);
            if let Some(item) = by_id.or(flight.items.iter().find(is_event).filter(|_| alone)) {
                self.outputs.push_back(Output::Failed { item: item.clone(), reason });
            }
        }
        self.backoff.reset();
        self.window = (self.window * 2).min(MAX_PDUS_PER_TRANSACTION);
        self.acknowledge(&flight.items);
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
        if flight.items.len() > 1 {
            self.window = flight.items.len() / 2;
            flight.items.iter().rev().for_each(|item| self.ready.push_front(item.clone()));
            self.backoff.reset();
        } else if flight.last_chance {
            self.backoff.reset();
            let parked = flight.items.iter().map(|item| Output::Park { item: item.clone(), reason: reason.clone() });
            self.outputs.extend(parked);
            self.acknowledge(&flight.items);
        } else {
            // Is it the event, or would the other server refuse anything? Only what it refuses alone is set aside.
            flight.last_chance = false;
            self.probing = true;
            self.flight = Some(flight);
        }
    }

    fn retry(&mut self, mut flight: Flight, retry_after_ms: Option<u64>, now: u64) {
        flight.last_chance = false;
        let delay = self.backoff.fail(retry_after_ms);
        self.wait(flight, delay, now);
    }

    fn wait(&mut self, mut flight: Flight, delay: u64, now: u64) {
        if flight.items.iter().any(|item| item.source == Source::Fleeting) {
            flight.items = flight.items.iter().filter(|item| item.source != Source::Fleeting).cloned().collect();
        }
        if flight.items.is_empty() {
            // Nothing is left to be tried again; what comes next waits all the same.
            self.probing = false;
        } else {
            self.flight = Some(flight);
        }
        self.retry_at = Some(now + delay);
        self.outputs.push_back(Output::SetTimer(now + delay));
    }

    fn acknowledge(&mut self, items: &[Item]) {
        items.iter().for_each(|item| self.done.advance(item.source));
        self.outputs.push_back(Output::Acknowledge(self.done));
    }

    fn attempted(&mut self, error: &str) {
        self.outputs.push_back(Output::Attempted(Some(error.to_owned())));
    }
}

fn verdict(status: u16, errcode: Option<&str>, retry_after_ms: Option<u64>) -> Verdict {
    match (status, errcode) {
        (_, Some("M_BAD_STATE")) => Verdict::InWork,
        (429, _) | (_, Some("M_LIMIT_EXCEEDED")) => Verdict::Again { retry_after_ms },
        // About us or the moment, not about the events.
        (401 | 407 | 408 | 421 | 425 | 426, _) => Verdict::Again { retry_after_ms },
        (400..=499, _) => Verdict::Refusal,
        (500, _) => Verdict::Error,
        _ => Verdict::Again { retry_after_ms },
    }
}
