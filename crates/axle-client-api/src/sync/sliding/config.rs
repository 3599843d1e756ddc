//! What is to be told of a room: how many events, and which state.

use std::collections::BTreeSet;
use std::sync::Arc;

use axle_protocol::UserId;
use axle_store::{StatePattern, StoredEvent};

use crate::sync::timeline::MAX_LIMIT;
use crate::visibility::StateKey;

/// Stands for everything, as a type or as a state key.
const ANY: &str = "*";
/// A state key: the members that the timeline needs.
const LAZY: &str = "$LAZY";
/// A state key: the user's id.
const ME: &str = "$ME";

const MEMBER: &str = "m.room.member";

/// What is to be told of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct RoomConfig {
    pub(super) timeline_limit: usize,
    pub(super) required: Arc<RequiredState>,
}

impl RoomConfig {
    pub(super) fn new(timeline_limit: u64, required_state: &[(String, String)], user_id: &UserId) -> Self {
        let timeline_limit = usize::try_from(timeline_limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
        Self { timeline_limit, required: Arc::new(RequiredState::new(required_state, user_id)) }
    }

    /// What any of these configurations wants.
    pub(super) fn union<'a>(configs: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut configs = configs.into_iter();
        let Some(mut union) = configs.next().cloned() else { return Self::default() };
        for config in configs {
            union.timeline_limit = union.timeline_limit.max(config.timeline_limit);
            if !union.required.covers(&config.required) {
                Arc::make_mut(&mut union.required).add(&config.required);
            }
        }
        union
    }
}

/// Which state is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct RequiredState {
    everything: bool,
    all_but_members: bool,
    types: BTreeSet<String>,
    keys: BTreeSet<String>,
    entries: BTreeSet<(String, String)>,
    /// Whether the members that the timeline needs are told besides.
    pub(super) lazy_members: bool,
}

impl RequiredState {
    fn new(required_state: &[(String, String)], user_id: &UserId) -> Self {
        let mut required = Self::default();
        for (event_type, key) in required_state {
            match (event_type.as_str(), key.as_str()) {
                (ANY, ANY) => required.everything = true,
                (MEMBER, LAZY) => required.lazy_members = true,
                (_, LAZY) => {}
                (ANY, ME) => drop(required.keys.insert(user_id.to_string())),
                (ANY, _) => drop(required.keys.insert(key.clone())),
                (_, ANY) => drop(required.types.insert(event_type.clone())),
                (_, ME) => drop(required.entries.insert((event_type.clone(), user_id.to_string()))),
                _ => drop(required.entries.insert((event_type.clone(), key.clone()))),
            }
        }
        // Who wants everything and members lazily does not want all members.
        if required.everything && required.lazy_members {
            (required.everything, required.all_but_members) = (false, true);
        }
        required
    }

    fn add(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.all_but_members |= other.all_but_members;
        self.lazy_members |= other.lazy_members;
        self.types.extend(other.types.iter().cloned());
        self.keys.extend(other.keys.iter().cloned());
        self.entries.extend(other.entries.iter().cloned());
    }

    /// Whether an entry of the state is to be told, whatever the timeline needs.
    pub(super) fn has(&self, event_type: &str, key: &str) -> bool {
        self.everything
            || (self.all_but_members && event_type != MEMBER)
            || self.types.contains(event_type)
            || self.keys.contains(key)
            || (!self.entries.is_empty() && self.entries.contains(&(event_type.to_owned(), key.to_owned())))
    }

    /// Whether a state event is to be told, whatever the timeline needs.
    pub(super) fn has_event(&self, event: &StoredEvent) -> bool {
        StateKey::of(event).is_some_and(|key| self.has(&key.event_type, &key.state_key))
    }

    /// Whether this is, for sure, all that another wants.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let has_type =
            |event_type: &String| self.types.contains(event_type) || (self.all_but_members && event_type != MEMBER);
        let lazily = self.lazy_members || !other.lazy_members || self.types.contains(MEMBER);
        self.everything
            || (!other.everything
                && (!other.all_but_members || self.all_but_members)
                && lazily
                && other.types.iter().all(has_type)
                && other.keys.is_subset(&self.keys)
                && other.entries.iter().all(|(event_type, key)| self.has(event_type, key)))
    }

    /// What to look for in a store.
    pub(super) fn patterns(&self) -> Vec<StatePattern> {
        if self.everything {
            return vec![StatePattern::All];
        }
        let mut patterns: Vec<StatePattern> = self.types.iter().cloned().map(StatePattern::Type).collect();
        patterns.extend(self.keys.iter().cloned().map(StatePattern::Key));
        let entry = |(event_type, key): &(String, String)| StatePattern::entry(event_type, key);
        patterns.extend(self.entries.iter().map(entry));
        patterns.extend(self.all_but_members.then_some(StatePattern::AllButMembers));
        patterns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(entries: &[(&str, &str)]) -> RequiredState {
        let entries: Vec<_> = entries.iter().map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned())).collect();
        RequiredState::new(&entries, &UserId::parse("@me:a.test").unwrap())
    }

    #[test]
    fn wildcards_and_placeholders() {
        let one = required(&[("m.room.name", ""), ("m.space.child", "*"), ("*", "k"), (MEMBER, "$ME")]);
        for (event_type, key, expected) in [
            ("m.room.name", "", true),
            ("m.room.name", "x", false),
            ("m.space.child", "x", true),
            ("m.other", "k", true),
            ("m.other", "", false),
            (MEMBER, "@me:a.test", true),
            (MEMBER, "@you:a.test", false),
        ] {
            assert_eq!(one.has(event_type, key), expected, "{event_type} {key}");
        }
        let lazy = required(&[("*", "*"), (MEMBER, "$LAZY")]);
        assert!(lazy.has("m.other", "x") && !lazy.has(MEMBER, "@you:a.test") && lazy.lazy_members);
        assert!(required(&[("*", "*")]).has(MEMBER, "@you:a.test"));
    }

    #[test]
    fn what_covers_what() {
        let (all, lazy) = (required(&[("*", "*")]), required(&[("*", "*"), (MEMBER, "$LAZY")]));
        let (name, names) = (required(&[("m.room.name", "")]), required(&[("m.room.name", "*")]));
        let members = required(&[(MEMBER, "*")]);
        let few = required(&[(MEMBER, "$LAZY")]);
        for (one, other, expected) in [
            (&all, &lazy, true),
            (&lazy, &all, false),
            (&lazy, &names, true),
            (&lazy, &members, false),
            (&names, &name, true),
            (&name, &names, false),
            (&members, &few, true),
            (&few, &members, false),
            (&name, &few, false),
            (&few, &few, true),
        ] {
            assert_eq!(one.covers(other), expected, "{one:?} {other:?}");
            let mut union = one.clone();
            union.add(other);
            assert!(union.covers(one) && union.covers(other));
        }
    }
}
