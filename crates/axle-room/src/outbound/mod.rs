//! The queue towards one server, without I/O.
//!
//! Feed it with the `handle_*` inputs and, after each, carry out what [`Destination::poll_output`] gives until it gives
//! nothing. Everything is delivered in order, one transaction at a time, again and again until it is taken; what the
//! other server refuses for good, or fails at while it takes other transactions, is found by halving and set aside, so that
//! it holds nothing up.

mod backoff;
mod destination;

use std::sync::Arc;

use axle_protocol::EventId;

pub use backoff::{BAD_STATE_DELAY_MS, FIRST_DELAY_MS, MAX_DELAY_MS, MAX_RETRY_AFTER_MS};
pub use destination::Destination;

/// Size of a transaction's events, in bytes, at which no more are put in.
pub const MAX_TRANSACTION_BYTES: usize = 1 << 20;
/// How many refusals of the same transaction make it definitive.
pub const REFUSALS_BEFORE_HALVING: u32 = 2;
/// How many times the other server may fail (500) at the same transaction before its events are suspected.
pub const ERRORS_BEFORE_HALVING: u32 = 4;

/// Which queue something is from, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A finished event of a room that we are the hub of: its stream position.
    Event(i64),
    /// An LPDU of one of our users, for the room's hub: its queue id.
    Lpdu(i64),
    /// An EDU that is kept until it is delivered: its queue id.
    Edu(i64),
    /// An EDU that is of use now or never: it is tried once.
    Fleeting,
}

/// A place in all queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The last stream position.
    pub event: i64,
    /// The last queue id of an LPDU.
    pub lpdu: i64,
    /// The last queue id of an EDU.
    pub edu: i64,
}

impl Cursor {
    /// Moves to an item, never back.
    pub fn advance(&mut self, source: Source) {
        match source {
            Source::Event(stream) => self.event = self.event.max(stream),
            Source::Lpdu(id) => self.lpdu = self.lpdu.max(id),
            Source::Edu(id) => self.edu = self.edu.max(id),
            Source::Fleeting => {}
        }
    }
}

impl Source {
    /// Whether it stands for an EDU rather than an event.
    pub fn is_edu(self) -> bool {
        matches!(self, Self::Edu(_) | Self::Fleeting)
    }
}

/// An event, LPDU or EDU to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is from.
    pub source: Source,
    /// Its id; of an LPDU, the id that it has as such. EDUs have none.
    pub event_id: Option<EventId>,
    /// The exact bytes.
    pub json: Arc<str>,
}

/// How a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// 200, with `failed_pdus`: reasons by the id under which the other server knows the event.
    Ok {
        /// May be empty.
        failed: Vec<(String, String)>,
    },
    /// An answer with another status.
    Refused {
        /// HTTP status.
        status: u16,
        /// `errcode`, if the body had one.
        errcode: Option<String>,
        /// `error`, or whatever can be said.
        error: String,
        /// `retry_after_ms`, or the header `Retry-After`.
        retry_after_ms: Option<u64>,
    },
    /// No answer: no address, no connection, no TLS, a timeout.
    Unreachable(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Read the first items after this place, at most so many, and answer with [`Destination::handle_loaded`].
    Load {
        /// The place.
        after: Cursor,
        /// At most so many.
        limit: usize,
    },
    /// Send a transaction and answer with [`Destination::handle_response`]. A repeated one has the same id and items,
    /// without those that were to be tried once.
    /// One without items is sent, too: it shows whether the other server refuses an event or anything.
    Transmit {
        /// `:txnId`.
        txn_id: Arc<str>,
        /// `pdus` and `edus`.
        items: Arc<[Item]>,
    },
    /// Everything up to this place was delivered, or set aside.
    Acknowledge(Cursor),
    /// The other server took the transaction but not this event. It counts as delivered.
    Failed {
        /// Which.
        item: Item,
        /// Why, in the words of the other server.
        reason: String,
    },
    /// The other server refuses this event, alone, and takes other transactions. Set it aside, durably, for an operator
    /// to see.
    Park {
        /// Which.
        item: Item,
        /// Why, in the words of the other server.
        reason: String,
    },
    /// Call [`Destination::handle_timeout`] at this time; replaces an earlier one.
    SetTimer(u64),
    /// An attempt ended: for an operator to see. `None`: it succeeded.
    Attempted(Option<String>),
}
