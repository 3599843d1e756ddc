//! One transaction, made durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rusqlite::Connection;

use super::company::Company;
use super::{Effects, Job, Tx, stopped};
use crate::StoreError;
use crate::sqlite::event_index::{Merged, Merger};
use crate::sqlite::later::Later;
use crate::sqlite::{CHECKPOINT_PAGES, Shared};

/// How long a transaction may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// As long as it needs.
    Any,
    /// No longer than its writes and its commit. What is due from time to time waits for the next one of any length.
    Short,
}

/// The connection that writes.
pub(super) struct Committer {
    conn: Connection,
    shared: Arc<Shared>,
    company: Arc<Company>,
    pending_redactions: bool,
    merger: Merger,
    /// Which commits move the write-ahead log into the database when it is long: those of any length, or none.
    checkpoints: Length,
}

impl Committer {
    pub(super) fn new(conn: Connection, shared: Arc<Shared>, company: Arc<Company>) -> Result<Self, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM pending_redaction)";
        let pending_redactions = crate::sqlite::rows::integer(&conn, sql, [])? == Some(1);
        let (merger, checkpoints) = (Merger::default(), Length::Any);
        Ok(Self { conn, shared, company, pending_redactions, merger, checkpoints })
    }

    /// Closes the database.
    pub(super) fn close(self) {
        if let Err(error) = self.conn.execute_batch("PRAGMA optimize") {
            tracing::debug!(%error, "statistics not updated");
        }
    }

    /// Commits writes and answers whoever waits for them; `false`: it failed.
    pub(super) fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>, later: Later, length: Length) -> bool {
        if jobs.is_empty() && later.is_empty() {
            return true;
        }
        let started = Instant::now();
        self.set_checkpoints(length);
        let outcome = match self.transaction(&mut jobs, &later, length, false) {
            Err(Spoiled::ByOne) => self.transaction(&mut jobs, &later, length, true),
            outcome => outcome,
        };
        self.company.took(started.elapsed());
        let is_written = outcome.is_ok();
        self.shared.write_failed.store(!is_written, Ordering::Relaxed);
        let outcomes = match outcome {
            Ok(outcomes) => {
                self.shared.later_written();
                outcomes
            }
            Err(Spoiled::ByOne) => vec![Err(stopped()); jobs.len()],
            Err(Spoiled::Whole(error)) => {
                tracing::error!(%error, writes = jobs.len(), "a transaction failed");
                self.shared.put_back_later(later);
                vec![Err(error); jobs.len()]
            }
        };
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            job.answer(outcome);
        }
        is_written
    }

    /// Says whether the next commit may move the log into the database.
    fn set_checkpoints(&mut self, length: Length) {
        if self.checkpoints == length {
            return;
        }
        let pages = if length == Length::Any { CHECKPOINT_PAGES } else { 0 };
        match self.conn.pragma_update(None, "wal_autocheckpoint", pages) {
            Ok(()) => self.checkpoints = length,
            Err(error) => tracing::warn!(%error, "when the log is moved into the database could not be set"),
        }
    }

    /// Runs everything in one transaction. Without savepoints, which cost, it gives up when a write fails that has
    /// changed something already.
    fn transaction(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        later: &Later,
        length: Length,
        savepoints: bool,
    ) -> Result<Vec<Result<(), StoreError>>, Spoiled> {
        run(&self.conn, "BEGIN IMMEDIATE").map_err(Spoiled::from)?;
        let events = self.shared.events.view();
        let stream = self.shared.stream.load(Ordering::Acquire);
        let effects = Effects { stream, pending_redactions: self.pending_redactions, ..Effects::default() };
        let mut tx = Tx { conn: &self.conn, effects, events, index: &self.shared.events };
        let result = run_all(&mut tx, jobs, later, savepoints).and_then(|outcomes| {
            let merged = match length {
                Length::Any => self.merger.merge(&self.conn, &self.shared.events)?,
                Length::Short => Merged::Nothing,
            };
            run(&self.conn, "COMMIT")?;
            Ok((outcomes, merged))
        });
        let effects = tx.effects;
        match result {
            Ok((outcomes, merged)) => {
                self.publish(effects, merged);
                Ok(outcomes)
            }
            Err(spoiled) => {
                self.shared.events.take_back(&effects.indexed);
                if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
                    tracing::error!("a failed transaction could not be rolled back");
                }
                Err(spoiled)
            }
        }
    }

    fn publish(&mut self, mut effects: Effects, merged: Merged) {
        self.merger.committed(&self.shared.events, merged, effects.indexed.len(), effects.stream);
        self.pending_redactions = effects.pending_redactions;
        {
            // Before destinations learn that there is something for them.
            let mut fresh = self.shared.fresh();
            fresh.add(effects.fresh.drain(..));
            effects.stopped.iter().for_each(|room_id| fresh.forget(room_id));
        }
        self.shared.lately.add(&effects);
        self.shared.sessions.changed(&effects.device_users);
        self.shared.erased.add(std::mem::take(&mut effects.erased));
        self.shared.destinations().committed(&effects);
        self.shared.stream.store(effects.stream, Ordering::Release);
    }
}

fn run_all(
    tx: &mut Tx<'_>,
    jobs: &mut [Box<dyn Job>],
    later: &Later,
    savepoints: bool,
) -> Result<Vec<Result<(), StoreError>>, Spoiled> {
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let outcome = if savepoints { in_savepoint(tx, &mut **job)? } else { bare(tx, &mut **job)? };
        outcomes.push(outcome);
    }
    later.write(tx.conn)?;
    Ok(outcomes)
}

/// Runs a statement without parsing it each time.
fn run(conn: &Connection, sql: &str) -> Result<(), StoreError> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Why a transaction was rolled back.
enum Spoiled {
    /// One write failed half-way: run them again, each in a savepoint.
    ByOne,
    /// The database failed.
    Whole(StoreError),
}

impl<E: Into<StoreError>> From<E> for Spoiled {
    fn from(error: E) -> Self {
        Self::Whole(error.into())
    }
}

fn bare(tx: &mut Tx<'_>, job: &mut dyn Job) -> Result<Result<(), StoreError>, Spoiled> {
    let (changes, effects) = (tx.conn.total_changes(), tx.effects.stream);
    let outcome = job.run(tx);
    let clean = tx.conn.total_changes() == changes && tx.effects.stream == effects;
    if outcome.is_err() && !clean { Err(Spoiled::ByOne) } else { Ok(outcome) }
}

fn in_savepoint(tx: &mut Tx<'_>, job: &mut dyn Job) -> Result<Result<(), StoreError>, Spoiled> {
    let before = tx.effects.clone();
    tx.conn.execute_batch("SAVEPOINT one")?;
    let outcome = job.run(tx);
    if outcome.is_err() {
        tx.conn.execute_batch("ROLLBACK TO one")?;
        let undone = std::mem::replace(&mut tx.effects, before);
        tx.index.take_back(undone.indexed.get(tx.effects.indexed.len()..).unwrap_or_default());
    }
    tx.conn.execute_batch("RELEASE one")?;
    Ok(outcome)
}
