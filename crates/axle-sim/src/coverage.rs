//! What runs are meant to bring about. A simulation that never meets a situation says nothing about it.

use std::collections::BTreeMap;

use crate::disk::RoomLog;

/// One of four hundred seeds brings it about.
pub const FOUND_BEHIND: &str = "what an LPDU became is found behind a join";

/// How often each situation came up.
#[derive(Debug, Clone, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Everything that many seeds together must bring about.
    pub const WANTED: [&'static str; 33] = [
        "a room of version I.1",
        "a room of the unstable version",
        "several rooms in a run",
        "several hubs in a run",
        "a join",
        "a join again, of somebody who had left",
        "an invite",
        "a knock",
        "a leave",
        "a leave before the hub answers",
        "a kick",
        "a ban",
        "a ban that is lifted",
        "power levels change",
        "the join rule changes",
        "a redaction that applies",
        "a redaction that does not",
        "a server leaves",
        "a server comes back",
        "a client asks again",
        "a transaction is repeated",
        "an LPDU is repeated",
        "an LPDU is refused",
        "a gap is filled",
        "a gap is larger than a page",
        "a gap is known after a restart",
        "an invite is made anew on a room that went on",
        "a hub comes back with an older disk",
        "a hub gets back what it has forgotten",
        "who wants something of a restored room is to try again",
        "a restored hub is asked for what it has forgotten",
        "a server crashes while it writes",
        "a server crashes while a transaction is on its way",
    ];

    /// Everything that many seeds of encrypted rooms together must bring about.
    pub const WANTED_OF_GROUPS: [&'static str; 30] = [
        "a device joins by a Welcome",
        "a device joins by itself",
        "a Welcome is lost",
        "a device loses its state",
        "a device gets another key",
        "a device logs out",
        "a device has lost track",
        "several devices commit at once",
        "somebody is put out while committing",
        "who has lost a race proposes",
        "a commit includes what waits",
        "a kick with its commit",
        "who was to be added is put out",
        "somebody says falsely that a commit cannot be applied",
        "a leave with its proposal",
        "a kick",
        "a ban",
        "a server leaves",
        "a server comes back",
        "a group goes back",
        "a commit with a wrong tag is refused",
        "a commit that nobody can apply is taken",
        "a commit with a wrong binding is refused",
        "a commit that adds a stranger is refused",
        "a commit that removes who may stay is refused",
        "a hub comes back with an older disk",
        "a hub gets back what it has forgotten",
        "a gap is filled",
        "a server crashes while it writes",
        "a server crashes while a transaction is on its way",
    ];

    /// It came up.
    pub fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_insert(0) += 1;
    }

    /// Adds what another run has brought about.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what).or_insert(0) += count);
    }

    /// Each of these situations and how often it came up.
    pub fn counts(&self, wanted: &[&'static str]) -> impl Iterator<Item = (&'static str, u64)> {
        wanted.iter().map(|what| (*what, self.0.get(what).copied().unwrap_or(0)))
    }

    /// Which of these never came up.
    pub fn missing(&self, wanted: &[&'static str]) -> Vec<&'static str> {
        self.counts(wanted).filter(|(_, count)| *count == 0).map(|(what, _)| what).collect()
    }

    /// What a hub's log shows.
    pub fn read(&mut self, log: &RoomLog) {
        let mut members: BTreeMap<String, String> = BTreeMap::new();
        let mut left: Vec<String> = Vec::new();
        for (_, event) in log.ordered() {
            match event.event_type() {
                "m.room.power_levels" => self.note("power levels change"),
                "m.room.join_rules" => self.note("the join rule changes"),
                "m.room.redaction" => {
                    let applies =
                        log.events.get(event.event_id()).is_some_and(|stored| stored.placed.redacts.is_some());
                    self.note(if applies { "a redaction that applies" } else { "a redaction that does not" });
                }
                _ => {}
            }
            let (Some(user), Some(now)) = (event.state_key(), event.membership()) else { continue };
            let before = members.insert(user.to_owned(), now.to_owned()).unwrap_or_default();
            let is_own = event.sender().as_str() == user;
            self.read_member(&before, now, is_own);
            let server = user.split_once(':').map_or("", |(_, server)| server);
            let suffix = format!(":{server}");
            let count = members.iter().filter(|(user, now)| user.ends_with(&suffix) && *now == "join").count();
            if before == "join" && now != "join" && count == 0 {
                self.note("a server leaves");
                left.push(server.to_owned());
            } else if before != "join" && now == "join" && count == 1 && left.iter().any(|other| other == server) {
                self.note("a server comes back");
            }
        }
    }

    fn read_member(&mut self, before: &str, now: &str, is_own: bool) {
        match (before, now) {
            ("leave", "join") => self.note("a join again, of somebody who had left"),
            (_, "join") => self.note("a join"),
            (_, "invite") => self.note("an invite"),
            (_, "knock") => self.note("a knock"),
            ("ban", "leave") => self.note("a ban that is lifted"),
            (_, "leave") if is_own => self.note("a leave"),
            (_, "leave") => self.note("a kick"),
            (_, "ban") => self.note("a ban"),
            _ => {}
        }
    }
}
