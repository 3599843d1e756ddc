//! What an incremental sync costs Axle, where the user is in few or many rooms, and where others say little or much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::homeserver::Homeserver;
use super::report::{Measured, Point, Round};
use super::scenario::repeat;
use super::scenarios::make_rooms;
use super::user::{self, User, next_batch};
use super::{Result, say};

/// How often the cost of the traffic alone is measured against.
const TRAFFIC_ALONE: Duration = Duration::from_secs(3);

/// How much is measured.
pub(super) struct Growth {
    /// Rooms of the user.
    pub(super) rooms: &'static [usize],
    /// Events a second of others.
    pub(super) traffic: &'static [usize],
    /// Syncs of a round.
    pub(super) syncs: usize,
    pub(super) rounds: usize,
}

impl Growth {
    /// Measures every combination: syncs from a token since which one room has one message.
    pub(super) async fn measure(&self, server: &Homeserver) -> Result<Vec<Point>> {
        let http = user::http()?;
        let mut points = Vec::new();
        for &rooms in self.rooms {
            let user = User::register(&http, &server.url, &format!("growth-{rooms}")).await?;
            make_rooms(&user, rooms.saturating_sub(1)).await?;
            let room = user.create_room().await?;
            let since = next_batch(&user.first_sync(0).await?)?;
            user.send(&room, "news").await?;
            for &traffic in self.traffic {
                let others = User::register(&http, &server.url, &format!("others-{rooms}-{traffic}")).await?;
                let measured = self.point(server, &user, &since, &others, traffic).await?;
                let point = Point { rooms, traffic, measured };
                say(&point.text());
                points.push(point);
            }
        }
        Ok(points)
    }

    async fn point(
        &self,
        server: &Homeserver,
        user: &User,
        since: &str,
        others: &User,
        traffic: usize,
    ) -> Result<Measured> {
        let talk = Talk::start(others.clone(), traffic).await?;
        let event = talk.cost(server).await?;
        let mut rounds = Vec::with_capacity(self.rounds);
        for _ in 0..=self.rounds {
            let (before, sent, started) = (server.cpu()?, talk.sent(), Instant::now());
            let latencies = repeat(self.syncs, 1, |_| async move {
                user.sync_since(since).await?;
                Ok(())
            })
            .await?;
            let elapsed = started.elapsed();
            let of_others = event.mul_f64((talk.sent() - sent) as f64);
            let used = server.cpu()?.saturating_sub(before).saturating_sub(of_others);
            rounds.push(Round::new(used, elapsed, latencies));
        }
        talk.stop().await?;
        // The first was to fill caches.
        Ok(Measured::of(rounds.get(1..).unwrap_or_default()))
    }
}

/// Others, who talk in a room of their own.
struct Talk {
    sent: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    task: Option<tokio::task::JoinHandle<Result<()>>>,
}

impl Talk {
    async fn start(user: User, a_second: usize) -> Result<Self> {
        let (sent, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut talk = Self { sent: sent.clone(), over: over.clone(), task: None };
        if a_second == 0 {
            return Ok(talk);
        }
        let room = user.create_room().await?;
        let mut clock = tokio::time::interval(Duration::from_secs(1).div_f64(a_second as f64));
        talk.task = Some(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                clock.tick().await;
                user.send(&room, &format!("t{}", sent.load(Ordering::Relaxed))).await?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
        Ok(talk)
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// What an event of theirs costs the server, when nothing else happens.
    async fn cost(&self, server: &Homeserver) -> Result<Duration> {
        if self.task.is_none() {
            return Ok(Duration::ZERO);
        }
        let (before, sent) = (server.cpu()?, self.sent());
        tokio::time::sleep(TRAFFIC_ALONE).await;
        let count = (self.sent() - sent).max(1);
        Ok(server.cpu()?.saturating_sub(before).div_f64(count as f64))
    }

    async fn stop(self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        match self.task {
            Some(task) => task.await?,
            None => Ok(()),
        }
    }
}
