//! What has to be done for a group: devices that are missing are added, those that have to leave removed.

use axle_mls::hub::without_adds_of;
use axle_mls::member::{CommitPlan, Proposed};
use axle_mls::{CheckedKeyPackage, Credential, Layering};
use axle_protocol::UserId;

use super::{Device, DeviceFact, Pending, Purpose, PutOut, Want, What, index_of};
use crate::defects::Defect;
use crate::node::{Ctx, Node};
use crate::wire::{GroupAsk, GroupState, GroupTold};

/// How long a device leaves it to others to add and remove devices, at least and at most.
const TURN_MS: (u64, u64) = (1_500, 6_000);
/// How long until it looks again whether the group lacks something.
const LOOK_MS: (u64, u64) = (1_000, 4_000);
/// Of a thousand times that a device could add others in a bound room, how many it proposes one of them instead.
const PROPOSES_ADD: u64 = 200;
/// Of a thousand whom the creator has proposed to add, how many they put out before that is committed.
const CHANGES_MIND: u64 = 500;
/// How long a device that has no KeyPackage left is not asked for one again.
const WITHOUT_PACKAGE_MS: u64 = 20_000;

/// What a group lacks, as far as is known here.
struct Lack {
    missing: Vec<Credential>,
    /// Whether devices are in it that should not be.
    surplus: bool,
    /// Whether this device should see to it at once.
    is_ours: bool,
}

impl Device {
    /// The next step of a device that is in the group and knows all of it.
    pub(super) fn tend(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        if self.tend_intent(node, ctx) {
            return;
        }
        if ctx.now >= self.track.look_at {
            let lack = self.lack(node, ctx);
            if lack.missing.is_empty() && !lack.surplus {
                self.track.turn_at = None;
                self.track.look_at = ctx.now + ctx.rng.between(LOOK_MS.0, LOOK_MS.1);
            } else if lack.is_ours || self.has_turn(ctx) {
                self.track.turn_at = None;
                return self.fill(node, ctx, &lack.missing);
            }
        }
        match self.wants.pop_front() {
            Some(Want::Say(text, tries)) => self.say(node, ctx, text, tries),
            Some(Want::PutOut(want)) if self.layering == Layering::Bound => {
                self.ask_state(node, ctx, Purpose::PutOut(want));
            }
            Some(Want::PutOut(want)) => self.member_event(node, ctx, want.user.to_string(), want.membership),
            Some(Want::Leave(tries)) if self.layering == Layering::Bound => self.leave(node, ctx, tries),
            Some(Want::Leave(_)) => {
                self.member_event(node, ctx, self.user.to_string(), axle_protocol::auth::Membership::Leave);
            }
            None => {}
        }
    }

    pub(super) fn state_told(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, purpose: Purpose, told: GroupTold) {
        let purpose = match purpose {
            Purpose::Welcome(welcome) => return self.open(node, ctx, welcome, told),
            purpose => purpose,
        };
        let state = match (told, &purpose) {
            (GroupTold::State(state), _) => state,
            // Whoever has made the room will make its group.
            (GroupTold::Denied(_), Purpose::Join) if self.is_creator() => return self.create_group(node, ctx),
            (_, Purpose::PutOut(want)) => {
                self.wants.push_front(Want::PutOut(want.clone()));
                return self.rest(ctx);
            }
            _ => return self.rest(ctx),
        };
        match purpose {
            Purpose::Welcome(_) => {}
            Purpose::Join if self.is_in() => {}
            Purpose::Join => self.join_by_itself(node, ctx, &state),
            Purpose::Settle => self.settled(ctx, &state),
            _ if !self.is_in() || self.pending.is_some() => {}
            Purpose::Look => self.looked(node, ctx, &state),
            purpose if self.commit().as_ref() != Some(&state.commit) => {
                if let Purpose::PutOut(want) = purpose {
                    self.wants.push_front(Want::PutOut(want));
                }
                self.track.behind = true;
            }
            Purpose::Commit => self.make_commit(node, ctx, &state),
            Purpose::Propose => self.propose(node, ctx),
            Purpose::ProposeAdd => self.propose_add(node, ctx, &state),
            Purpose::PutOut(want) => self.put_out(node, ctx, &state, want),
        }
    }

    /// KeyPackages have come for the next commit.
    pub(super) fn claimed(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, devices: &[usize], told: GroupTold) {
        let claimed = match told {
            GroupTold::Claimed(claimed) => claimed,
            _ => Vec::new(),
        };
        for device in devices.iter().filter(|device| !claimed.iter().any(|(other, _)| other == *device)) {
            self.without_package.insert(*device, ctx.now + WITHOUT_PACKAGE_MS);
        }
        let packages = claimed.iter().filter_map(|(device, bytes)| {
            let package = CheckedKeyPackage::parse(bytes).ok()?;
            let own = package.credential();
            (index_of(own) == Some(*device) && node.is_published(&own.user_id, own)).then_some(package)
        });
        self.packages = packages.collect();
        if self.packages.is_empty() {
            return self.rest(ctx);
        }
        let proposes = self.layering == Layering::Bound && ctx.rng.per_mille(PROPOSES_ADD);
        self.ask_state(node, ctx, if proposes { Purpose::ProposeAdd } else { Purpose::Commit });
    }

    /// What every commit has to contain now, and what of that was proposed; `None` if this device cannot commit. `puts_out`:
    /// somebody whose kick or ban goes with it.
    pub(super) fn plan(
        &mut self,
        ctx: &mut Ctx<'_>,
        state: &GroupState,
        puts_out: Option<&UserId>,
    ) -> Option<(CommitPlan, Proposed)> {
        let mut queued = if self.layering == Layering::Bound { state.proposals.clone() } else { Vec::new() };
        if let Some(user) = puts_out {
            let before = queued.len();
            queued = without_adds_of(user, queued);
            if queued.len() < before {
                self.fact(ctx, DeviceFact::Covered("who was to be added is put out"));
            }
        }
        let proposed = self.member.proposed(&self.room_id, &queued).ok()?;
        let own = self.key.credential();
        // Others have to commit that it leaves.
        if proposed.removes.contains(own) || state.due.contains(own) {
            return None;
        }
        let remove = state.due.iter().filter(|device| !proposed.removes.contains(device));
        let remove = match ctx.plan.defect {
            Some(Defect::NobodyRemoves) => Vec::new(),
            _ => remove.cloned().collect(),
        };
        Some((CommitPlan { queued, remove, ..CommitPlan::default() }, proposed))
    }

    /// Whether it is this device's turn to do what others have not done.
    fn has_turn(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let later = ctx.now + ctx.rng.between(TURN_MS.0, TURN_MS.1);
        ctx.now >= *self.track.turn_at.get_or_insert(later)
    }

    fn fill(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, missing: &[Credential]) {
        // Those of one server at a time.
        let server = missing.first().and_then(|device| ctx.directory.node(device.user_id.server_str()));
        let Some(server) = server else { return self.ask_state(node, ctx, Purpose::Commit) };
        let theirs = missing.iter().filter(|it| ctx.directory.node(it.user_id.server_str()) == Some(server));
        let theirs: Vec<usize> = theirs.filter_map(index_of).collect();
        let number = self.ask_for(ctx, What::Claim(theirs.clone()));
        node.claim_for(ctx, self.index, number, server, theirs);
    }

    fn make_commit(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, state: &GroupState) {
        let Some((mut plan, proposed)) = self.plan(ctx, state, None) else { return self.rest(ctx) };
        let members = self.member.members(&self.room_id).unwrap_or_default();
        let stays = |device: &Credential| !plan.remove.contains(device) && !proposed.removes.contains(device);
        let is_there = |device: &Credential| {
            let staying = members.iter().filter(|other| stays(other));
            staying.chain(&proposed.adds).any(|other| other.is_same_device(device))
        };
        let add = std::mem::take(&mut self.packages).into_iter().filter(|package| !is_there(package.credential()));
        plan.add = add.collect();
        let is_intent = self.wants_new_keys();
        // Whoever is put out knows the old keys.
        plan.update = is_intent || !plan.remove.is_empty();
        if plan.add.is_empty() && plan.queued.is_empty() && !plan.update {
            return self.rest(ctx);
        }
        let mut welcomed: Vec<Credential> = plan.add.iter().map(|package| package.credential().clone()).collect();
        welcomed.extend(proposed.adds);
        let added: Vec<UserId> = welcomed.iter().map(|device| device.user_id.clone()).collect();
        let prepared = node.binding(ctx, &self.room_id, &self.user, &added, None);
        let Some(prepared) = prepared else { return self.rest(ctx) };
        plan.binding = prepared.binding;
        let (adds, removes, queued) = (plan.add.len(), plan.remove.len(), plan.queued.len());
        match self.member.commit(&self.room_id, plan) {
            Ok(pending) => {
                let kind = if is_intent { ", in a race" } else { "" };
                let epoch = state.epoch;
                self.line(
                    ctx,
                    format!("commits in epoch {epoch}: {adds} adds, {removes} removals, {queued} queued{kind}"),
                );
                if is_intent {
                    self.race_commit(ctx);
                }
                if queued > 0 {
                    self.fact(ctx, DeviceFact::Covered("a commit includes what waits"));
                }
                self.submit(node, ctx, Pending::new(pending, false, welcomed).for_race(is_intent));
            }
            Err(error) => self.cannot_commit(ctx, &error),
        }
    }

    /// Proposes to add a device, for somebody's next commit.
    fn propose_add(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, state: &GroupState) {
        let proposed = self.member.proposed(&self.room_id, &state.proposals).unwrap_or_default();
        let is_proposed =
            |package: &CheckedKeyPackage| proposed.adds.iter().any(|it| it.is_same_device(package.credential()));
        let package = std::mem::take(&mut self.packages).into_iter().find(|package| !is_proposed(package));
        let Some(package) = package else { return self.rest(ctx) };
        let user = package.credential().user_id.clone();
        let binding = node.binding(ctx, &self.room_id, &self.user, std::slice::from_ref(&user), None);
        let made = binding.and_then(|it| self.member.propose_add(&self.room_id, package, &it.binding).ok());
        let Some(proposal) = made else { return self.rest(ctx) };
        self.line(ctx, "proposes to add a device".into());
        self.ask(node, ctx, &GroupAsk::Propose(proposal.message), What::ProposeAdd(user));
    }

    pub(super) fn add_proposed(&mut self, ctx: &mut Ctx<'_>, user: UserId, told: &GroupTold) {
        if let GroupTold::Refused(code) = told {
            self.line(ctx, format!("its proposal is refused: {code}"));
            self.fact(ctx, DeviceFact::Refused(code.clone()));
            self.track.behind |= super::commits::is_stale(code);
        }
        // Others may commit it.
        self.track.look_at = ctx.now + ctx.rng.between(LOOK_MS.0, LOOK_MS.1);
        if matches!(told, GroupTold::Done) && self.is_creator() && user != self.user && ctx.rng.per_mille(CHANGES_MIND)
        {
            let membership = axle_protocol::auth::Membership::Leave;
            self.wants.push_front(Want::PutOut(PutOut { user, membership, tries: 0 }));
        }
    }

    fn lack(&mut self, node: &Node, ctx: &Ctx<'_>) -> Lack {
        let members = self.member.members(&self.room_id).unwrap_or_default();
        let mut lack = Lack { missing: Vec::new(), surplus: false, is_ours: self.is_creator() };
        let Some(log) = node.disk.rooms.get(&self.room_id) else { return lack };
        self.without_package.retain(|_, until| *until > ctx.now);
        let joined: Vec<UserId> = log.joined().filter_map(|user| UserId::parse(user).ok()).collect();
        for user in &joined {
            let published = node.disk.devices.published(user).unwrap_or_default();
            let missing = published.iter().filter(|device| {
                let is_there = members.iter().any(|member| member.is_same_device(device));
                !is_there && !index_of(device).is_some_and(|index| self.without_package.contains_key(&index))
            });
            let before = lack.missing.len();
            lack.missing.extend(missing.cloned());
            lack.is_ours |= lack.missing.len() > before && *user == self.user;
        }
        let is_gone = |device: &Credential| {
            let published = node.disk.devices.published(&device.user_id);
            !joined.contains(&device.user_id) || published.is_some_and(|published| !published.contains(device))
        };
        let others = members.iter().filter(|device| *device != self.key.credential());
        lack.surplus = others.into_iter().any(is_gone);
        lack.is_ours |= members.iter().all(|device| device.user_id == self.user);
        lack
    }
}
