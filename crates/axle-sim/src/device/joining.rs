//! Coming into the group: by making it, by a Welcome, or by itself; and back into it.

use axle_mls::Layering;
use axle_mls::event::WelcomeContent;
use axle_mls::member::HubState;

use super::{Device, DeviceFact, Pending, Purpose, What};
use crate::node::{Ctx, Node};
use crate::wire::{GroupAsk, GroupState, GroupTold};

/// How long a device waits for a Welcome before it joins by itself.
const WELCOME_WAIT_MS: u64 = 6_000;
/// How often the hub is asked for commits that the own server does not have yet, before this device joins anew.
const MAX_LOOKS: u32 = 6;

impl Device {
    /// The next step of a device that is not in the group.
    pub(super) fn step_in(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        if let Some(welcome) = self.inbox.pop() {
            return self.ask_state(node, ctx, Purpose::Welcome(welcome));
        }
        let since = *self.track.outside_since.get_or_insert(ctx.now);
        if self.track.lost || self.is_creator() || ctx.now >= since + WELCOME_WAIT_MS {
            self.ask_state(node, ctx, Purpose::Join);
        }
    }

    /// The next step of a device that is in the group, and has missed something.
    pub(super) fn recover(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        let Some((epoch, message)) = self.track.reports.pop() else {
            return self.ask_state(node, ctx, Purpose::Look);
        };
        let verdict = axle_mls::hub::Verdict::CannotApply;
        let report = self.member.report(&self.room_id, epoch, &message, verdict).to_json();
        self.ask(node, ctx, &GroupAsk::Report(report), What::Report(epoch, message));
    }

    /// The hub says where the group is.
    pub(super) fn looked(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, state: &GroupState) {
        self.sync(node, ctx);
        if self.commit().as_ref() == Some(&state.commit) {
            (self.track.behind, self.track.lost, self.track.looks) = (false, false, 0);
            return;
        }
        // Its server may not have the newest yet. If that does not help, something could not be applied, or the hub went
        // back to before what was.
        self.track.looks += 1;
        if self.track.looks < MAX_LOOKS && !self.track.lost {
            return self.rest(ctx);
        }
        self.track.lost = true;
        self.line(ctx, "has lost track".into());
        self.fact(ctx, DeviceFact::Covered("a device has lost track"));
        self.join_by_itself(node, ctx, state);
    }

    pub(super) fn join_by_itself(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, state: &GroupState) {
        let own = [self.user.clone()];
        let Some(prepared) = node.binding(ctx, &self.room_id, &self.user, &own, None) else { return self.rest(ctx) };
        let hub = HubState {
            group_info: state.group_info.clone(),
            ratchet_tree: state.ratchet_tree.clone(),
            last_commit: state.commit.clone(),
        };
        match self.member.join_external(&self.room_id, self.layering, &hub, &prepared.binding) {
            Ok(pending) => {
                self.line(ctx, format!("joins by itself, after epoch {}", state.epoch));
                self.fact(ctx, DeviceFact::Covered("a device joins by itself"));
                self.submit(node, ctx, Pending::new(pending, true, vec![]));
            }
            Err(error) => self.cannot_commit(ctx, &error),
        }
    }

    pub(super) fn create_group(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        let Some(prepared) = node.binding(ctx, &self.room_id, &self.user, &[], None) else { return self.rest(ctx) };
        let hub = prepared.hub.filter(|_| self.layering == Layering::Bound);
        self.member.forget(&self.room_id).ok();
        match self.member.create_group(&self.room_id, self.layering, hub.as_ref(), &prepared.binding) {
            Ok(pending) => {
                self.line(ctx, "makes the group".into());
                self.submit(node, ctx, Pending::new(pending, true, vec![]));
            }
            Err(error) => self.cannot_commit(ctx, &error),
        }
    }

    /// The state after the commit of a Welcome.
    pub(super) fn open(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, welcome: WelcomeContent, told: GroupTold) {
        let state = match told {
            GroupTold::State(state) => state,
            GroupTold::Unanswered => return self.inbox.push(welcome),
            // It is not kept any more.
            _ => return,
        };
        match self.member.join(&self.room_id, self.layering, &welcome, &state.ratchet_tree) {
            Ok(()) => {
                self.fact(ctx, DeviceFact::Covered("a device joins by a Welcome"));
                self.arrive(node, ctx, &welcome.commit_event_id);
                // What followed may be older than its server's log; `axle-sdk` reads the history then.
                self.track.behind = true;
            }
            Err(error) => self.line(ctx, format!("a Welcome is of no use: {error}")),
        }
    }

    /// Whether it is the device that made the room: it makes the group.
    pub(super) fn is_creator(&self) -> bool {
        self.index == 0
    }
}
