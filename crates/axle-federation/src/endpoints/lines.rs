//! Transactions of a server that wait for an earlier one of the same server, in the order of arrival.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::ServerName;

/// How many transactions of one server may be in line, the one in work with them.
const MAX_IN_LINE: usize = 32;
/// Events of all servers' transactions in line, in bytes, at which nobody may join a line behind others any more.
const MAX_BYTES_IN_LINE: usize = 64 << 20;

/// The lines of all servers.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_server: HashMap<ServerName, Arc<tokio::sync::Mutex<()>>>,
    bytes: usize,
}

/// A place in a line, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    lines: &'a Lines,
    origin: ServerName,
    bytes: usize,
    line: Arc<tokio::sync::Mutex<()>>,
}

impl Lines {
    /// Joins the line of a server with a transaction of this size; `None`: it is full.
    pub(super) fn join(&self, origin: &ServerName, bytes: usize) -> Option<Place<'_>> {
        let mut state = self.lock();
        let total = state.bytes.saturating_add(bytes);
        let line = state.by_server.entry(origin.clone()).or_default();
        // One is the map's own.
        let ahead = Arc::strong_count(line) - 1;
        if ahead >= MAX_IN_LINE || ahead > 0 && total > MAX_BYTES_IN_LINE {
            return None;
        }
        let line = line.clone();
        state.bytes = total;
        Some(Place { lines: self, origin: origin.clone(), bytes, line })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it to, the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits until everybody before has had their turn.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.line.lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.lines.lock();
        state.bytes = state.bytes.saturating_sub(self.bytes);
        // The map's own and this one: nobody else is in the line.
        if Arc::strong_count(&self.line) <= 2 {
            state.by_server.remove(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_come_first_served_and_no_more_than_fit() {
        let lines = Lines::default();
        let origin = ServerName::parse("a.test").unwrap();
        let mut places: Vec<_> = (0..MAX_IN_LINE).map(|_| lines.join(&origin, 1).unwrap()).collect();
        assert!(lines.join(&origin, 1).is_none());
        let last = places.pop().unwrap();
        let first = places.first().unwrap();
        let turn = first.turn().await;
        assert!(last.line.try_lock().is_err());
        drop(turn);
        drop(last.turn().await);
        drop((places, last));
        assert!(lines.lock().by_server.is_empty());
    }

    #[test]
    fn large_transactions_may_begin_and_not_wait() {
        let lines = Lines::default();
        let [a, b] = ["a.test", "b.test"].map(|name| ServerName::parse(name).unwrap());
        let first = lines.join(&a, MAX_BYTES_IN_LINE).unwrap();
        assert!(lines.join(&a, 1).is_none());
        let of_other = lines.join(&b, MAX_BYTES_IN_LINE).unwrap();
        assert!(lines.join(&b, 0).is_none());
        drop(first);
        assert!(lines.join(&b, 0).is_some());
        drop(of_other);
        assert_eq!(lines.lock().bytes, 0);
    }
}
