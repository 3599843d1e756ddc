//! What happens, and how everything becomes well in the end.

use axle_mls::hub::Refusal;
use axle_mls::member::{CommitPlan, PendingCommit};
use axle_mls::{Credential, Layering, Member};

use super::world::{Message, USERS, World, check_honest};
use crate::common::{key, user};

/// How often everybody may have to do something until all is well.
const ROUNDS: usize = 12;

impl World {
    pub(super) fn act(&mut self) {
        match self.rng.below(100) {
            0..=24 => self.race(),
            25..=44 => self.speak(),
            45..=64 => self.some_sync(),
            65..=70 => self.come_or_go(),
            71..=74 => self.kick(),
            75..=78 => self.kick_with_its_commit(),
            79..=81 => self.some_device_appears(),
            82..=83 => self.some_device_is_gone(),
            84..=86 => self.lose_state(),
            87..=91 => self.somebody_joins(),
            92..=94 => self.lie(),
            95..=97 => {
                self.restart();
                self.count("restart");
            }
            _ => self.join_room(),
        }
    }

    /// Some commit in the same epoch; the hub takes one. In the meantime somebody may be kicked.
    fn race(&mut self) {
        let (able, count) = (self.able(), 1 + self.rng.below(5));
        let committers = self.rng.some(able, count);
        if committers.len() > 1 {
            self.count("race");
        }
        let mut made = vec![];
        for device in committers {
            let add = self.somebody_to_add();
            let pending = self.make_commit(device, &add);
            made.push((device, add, pending));
        }
        if self.rng.percent(15)
            && let Some((device, ..)) = made.iter().find(|(device, ..)| self.sim.user_of(*device) != user(USERS[0]))
        {
            let kicked = self.sim.user_of(*device);
            self.part(kicked.as_str());
            self.count("kicked while committing");
        }
        for (device, add, pending) in self.rng.some(made, usize::MAX) {
            if let Err(refusal) = self.append(device, &pending) {
                self.lost(device, &add, &refusal);
            }
        }
    }

    fn lost(&mut self, device: usize, add: &[usize], refusal: &Refusal) {
        check_honest(refusal);
        let id = self.sim.id.clone();
        self.sim.member(device).discard(&id).unwrap();
        self.count("lost race");
        if self.sim.layering == Layering::Bound && self.rng.percent(70) {
            self.propose(device, add);
        }
    }

    /// What the loser of a race wanted waits for the next commit.
    fn propose(&mut self, device: usize, add: &[usize]) {
        self.sync(device);
        if !self.is_able(device) {
            return;
        }
        let (id, own) = (self.sim.id.clone(), self.sim.user_of(device));
        let proposal = match add {
            [other, ..] => {
                let (package, added) = (self.sim.key_package(*other), self.sim.user_of(*other));
                let binding = self.sim.room.binding(&own, [&added]);
                self.sim.member(device).propose_add(&id, package, &binding)
            }
            [] => {
                let binding = self.sim.room.binding(&own, []);
                self.sim.member(device).propose_update(&id, &binding)
            }
        };
        match self.sim.queue(device, &proposal.unwrap()) {
            Ok(()) => {
                self.store();
                self.count("loser's proposal");
            }
            Err(refusal) => check_honest(&refusal),
        }
    }

    /// Devices that wait to be added; nobody, if that would be for nothing.
    fn somebody_to_add(&mut self) -> Vec<usize> {
        let members = self.members();
        let waiting = (0..self.states.len()).filter(|it| self.is_wanted(*it) && !members.contains(it)).collect();
        let count = self.rng.below(3);
        self.rng.some(waiting, count)
    }

    /// A commit with new keys, that adds these and removes who has to leave.
    fn make_commit(&mut self, by: usize, add: &[usize]) -> PendingCommit {
        let due: Vec<Credential> = match self.sim.layering {
            // The hub has proposed that.
            Layering::Bound => vec![],
            _ => self.sim.hub().due_removals(&self.sim.room),
        };
        let queued = self.sim.hub().queued_adds();
        let add: Vec<usize> =
            add.iter().copied().filter(|device| !queued.contains(&self.sim.credential(*device))).collect();
        let plan = CommitPlan { update: true, ..self.sim.plan(by, &add, &due) };
        self.sim.commit(by, plan)
    }

    fn speak(&mut self) {
        let inside: Vec<usize> = (0..self.states.len())
            .filter(|device| self.is_wanted(*device) && self.states[*device].since.is_some())
            .collect();
        if let Some(device) = self.rng.pick(&inside) {
            self.say(device);
        }
    }

    pub(super) fn say(&mut self, device: usize) {
        let (id, text) = (self.sim.id.clone(), format!("message {}", self.messages.len()));
        if !self.sim.member(device).is_in(&id) {
            return;
        }
        let content = self.sim.encrypt(device, &text);
        if self.sim.hub().check_message(&content, &self.sim.user_of(device)).is_err() {
            return;
        }
        let commit = self.sim.log.iter().position(|(event_id, _)| *event_id == content.commit_event_id).unwrap();
        self.messages.push(Message { at: self.sim.log.len(), commit, content, text, sender: device });
    }

    fn some_sync(&mut self) {
        for device in 0..self.states.len() {
            if self.states[device].online && self.rng.percent(70) {
                self.sync(device);
            }
        }
    }

    fn come_or_go(&mut self) {
        let device = self.rng.below(self.states.len());
        self.states[device].online = !self.states[device].online;
    }

    fn join_room(&mut self) {
        let out: Vec<&str> = USERS.into_iter().filter(|name| !self.sim.room.joined.contains(&user(name))).collect();
        if let Some(name) = self.rng.pick(&out) {
            self.sim.room.join(&user(name));
            self.room_has_changed();
        }
    }

    fn somebody_to_kick(&mut self) -> Option<&'static str> {
        let inside: Vec<&str> =
            USERS[1..].iter().copied().filter(|name| self.sim.room.joined.contains(&user(name))).collect();
        self.rng.pick(&inside)
    }

    fn kick(&mut self) {
        if let Some(name) = self.somebody_to_kick() {
            self.part(name);
            self.count("kick");
        }
    }

    /// A member event without a commit: what it makes due comes later.
    fn part(&mut self, name: &str) {
        self.steal(name);
        self.sim.room.part(&user(name));
        self.room_has_changed();
    }

    /// Somebody takes the stores of a user's devices as they are.
    fn steal(&mut self, name: &str) {
        for device in 0..self.states.len() {
            if self.sim.user_of(device) == user(name) {
                let (store, seen) = (self.sim.devices[device].store.copy(), self.sim.devices[device].seen);
                self.states[device].stolen = Some((store, seen));
            }
        }
    }

    fn kick_with_its_commit(&mut self) {
        let able = self.able();
        let Some(name) = self.somebody_to_kick() else { return };
        let by: Vec<usize> = able.into_iter().filter(|device| self.sim.user_of(*device) != user(name)).collect();
        let Some(by) = self.rng.pick(&by).filter(|_| self.sim.layering == Layering::Bound) else { return };
        if self.rng.percent(60) {
            // Another device of theirs waits to be added.
            let another = self.new_device(name, &format!("D{}", self.states.len()));
            self.propose(by, &[another]);
        }
        self.steal(name);
        self.sim.room.pair(&user(name), false);
        let gone: Vec<Credential> =
            self.sim.hub().members().filter(|device| device.user_id == user(name)).cloned().collect();
        let plan = CommitPlan { update: true, ..self.sim.plan(by, &[], &[]) };
        if self.sim.hub().queued_adds().iter().any(|device| device.user_id == user(name)) {
            self.count("kick of who was to be added");
        }
        let id = self.sim.id.clone();
        let proposed = self.sim.member(by).proposed(&id, &plan.queued).unwrap();
        let remove = gone.into_iter().filter(|device| !proposed.removes.contains(device)).collect();
        let pending = self.sim.commit(by, CommitPlan { remove, ..plan });
        match self.append(by, &pending) {
            Ok(()) => {
                self.room_has_changed();
                self.count("kick with its commit");
            }
            // Nobody has come between.
            Err(refusal) => panic!("a kick is refused: {refusal}"),
        }
    }

    fn some_device_appears(&mut self) {
        let joined: Vec<&str> = USERS.into_iter().filter(|name| self.sim.room.joined.contains(&user(name))).collect();
        let name = self.rng.pick(&joined).unwrap();
        self.new_device(name, &format!("D{}", self.states.len()));
    }

    fn some_device_is_gone(&mut self) {
        let device = self.rng.below(self.states.len());
        if device > 0 {
            self.sim.room.remove_device(&self.sim.credential(device));
            self.room_has_changed();
        }
    }

    fn lose_state(&mut self) {
        let device = self.rng.below(self.states.len());
        if device == 0 || self.states[device].since.is_none() {
            return;
        }
        let (own, store) = (self.sim.credential(device), axle_mls::member::MemoryStore::default());
        self.sim.devices[device].member = Member::open(key(own.user_id.as_str(), &own.device_id), store.clone());
        self.sim.devices[device].store = store;
        let state = &mut self.states[device];
        (state.since, state.mail, state.unread) = (None, vec![], vec![]);
        self.count("state lost");
    }

    fn outside(&mut self) -> Vec<usize> {
        let id = self.sim.id.clone();
        (0..self.states.len()).filter(|it| self.is_wanted(*it) && !self.sim.member(*it).is_in(&id)).collect()
    }

    fn somebody_joins(&mut self) {
        let outside = self.outside();
        if let Some(device) = self.rng.pick(&outside) {
            self.sync(device);
            if self.states[device].since.is_none() {
                self.join_external(device);
            }
        }
    }

    /// Somebody signs a commit that nobody can apply.
    fn lie(&mut self) {
        let able: Vec<usize> = self.able().into_iter().filter(|device| *device > 0).collect();
        let Some(device) = self.rng.pick(&able) else { return };
        // The honest form would not remove who has to leave.
        if !self.sim.hub().due_removals(&self.sim.room).is_empty() {
            return;
        }
        let id = self.sim.id.clone();
        let content = crate::recovery::malicious_commit(&mut self.sim, device);
        self.sim.member(device).discard(&id).unwrap();
        if let Some(content) = content {
            self.append_malicious(device, &content);
            self.count("malicious commit");
        }
    }

    /// Everything works again, and everybody does what is to be done.
    pub(super) fn heal(&mut self) {
        for round in 0..ROUNDS {
            for device in 0..self.states.len() {
                self.states[device].online = true;
                self.sync(device);
            }
            for device in self.sim.hub().quarantine().to_vec() {
                self.sim.hub_mut().release(&device);
            }
            self.store();
            if self.is_well() {
                let last = self.epochs.iter().rposition(|epoch| !epoch.void).unwrap();
                for device in self.members() {
                    self.check_authenticator(device, last);
                }
                self.everybody_speaks();
                return;
            }
            if let Some(device) = self.able().first().copied() {
                let pending = self.make_commit(device, &[]);
                if let Err(refusal) = self.append(device, &pending) {
                    panic!("round {round}: {refusal}");
                }
                self.sync(device);
            }
            for device in self.outside() {
                self.sync(device);
                if self.states[device].since.is_none() {
                    self.join_external(device);
                }
            }
        }
        panic!("after {ROUNDS} rounds the group has not come together: {}", self.describe());
    }

    /// Who is where, for whoever looks for the reason.
    fn describe(&mut self) -> String {
        let (members, log) = (self.members(), self.sim.log.len());
        let due = self.sim.hub().due_removals(&self.sim.room).len();
        let mut out = format!("epoch {}, {due} removals due", self.sim.hub().epoch());
        for device in 0..self.states.len() {
            let id = self.sim.id.clone();
            let (seen, wanted, inside) =
                (self.sim.devices[device].seen, self.is_wanted(device), self.sim.member(device).is_in(&id));
            let since = self.states[device].since;
            let member = members.contains(&device);
            out += &format!(
                "\n{device}: wanted {wanted}, member {member}, inside {inside}, since {since:?}, {seen} of {log}"
            );
        }
        out
    }

    /// Whether the hub and all devices have the group that the room wants.
    fn is_well(&mut self) -> bool {
        let wanted = (0..self.states.len()).filter(|device| self.is_wanted(*device)).collect();
        let members = self.members();
        members == wanted && members.iter().all(|device| self.is_able(*device)) && self.sim.hub().queued().is_empty()
    }

    fn everybody_speaks(&mut self) {
        let before = self.messages.len();
        let members = self.members();
        for device in &members {
            self.say(*device);
        }
        assert_eq!(self.messages.len() - before, members.len());
        for device in 0..self.states.len() {
            self.sync(device);
        }
    }
}
