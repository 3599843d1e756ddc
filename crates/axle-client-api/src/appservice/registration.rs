//! What an application service is, as its registration says.

use std::fmt;

use axle_protocol::UserId;
use regex::{Regex, RegexBuilder};

/// The most memory that the pattern of a namespace takes, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// An application service.
#[derive(Clone)]
pub struct ApplicationService {
    /// Its name, which never changes.
    pub id: String,
    /// Where it listens; `None`: it is told nothing.
    pub url: Option<String>,
    /// What it proves itself with.
    pub as_token: String,
    /// What this server proves itself with.
    pub hs_token: String,
    /// Who it is when it names nobody else.
    pub sender: UserId,
    /// What concerns it.
    pub namespaces: Namespaces,
    /// Whether requests of its users are limited. Those of its sender never are.
    pub rate_limited: bool,
    /// Whether it hears of who types and who has read what.
    pub receive_ephemeral: bool,
    /// Whether it encrypts, and gets messages for the devices of its users, and whose keys changed.
    pub encrypts: bool,
    /// The networks that it knows the users and rooms of.
    pub protocols: Vec<String>,
}

/// What concerns an application service.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// User ids.
    pub users: Vec<Namespace>,
    /// Room aliases.
    pub aliases: Vec<Namespace>,
    /// Room ids.
    pub rooms: Vec<Namespace>,
}

/// Ids that look alike.
#[derive(Debug, Clone)]
pub struct Namespace {
    exclusive: bool,
    pattern: Regex,
}

impl Namespace {
    /// The ids that begin with what a pattern matches: registrations are written for servers that see it so. `exclusive`:
    /// nobody else may make such an id.
    pub fn new(pattern: &str, exclusive: bool) -> Result<Self, regex::Error> {
        let anchored = RegexBuilder::new(&format!("^(?:{pattern})")).size_limit(MAX_PATTERN_BYTES).build();
        Ok(Self { exclusive, pattern: anchored? })
    }

    /// Whether nobody else may make such an id.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    /// Whether an id is one of these.
    pub fn matches(&self, id: &str) -> bool {
        self.pattern.is_match(id)
    }

    /// Whether an id is in one of these namespaces.
    pub(super) fn any(namespaces: &[Self], id: &str) -> bool {
        namespaces.iter().any(|namespace| namespace.matches(id))
    }

    /// Whether nobody else may make it.
    pub(super) fn reserves(namespaces: &[Self], id: &str) -> bool {
        namespaces.iter().any(|namespace| namespace.exclusive && namespace.matches(id))
    }
}

impl ApplicationService {
    /// Whether it may act as this user.
    pub(crate) fn has_user(&self, user_id: &str) -> bool {
        self.sender.as_str() == user_id || Namespace::any(&self.namespaces.users, user_id)
    }

    /// Whether nobody else may make this user.
    pub fn reserves_user(&self, user_id: &UserId) -> bool {
        self.sender == *user_id || Namespace::reserves(&self.namespaces.users, user_id.as_str())
    }

    /// Whether an alias concerns it.
    pub(crate) fn has_alias(&self, alias: &str) -> bool {
        Namespace::any(&self.namespaces.aliases, alias)
    }

    /// Whether a room concerns it, whatever happens there.
    pub(crate) fn has_room(&self, room_id: &str) -> bool {
        Namespace::any(&self.namespaces.rooms, room_id)
    }
}

/// Without its tokens: it may be written to a log.
impl fmt::Debug for ApplicationService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationService").field("id", &self.id).field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_at_the_beginning() {
        let namespace = Namespace::new("@irc_|@other", true).unwrap();
        assert!(namespace.matches("@irc_bob:example.org") && namespace.matches("@other:example.org"));
        assert!(!namespace.matches("@bob:irc_example.org") && !namespace.matches("x@other"));
        assert!(Namespace::new(r"@irc_.*:example\.org$", false).unwrap().matches("@irc_bob:example.org"));
        assert!(Namespace::new("(", true).is_err());
        assert!(Namespace::new("(((a{100}){100}){100}){100}", true).is_err(), "too large");
    }
}
