//! What is measured, and how: the same work for each homeserver, in turns.

use std::time::Duration;

use super::Result;
use super::homeserver::{Homeserver, Kind};
use super::report::{Comparison, Measured, Round};

/// Work that clients give to a homeserver.
pub(super) trait Scenario {
    /// What stays between the rounds: users, rooms.
    type Ready;

    /// What it is, with its size.
    fn name(&self) -> String;

    /// What CPU is told of: "a message".
    fn operation(&self) -> &'static str;

    /// How many times less CPU than Synapse the project wants to need.
    fn wanted(&self) -> Option<f64>;

    /// How many operations a round has: enough for the clock ticks that CPU is counted in.
    fn operations(&self, kind: Kind) -> usize;

    /// Makes what the rounds need.
    async fn prepare(&self, server: &Homeserver, rounds: usize) -> Result<Self::Ready>;

    /// Carries out so many operations; how long each took.
    async fn round(&self, ready: &mut Self::Ready, operations: usize) -> Result<Vec<Duration>>;
}

/// The servers of a run.
pub(super) struct Servers {
    pub(super) axle: Homeserver,
    pub(super) synapse: Option<Homeserver>,
}

/// Measures a scenario on each server, round by round in turns, so that both have the same weather.
pub(super) async fn compare<S: Scenario>(scenario: &S, servers: &Servers, rounds: usize) -> Result<Comparison> {
    super::say(&scenario.name());
    let mut axle = Contestant::prepare(scenario, &servers.axle, rounds).await?;
    let mut synapse = match &servers.synapse {
        Some(server) => Some(Contestant::prepare(scenario, server, rounds).await?),
        None => None,
    };
    for _ in 0..rounds {
        axle.round(scenario).await?;
        if let Some(synapse) = &mut synapse {
            synapse.round(scenario).await?;
        }
    }
    let (axle, synapse) = (axle.rounds, synapse.map(|synapse| synapse.rounds));
    let comparison = Comparison {
        name: scenario.name(),
        operation: scenario.operation(),
        wanted: scenario.wanted(),
        times: synapse.as_ref().map(|synapse| Round::ratio(synapse, &axle)),
        axle: Measured::of(&axle),
        synapse: synapse.as_deref().map(Measured::of),
    };
    super::say(&comparison.text());
    Ok(comparison)
}

struct Contestant<'a, R> {
    server: &'a Homeserver,
    ready: R,
    rounds: Vec<Round>,
}

impl<'a, R> Contestant<'a, R> {
    async fn prepare<S: Scenario<Ready = R>>(scenario: &S, server: &'a Homeserver, rounds: usize) -> Result<Self> {
        let mut ready = scenario.prepare(server, rounds + 1).await?;
        // Connections are made and caches filled before the first round.
        scenario.round(&mut ready, scenario.operations(server.kind).div_ceil(4)).await?;
        Ok(Self { server, ready, rounds: Vec::with_capacity(rounds) })
    }

    async fn round<S: Scenario<Ready = R>>(&mut self, scenario: &S) -> Result<()> {
        let operations = scenario.operations(self.server.kind);
        let (before, started) = (self.server.cpu()?, std::time::Instant::now());
        let latencies = scenario.round(&mut self.ready, operations).await?;
        let (elapsed, used) = (started.elapsed(), self.server.cpu()?.saturating_sub(before));
        self.rounds.push(Round::new(used, elapsed, latencies));
        Ok(())
    }
}

/// Does something so many times, `at_once` at a time; how long each took.
pub(super) async fn repeat<F, Fut>(count: usize, at_once: usize, work: F) -> Result<Vec<Duration>>
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
    let timed = |number| {
        let work = work(number);
        async move {
            let started = std::time::Instant::now();
            work.await?;
            Ok(started.elapsed())
        }
    };
    stream::iter(0..count).map(timed).buffer_unordered(at_once).try_collect().await
}
