//! The queues towards application services: each is told what concerns it, in stream order, one transaction at a time.
//!
//! A transaction has an id and an end that are stored before it is sent, and that it arrived is stored before the next
//! one is made: after the end of the process the same transaction is sent again under its id, so that nothing is told
//! twice to a service that remembers ids, and nothing is left out.

use std::sync::Arc;
use std::time::Duration;

use axle_store::{ServiceProgress, StoreError};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use tokio::sync::Notify;

use super::encryption::Place;
use super::interest::Interests;
use super::transaction::Transaction;
use super::{ApplicationService, ApplicationServices, ServiceIndex, call, transaction};
use crate::error::ApiError;
use crate::service::ServiceAnswer;
use crate::state::{Api, now_ms};

/// How long a service may take for a transaction.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);
/// When a transaction is tried again for the first time; each time after twice as much later.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest until it is tried again.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// So many stream positions that do not concern a service are passed before it is stored that they were.
const UNSTORED_STREAMS: i64 = 1_000;

/// What wakes the queues out of turn.
#[derive(Debug, Default)]
pub(crate) struct Queues(Vec<Arc<Notify>>);

impl Queues {
    pub(crate) fn new(services: &ApplicationServices) -> Self {
        Self(services.iter().map(|_| Arc::default()).collect())
    }

    /// A service can be reached again: what waits for it is sent now.
    pub(crate) fn retry(&self, index: ServiceIndex) {
        if let Some(retry) = self.0.get(index.0) {
            retry.notify_waiters();
        }
    }
}

/// Tells every service that has an address. Never ends; it may be dropped at any time.
pub(crate) async fn serve(api: Api) {
    let queue = |(index, service): (ServiceIndex, &ApplicationService)| {
        let retry = api.queues.0.get(index.0)?.clone();
        let with_address = service.url.is_some().then(|| service.clone())?;
        Some(Queue::new(api.clone(), with_address).run(retry))
    };
    let queues: Vec<_> = api.config.services.indexed().filter_map(queue).collect();
    join_all(queues).await;
}

/// What keeps a queue from going on.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("what happened cannot be read: {0:?}")]
    Read(ApiError),
    #[error("the application service {0}")]
    Service(String),
}

struct Queue {
    api: Api,
    service: ApplicationService,
    interests: Interests,
    /// `None`: not read from the store yet.
    progress: Option<ServiceProgress>,
    /// The last place that the store knows to be told.
    stored: i64,
    /// The transaction that is not known to have arrived; `None`: it is to be made from the store.
    sending: Option<Sending>,
    /// The last change of who types that the service has been told of.
    fleeting: i64,
}

/// A transaction on its way.
#[derive(Clone)]
struct Sending {
    body: Bytes,
    /// Where it ends.
    until: i64,
    /// Devices whose messages it has, and that nobody else reads.
    devices: Vec<Place>,
}

impl Sending {
    fn of(transaction: &Transaction, service: &ApplicationService) -> Result<Self, Problem> {
        let body = transaction.body(service).map_err(Problem::Read)?.into();
        Ok(Self { body, until: transaction.until, devices: transaction.own_devices() })
    }
}

impl Queue {
    fn new(api: Api, service: ApplicationService) -> Self {
        let fleeting = api.clock.now();
        Self { api, service, interests: Interests::new(), progress: None, stored: 0, sending: None, fleeting }
    }

    async fn run(mut self, retry: Arc<Notify>) {
        let mut failures = 0;
        loop {
            // Before reading, so that what happens while reading is not missed.
            let stirred = self.api.notifier.stirred();
            let again = retry.notified();
            match self.step().await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    stirred.await;
                }
                Err(problem) => {
                    tracing::warn!(service = self.service.id, failures, %problem, "an application service is not told");
                    tokio::select! {
                        () = tokio::time::sleep(wait(failures)) => {}
                        () = again => {}
                    }
                    failures += 1;
                }
            }
        }
    }

    /// Goes one step on; `false`: there is nothing to do until something happens.
    async fn step(&mut self) -> Result<bool, Problem> {
        let progress = match self.progress {
            Some(progress) => progress,
            None => {
                let progress = self.api.store.service_progress(&self.service.id).await?;
                self.stored = progress.delivered;
                *self.progress.insert(progress)
            }
        };
        match progress.until {
            Some(until) => self.send(progress, until).await,
            None => {
                let made = self.make(progress).await;
                if made.is_err() {
                    // Some of the events have been looked at, and will be again.
                    self.interests.forget();
                }
                made
            }
        }
    }

    /// Sends the transaction that is not known to have arrived.
    async fn send(&mut self, progress: ServiceProgress, until: i64) -> Result<bool, Problem> {
        let Sending { body, until, devices } = match &self.sending {
            Some(sending) => sending.clone(),
            None => {
                let sending = self.read_again(progress, until).await?;
                self.sending.insert(sending).clone()
            }
        };
        let txn = progress.txn.to_string();
        let Some(mut call) = call::request(&self.service, Method::PUT, &["transactions", &txn]) else {
            return Ok(false);
        };
        (call.body, call.timeout) = (Some(body), TRANSACTION_TIMEOUT);
        match self.api.services.call(call).await {
            Ok(ServiceAnswer { status: 200..=299, .. }) => {}
            Ok(ServiceAnswer { status, .. }) => return Err(Problem::Service(format!("answers {status}"))),
            Err(error) => return Err(Problem::Service(error.to_string())),
        }
        self.store(ServiceProgress { delivered: until, until: None, ..progress }).await?;
        self.sending = None;
        for (user_id, device_id) in devices {
            self.api.store.remove_to_device(&user_id, &device_id, until).await?;
        }
        Ok(true)
    }

    /// The transaction that was on its way when the process ended.
    async fn read_again(&mut self, progress: ServiceProgress, until: i64) -> Result<Sending, Problem> {
        self.interests.forget();
        let read = transaction::read(&self.api, &self.service, &mut self.interests, progress.delivered, until);
        let again = read.await.map_err(Problem::Read)?;
        Sending::of(&again, &self.service)
    }

    /// Makes the next transaction, if there is something to tell.
    async fn make(&mut self, progress: ServiceProgress) -> Result<bool, Problem> {
        let until = self.api.store.max_stream().await?;
        let fleeting = self.api.clock.now();
        let (api, service, interests) = (&self.api, &self.service, &mut self.interests);
        let next = transaction::read(api, service, interests, progress.delivered, until).await;
        let mut next = next.map_err(Problem::Read)?;
        if service.receive_ephemeral {
            let added = transaction::add_typing(api, service, interests, self.fleeting, &mut next).await;
            added.map_err(Problem::Read)?;
        }
        if next.is_empty() {
            self.fleeting = fleeting;
            let passed = ServiceProgress { delivered: next.until, ..progress };
            if next.until.saturating_sub(self.stored) >= UNSTORED_STREAMS {
                self.store(passed).await?;
            }
            self.progress = Some(passed);
            return Ok(next.until < until);
        }
        let sending = Sending::of(&next, &self.service)?;
        // By the clock, so that no id is used again after an older copy of the store was restored.
        let txn = progress.txn.saturating_add(1).max(now_ms());
        self.store(ServiceProgress { txn, until: Some(next.until), ..progress }).await?;
        (self.sending, self.fleeting) = (Some(sending), fleeting);
        Ok(true)
    }

    async fn store(&mut self, progress: ServiceProgress) -> Result<(), Problem> {
        self.api.store.put_service_progress(&self.service.id, progress).await?;
        (self.progress, self.stored) = (Some(progress), progress.delivered);
        Ok(())
    }
}

fn wait(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures)).min(LAST_RETRY)
}
