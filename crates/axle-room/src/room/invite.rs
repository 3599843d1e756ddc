//! Invites of users whose server is not in the room: their server is asked first, and the room goes on meanwhile.

use axle_protocol::event::{RequiredSignature, Template};
use axle_protocol::signing::{KeySource, SignatureStatus};
use axle_protocol::{Event, EventId, EventKind, ServerName};

use super::change::{Accepted, Delivery, Refusal};
use super::known::Known;
use super::place::FirstEvent;
use super::verified::Verified;
use super::{Head, Identity, Room, Route};

/// Who invites.
#[derive(Debug, Clone)]
pub enum InviteSource {
    /// One of our own users.
    Local(Template),
    /// A user of a participant, by an LPDU that this server brought.
    Lpdu {
        /// The LPDU.
        lpdu: Verified,
        /// The server that brought it.
        origin: ServerName,
    },
}

/// An invite that the target's server has not answered yet. Nothing is stored, and the room goes on.
#[derive(Debug, Clone)]
pub struct PreparedInvite {
    pdu: Event,
    target: ServerName,
    source: InviteSource,
    head: Option<Head>,
}

/// Whether an invite needs the target's server.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// Yes: send it [`PreparedInvite::pdu`], then [`Room::finish_invite`].
    Ask(Box<PreparedInvite>),
    /// The LPDU is in the room already, as this event.
    Duplicate(EventId),
}

impl PreparedInvite {
    /// The finished event to be sent to the target's server.
    pub fn pdu(&self) -> &Event {
        &self.pdu
    }

    /// The server to ask.
    pub fn target(&self) -> &ServerName {
        &self.target
    }

    /// Checks what the target's server answered: the same event, whole, with its signature added. Nothing but that
    /// signature is taken from it: a bad one under the name of another server could make the event look forged.
    pub fn check_answer(&self, event: &Event, keys: &dyn KeySource) -> Option<Verified> {
        let needed = RequiredSignature { server: self.target.clone(), form: EventKind::Pdu };
        let is_signed = event.check_signature(&needed, keys) == SignatureStatus::Ok;
        let is_same = event.event_id() == self.pdu.event_id() && event.check_hashes().all_match();
        if !is_signed || !is_same {
            return None;
        }
        Verified::check(self.pdu.with_signatures_of(&self.target, event).ok()?, keys).ok()
    }
}

impl Room {
    /// Authorises an invite and finishes it on the current head, without appending it.
    pub fn prepare_invite(&self, me: &Identity, source: InviteSource, known: &Known) -> Result<Prepared, Refusal> {
        if let Some(existing) = self.duplicate_invite(&source, known) {
            return Ok(Prepared::Duplicate(existing));
        }
        let pdu = self.build_invite(me, &source)?;
        let Some(target) = self.invite_target(&pdu) else {
            return Err(Refusal::Unfit("not an invite of a user whose server is outside of the room".into()));
        };
        Ok(Prepared::Ask(Box::new(PreparedInvite { pdu, target, source, head: self.head.clone() })))
    }

    /// Appends an invite that the target's server has taken. `signed` is its answer as [`PreparedInvite::check_answer`]
    /// let it through.
    ///
    /// If the room went on in the meantime, the invite is authorised again and made anew on the new head, without the
    /// target's signature, which no auth rule needs; the target gets the new form as an event.
    pub fn finish_invite(
        &mut self,
        me: &Identity,
        prepared: PreparedInvite,
        signed: Option<Verified>,
        known: &Known,
    ) -> Result<Accepted, Refusal> {
        if let Some(existing) = self.duplicate_invite(&prepared.source, known) {
            return Ok(Accepted::Duplicate(existing));
        }
        let moved = self.head != prepared.head;
        let event = match signed {
            _ if moved => self.build_invite(me, &prepared.source)?,
            Some(signed) if signed.event().event_id() == prepared.pdu.event_id() => signed.event().clone(),
            _ => prepared.pdu,
        };
        let mut change = self.change();
        let position = self.next_position();
        self.place(&event, position, known, FirstEvent::Join, &mut change);
        if moved && !self.state.has_server(prepared.target.as_str()) {
            let destination = prepared.target;
            change.deliveries.push(Delivery::Start { destination: destination.clone(), after: position - 1 });
            change.deliveries.push(Delivery::Stop { destination, at: position });
        }
        Ok(Accepted::Appended { event, change })
    }

    fn duplicate_invite(&self, source: &InviteSource, known: &Known) -> Option<EventId> {
        let InviteSource::Lpdu { lpdu, .. } = source else { return None };
        let hash = lpdu.event().lpdu_hash()?;
        self.known_lpdu(hash, known)
    }

    fn build_invite(&self, me: &Identity, source: &InviteSource) -> Result<Event, Refusal> {
        match source {
            InviteSource::Local(template) => self.build_local(me, template.clone()),
            InviteSource::Lpdu { lpdu, origin } => {
                let event = self.check_lpdu(lpdu, origin, Route::Transaction)?;
                self.authorise(event)?;
                self.complete(me, event)
            }
        }
    }
}
