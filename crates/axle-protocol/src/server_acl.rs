//! Which servers may take part in a room: `m.room.server_acl` (Matrix, "Server Access Control Lists (ACLs) for rooms").
//!
//! It is no authorization rule: it says whose requests about the room a server answers and whose events it takes, not
//! which events are valid.

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

/// The longest host that a pattern can be asked about: a server name without its port ("Server Names").
const MAX_HOST_BYTES: usize = 255;

/// What the content of an `m.room.server_acl` says, ready to be asked.
///
/// Asking about a server takes time in proportion to the patterns times the length of its name, at most: an event bounds
/// the first, the grammar of names the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAcl {
    allow_ip_literals: bool,
    allow: Vec<Glob>,
    deny: Vec<Glob>,
}

/// A pattern in which `*` stands for any characters and `?` for one. Lower case, ASCII, without `**`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob(Box<[u8]>);

impl ServerAcl {
    /// The type of the event. It counts with an empty state key.
    pub const EVENT_TYPE: &'static str = "m.room.server_acl";

    /// Reads a content. What is not as it should be counts as absent, in the lists each entry for itself; without `allow`
    /// nobody is allowed.
    pub fn from_content(content: &Map<String, Value>) -> Self {
        let globs = |key: &str| {
            let patterns = content.get(key).and_then(Value::as_array);
            patterns.into_iter().flatten().filter_map(|pattern| Glob::parse(pattern.as_str()?)).collect()
        };
        Self {
            allow_ip_literals: content.get("allow_ip_literals").and_then(Value::as_bool).unwrap_or(true),
            allow: globs("allow"),
            deny: globs("deny"),
        }
    }

    /// Whether a server, with its port or without, may take part.
    pub fn allows(&self, server: &str) -> bool {
        let host = host(server);
        if host.len() > MAX_HOST_BYTES || !self.allow_ip_literals && is_ip_literal(host) {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let is_among = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(host.as_bytes()));
        !is_among(&self.deny) && is_among(&self.allow)
    }
}

impl Glob {
    /// `None`: it matches no host whatever, being longer than any, or naming characters that are in none.
    fn parse(pattern: &str) -> Option<Self> {
        let mut bytes = pattern.to_ascii_lowercase().into_bytes();
        bytes.dedup_by(|next, before| *next == b'*' && *before == b'*');
        let characters = bytes.iter().filter(|byte| **byte != b'*').count();
        (bytes.is_ascii() && characters <= MAX_HOST_BYTES).then(|| Self(bytes.into()))
    }

    /// What follows a `*` is tried at each place in turn. Only the last `*` has to be come back to: if what stands between
    /// two of them fits anywhere, its first place leaves the most for the rest.
    fn matches(&self, text: &[u8]) -> bool {
        let (pattern, mut at, mut place) = (&*self.0, 0, 0);
        let mut last_star: Option<(usize, usize)> = None;
        while place < text.len() {
            match (pattern.get(at), last_star) {
                (Some(b'*'), _) => {
                    last_star = Some((at + 1, place));
                    at += 1;
                }
                (Some(byte), _) if *byte == b'?' || text.get(place) == Some(byte) => {
                    at += 1;
                    place += 1;
                }
                (_, Some((after_star, from))) => {
                    last_star = Some((after_star, from + 1));
                    (at, place) = (after_star, from + 1);
                }
                (_, None) => return false,
            }
        }
        matches!(pattern.get(at..), Some([] | [b'*']))
    }
}

/// The name without its port. That of an IPv6 address keeps its brackets.
fn host(server: &str) -> &str {
    match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => server,
    }
}

fn is_ip_literal(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}
