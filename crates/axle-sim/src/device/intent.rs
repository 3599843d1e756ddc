//! What a device wants in a race: new keys, at the same time as others.

use axle_mls::Layering;
use axle_mls::event::CommitContent;

use super::{Device, DeviceFact, Pending, Purpose, What};
use crate::node::{Ctx, Node};
use crate::wire::{GroupAsk, GroupTold};

/// Of a thousand that lose a race in a bound room, how many propose what they wanted.
const PROPOSES: u64 = 800;
/// How long who has proposed something leaves it to others to commit, at least and at most.
const LEAVES_TO_OTHERS_MS: (u64, u64) = (4_000, 30_000);
/// How long who has lost waits before the next commit.
const LOSER_WAITS_MS: u64 = 1_000;

/// A commit that a device wants to make, with others at once.
#[derive(Debug)]
pub struct Intent {
    race: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// To be committed at this time.
    Commit(u64),
    /// To be proposed.
    Propose,
    /// Proposed; to be committed at this time if nobody else has.
    Proposed(Vec<u8>, u64),
}

impl Intent {
    /// What a device wants in this race, from now on.
    pub fn new(race: usize) -> Self {
        Self { race, state: State::Commit(0) }
    }
}

impl Device {
    /// Does what is due for what the device wants. Returns whether it does something.
    pub(super) fn tend_intent(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) -> bool {
        let Some(intent) = &self.intent else { return false };
        match intent.state {
            State::Commit(at) | State::Proposed(_, at) if ctx.now < at => return false,
            State::Commit(_) | State::Proposed(..) => self.ask_state(node, ctx, Purpose::Commit),
            State::Propose => self.ask_state(node, ctx, Purpose::Propose),
        }
        true
    }

    /// Whether what it wants is to be in a commit that it makes now.
    pub(super) fn wants_new_keys(&self) -> bool {
        self.intent.is_some()
    }

    /// Proposes new keys, for somebody's next commit.
    pub(super) fn propose(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        let binding = node.binding(ctx, &self.room_id, &self.user, &[], None);
        let proposal = binding.and_then(|it| self.member.propose_update(&self.room_id, &it.binding).ok());
        match proposal {
            Some(proposal) => {
                let message = proposal.message;
                self.ask(node, ctx, &GroupAsk::Propose(message.clone()), What::Propose(message));
            }
            None => self.rest(ctx),
        }
    }

    pub(super) fn proposed(&mut self, ctx: &mut Ctx<'_>, message: Vec<u8>, told: &GroupTold) {
        let until = ctx.now + ctx.rng.between(LEAVES_TO_OTHERS_MS.0, LEAVES_TO_OTHERS_MS.1);
        let is_done = matches!(told, GroupTold::Done);
        if let GroupTold::Refused(code) = told {
            self.line(ctx, format!("its proposal is refused: {code}"));
            self.fact(ctx, DeviceFact::Refused(code.clone()));
            self.track.behind |= super::commits::is_stale(code);
        }
        if let Some(intent) = &mut self.intent {
            intent.state = if is_done { State::Proposed(message, until) } else { State::Commit(until) };
        }
        if is_done {
            self.line(ctx, "has proposed new keys".into());
            self.fact(ctx, DeviceFact::Covered("who has lost a race proposes"));
        }
    }

    /// A commit that it has made for a race.
    pub(super) fn race_commit(&self, ctx: &mut Ctx<'_>) {
        if let Some(intent) = &self.intent {
            self.fact(ctx, DeviceFact::RaceCommit(intent.race));
        }
    }

    /// Its commit is not taken: because another was first (`is_late`), or for another reason.
    pub(super) fn lost_race(&mut self, ctx: &mut Ctx<'_>, pending: &Pending, is_late: bool) {
        let proposes = is_late && self.layering == Layering::Bound && ctx.rng.per_mille(PROPOSES);
        let again = ctx.now + ctx.rng.between(1, LOSER_WAITS_MS);
        let Some(intent) = self.intent.as_mut().filter(|_| pending.is_intent) else { return };
        intent.state = if proposes { State::Propose } else { State::Commit(again) };
        let race = intent.race;
        if is_late {
            self.fact(ctx, DeviceFact::RaceLost(race));
        }
    }

    /// A commit of another device: it includes what was proposed, or has made it void.
    pub(super) fn follow_intent(&mut self, ctx: &mut Ctx<'_>, content: &CommitContent) {
        let Some(Intent { state: State::Proposed(message, _), .. }) = &self.intent else { return };
        if content.proposals.contains(message) {
            return self.intent_is_done(ctx);
        }
        let again = ctx.now + ctx.rng.between(1, LOSER_WAITS_MS);
        if let Some(intent) = &mut self.intent {
            intent.state = State::Commit(again);
        }
    }

    pub(super) fn intent_is_done(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(intent) = self.intent.take() {
            self.fact(ctx, DeviceFact::RaceDone(intent.race));
        }
    }
}
