//! What is kept about one server: its connections, and how it wants to be spoken to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::connection::Connection;

/// Requests at once to one server; more wait.
const MAX_REQUESTS: usize = 64;
/// Idle HTTP/1.1 connections that are kept.
const MAX_IDLE_HTTP1: usize = 4;
/// A connection takes no new requests after this: names may lead elsewhere by then.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The server's paths: as in the draft, or under the prefix that implementations use today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `/_matrix/federation/v2/send/...` and so on.
    Stable,
    /// `/_matrix/federation/unstable/org.matrix.i-d.ralston-mimi-linearized-matrix.02/send/...` and so on.
    Unstable,
}

impl Dialect {
    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Stable => Self::Unstable,
            Self::Unstable => Self::Stable,
        }
    }
}

/// One server.
pub(super) struct Peer {
    state: Mutex<State>,
    /// Held while connecting, so that requests wait for one connection instead of opening one each.
    pub(super) connecting: tokio::sync::Mutex<()>,
    pub(super) requests: Semaphore,
}

#[derive(Default)]
struct State {
    shared: Option<Connection>,
    idle: Vec<Connection>,
    used: Option<Instant>,
    dialect: Option<Dialect>,
    signs_empty_content: bool,
    replays_state: Option<bool>,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
            requests: Semaphore::new(MAX_REQUESTS),
        }
    }

    /// An open connection, if there is one.
    pub(super) fn connection(&self) -> Option<Connection> {
        let mut state = self.lock();
        state.used = Some(Instant::now());
        let usable = |connection: &mut Connection| !connection.is_closed() && connection.opened.elapsed() < MAX_AGE;
        state.shared.take_if(|connection| !usable(connection));
        if let Some(shared) = state.shared.as_ref().and_then(Connection::share) {
            return Some(shared);
        }
        state.idle.retain_mut(usable);
        state.idle.pop()
    }

    /// Keeps a connection for later requests.
    pub(super) fn keep(&self, connection: Connection) {
        let mut state = self.lock();
        state.used = Some(Instant::now());
        if connection.is_shared() {
            state.shared = Some(connection);
        } else if state.idle.len() < MAX_IDLE_HTTP1 {
            state.idle.push(connection);
        }
    }

    /// Forgets the connections: the next request opens a new one.
    pub(super) fn forget_connections(&self) {
        let mut state = self.lock();
        state.shared = None;
        state.idle.clear();
    }

    /// Closes connections that nobody has used for this long.
    pub(super) fn close_idle(&self, timeout: Duration) {
        let in_use = self.requests.available_permits() < MAX_REQUESTS;
        let mut state = self.lock();
        if !in_use && state.used.is_none_or(|used| used.elapsed() >= timeout) {
            state.shared = None;
            state.idle.clear();
        }
    }

    pub(super) fn dialect(&self) -> Option<Dialect> {
        self.lock().dialect
    }

    pub(super) fn set_dialect(&self, dialect: Dialect) {
        self.lock().dialect = Some(dialect);
    }

    /// Whether a GET is to be signed with `content: {}`.
    pub(super) fn signs_empty_content(&self) -> bool {
        self.lock().signs_empty_content
    }

    pub(super) fn set_signs_empty_content(&self, yes: bool) {
        self.lock().signs_empty_content = yes;
    }

    pub(super) fn replays_state(&self) -> Option<bool> {
        self.lock().replays_state
    }

    pub(super) fn set_replays_state(&self, yes: bool) {
        self.lock().replays_state = Some(yes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it to, the state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
