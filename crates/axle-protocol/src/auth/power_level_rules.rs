//! Rule 9: changes of `m.room.power_levels`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::rules::deny;
use super::{AuthError, AuthState, PowerLevels};
use crate::canonical_json::as_integer;
use crate::event::Event;
use crate::id::UserId;

/// The fields that hold one level.
const LEVELS: [&str; 7] = ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

/// Whether a sender of this level may set these power levels.
pub(super) fn check_power_levels(event: &Event, state: &dyn AuthState, level: i64) -> Result<(), AuthError> {
    check_schema(event.content())?;
    let Some((_, current)) = state.power_levels() else { return Ok(()) };
    let new = PowerLevels::from_content(event.content());
    for (name, was, becomes) in single_levels(current, &new) {
        check_change(name, was, becomes, level)?;
    }
    for (name, was, becomes) in changes(&current.events, &new.events) {
        check_change(name, was, becomes, level)?;
    }
    for (user, was, becomes) in changes(&current.users, &new.users) {
        // Everyone may lower themselves.
        let was = was.filter(|_| user != event.sender().as_str());
        check_change(user, was, becomes, level)?;
    }
    Ok(())
}

/// Rules 9.1 to 9.3.
fn check_schema(content: &Map<String, Value>) -> Result<(), AuthError> {
    for name in LEVELS {
        if content.get(name).is_some_and(|value| as_integer(value).is_none()) {
            return deny(format!("{name} is not an integer"));
        }
    }
    for name in ["events", "users"] {
        let Some(value) = content.get(name) else { continue };
        let Some(entries) = value.as_object() else { return deny(format!("{name} is not an object")) };
        if entries.values().any(|value| as_integer(value).is_none()) {
            return deny(format!("{name} holds something other than integers"));
        }
        if name == "users" && entries.keys().any(|user| UserId::parse(user).is_err()) {
            return deny("users holds something other than user ids");
        }
    }
    Ok(())
}

/// Rules 9.5 to 9.9: neither what was nor what becomes may stand above the sender.
fn check_change(name: &str, was: Option<i64>, becomes: Option<i64>, level: i64) -> Result<(), AuthError> {
    if was == becomes {
        return Ok(());
    }
    for value in [was, becomes].into_iter().flatten() {
        if value > level {
            return deny(format!("changing the level {value} of {name:?} needs that level, the sender has {level}"));
        }
    }
    Ok(())
}

type Change<'a> = (&'a str, Option<i64>, Option<i64>);

fn single_levels(current: &PowerLevels, new: &PowerLevels) -> [Change<'static>; 7] {
    [
        ("users_default", current.users_default, new.users_default),
        ("events_default", current.events_default, new.events_default),
        ("state_default", current.state_default, new.state_default),
        ("ban", current.ban, new.ban),
        ("redact", current.redact, new.redact),
        ("kick", current.kick, new.kick),
        ("invite", current.invite, new.invite),
    ]
}

/// Entries that were added, changed or removed.
fn changes<'a>(current: &'a BTreeMap<String, i64>, new: &'a BTreeMap<String, i64>) -> impl Iterator<Item = Change<'a>> {
    let names: BTreeSet<&str> = current.keys().chain(new.keys()).map(String::as_str).collect();
    names.into_iter().filter_map(|name| {
        let (was, becomes) = (current.get(name).copied(), new.get(name).copied());
        (was != becomes).then_some((name, was, becomes))
    })
}
