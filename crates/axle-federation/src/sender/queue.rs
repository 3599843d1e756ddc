//! The task of one destination: carries out what its state machine wants.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axle_protocol::event::Hash;
use axle_protocol::{Event, RoomId, RoomVersion, ServerName};
use axle_room::outbound::{Cursor, Destination, Item, Output, Response, Source};
use axle_store::{ParkedEvent, StoreError};
use tokio::time::Instant;

use super::pace::Pace;
use super::{Sender, Signal, Stop};
use crate::client::{ClientError, transaction_body};

/// When the store has failed, it is asked again after this.
const STORE_RETRY: Duration = Duration::from_secs(5);

type Request = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Delivers until there is nothing to deliver for a while.
pub(super) async fn run(sender: Sender, name: ServerName, signal: Arc<Signal>) {
    let _alive = sender.0.alive.subscribe();
    let mut stop = sender.0.stop.subscribe();
    let seed = RandomState::new().hash_one(name.as_str());
    let machine = Destination::new(name.clone(), &sender.transaction_prefix(), seed);
    let start = Instant::now();
    let mut queue = Queue {
        sender,
        name,
        machine,
        start,
        signal: signal.clone(),
        lpdus: BTreeMap::new(),
        lpdus_queued: true,
        edus_queued: true,
        edus_removed: 0,
        failing: false,
    };
    let mut pace = Pace::new(start);
    let mut request: Option<Request> = None;
    let mut timer: Option<Instant> = None;
    let mut reload: Option<Instant> = None;
    loop {
        queue.carry_out(&mut request, &mut pace, &mut timer, &mut reload).await;
        match *stop.borrow() {
            Stop::Now => return,
            Stop::WhenAnswered if request.is_none() => return,
            Stop::No | Stop::WhenAnswered => {}
        }
        let idle = request.is_none() && timer.is_none() && reload.is_none() && queue.machine.is_idle();
        tokio::select! {
            response = answered(&mut request) => {
                request = None;
                let now = queue.now();
                queue.machine.handle_response(response, now);
                signal.unreachable.store(queue.machine.is_unreachable(), Ordering::Relaxed);
            }
            // While a transaction is under way what is queued waits, and is then read all at once.
            () = pace.woken(&signal.notify, || signal.is_urgent()), if request.is_none() => {
                let woken = signal.take();
                if woken.heard {
                    queue.machine.handle_alive();
                    signal.unreachable.store(queue.machine.is_unreachable(), Ordering::Relaxed);
                }
                queue.lpdus_queued |= woken.lpdus;
                queue.edus_queued |= woken.edus;
                if woken.is_queued() {
                    queue.machine.handle_wake();
                }
            }
            () = until(timer) => {
                timer = None;
                let now = queue.now();
                queue.machine.handle_timeout(now);
            }
            () = until(reload) => {
                reload = None;
                queue.lpdus_queued = true;
                queue.edus_queued = true;
                queue.machine.handle_wake();
            }
            () = tokio::time::sleep(queue.sender.0.idle), if idle => {
                if queue.sender.retire(&queue.name, &signal) {
                    return;
                }
            }
            _ = stop.changed() => {}
        }
    }
}

struct Queue {
    sender: Sender,
    name: ServerName,
    machine: Destination,
    start: Instant,
    signal: Arc<Signal>,
    /// Rooms and hashes of the LPDUs that were read, by their place in the queue.
    lpdus: BTreeMap<i64, (RoomId, Hash)>,
    /// There may be LPDUs that were not read yet. Most destinations are no hub, and need not look.
    lpdus_queued: bool,
    /// The same of EDUs that are kept.
    edus_queued: bool,
    /// The last EDU that was taken out of the store.
    edus_removed: i64,
    /// The last attempt failed, and that was logged.
    failing: bool,
}

impl Queue {
    /// Logs that a server stops or begins to take what is sent to it. How it goes meanwhile, `axle admin list-destinations`
    /// shows.
    fn tell(&mut self, error: Option<&str>) {
        match (error, self.failing) {
            (Some(error), false) => {
                tracing::warn!(destination = %self.name, %error, "the server does not take what is sent to it; it is tried again");
            }
            (None, true) => tracing::info!(destination = %self.name, "the server takes what is sent to it again"),
            _ => {}
        }
        self.failing = error.is_some();
    }

    async fn carry_out(
        &mut self,
        request: &mut Option<Request>,
        pace: &mut Pace,
        timer: &mut Option<Instant>,
        reload: &mut Option<Instant>,
    ) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Load { after, limit } => match self.load(after, limit).await {
                    Ok(items) => self.machine.handle_loaded(items),
                    Err(error) => {
                        tracing::error!(destination = %self.name, %error, "a queue could not be read");
                        self.machine.handle_loaded(Vec::new());
                        *reload = Some(Instant::now() + STORE_RETRY);
                    }
                },
                Output::Transmit { txn_id, items } => {
                    pace.sent(items.len(), Instant::now());
                    *request = Some(self.transmit(txn_id, items));
                }
                Output::Acknowledge(cursor) => self.acknowledge(cursor).await,
                Output::Failed { item, reason } => self.failed(item, &reason).await,
                Output::Park { item, reason } => self.park(item, reason).await,
                Output::SetTimer(at) => *timer = Some(self.start + Duration::from_millis(at)),
                Output::Attempted(error) => {
                    self.tell(error.as_deref());
                    let at = (self.sender.0.clock)();
                    self.sender.0.store.record_attempt(&self.name, at, error);
                }
            }
        }
    }

    /// Milliseconds since the queue began: all that the machine needs to know of time.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The next items. EDUs first: they may be keys of what follows. Then finished events, since they do not wait for
    /// anybody's answer.
    async fn load(&mut self, after: Cursor, limit: usize) -> Result<Vec<Item>, StoreError> {
        let mut items = self.load_edus(after.edu, limit).await?;
        let mut events = self.sender.0.store.pending_events(&self.name, after.event, limit).await?;
        // Neither holds up the other.
        let most_edus = (limit / 2).max(limit.saturating_sub(events.len()));
        if items.len() > most_edus {
            items.truncate(most_edus);
            self.edus_queued = true;
        }
        events.truncate(limit.saturating_sub(items.len()));
        items.extend(events.into_iter().map(|event| Item {
            source: Source::Event(event.stream),
            event_id: Some(event.event_id),
            json: event.json,
        }));
        if self.lpdus_queued && items.len() < limit {
            self.load_lpdus(after.lpdu, limit, &mut items).await?;
        }
        if self.machine.is_unreachable() {
            self.signal.fleeting.clear();
        }
        let fleeting = self.signal.fleeting.take(limit.saturating_sub(items.len()));
        items.extend(fleeting.into_iter().map(|json| Item { source: Source::Fleeting, event_id: None, json }));
        Ok(items)
    }

    async fn load_edus(&mut self, after: i64, limit: usize) -> Result<Vec<Item>, StoreError> {
        if !std::mem::take(&mut self.edus_queued) {
            return Ok(Vec::new());
        }
        let edus = self.sender.0.store.pending_edus(&self.name, after, limit).await?;
        self.edus_queued = edus.len() >= limit;
        Ok(edus.into_iter().map(|edu| Item { source: Source::Edu(edu.id), event_id: None, json: edu.json }).collect())
    }

    async fn load_lpdus(&mut self, after: i64, limit: usize, items: &mut Vec<Item>) -> Result<(), StoreError> {
        let mut hubs: HashMap<RoomId, bool> = HashMap::new();
        // Taken back before reading: what is queued from here on raises it again.
        self.lpdus_queued = false;
        for lpdu in self.sender.0.store.pending_lpdus(None).await?.into_iter().filter(|lpdu| lpdu.id > after) {
            if items.len() >= limit {
                self.lpdus_queued = true;
                break;
            }
            let is_hub = match hubs.get(&lpdu.room_id) {
                Some(is_hub) => *is_hub,
                None => {
                    let hub = self.sender.0.rooms.hub(&lpdu.room_id).await;
                    let is_hub = hub.as_ref() == Some(&self.name);
                    hubs.insert(lpdu.room_id.clone(), is_hub);
                    is_hub
                }
            };
            if !is_hub {
                continue;
            }
            // Every linearized version has the same format.
            match Event::parse(lpdu.json.as_bytes(), RoomVersion::I1) {
                Ok(event) => {
                    self.lpdus.insert(lpdu.id, (lpdu.room_id.clone(), lpdu.lpdu_hash));
                    let event_id = Some(event.event_id().clone());
                    items.push(Item { source: Source::Lpdu(lpdu.id), event_id, json: lpdu.json });
                }
                Err(error) => {
                    let reason = format!("it is damaged: {error}");
                    self.sender.0.rooms.lpdu_refused(&lpdu.room_id, &lpdu.lpdu_hash, &reason).await;
                }
            }
        }
        Ok(())
    }

    fn transmit(&self, txn_id: Arc<str>, items: Arc<[Item]>) -> Request {
        let (sender, name) = (self.sender.clone(), self.name.clone());
        Box::pin(async move {
            if sender.0.blocked.contains(&name).await {
                return Response::Unreachable("blocked by the operator".into());
            }
            let of_kind =
                |edu: bool| items.iter().filter(move |item| item.source.is_edu() == edu).map(|item| &*item.json);
            let body = transaction_body(of_kind(false), &of_kind(true).collect::<Vec<_>>());
            match sender.0.client.send_transaction(&name, &txn_id, body).await {
                Ok(answer) => {
                    sender.0.counters.taken(of_kind(false).count());
                    Response::Ok { failed: answer.failed.into_iter().collect() }
                }
                Err(error) => {
                    sender.0.counters.failed();
                    refusal(error)
                }
            }
        })
    }

    /// LPDUs stay in the store until they come back from the hub, so only finished events are crossed off.
    async fn acknowledge(&mut self, cursor: Cursor) {
        let later = self.lpdus.split_off(&cursor.lpdu.saturating_add(1));
        let taken: Vec<(RoomId, Hash)> = std::mem::replace(&mut self.lpdus, later).into_values().collect();
        if !taken.is_empty() {
            self.sender.0.rooms.lpdus_taken(&taken).await;
        }
        if cursor.event > 0 {
            self.sender.0.store.acknowledge(&self.name, cursor.event);
        }
        if cursor.edu > self.edus_removed {
            match self.sender.0.store.remove_edus(&self.name, cursor.edu).await {
                Ok(()) => self.edus_removed = cursor.edu,
                // They are sent again after the next start, and recognised.
                Err(error) => tracing::error!(destination = %self.name, %error, "EDUs could not be crossed off"),
            }
        }
    }

    async fn failed(&mut self, item: Item, reason: &str) {
        match item.source {
            Source::Lpdu(id) => self.refuse(id, reason).await,
            Source::Event(_) => {
                tracing::warn!(destination = %self.name, event_id = ?item.event_id, reason, "an event was not taken");
            }
            // They are not answered one by one.
            Source::Edu(_) | Source::Fleeting => {}
        }
    }

    async fn park(&mut self, item: Item, reason: String) {
        if let Source::Lpdu(id) = item.source {
            return self.refuse(id, &reason).await;
        }
        let Some(event_id) = item.event_id else {
            tracing::warn!(destination = %self.name, reason, "an EDU was refused");
            return;
        };
        tracing::warn!(destination = %self.name, %event_id, reason, "an event was refused and parked");
        let (destination, at) = (self.name.clone(), (self.sender.0.clock)());
        let parked = ParkedEvent { destination, event_id, reason, at };
        if let Err(error) = self.sender.0.store.park(parked).await {
            tracing::error!(destination = %self.name, %error, "a parked event could not be stored");
        }
    }

    async fn refuse(&mut self, id: i64, reason: &str) {
        if let Some((room_id, hash)) = self.lpdus.remove(&id) {
            self.sender.0.rooms.lpdu_refused(&room_id, &hash, reason).await;
        }
    }
}

fn refusal(error: ClientError) -> Response {
    match error {
        ClientError::Refused(refusal) => Response::Refused {
            status: refusal.error.status,
            errcode: refusal.is_matrix.then(|| refusal.error.errcode.clone()),
            error: refusal.error.error,
            retry_after_ms: refusal.error.retry_after_ms,
        },
        other => Response::Unreachable(other.to_string()),
    }
}

async fn answered(request: &mut Option<Request>) -> Response {
    match request {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
