//! What an append costs: CPU (user and system, the whole process) an event, by batch and by how much is stored.
//!
//! `cargo run --release -p axle-store --example append [EVENTS] [ROOMS]`

#![allow(clippy::expect_used, reason = "the names it makes up are well-formed")]

use std::sync::Arc;
use std::time::Instant;

use axle_protocol::{EventId, RoomId, RoomVersion, UserId};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{Append, EventStatus, NewEvent, RoomLog as _};

/// Bytes of JSON an event.
const EVENT_BYTES: usize = 1024;

#[allow(clippy::print_stdout, reason = "it prints a table")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<i64>());
    let events = arguments.next().transpose()?.unwrap_or(200_000);
    let rooms = arguments.next().transpose()?.unwrap_or(1);
    let folder = std::env::temp_dir().join(format!("axle-append-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let result = run(&folder, events, rooms).await;
    std::fs::remove_dir_all(&folder)?;
    result
}

#[allow(clippy::print_stdout, reason = "it prints a table")]
async fn run(folder: &std::path::Path, events: i64, rooms: i64) -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::open(folder.join("axle.db"), Options::default())?;
    let mut load = Load { store, heads: vec![None; usize::try_from(rooms)?], random: 0x9e37_79b9_7f4a_7c15, next: 0 };
    println!("{:>10} {:>28} {:>12} {:>12}", "stored", "batch", "CPU us", "elapsed us");
    let steps = 8;
    for step in 1..=steps {
        let until = events * step / steps;
        for (name, appends, each) in [("1 append of 256", 1, 256), ("8 appends of 50", 8, 50)] {
            let share = (until - load.next).max(0) / 2;
            load.measure(name, share.max(512), appends, each).await?;
        }
        let rest = until - load.next;
        if rest > 0 {
            load.fill(rest, 1, 256).await?;
        }
        load.measure("1 append of 1", 1000, 1, 1).await?;
    }
    Ok(())
}

struct Load {
    store: SqliteStore,
    heads: Vec<Option<i64>>,
    random: u64,
    next: i64,
}

impl Load {
    #[allow(clippy::print_stdout, reason = "it prints a table")]
    async fn measure(
        &mut self,
        name: &str,
        events: i64,
        appends: usize,
        each: usize,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let (before, cpu, start) = (self.next, cpu_us()?, Instant::now());
        self.fill(events, appends, each).await?;
        #[allow(clippy::cast_precision_loss, reason = "shown with two digits")]
        let count = (self.next - before) as f64;
        let (cpu, elapsed) = (cpu_us()? - cpu, start.elapsed().as_secs_f64() * 1e6);
        println!("{before:>10} {name:>28} {:>12.2} {:>12.2}", cpu / count, elapsed / count);
        Ok(())
    }

    /// Appends in rounds of `appends` at once with `each` events, each to another room as far as there are rooms.
    async fn fill(&mut self, events: i64, appends: usize, each: usize) -> Result<(), Box<dyn std::error::Error>> {
        let until = self.next + events;
        while self.next < until {
            // One room takes one append at a time, so fewer rooms than appends put several into one.
            let at_once = appends.min(self.heads.len());
            let per_room = appends.div_ceil(at_once);
            let round: Vec<Append> = (0..at_once).map(|_| self.append(each * per_room)).collect();
            let store = Arc::new(self.store.clone());
            let mut waiting = Vec::with_capacity(round.len());
            for append in round {
                let store = store.clone();
                waiting.push(tokio::spawn(async move { store.append(append).await }));
            }
            for task in waiting {
                task.await??;
            }
        }
        Ok(())
    }

    fn append(&mut self, count: usize) -> Append {
        let rooms = self.heads.len();
        let index = usize::try_from(self.next).unwrap_or(0) / count.max(1) % rooms;
        let expected_head = self.heads[index];
        let first = expected_head.map_or(0, |head| head + 1);
        let events: Vec<NewEvent> = (first..).take(count).map(|position| self.event(position)).collect();
        self.heads[index] = events.last().and_then(|event| event.position);
        Append {
            room_id: RoomId::parse(format!("!room{index}:hub.example")).expect("a room id"),
            room_version: RoomVersion::I1,
            expected_head,
            events,
            deliveries: Vec::new(),
            settled_lpdus: Vec::new(),
            announcements: Vec::new(),
            groups: Vec::new(),
            client_txns: Vec::new(),
            lpdus_unasked: false,
            made_here: true,
        }
    }

    fn event(&mut self, position: i64) -> NewEvent {
        self.next += 1;
        let hash: [u8; 32] = std::array::from_fn(|_| self.byte());
        let lpdu_hash: [u8; 32] = std::array::from_fn(|_| self.byte());
        NewEvent {
            event_id: EventId::from_reference_hash(&hash),
            position: Some(position),
            status: EventStatus::Accepted,
            event_type: "m.room.message".into(),
            state_key: None,
            sender: UserId::parse("@alice:hub.example").expect("a user id"),
            origin_server_ts: self.next,
            lpdu_hash: Some(lpdu_hash),
            membership: None,
            redacts: None,
            relates_to: None,
            sets_state: false,
            json: "x".repeat(EVENT_BYTES).into(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.to_le_bytes()[3]
    }
}

/// User and system time of this process.
fn cpu_us() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) * 10_000.0)
}
