//! Commits of a device on their way to the hub, and what becomes of them.

use axle_mls::Credential;
use axle_mls::event::{CommitContent, EncryptedContent, WelcomeContent};
use axle_mls::hub::added_users;
use axle_mls::member::{CommitPlan, MemberError, PendingCommit};
use axle_protocol::auth::Membership;
use axle_protocol::{EventId, UserId};

use super::{Asked, Device, DeviceFact, Purpose, PutOut, Want, What, index_of};
use crate::defects::Defect;
use crate::node::{Ctx, Deed, MemberWish, Node, refusal_code};
use crate::wire::{GroupAsk, GroupState, GroupTold, OtherHalf};

/// How often a message, or a member event with its commit, is made anew.
const MAX_TRIES: u32 = 8;
/// How often it is looked whether a pair without an answer is in the log.
const MAX_LOOKS: u32 = 3;

/// A commit that waits for the hub.
pub struct Pending {
    /// The content of the event.
    pub content: CommitContent,
    /// Whether the device joins with it.
    pub joins: bool,
    welcome: Option<Vec<u8>>,
    welcomed: Vec<Credential>,
    /// The number that its transaction has; `None` of one with a member event.
    number: Option<u64>,
    /// Who is put out with it, and how the member event is marked.
    puts_out: Option<(PutOut, String)>,
    /// Whether it is what the device wanted in a race.
    pub(super) is_intent: bool,
    looks: u32,
}

impl Pending {
    pub(super) fn new(pending: PendingCommit, joins: bool, welcomed: Vec<Credential>) -> Self {
        let PendingCommit { content, welcome } = pending;
        Self { content, joins, welcome, welcomed, number: None, puts_out: None, is_intent: false, looks: 0 }
    }

    /// The same, if it is what the device wanted in a race.
    pub(super) fn for_race(self, is_intent: bool) -> Self {
        Self { is_intent, ..self }
    }
}

impl Device {
    /// Sends a commit that comes alone.
    pub(super) fn submit(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, mut pending: Pending) {
        let number = self.ask_for(ctx, What::Commit);
        pending.number = Some(number);
        let content = pending.content.to_content();
        self.pending = Some(pending);
        self.send(node, ctx, CommitContent::EVENT_TYPE, content, number);
    }

    /// Finds out about a commit whose answer has not come.
    pub(super) fn settle(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        match self.pending.as_ref().and_then(|pending| Some((pending.number?, pending.content.to_content()))) {
            Some((number, content)) => {
                // Under the same transaction, so that it is not sent twice.
                self.asked = Some(Asked { number, at: ctx.now, what: What::Commit });
                self.send(node, ctx, CommitContent::EVENT_TYPE, content, number);
            }
            None => self.ask_state(node, ctx, Purpose::Settle),
        }
    }

    /// The hub's state, asked for because of a pair without an answer.
    pub(super) fn settled(&mut self, ctx: &mut Ctx<'_>, state: &GroupState) {
        let is_where_it_was = self.commit().as_ref() == Some(&state.commit);
        let Some(pending) = &mut self.pending else { return };
        pending.looks += 1;
        if is_where_it_was || pending.looks > MAX_LOOKS {
            self.drop_pending();
        }
        self.rest(ctx);
    }

    /// The commit that waits is in the log.
    pub(super) fn confirm(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, event_id: &EventId) {
        let Some(pending) = self.pending.take() else { return };
        if let Err(error) = self.member.confirm(&self.room_id, event_id) {
            return self.fact(ctx, DeviceFact::Failed(format!("an own commit: {error}")));
        }
        self.read.insert(event_id.clone());
        (self.track.refusals, self.track.look_at) = (0, 0);
        if let Some(welcome) = pending.welcome {
            let content = WelcomeContent { welcome, commit_event_id: event_id.clone() };
            for device in &pending.welcomed {
                let (index, server) = (index_of(device), ctx.directory.node(device.user_id.server_str()));
                if let (Some(index), Some(server)) = (index, server) {
                    node.post(ctx, server, index, content.clone());
                }
            }
        }
        if pending.is_intent {
            self.intent_is_done(ctx);
        }
        if pending.joins {
            return self.arrive(node, ctx, event_id);
        }
        self.line(ctx, "has its commit in the log".into());
        self.note_arrival(ctx);
    }

    /// The commit that waits is not in the log and will not be.
    pub(super) fn drop_pending(&mut self) {
        if self.pending.take().is_some() {
            self.member.discard(&self.room_id).ok();
        }
    }

    pub(super) fn commit_told(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, outcome: Result<EventId, String>) {
        if self.pending.is_none() {
            return;
        }
        let reason = match outcome {
            Ok(event_id) => return self.confirm(node, ctx, &event_id),
            Err(reason) => reason,
        };
        match refusal_code(&reason).map(str::to_owned) {
            Some(code) => self.refused(node, ctx, &code),
            None => {
                self.line(ctx, format!("may not commit: {reason}"));
                self.drop_pending();
                self.rest(ctx);
            }
        }
    }

    /// The group has not taken the commit that waits.
    fn refused(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, code: &str) {
        self.line(ctx, format!("its commit is refused: {code}"));
        self.fact(ctx, DeviceFact::Refused(code.to_owned()));
        let is_blind = ctx.plan.defect == Some(Defect::BlindRetries);
        if is_stale(code) && !is_blind {
            // It may be this very one that came first, when an answer was lost.
            self.sync(node, ctx);
        }
        let Some(pending) = self.pending.take() else { return };
        self.member.discard(&self.room_id).ok();
        self.lost_race(ctx, &pending, is_stale(code));
        if let Some((want, _)) = pending.puts_out.filter(|(want, _)| want.tries < MAX_TRIES) {
            self.wants.push_front(Want::PutOut(PutOut { tries: want.tries + 1, ..want }));
        }
        if is_stale(code) && is_blind && pending.is_intent && self.intent.is_some() {
            let binding = node.binding(ctx, &self.room_id, &self.user, &[], None).map(|it| it.binding);
            let plan = CommitPlan { update: true, binding: binding.unwrap_or_default(), ..CommitPlan::default() };
            if let Ok(again) = self.member.commit(&self.room_id, plan) {
                self.race_commit(ctx);
                return self.submit(node, ctx, Pending::new(again, false, vec![]).for_race(true));
            }
        }
        if is_stale(code) {
            self.track.behind = true;
        }
        self.rest(ctx);
    }

    /// Puts a user out, with the devices of theirs that are in the group.
    pub(super) fn put_out(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, state: &GroupState, want: PutOut) {
        let members = self.member.members(&self.room_id).unwrap_or_default();
        let waits = state.proposals.iter().any(|message| added_users(message).contains(&want.user));
        if !waits && !members.iter().any(|device| device.user_id == want.user) {
            return self.member_event(node, ctx, want.user.to_string(), want.membership);
        }
        let Some((mut plan, proposed)) = self.plan(ctx, state, Some(&want.user)) else {
            self.wants.push_front(Want::PutOut(want));
            return self.rest(ctx);
        };
        let theirs = members.into_iter().filter(|device| device.user_id == want.user);
        let theirs: Vec<_> = theirs.filter(|it| !plan.remove.contains(it) && !proposed.removes.contains(it)).collect();
        plan.remove.extend(theirs);
        let added: Vec<UserId> = proposed.adds.iter().map(|device| device.user_id.clone()).collect();
        let mark = format!("p{}-{}", self.index, self.next);
        let wish = MemberWish { user: want.user.clone(), membership: want.membership, mark: mark.clone() };
        let prepared = node.binding(ctx, &self.room_id, &self.user, &added, Some(&wish));
        let Some((binding, Some(member))) = prepared.map(|it| (it.binding, it.member)) else { return self.rest(ctx) };
        (plan.update, plan.binding) = (true, binding);
        let pending = match self.member.commit(&self.room_id, plan) {
            Ok(pending) => pending,
            Err(error) => return self.cannot_commit(ctx, &error),
        };
        self.line(ctx, format!("puts {} out, with a commit", want.user));
        self.fact(ctx, DeviceFact::Covered("a kick with its commit"));
        let with = OtherHalf::Commit(pending.content.to_content());
        let puts_out = Some((want, mark));
        self.pending = Some(Pending { puts_out, ..Pending::new(pending, false, proposed.adds) });
        self.ask(node, ctx, &GroupAsk::Pair { member, with }, What::Pair);
    }

    pub(super) fn pair_told(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, told: GroupTold) {
        match told {
            GroupTold::Paired { commit: Some(commit) } => self.confirm(node, ctx, &commit),
            GroupTold::Refused(code) => {
                let mark = self.pending.as_ref().and_then(|pending| pending.puts_out.as_ref());
                if let Some((_, mark)) = mark {
                    self.fact(ctx, DeviceFact::PairRefused(mark.clone()));
                }
                self.refused(node, ctx, &code);
            }
            // It was not allowed, or is a repetition.
            GroupTold::Denied(reason) => self.line(ctx, format!("its pair is not taken: {reason}")),
            _ => {}
        }
    }

    /// Leaves with the proposal that removes this device.
    pub(super) fn leave(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, tries: u32) {
        let mark = format!("p{}-{}", self.index, self.next);
        let wish = MemberWish { user: self.user.clone(), membership: Membership::Leave, mark };
        let prepared = node.binding(ctx, &self.room_id, &self.user, &[], Some(&wish));
        let made = prepared.and_then(|prepared| {
            let proposal = self.member.leave(&self.room_id, &prepared.binding).ok()?;
            Some((prepared.member?, proposal.message))
        });
        let Some((member, message)) = made else {
            return self.member_event(node, ctx, self.user.to_string(), Membership::Leave);
        };
        self.line(ctx, "leaves, with its proposal".into());
        self.fact(ctx, DeviceFact::Covered("a leave with its proposal"));
        self.ask(node, ctx, &GroupAsk::Pair { member, with: OtherHalf::Proposal(message) }, What::Leave(tries));
    }

    pub(super) fn leave_told(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, tries: u32, told: &GroupTold) {
        match told {
            GroupTold::Paired { .. } | GroupTold::Denied(_) => {}
            GroupTold::Refused(code) if is_stale(code) && tries < MAX_TRIES => {
                self.track.behind = true;
                self.wants.push_front(Want::Leave(tries + 1));
                self.rest(ctx);
            }
            _ => self.member_event(node, ctx, self.user.to_string(), Membership::Leave),
        }
    }

    pub(super) fn member_event(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, user: String, membership: Membership) {
        self.next += 1;
        self.act(node, ctx, Deed::Member(user, membership), format!("m{}-{}", self.index, self.next));
    }

    pub(super) fn say(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, text: String, tries: u32) {
        let content = match self.member.encrypt(&self.room_id, text.as_bytes()) {
            Ok(content) => content,
            Err(error) => return self.fact(ctx, DeviceFact::Failed(format!("a message: {error}"))),
        };
        self.sent.insert(content.ciphertext.clone());
        self.fact(ctx, DeviceFact::Said(content.ciphertext.clone(), text.clone()));
        let map = content.to_content();
        let number = self.ask_for(ctx, What::Say { content, text, tries });
        self.send(node, ctx, EncryptedContent::EVENT_TYPE, map, number);
    }

    pub(super) fn said(&mut self, ctx: &mut Ctx<'_>, text: String, tries: u32, outcome: Result<EventId, String>) {
        let Err(reason) = outcome else { return };
        let Some(code) = refusal_code(&reason) else { return self.line(ctx, format!("may not speak: {reason}")) };
        self.line(ctx, format!("its message is refused: {code}"));
        self.track.behind |= is_stale(code) || code == "not_a_member";
        if tries < MAX_TRIES {
            self.wants.push_front(Want::Say(text, tries + 1));
            self.track.looks = 0;
        }
        self.rest(ctx);
    }

    pub(super) fn cannot_commit(&mut self, ctx: &mut Ctx<'_>, error: &MemberError) {
        self.fact(ctx, DeviceFact::Failed(format!("no commit can be made: {error}")));
        self.track.behind = true;
        self.rest(ctx);
    }
}

/// Whether a refusal says that the group has moved on.
pub(super) fn is_stale(code: &str) -> bool {
    matches!(code, "wrong_epoch" | "wrong_parent" | "outdated")
}
