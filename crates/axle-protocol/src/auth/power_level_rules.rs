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
    for (name, is_altered, values) in single_levels(current, &new) {
        if is_altered {
            check_values(name, values, level)?;
        }
    }
    for (name, was, becomes) in changes(&current.events, &new.events) {
        check_values(name, was.into_iter().chain(becomes), level)?;
    }
    // Rule 9.8 excepts the sender's own entry, so that everyone may lower themselves. That entry is the sender's level
    // and cannot stand above it.
    for (user, was, becomes) in changes(&current.users, &new.users) {
        check_values(user, was.into_iter().chain(becomes), level)?;
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
fn check_values(name: &str, values: impl IntoIterator<Item = i64>, level: i64) -> Result<(), AuthError> {
    match values.into_iter().find(|value| *value > level) {
        Some(value) => deny(format!("changing the level {value} of {name:?} needs that level, the sender has {level}")),
        None => Ok(()),
    }
}

/// A field, whether it was added, changed or removed, and its value before and after.
type SingleLevel = (&'static str, bool, [i64; 2]);

/// A field that is absent has its default: the rules are to be read "with consideration for default/calculated power
/// levels". Otherwise who is too low for a ban could make bans cheap by naming the level for the first time.
fn single_levels(current: &PowerLevels, new: &PowerLevels) -> [SingleLevel; 7] {
    let values = |level: fn(&PowerLevels) -> i64| [level(current), level(new)];
    [
        ("users_default", current.users_default != new.users_default, values(PowerLevels::users_default)),
        ("events_default", current.events_default != new.events_default, values(PowerLevels::events_default)),
        ("state_default", current.state_default != new.state_default, values(PowerLevels::state_default)),
        ("ban", current.ban != new.ban, values(PowerLevels::ban)),
        ("redact", current.redact != new.redact, values(PowerLevels::redact)),
        ("kick", current.kick != new.kick, values(PowerLevels::kick)),
        ("invite", current.invite != new.invite, values(PowerLevels::invite)),
    ]
}

type Change<'a> = (&'a str, Option<i64>, Option<i64>);

/// Entries that were added, changed or removed.
fn changes<'a>(current: &'a BTreeMap<String, i64>, new: &'a BTreeMap<String, i64>) -> impl Iterator<Item = Change<'a>> {
    let names: BTreeSet<&str> = current.keys().chain(new.keys()).map(String::as_str).collect();
    names.into_iter().filter_map(|name| {
        let (was, becomes) = (current.get(name).copied(), new.get(name).copied());
        (was != becomes).then_some((name, was, becomes))
    })
}
