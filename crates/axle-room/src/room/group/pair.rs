//! A member event and what it means for the group, appended as one or not at all ([`Layering::Bound`](axle_mls::Layering)).

use axle_mls::event::{CommitContent, ProposalContent};
use axle_mls::hub::{self, PairedMember};
use axle_protocol::auth::Membership;
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, ServerName, UserId};

use super::{Step, View};
use crate::room::change::{Change, Refusal};
use crate::room::known::Known;
use crate::room::place::FirstEvent;
use crate::room::state::RoomState;
use crate::room::verified::Verified;
use crate::room::{Identity, Room, Route};

/// What a member event is paired with.
#[derive(Debug)]
pub enum PairedWith<'a> {
    /// The commit of another server's user.
    Lpdu(&'a Verified),
    /// The commit of one of our own users.
    Template(Template),
    /// A proposal, which waits for the next commit.
    Proposal(&'a UserId, &'a ProposalContent),
}

/// What was appended.
#[derive(Debug, Clone)]
pub struct Paired {
    /// The member event.
    pub member: EventId,
    /// The commit, unless it was a proposal.
    pub commit: Option<EventId>,
    /// What to store.
    pub change: Change,
}

impl Room {
    /// Appends the member event of another server's user, and what it is paired with. Where both are in the room already,
    /// nothing changes: a repeated request. Where one of them is, it is [`Refusal::Unfit`].
    pub fn accept_pair(
        &mut self,
        me: &Identity,
        member: &Verified,
        with: PairedWith<'_>,
        origin: &ServerName,
        known: &Known,
    ) -> Result<Paired, Refusal> {
        let event = self.check_lpdu(member, origin, Route::Transaction)?;
        if let Some(member) = event.lpdu_hash().and_then(|hash| self.known_lpdu(hash, known)) {
            return self.paired_before(member, &with, known);
        }
        if let PairedWith::Lpdu(commit) = &with {
            self.check_lpdu(commit, origin, Route::Transaction)?;
        }
        self.authorise(event)?;
        let finished = self.complete(me, event)?;
        self.pair(me, &finished, with, known)
    }

    /// The same for one of our own users.
    pub fn send_pair(
        &mut self,
        me: &Identity,
        member: Template,
        with: PairedWith<'_>,
        known: &Known,
    ) -> Result<Paired, Refusal> {
        let event = self.build_local(me, member)?;
        self.pair(me, &event, with, known)
    }

    /// What a pair was made of whose member event is in the room.
    fn paired_before(&self, member: EventId, with: &PairedWith<'_>, known: &Known) -> Result<Paired, Refusal> {
        let commit = match with {
            // Who has left has nothing to propose any more; that they left, the hub has seen to.
            PairedWith::Proposal(..) => None,
            PairedWith::Lpdu(commit) => {
                commit.event().lpdu_hash().and_then(|hash| self.known_lpdu(hash, known)).map(Some).ok_or_else(|| {
                    Refusal::Unfit("the member event is in the room already, without this commit".into())
                })?
            }
            PairedWith::Template(_) => return Err(Refusal::Unfit("the commit is no LPDU".into())),
        };
        Ok(Paired { member, commit, change: self.change() })
    }

    fn pair(&mut self, me: &Identity, member: &Event, with: PairedWith<'_>, known: &Known) -> Result<Paired, Refusal> {
        let enters = self.enters(member)?;
        let mut after = self.state.clone();
        after.apply(member);
        let lpdu_hash = member.lpdu_hash().copied().unwrap_or_else(|| member.computed_lpdu_hash());
        let puts_out = member.state_key().filter(|_| !enters).and_then(|user| UserId::parse(user).ok());
        let paired = PairedMember { lpdu_hash, event_id: Some(member.event_id().clone()), puts_out };
        match with {
            PairedWith::Proposal(..) if enters => {
                Err(Refusal::Unfit("who joins is not in the group and cannot propose".into()))
            }
            PairedWith::Proposal(sender, content) => {
                let change = self.pair_proposal(me, member, (sender, content), &after, paired, known)?;
                Ok(Paired { member: member.event_id().clone(), commit: None, change })
            }
            PairedWith::Lpdu(commit) => {
                let auth_events = commit.event().select_auth_events(&after);
                let parents = [member.event_id().clone()];
                let commit = commit.event().complete(&auth_events, &parents, &me.name, &me.key)?;
                self.pair_commit(me, member, &commit, &after, paired, known)
            }
            PairedWith::Template(template) => {
                if template.sender != *member.sender() || template.room_id != self.id {
                    return Err(Refusal::Unfit("the commit is of another user or room".into()));
                }
                let auth_events = template.select_auth_events(&after);
                let parents = [member.event_id().clone()];
                let commit = template.into_pdu(self.version, &auth_events, &parents, &me.name, &me.key)?;
                self.pair_commit(me, member, &commit, &after, paired, known)
            }
        }
    }

    /// Whether a member event that is to be paired is somebody's own join.
    fn enters(&self, member: &Event) -> Result<bool, Refusal> {
        let was_in = self.state.membership(member.sender().as_str()) == Membership::Join;
        let is_own = member.state_key() == Some(member.sender().as_str());
        match member.membership() {
            Some("leave" | "ban") if member.state_key().is_some() => Ok(false),
            Some("join") if is_own && !was_in => Ok(true),
            _ => Err(Refusal::Unfit("only a leave, a kick, a ban or somebody's own join can be paired".into())),
        }
    }

    fn pair_commit(
        &mut self,
        me: &Identity,
        member: &Event,
        commit: &Event,
        after: &RoomState,
        paired: PairedMember,
        known: &Known,
    ) -> Result<Paired, Refusal> {
        if commit.event_type() != CommitContent::EVENT_TYPE || self.group().is_none() {
            return Err(Refusal::Unfit("a member event is paired with a commit or a proposal".into()));
        }
        self.policy.check(commit, after)?;
        let step = self.check_group(me, commit, after, Some(paired), known)?;
        let joins = matches!(&step, Step::Commit(staged) if staged.changes().external);
        if joins != (member.membership() == Some("join")) {
            return Err(Refusal::Unfit(
                "who joins the room joins its group by themselves, and nobody else does".into(),
            ));
        }
        let mut change = self.change();
        self.take_step(step, commit, &mut change)?;
        for event in [member, commit] {
            let position = self.next_position();
            self.place(event, position, known, FirstEvent::Join, &mut change);
        }
        self.follow_membership(me, known, &mut change)?;
        Ok(Paired { member: member.event_id().clone(), commit: Some(commit.event_id().clone()), change })
    }

    fn pair_proposal(
        &mut self,
        me: &Identity,
        member: &Event,
        (sender, content): (&UserId, &ProposalContent),
        after: &RoomState,
        paired: PairedMember,
        known: &Known,
    ) -> Result<Change, Refusal> {
        if member.sender() != sender {
            return Err(Refusal::Unfit("the proposal is of another user than the member event".into()));
        }
        let view = View { state: after, devices: &known.devices, paired: Some(paired) };
        let group = self.group.as_deref_mut().ok_or(hub::Refusal::NoGroup)?;
        let checked = group.check_proposal(content, sender, &view)?;
        group.queue(checked)?;
        let mut change = self.change();
        self.note_group(&mut change, false)?;
        let position = self.next_position();
        self.place(member, position, known, FirstEvent::Join, &mut change);
        self.follow_membership(me, known, &mut change)?;
        Ok(change)
    }
}
