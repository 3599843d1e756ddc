//! What was acknowledged survives a loss of power. Killing a process cannot show that: what it wrote is in the
//! operating system's memory, synced or not. Here SQLite's writes and syncs are watched, and at some moment the disk is
//! looked at as if power had gone: with what was synced, and nothing, all or any part of the rest.

#![allow(unsafe_code, reason = "a VFS is made of C functions")]

mod disk;
mod vfs;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axle_protocol::EventId;
use axle_store::sqlite::{Options, SqliteStore, Synchronous};
use axle_store::{KeyUpload, NewEvent, PendingLpdu, Store};
use disk::{Counted, Disk, Random, Survival, Taken};
use tokio::sync::RwLock;

use crate::suite::fixtures::*;
use crate::suite::one_time_keys::{claim, key, upload};

/// Their writes are gathered by the store's thread; one alone makes most of the appends himself.
const MANY_WRITERS: usize = 6;
const ONE_WRITER: usize = 1;
/// Longer than any run takes.
const DEADLINE: Duration = Duration::from_secs(120);
const SURVIVALS: [Survival; 4] =
    [Survival::Nothing, Survival::Everything, Survival::RandomSectors, Survival::RandomPrefix];

/// What callers were told is stored, in that order. The number of entries is counted after each is there.
#[derive(Default)]
struct Acknowledged {
    ids: Mutex<Vec<String>>,
    count: Arc<AtomicUsize>,
}

impl Acknowledged {
    fn add(&self, id: String) {
        let mut ids = self.ids.lock().unwrap();
        ids.push(id);
        self.count.store(ids.len(), Ordering::SeqCst);
    }

    fn first(&self, count: usize) -> Vec<String> {
        self.ids.lock().unwrap()[..count].to_vec()
    }
}

/// Appends to a room of its own until told to stop: events of all sizes, now and then an LPDU. Claims keys, too.
async fn write_on(store: Arc<dyn Store>, writer: usize, done: Arc<Acknowledged>, go_on: Arc<RwLock<bool>>) {
    let mut random = Random(0x5eed + writer as u64);
    let room_id = make_room(&store, &format!("r{writer}")).await;
    let mut position = 2;
    while *go_on.read().await {
        let count = 1 + random.below(4);
        let events: Vec<NewEvent> = (0..count)
            .map(|_| {
                let event = message(&format!("r{writer}_{position}"), position);
                position += 1;
                NewEvent { json: "x".repeat(1 + random.below(20_000)).into(), ..event }
            })
            .collect();
        let head = events[0].position.map(|first| first - 1);
        let ids: Vec<EventId> = events.iter().map(|event| event.event_id.clone()).collect();
        store.append(append(&room_id, head, events)).await.unwrap();
        ids.into_iter().for_each(|id| done.add(id.as_str().to_owned()));
        if random.below(4) == 0 {
            let mut lpdu_hash = [0; 32];
            lpdu_hash[..8].copy_from_slice(&(position as u64).to_be_bytes());
            lpdu_hash[8] = u8::try_from(writer).unwrap();
            let lpdu = PendingLpdu { id: 0, room_id: room_id.clone(), lpdu_hash, json: "{}".into(), client_txn: None };
            let id = store.queue_lpdu(lpdu).await.unwrap();
            done.add(format!("lpdu {id}"));
        }
        if random.below(4) == 0 {
            let device_id = format!("W{writer}");
            let key = key(&position.to_string(), "{}");
            store.upload_keys(KeyUpload { one_time_keys: vec![key], ..upload("a", &device_id) }).await.unwrap();
            let key_id = claim(&store, &device_id, "curve").await.unwrap();
            done.add(format!("claim {device_id} {key_id}"));
        }
    }
}

struct Machine {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    done: Arc<Acknowledged>,
}

impl Machine {
    fn start(synchronous: Synchronous) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("axle.db");
        // Made and closed in good order: what is missing later was lost later.
        drop(SqliteStore::open(&file, Options::default()).unwrap());
        let done = Arc::new(Acknowledged::default());
        vfs::watch(folder.path(), Disk::new(done.count.clone()));
        let options = Options { synchronous, vfs: Some(vfs::NAME.into()), ..Options::default() };
        let store = Arc::new(SqliteStore::open(&file, options).unwrap());
        Self { folder, store, done }
    }

    /// Lets writers go on and waits for the disk as it is some operations later.
    async fn lose_power(&self, operations: u64, counted: Counted) -> Taken {
        vfs::with_disk(self.folder.path(), |disk| disk.take_after(operations, counted));
        let start = Instant::now();
        loop {
            if let Some(taken) = vfs::with_disk(self.folder.path(), |disk| disk.taken.take()).unwrap() {
                return *taken;
            }
            assert!(start.elapsed() < DEADLINE, "no operations on the disk");
            tokio::task::yield_now().await;
        }
    }
}

/// What the restored store lacks of what was acknowledged; an error if it cannot be read at all.
async fn missing(folder: &Path, expected: &[String]) -> Result<Vec<String>, String> {
    let file: PathBuf = folder.join("axle.db");
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(file, Options::default()).map_err(|error| error.to_string())?);
    let findings = store.check().await.map_err(|error| error.to_string())?;
    if !findings.is_empty() {
        return Err(format!("{findings:?}"));
    }
    let lpdus = store.pending_lpdus(None).await.map_err(|error| error.to_string())?;
    let mut missing = Vec::new();
    for id in expected {
        let there = match id.split(' ').collect::<Vec<_>>()[..] {
            ["lpdu", lpdu] => lpdus.iter().any(|it| it.id.to_string() == lpdu),
            // A key that was given out is gone.
            ["claim", device_id, key_id] => {
                let names = store.key_names(&user("a"), device_id, 0).await.map_err(|error| error.to_string())?;
                names.one_time.iter().all(|name| name.key_id != key_id)
            }
            _ => store.event(&EventId::parse(id).unwrap()).await.map_err(|error| error.to_string())?.is_some(),
        };
        if !there {
            missing.push(id.clone());
        }
    }
    Ok(missing)
}

/// Takes the power away again and again under load; returns what was wrong, and how many writes were
/// acknowledged in all.
async fn run(synchronous: Synchronous, writers: usize, losses: usize, seed: u64) -> (Vec<String>, usize) {
    let machine = Machine::start(synchronous);
    let go_on = Arc::new(RwLock::new(true));
    let start = |writer| tokio::spawn(write_on(machine.store.clone(), writer, machine.done.clone(), go_on.clone()));
    let writers: Vec<_> = (0..writers).map(start).collect();
    let mut random = Random(seed);
    let mut wrong = Vec::new();
    for loss in 0..losses {
        let counted = if loss % 4 == 3 { Counted::Checkpoint } else { Counted::All };
        let taken = machine.lose_power(random.below(1000) as u64, counted).await;
        // Writers pause, so that the disk does not grow while it is looked at.
        let paused = go_on.write().await;
        let expected = machine.done.first(taken.acknowledged);
        for survival in SURVIVALS {
            let folder = tempfile::tempdir().unwrap();
            taken.restore(folder.path(), survival, &mut random);
            match missing(folder.path(), &expected).await {
                Ok(missing) if missing.is_empty() => {}
                found => wrong.push(format!("loss {loss} of seed {seed}, {survival:?}: {found:?}")),
            }
        }
        drop(paused);
    }
    *go_on.write().await = false;
    for writer in writers {
        writer.await.unwrap();
    }
    (wrong, machine.done.count.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives() {
    for writers in [MANY_WRITERS, ONE_WRITER] {
        let (wrong, acknowledged) = run(Synchronous::Full, writers, 8, 0x0dd_ba11).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(acknowledged > 100, "{acknowledged}");
    }
}

/// The test above can fail: without syncs it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_sync_is_noticed() {
    for writers in [MANY_WRITERS, ONE_WRITER] {
        let (wrong, _) = run(Synchronous::Off, writers, 3, 0x0dd_ba11).await;
        assert!(wrong.iter().any(|what| what.contains("Nothing")), "{wrong:#?}");
    }
}
