//! What a hub does: completes, authorises and orders events.

use axle_protocol::auth::{AuthState as _, Membership};
use axle_protocol::event::Template;
use axle_protocol::{Event, EventId, EventKind, ServerName, UserId};
use serde_json::Map;

use super::change::{Accepted, Change, Refusal};
use super::known::Known;
use super::place::FirstEvent;
use super::verified::Verified;
use super::{Identity, Room, Route};

impl Room {
    /// Appends an event of one of our own users, or the create event of a new room. An invite of a user whose server
    /// is not in the room goes through [`Room::prepare_invite`] instead: see [`Room::invite_target`].
    ///
    /// `known` is asked only about the event that a redaction redacts, and about devices that a commit names.
    pub fn send_local(&mut self, me: &Identity, template: Template, known: &Known) -> Result<Accepted, Refusal> {
        let event = self.build_local(me, template)?;
        self.check_not_for_outside(&event)?;
        let step = self.check_group(me, &event, &self.state, None, known)?;
        let change = self.append(me, &event, step, FirstEvent::Join, known)?;
        Ok(Accepted::Appended { event, change })
    }

    /// Completes and appends an LPDU that `origin` brought.
    pub fn accept_lpdu(
        &mut self,
        me: &Identity,
        lpdu: &Verified,
        origin: &ServerName,
        route: Route,
        known: &Known,
    ) -> Result<Accepted, Refusal> {
        let event = self.check_lpdu(lpdu, origin, route)?;
        if let Some(existing) = event.lpdu_hash().and_then(|hash| self.known_lpdu(hash, known)) {
            return Ok(Accepted::Duplicate(existing));
        }
        self.authorise(event)?;
        self.check_not_for_outside(event)?;
        let step = self.check_group(me, event, &self.state, None, known)?;
        let finished = self.complete(me, event)?;
        let first = match route {
            Route::Transaction => FirstEvent::Join,
            Route::Handshake(_) => FirstEvent::AfterJoin,
        };
        let change = self.append(me, &finished, step, first, known)?;
        Ok(Accepted::Appended { event: finished, change })
    }

    /// The template that `make_join`, `make_leave` and `make_knock` answer, if such an event would be allowed now.
    pub fn make_membership(
        &self,
        me: &Identity,
        user: &UserId,
        membership: Membership,
        origin: &ServerName,
        now: i64,
    ) -> Result<Template, Refusal> {
        self.check_hub()?;
        self.check_server(origin.as_str())?;
        self.check_bringer(user, membership, origin)?;
        let mut content = Map::new();
        content.insert("membership".into(), membership.as_str().into());
        let template = Template {
            room_id: self.id.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(user.to_string()),
            sender: user.clone(),
            origin_server_ts: now,
            content,
        };
        // The rules judge events. This one is ours and never leaves this function.
        let would_be = template.clone().into_lpdu(self.version, &self.us, &me.name, &me.key)?;
        self.authorise(&would_be)?;
        Ok(template)
    }

    /// The server that must be asked to sign an invite before it is appended: that of the invited user, unless it is
    /// in the room or our own.
    pub fn invite_target(&self, event: &Event) -> Option<ServerName> {
        let is_invite = event.membership() == Some(Membership::Invite.as_str());
        self.remote_target(is_invite.then(|| event.state_key())?)
    }

    /// The same for a template.
    pub fn invite_target_of(&self, template: &Template) -> Option<ServerName> {
        let membership = template.content.get("membership").and_then(|value| value.as_str());
        let is_invite = template.event_type == "m.room.member" && membership == Some(Membership::Invite.as_str());
        self.remote_target(is_invite.then_some(template.state_key.as_deref())?)
    }

    /// An invite that nobody would tell the invited user of.
    fn check_not_for_outside(&self, event: &Event) -> Result<(), Refusal> {
        match self.invite_target(event) {
            Some(server) => Err(Refusal::Unfit(format!("{server} must be asked to sign the invite first"))),
            None => Ok(()),
        }
    }

    /// An authorised event of one of our own users on the current head.
    pub(super) fn build_local(&self, me: &Identity, template: Template) -> Result<Event, Refusal> {
        if template.room_id != self.id {
            return Err(Refusal::Unfit("the event is of another room".into()));
        }
        if template.sender.server_str() != self.us.as_str() {
            return Err(Refusal::Forbidden("the sender is a user of another server".into()));
        }
        if self.state.create().is_some() {
            self.check_hub()?;
        }
        self.check_new_acl(&template)?;
        let auth_events = template.select_auth_events(&self.state);
        let event = template.into_pdu(self.version, &auth_events, &self.parents(), &me.name, &me.key)?;
        self.authorise(&event)?;
        Ok(event)
    }

    /// What the hub makes of an LPDU on the current head.
    pub(super) fn complete(&self, me: &Identity, lpdu: &Event) -> Result<Event, Refusal> {
        let auth_events = lpdu.select_auth_events(&self.state);
        Ok(lpdu.complete(&auth_events, &self.parents(), &me.name, &me.key)?)
    }

    /// Everything about an LPDU that does not depend on the auth rules, the server ACL included.
    pub(super) fn check_lpdu<'a>(
        &self,
        lpdu: &'a Verified,
        origin: &ServerName,
        route: Route,
    ) -> Result<&'a Event, Refusal> {
        self.check_hub()?;
        self.check_server(origin.as_str())?;
        let event = lpdu.event();
        if *event.room_id() != self.id || event.version() != self.version {
            return Err(Refusal::Unfit("the event is of another room or room version".into()));
        }
        if event.kind() != EventKind::Lpdu {
            return Err(Refusal::Unfit("this server is the room's hub and takes LPDUs only".into()));
        }
        if lpdu.content_changed() {
            return Err(Refusal::Unfit("the LPDU hash does not match the event".into()));
        }
        if event.hub_server() != Some(&self.us) {
            return Err(Refusal::Unfit("hub_server is not this server".into()));
        }
        if event.sender().server_str() == self.us.as_str() {
            return Err(Refusal::Forbidden("the sender is a user of the hub".into()));
        }
        match route {
            Route::Transaction => self.check_transaction(event, origin)?,
            Route::Handshake(membership) => self.check_handshake(event, membership, origin)?,
        }
        Ok(event)
    }

    pub(super) fn check_hub(&self) -> Result<(), Refusal> {
        match self.hub() {
            None => Err(Refusal::NoRoom),
            Some(hub) if hub == self.us => Ok(()),
            Some(hub) => Err(Refusal::NotHub(hub)),
        }
    }

    fn check_transaction(&self, event: &Event, origin: &ServerName) -> Result<(), Refusal> {
        if event.sender().server_str() != origin.as_str() {
            return Err(Refusal::Forbidden("the sender is a user of another server".into()));
        }
        Ok(())
    }

    fn check_handshake(&self, event: &Event, membership: Membership, origin: &ServerName) -> Result<(), Refusal> {
        let is_own = event.state_key() == Some(event.sender().as_str());
        if event.membership() != Some(membership.as_str()) || !is_own {
            return Err(Refusal::Unfit(format!("the event is not the sender's own {}", membership.as_str())));
        }
        self.check_bringer(event.sender(), membership, origin)
    }

    /// Who may bring a user's membership change: the user's server; or, for an invited user who joins, any server
    /// that is in the room, since some joiners can only reach the server that invited them. Nobody's server may be one
    /// that the server ACL keeps out: it would be in the room then.
    fn check_bringer(&self, user: &UserId, membership: Membership, origin: &ServerName) -> Result<(), Refusal> {
        self.check_server(user.server_str())?;
        if user.server_str() == origin.as_str() {
            return Ok(());
        }
        let is_invited = self.state.membership(user.as_str()) == Membership::Invite;
        if membership == Membership::Join && is_invited && self.state.has_server(origin.as_str()) {
            return Ok(());
        }
        Err(Refusal::Forbidden("the user is of another server".into()))
    }

    fn remote_target(&self, state_key: Option<&str>) -> Option<ServerName> {
        let server = super::state::server_of(state_key?)?;
        (server != self.us && !self.state.has_server(server.as_str())).then_some(server)
    }

    fn parents(&self) -> Vec<EventId> {
        self.head.iter().map(|head| head.event_id.clone()).collect()
    }
}

impl Accepted {
    /// The event's id.
    pub fn event_id(&self) -> &EventId {
        match self {
            Self::Appended { event, .. } => event.event_id(),
            Self::Duplicate(id) => id,
        }
    }

    /// What is to be stored: nothing for a duplicate.
    pub fn change(self) -> Option<Change> {
        match self {
            Self::Appended { change, .. } => Some(change),
            Self::Duplicate(_) => None,
        }
    }
}
