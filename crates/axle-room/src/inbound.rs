//! Transactions of other servers ("Transaction Identifiers", `PUT /send/:txnId`).
//!
//! One transaction of an origin and endpoint is in work at a time. A repeated one gets the answer of the first.

use std::collections::{HashMap, VecDeque};

use axle_protocol::ServerName;

/// How many answers are remembered of each origin and endpoint.
pub const MAX_ANSWERS: usize = 8;
/// How many pairs of origin and endpoint are remembered. Those not heard from for the longest are forgotten.
pub const MAX_PEERS: usize = 10_000;

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin<R> {
    /// Process it, then call [`Transactions::finish`] or [`Transactions::abort`], whatever happens.
    Process,
    /// The same transaction is in work: wait until it is finished or aborted, then begin again.
    Wait,
    /// It has been answered: answer the same.
    Answered(R),
    /// Another one is in work: 400 `M_BAD_STATE`.
    BadState,
}

/// The transactions of all origins. `R` is an answer, cheap to clone.
#[derive(Debug)]
pub struct Transactions<R> {
    peers: HashMap<(ServerName, &'static str), Peer<R>>,
    clock: u64,
}

#[derive(Debug)]
struct Peer<R> {
    in_work: Option<String>,
    answers: VecDeque<(String, R)>,
    last_heard: u64,
}

impl<R> Default for Transactions<R> {
    fn default() -> Self {
        Self { peers: HashMap::new(), clock: 0 }
    }
}

impl<R: Clone> Transactions<R> {
    /// A request came in.
    pub fn begin(&mut self, origin: &ServerName, endpoint: &'static str, txn_id: &str) -> Begin<R> {
        self.clock += 1;
        let clock = self.clock;
        self.make_room(origin, endpoint);
        let new = || Peer { in_work: None, answers: VecDeque::new(), last_heard: clock };
        let peer = self.peers.entry((origin.clone(), endpoint)).or_insert_with(new);
        peer.last_heard = clock;
        if let Some((_, answer)) = peer.answers.iter().find(|(id, _)| id == txn_id) {
            return Begin::Answered(answer.clone());
        }
        match &peer.in_work {
            Some(id) if id == txn_id => Begin::Wait,
            Some(_) => Begin::BadState,
            None => {
                peer.in_work = Some(txn_id.to_owned());
                Begin::Process
            }
        }
    }

    /// The transaction was processed, everything that it brought is durable, and this is its answer.
    pub fn finish(&mut self, origin: &ServerName, endpoint: &'static str, txn_id: &str, answer: R) {
        let Some(peer) = self.peers.get_mut(&(origin.clone(), endpoint)) else { return };
        if peer.in_work.as_deref() == Some(txn_id) {
            peer.in_work = None;
            remember(peer, txn_id, answer);
        }
    }

    /// The transaction could not be processed for a reason of ours: a repeated one starts anew.
    pub fn abort(&mut self, origin: &ServerName, endpoint: &'static str, txn_id: &str) {
        let Some(peer) = self.peers.get_mut(&(origin.clone(), endpoint)) else { return };
        if peer.in_work.as_deref() == Some(txn_id) {
            peer.in_work = None;
        }
    }

    /// An answer from before a restart, so that a repeated transaction gets it.
    pub fn restore(&mut self, origin: &ServerName, endpoint: &'static str, txn_id: &str, answer: R) {
        self.clock += 1;
        self.make_room(origin, endpoint);
        let new = Peer { in_work: None, answers: VecDeque::new(), last_heard: self.clock };
        remember(self.peers.entry((origin.clone(), endpoint)).or_insert(new), txn_id, answer);
    }

    /// Forgets the peer not heard from for the longest if a new one would be too many. A peer with a transaction in
    /// work stays.
    fn make_room(&mut self, origin: &ServerName, endpoint: &'static str) {
        if self.peers.len() < MAX_PEERS || self.peers.contains_key(&(origin.clone(), endpoint)) {
            return;
        }
        let idle = self.peers.iter().filter(|(_, peer)| peer.in_work.is_none());
        if let Some(oldest) = idle.min_by_key(|(_, peer)| peer.last_heard).map(|(key, _)| key.clone()) {
            self.peers.remove(&oldest);
        }
    }
}

fn remember<R>(peer: &mut Peer<R>, txn_id: &str, answer: R) {
    peer.answers.retain(|(id, _)| id != txn_id);
    if peer.answers.len() >= MAX_ANSWERS {
        peer.answers.pop_front();
    }
    peer.answers.push_back((txn_id.to_owned(), answer));
}
