//! What a seed decides: who is there, what fails how often, when everything is well again.

use axle_mls::Layering;
use axle_protocol::RoomVersion;

use crate::defects::Defect;
use crate::lies::Lie;
use crate::rng::Rng;

/// Milliseconds of virtual time in which users do things.
pub const ACTIVE_MS: u64 = 60_000;
/// When a lying hub lies.
pub const LIE_MS: u64 = 70_000;
/// When users say something more, so that what was missed can show.
pub const EPILOGUE_MS: u64 = 90_000;
/// When they say something more after a lie, or where hubs are forgetful: every queue has been emptied.
pub const AFTERWORD_MS: u64 = HEAL_MS + 20 * 60_000;
/// When all faults end: from here on everything must come right.
pub const HEAL_MS: u64 = 100_000;
/// When they say the last thing: after a lie of the hub about what they said before.
pub const LAST_WORD_MS: u64 = AFTERWORD_MS + 5 * 60_000;
/// By when it must have come right.
pub const END_MS: u64 = 40 * 60_000;

/// Servers of an encrypted room: each device costs more than a server.
const MOST_ENCRYPTED_SERVERS: usize = 4;

/// Copies of each disk in a run.
const MOST_BACKUPS: u64 = 10;

/// Times that a hub comes back with an older disk.
const MOST_RESTORES: u64 = 4;

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
    /// How many crashes there are. Half of them come at any time, half in the worst moment: while a disk writes, or a
    /// transaction is on its way.
    pub crashes: u64,
    /// How many times each disk is copied.
    pub backups: u64,
    /// How many times a hub crashes and comes back with an older copy of its disk. It does that as soon as nothing would be
    /// lost for good; so it may do with any crash.
    pub restores: u64,
    /// How many times servers cannot reach each other.
    pub partitions: u64,
    /// How many events one backfill answers at most.
    pub page: usize,
    /// Of a thousand things that users do, how many their clients ask for again, with the same transaction id.
    pub retries: u64,
    /// Of a thousand messages of a room, how many its hub forgets to send to a server, as hubs do that do not keep their
    /// queues. What was forgotten is there when it is asked for.
    pub forgetful: u64,
    /// Whether nobody says anything after the faults, so that what was missed does not show by itself.
    pub quiet_end: bool,
    /// What the hub of the first room does.
    pub lie: Option<Lie>,
    /// What is wrong with the servers, or their clients.
    pub defect: Option<Defect>,
    /// Of an encrypted room, what goes on in its group.
    pub encrypted: Option<GroupPlan>,
}

/// The group of an encrypted room.
#[derive(Debug, Clone)]
pub struct GroupPlan {
    /// How MLS and the room's access control relate.
    pub layering: Layering,
    /// How many devices each user has in the beginning, at most.
    pub devices: u64,
    /// Of a thousand Welcomes, how many a device loses.
    pub welcome_loss: u64,
    /// Of a thousand messages, how many a device does not read when they come.
    pub unread: u64,
    /// How many times several devices commit at once.
    pub races: u64,
    /// The most that commit at once.
    pub racers: u64,
    /// How many times somebody commits what must be refused, or taken back.
    pub malice: u64,
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
        let lie = rng.per_mille(300).then(|| *rng.pick(&Lie::ALL).unwrap_or(&Lie::Withheld));
        let forgetful = *rng.pick(&[0, 0, 50, 300]).unwrap_or(&0);
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
            backups: Rng::new(seed).fork(4).between(1, MOST_BACKUPS),
            restores: if calm { 0 } else { Rng::new(seed).fork(5).below(MOST_RESTORES + 1) },
            partitions,
            page: *rng.pick(&[2, 3, 10, 100]).unwrap_or(&10),
            retries: *rng.pick(&[0, 100, 500]).unwrap_or(&100),
            forgetful,
            quiet_end: lie.is_none() && forgetful == 0 && rng.per_mille(500),
            lie,
            defect: None,
            encrypted: None,
        }
    }

    /// The plan of a seed for one encrypted room.
    pub fn encrypted(seed: u64) -> Self {
        let plan = Self::new(seed);
        let mut rng = Rng::new(seed).fork(3);
        let layering = if rng.per_mille(500) { Layering::Bound } else { Layering::OnTop };
        let servers = plan.servers.min(MOST_ENCRYPTED_SERVERS);
        let public = |room: RoomPlan| RoomPlan { hub: room.hub % servers, join_rule: "public", ..room };
        let rooms = plan.rooms.into_iter().take(1).map(public).collect();
        let is_calm = plan.loss + plan.duplication + plan.flakiness + plan.crashes + plan.partitions == 0;
        let group = GroupPlan {
            layering,
            devices: rng.between(1, 2),
            welcome_loss: if is_calm { 0 } else { *rng.pick(&[0, 100, 500]).unwrap_or(&100) },
            unread: *rng.pick(&[0, 100, 300]).unwrap_or(&100),
            races: rng.between(1, 4),
            racers: rng.between(3, 8),
            malice: rng.between(2, 6),
        };
        Self {
            servers,
            rooms,
            actions: rng.between(20, 60),
            forgetful: 0,
            quiet_end: true,
            lie: None,
            encrypted: Some(group),
            ..Self { rooms: Vec::new(), ..plan }
        }
    }

    /// The same with a defect in every server. A lie is told only if noticing it is the point.
    #[must_use]
    pub fn with_defect(self, defect: Defect) -> Self {
        let plan = match (defect, self.lie) {
            (Defect::Unwatchful, None) => self.with_lie(Lie::Forbidden),
            (Defect::Unwatchful, Some(_)) => self,
            _ => Self { lie: None, ..self },
        };
        let restores = if defect.is_of_restored() { plan.restores } else { 0 };
        Self { defect: Some(defect), restores, ..plan }
    }

    /// The same with a lying hub.
    #[must_use]
    pub fn with_lie(self, lie: Lie) -> Self {
        Self { lie: Some(lie), quiet_end: false, ..self }
    }

    /// The command line that runs this plan and shows what happens.
    pub fn replay(&self) -> String {
        let mut line = format!("cargo run -p axle-sim -- --seed {}", self.seed);
        if self.encrypted.is_some() {
            line.push_str(" --encrypted");
        }
        if let Some(lie) = self.lie.filter(|lie| Self::new(self.seed).lie != Some(*lie)) {
            line.push_str(&format!(" --lie {lie:?}"));
        }
        if let Some(defect) = self.defect {
            line.push_str(&format!(" --defect {defect:?}"));
        }
        line
    }
}
