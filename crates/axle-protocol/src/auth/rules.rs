//! The rules themselves ("Auth Rules Algorithm"). Rules 1 and 2, signatures, are [`Event::verify`]'s; rule 4, about
//! `auth_events`, is [`super::check_auth_events`]; rule 9 is in the module `power_level_rules`.

use super::power_level_rules::check_power_levels;
use super::{AuthState, JoinRule, Membership, required_levels, user_level};
use crate::event::Event;
use crate::id::UserId;

/// Why the rules forbid an event. The text is fit to be sent to the server that asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(pub String);

/// Whether the rules 3 and 5 to 10 allow this event (LPDU or PDU) on the state before it.
pub fn check(event: &Event, state: &dyn AuthState) -> Result<(), AuthError> {
    if event.event_type() == "m.room.create" {
        return check_create(event, state);
    }
    if state.create().is_none() {
        return deny("the room has no create event");
    }
    if event.event_type() == "m.room.member" {
        return check_member(event, state);
    }
    if membership(state, event.sender().as_str()) != Membership::Join {
        return deny("the sender is not in the room");
    }
    let level = user_level(state, event.sender().as_str());
    let needed = required_levels(state).event(event.event_type(), event.is_state());
    if level < needed {
        return deny(format!("sending {} needs level {needed}, the sender has {level}", event.event_type()));
    }
    if event.state_key().is_some_and(|key| key.starts_with('@') && key != event.sender().as_str()) {
        return deny("a state key that starts with '@' must be the sender");
    }
    if event.event_type() == "m.room.power_levels" {
        return check_power_levels(event, state, level);
    }
    Ok(())
}

/// Refuses with this reason.
pub(super) fn deny<T>(reason: impl Into<String>) -> Result<T, AuthError> {
    Err(AuthError(reason.into()))
}

/// Rule 3, and what "`m.room.create`" says the rules check: no auth events, an empty state key.
fn check_create(event: &Event, state: &dyn AuthState) -> Result<(), AuthError> {
    if !event.prev_events().is_empty() {
        return deny("a create event must not have prev_events");
    }
    if !event.auth_events().is_empty() {
        return deny("a create event must not have auth_events");
    }
    // An LPDU has no prev_events yet: only the state shows that it comes too late.
    if state.create().is_some() {
        return deny("the room has a create event already");
    }
    if event.state_key() != Some("") {
        return deny("a create event must have an empty state key");
    }
    if event.room_id().server_name() != event.sender().server_name() {
        return deny("the room id and the creator name different servers");
    }
    match event.content().get("room_version").and_then(|value| value.as_str()) {
        Some(version) if version == event.version().as_str() => Ok(()),
        _ => deny(format!("content.room_version is not {:?}", event.version().as_str())),
    }
}

/// A membership change: who makes it, whose it is, and what both were before.
struct Change<'a> {
    sender: &'a str,
    target: &'a str,
    sender_was: Membership,
    target_was: Membership,
}

impl Change<'_> {
    fn is_own(&self) -> bool {
        self.sender == self.target
    }
}

/// Rule 5.
fn check_member(event: &Event, state: &dyn AuthState) -> Result<(), AuthError> {
    let Some(target) = event.state_key() else { return deny("a member event needs a state key") };
    let Some(to) = event.membership() else { return deny("content.membership is missing") };
    if UserId::parse(target).is_err() {
        return deny("the state key of a member event must be a user id");
    }
    let sender = event.sender().as_str();
    let change =
        Change { sender, target, sender_was: membership(state, sender), target_was: membership(state, target) };
    match Membership::parse(to) {
        Some(Membership::Join) => check_join(event, &change, state),
        Some(Membership::Invite) => check_invite(&change, state),
        Some(Membership::Leave) => check_leave(&change, state),
        Some(Membership::Ban) => check_ban(&change, state),
        Some(Membership::Knock) => check_knock(&change, state),
        None => deny("content.membership is unknown"),
    }
}

/// Rule 5.2.
fn check_join(event: &Event, change: &Change<'_>, state: &dyn AuthState) -> Result<(), AuthError> {
    if is_first_join(event, change.target, state) {
        return Ok(());
    }
    if !change.is_own() {
        return deny("nobody can join for another user");
    }
    match (change.target_was, join_rule(state)) {
        (Membership::Ban, _) => deny("the user is banned"),
        (_, JoinRule::Public) => Ok(()),
        (Membership::Invite | Membership::Join, JoinRule::Invite | JoinRule::Knock) => Ok(()),
        (_, JoinRule::Invite | JoinRule::Knock) => deny("joining this room needs an invite"),
        (_, JoinRule::Unknown) => deny("the room's join rule is unknown: nobody can join"),
    }
}

/// Rule 5.2.1: the creator's join follows the create event itself. Never an LPDU, which has no `prev_events`: the
/// creator's server is the hub.
fn is_first_join(event: &Event, target: &str, state: &dyn AuthState) -> bool {
    let Some(create) = state.create() else { return false };
    event.prev_events() == std::slice::from_ref(&create.event_id)
        && target == create.sender.as_str()
        && state.power_levels().is_none()
        && state.join_rule().is_none()
        && state.member(target).is_none()
}

/// Rule 5.3.
fn check_invite(change: &Change<'_>, state: &dyn AuthState) -> Result<(), AuthError> {
    if change.sender_was != Membership::Join {
        return deny("the sender is not in the room");
    }
    match change.target_was {
        Membership::Join => return deny("the invited user is already in the room"),
        Membership::Ban => return deny("the invited user is banned"),
        Membership::Invite | Membership::Knock | Membership::Leave => {}
    }
    need(state, change.sender, required_levels(state).invite(), "inviting")
}

/// Rule 5.4.
fn check_leave(change: &Change<'_>, state: &dyn AuthState) -> Result<(), AuthError> {
    if change.is_own() {
        return match change.target_was {
            Membership::Join | Membership::Invite | Membership::Knock => Ok(()),
            Membership::Leave | Membership::Ban => deny("the user has nothing to leave"),
        };
    }
    if change.sender_was != Membership::Join {
        return deny("the sender is not in the room");
    }
    let levels = required_levels(state);
    if change.target_was == Membership::Ban {
        need(state, change.sender, levels.ban(), "lifting a ban")?;
    }
    need(state, change.sender, levels.kick(), "a kick")?;
    need_more_than_target(state, change)
}

/// Rule 5.5.
fn check_ban(change: &Change<'_>, state: &dyn AuthState) -> Result<(), AuthError> {
    if change.sender_was != Membership::Join {
        return deny("the sender is not in the room");
    }
    need(state, change.sender, required_levels(state).ban(), "a ban")?;
    need_more_than_target(state, change)
}

/// Rule 5.6.
fn check_knock(change: &Change<'_>, state: &dyn AuthState) -> Result<(), AuthError> {
    if join_rule(state) != JoinRule::Knock {
        return deny("the room's join rule does not allow knocking");
    }
    if !change.is_own() {
        return deny("nobody can knock for another user");
    }
    match change.target_was {
        Membership::Ban => deny("the user is banned"),
        Membership::Join => deny("the user is in the room already"),
        Membership::Invite | Membership::Knock | Membership::Leave => Ok(()),
    }
}

fn need(state: &dyn AuthState, user: &str, needed: i64, what: &str) -> Result<(), AuthError> {
    let level = user_level(state, user);
    if level < needed {
        return deny(format!("{what} needs level {needed}, the sender has {level}"));
    }
    Ok(())
}

fn need_more_than_target(state: &dyn AuthState, change: &Change<'_>) -> Result<(), AuthError> {
    if user_level(state, change.target) >= user_level(state, change.sender) {
        return deny("the user's level is not below the sender's");
    }
    Ok(())
}

fn membership(state: &dyn AuthState, user: &str) -> Membership {
    state.member(user).map_or(Membership::Leave, |(_, membership)| membership)
}

/// The draft names no default; without the event a room is by invite, as in Matrix.
fn join_rule(state: &dyn AuthState) -> JoinRule {
    state.join_rule().map_or(JoinRule::Invite, |(_, rule)| rule)
}
