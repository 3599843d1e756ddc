//! Following the log: commits are applied, messages read, in its order.

use axle_mls::event::{CommitContent, EncryptedContent};
use axle_mls::member::{MemberError, commit_epoch, message_epoch};
use axle_protocol::{Event, EventId};

use super::{Device, DeviceFact, Track};
use crate::defects::Defect;
use crate::node::{Ctx, Node};

/// With the defect that keys are kept: of how many moments.
const KEPT_IMAGES: usize = 6;

impl Device {
    /// Reads what is new in its server's log, and its mail.
    pub(super) fn sync(&mut self, node: &mut Node, ctx: &mut Ctx<'_>) {
        let loss = ctx.plan.encrypted.as_ref().map_or(0, |group| group.welcome_loss);
        for welcome in node.disk.devices.fetch_mail(self.index) {
            self.welcomes.push(welcome.clone());
            // What is lost, is lost before all is well.
            if ctx.now < crate::plan::HEAL_MS && ctx.rng.per_mille(loss) {
                self.line(ctx, "loses a Welcome".into());
                self.fact(ctx, DeviceFact::Covered("a Welcome is lost"));
            } else {
                self.inbox.push(welcome);
            }
        }
        while let Some((position, event)) = self.next_event(node) {
            self.cursor = position;
            match event.event_type() {
                CommitContent::EVENT_TYPE => self.follow_commit(node, ctx, &event),
                EncryptedContent::EVENT_TYPE => self.read(ctx, &event),
                _ => {}
            }
        }
    }

    fn next_event(&self, node: &Node) -> Option<(i64, Event)> {
        let log = node.disk.rooms.get(&self.room_id)?;
        let (position, id) = log.timeline.range(self.cursor.saturating_add(1)..).next()?;
        Some((*position, log.event(id)?.clone()))
    }

    /// It has come into the group by a commit: what follows on it in the log is read, also what was passed over.
    pub(super) fn arrive(&mut self, node: &Node, ctx: &mut Ctx<'_>, commit: &EventId) {
        self.joined_epoch = self.member.epoch(&self.room_id).unwrap_or(0);
        let reported = std::mem::take(&mut self.track.reported);
        self.track = Track { reported, ..Track::default() };
        let log = node.disk.rooms.get(&self.room_id);
        let position = log.and_then(|log| log.events.get(commit)?.placed.position);
        self.cursor = position.unwrap_or(self.cursor);
        self.line(ctx, format!("is in the group, in epoch {}", self.joined_epoch));
        self.note_arrival(ctx);
    }

    /// Tells the checks where it is.
    pub(super) fn note_arrival(&mut self, ctx: &mut Ctx<'_>) {
        let (id, commit) = (self.room_id.clone(), self.commit());
        let (Some(commit), Ok(epoch)) = (commit, self.member.epoch(&id)) else { return };
        match self.member.epoch_authenticator(&id) {
            Ok(authenticator) => self.fact(ctx, DeviceFact::Arrived { commit, epoch, authenticator }),
            Err(error) => self.fact(ctx, DeviceFact::Failed(format!("no authenticator: {error}"))),
        }
    }

    fn follow_commit(&mut self, node: &mut Node, ctx: &mut Ctx<'_>, event: &Event) {
        let Ok(content) = CommitContent::parse(event.content()) else { return };
        let Some(epoch) = commit_epoch(&content) else { return };
        let event_id = event.event_id().clone();
        if self.pending.as_ref().is_some_and(|pending| pending.content.message == content.message) {
            return self.confirm(node, ctx, &event_id);
        }
        if !self.is_in() {
            self.track.outside_since.get_or_insert(ctx.now);
            return;
        }
        let current = self.member.epoch(&self.room_id).unwrap_or(0);
        if epoch == current {
            self.apply_commit(ctx, &content, &event_id, epoch);
        } else if epoch >= self.joined_epoch && !self.is_known(&event_id) {
            // One that was passed over, or takes the place of one that was applied.
            self.track.behind = true;
        }
    }

    /// Whether a commit led to where the device is.
    fn is_known(&mut self, event_id: &EventId) -> bool {
        self.commit().as_ref() == Some(event_id) || self.read.contains(event_id)
    }

    fn apply_commit(&mut self, ctx: &mut Ctx<'_>, content: &CommitContent, event_id: &EventId, epoch: u64) {
        match self.member.process(&self.room_id, content, event_id) {
            Ok(processed) => {
                self.read.insert(event_id.clone());
                // Another's has taken the place of one that waited.
                let had_pending = self.pending.take();
                if let Some(pending) = had_pending {
                    self.line(ctx, format!("has lost the race for epoch {}", processed.epoch));
                    self.lost_race(ctx, &pending, true);
                }
                self.follow_intent(ctx, content);
                self.track.refusals = 0;
                self.track.look_at = 0;
                if processed.removed {
                    self.line(ctx, format!("was removed in epoch {}", processed.epoch));
                    self.track.outside_since = Some(ctx.now);
                } else {
                    self.note_arrival(ctx);
                }
            }
            Err(MemberError::CannotApply(error)) => {
                ctx.out.push(crate::node::Out::Trace(format!("d{}: {error}", self.index)));
                if self.track.reported.insert(event_id.clone()) {
                    self.line(ctx, format!("cannot apply the commit to epoch {}", epoch + 1));
                    self.track.reports.push((epoch + 1, content.message.clone()));
                }
                self.track.behind = true;
            }
            Err(error) => self.fact(ctx, DeviceFact::Failed(format!("a commit: {error}"))),
        }
    }

    fn read(&mut self, ctx: &mut Ctx<'_>, event: &Event) {
        let Ok(content) = EncryptedContent::parse(event.content()) else { return };
        if self.sent.contains(&content.ciphertext) || self.read.contains(event.event_id()) || !self.is_in() {
            return;
        }
        let current = self.member.epoch(&self.room_id).unwrap_or(0);
        match message_epoch(&content) {
            Some(epoch) if epoch > current => self.track.behind = true,
            Some(epoch) if epoch >= self.joined_epoch => self.decrypt(ctx, event, &content),
            _ => {}
        }
    }

    fn decrypt(&mut self, ctx: &mut Ctx<'_>, event: &Event, content: &EncryptedContent) {
        let unread = ctx.plan.encrypted.as_ref().map_or(0, |group| group.unread);
        if ctx.now < crate::plan::HEAL_MS && ctx.rng.per_mille(unread) {
            return;
        }
        if ctx.plan.defect == Some(Defect::KeepOldKeys) && self.images.len() < KEPT_IMAGES {
            self.images.push(self.store.copy());
        }
        // A message can be of a state that the hub has gone back from.
        let Ok(decrypted) = self.member.decrypt(&self.room_id, content) else { return };
        if decrypted.sender.user_id != *event.sender() {
            return self.fact(ctx, DeviceFact::Failed("a message of another user than its event's".into()));
        }
        self.read.insert(event.event_id().clone());
        self.fact(ctx, DeviceFact::Read(event.event_id().clone(), decrypted.plaintext, decrypted.sender));
    }
}
