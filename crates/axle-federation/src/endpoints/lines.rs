//! Transactions of a server that wait for an earlier one of the same server, in the order of arrival.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axle_protocol::ServerName;

/// How many transactions of one server may wait.
const MAX_IN_LINE: usize = 32;

/// The lines of all servers.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<HashMap<ServerName, Arc<tokio::sync::Mutex<()>>>>);

/// A place in a line, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    lines: &'a Lines,
    origin: ServerName,
    line: Arc<tokio::sync::Mutex<()>>,
}

impl Lines {
    /// Joins the line of a server; `None`: it is full.
    pub(super) fn join(&self, origin: &ServerName) -> Option<Place<'_>> {
        let mut lines = self.lock();
        let line = lines.entry(origin.clone()).or_default();
        // One is the map's own.
        let waiting = Arc::strong_count(line) - 1;
        (waiting < MAX_IN_LINE).then(|| Place { lines: self, origin: origin.clone(), line: line.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerName, Arc<tokio::sync::Mutex<()>>>> {
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
        let mut lines = self.lines.lock();
        // The map's own and this one: nobody else is in the line.
        if Arc::strong_count(&self.line) <= 2 {
            lines.remove(&self.origin);
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
        let mut places: Vec<_> = (0..MAX_IN_LINE).map(|_| lines.join(&origin).unwrap()).collect();
        assert!(lines.join(&origin).is_none());
        let last = places.pop().unwrap();
        let first = places.first().unwrap();
        let turn = first.turn().await;
        assert!(last.line.try_lock().is_err());
        drop(turn);
        drop(last.turn().await);
        drop((places, last));
        assert!(lines.lock().is_empty());
    }
}
