//! What a seed decides: who is there, what fails how often, when everything is well again.

use axle_protocol::RoomVersion;

use crate::rng::Rng;

/// Milliseconds of virtual time in which users do things.
pub const ACTIVE_MS: u64 = 60_000;
/// When a lying hub lies.
pub const LIE_MS: u64 = 70_000;
/// When users say something more, so that what was missed can show.
pub const EPILOGUE_MS: u64 = 90_000;
/// When all faults end: from here on everything must come right.
pub const HEAL_MS: u64 = 100_000;
/// By when it must have come right.
pub const END_MS: u64 = 40 * 60_000;

/// What a hub does that it should not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Appends an event that the auth rules forbid.
    Forbidden,
    /// Sends events in another order than the room's.
    Reordered,
    /// Withholds an event from one participant, whatever it asks.
    Dropped,
    /// Makes two events of one LPDU.
    Replayed,
    /// Makes an event in the name of another server's user.
    Forged,
    /// Changes what an event says.
    Tampered,
    /// Tells one participant another event than the others.
    TwoHistories,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Forbidden,
        Self::Reordered,
        Self::Dropped,
        Self::Replayed,
        Self::Forged,
        Self::Tampered,
        Self::TwoHistories,
    ];
}

/// A defect put into the server on purpose, to see that the simulator finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The hub does not look whether an LPDU has been appended before.
    NoDedupe,
    /// A transaction is answered before what it brought is durable.
    AnswerBeforeDurable,
    /// Events are delivered before they are durable.
    DeliverBeforeDurable,
    /// After a restart, queues begin at what is new.
    ForgetQueues,
    /// A participant gives up every gap at once.
    NoBackfill,
    /// Auth rules are not asked.
    NoAuthRules,
}

/// Everything that a seed decides beforehand.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many servers there are.
    pub servers: usize,
    /// The rooms: the index of their hub, their version, their join rule.
    pub rooms: Vec<RoomPlan>,
    /// How many things users do.
    pub actions: u64,
    /// Of a thousand messages between servers, how many are lost.
    pub loss: u64,
    /// Of a thousand, how many arrive twice.
    pub duplication: u64,
    /// The slowest that a message travels, in milliseconds.
    pub max_delay: u64,
    /// Of a thousand requests, how many are answered by an error for no reason.
    pub flakiness: u64,
    /// The slowest that a disk writes, in milliseconds.
    pub max_fsync: u64,
    /// How many crashes there are.
    pub crashes: u64,
    /// How many times servers cannot reach each other.
    pub partitions: u64,
    /// What the hub of the first room does.
    pub lie: Option<Lie>,
    /// What is wrong with the servers.
    pub sabotage: Option<Sabotage>,
}

/// One room.
#[derive(Debug, Clone)]
pub struct RoomPlan {
    /// Index of the server that is its hub.
    pub hub: usize,
    /// Its version.
    pub version: RoomVersion,
    /// Its join rule.
    pub join_rule: &'static str,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(1);
        let servers = rng.between(2, 5) as usize;
        let rooms = (0..rng.between(1, 3)).map(|i| RoomPlan {
            hub: rng.below(servers as u64) as usize,
            version: if rng.per_mille(500) { RoomVersion::I1 } else { RoomVersion::Unstable02 },
            join_rule: if i == 0 || rng.per_mille(600) { "public" } else { "knock" },
        });
        let rooms = rooms.collect();
        let calm = rng.per_mille(150);
        let mut often = |most: u64| if calm { 0 } else { rng.below(most + 1) };
        let (loss, duplication, flakiness) = (often(250), often(150), often(100));
        let (crashes, partitions) = (often(6), often(4));
        Self {
            seed,
            servers,
            rooms,
            actions: rng.between(20, 90),
            loss,
            duplication,
            max_delay: *rng.pick(&[5, 50, 500, 3_000]).unwrap_or(&50),
            flakiness,
            max_fsync: *rng.pick(&[2, 10, 200, 2_000]).unwrap_or(&10),
            crashes,
            partitions,
            lie: rng.per_mille(300).then(|| *rng.pick(&Lie::ALL).unwrap_or(&Lie::Dropped)),
            sabotage: None,
        }
    }

    /// The same with a defect in every server, and without a lie.
    #[must_use]
    pub fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self.lie = None;
        self
    }

    /// The same with a lying hub.
    #[must_use]
    pub fn lying(mut self, lie: Lie) -> Self {
        self.lie = Some(lie);
        self
    }
}
