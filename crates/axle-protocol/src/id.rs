//! Identifiers: server names, user, room and event ids, key ids. Parsed once, then trusted.
//!
//! All are cheap to clone and compare case-sensitively, as the draft demands.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::{MAX_ID_BYTES, MAX_SERVER_NAME_BYTES};

/// Why a string is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {reason}")]
pub struct IdError {
    /// Which identifier was expected.
    pub kind: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the grammar and keeps the string.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                $check(text).map_err(|reason| IdError { kind: $kind, reason })?;
                Ok(Self(text.into()))
            }

            /// The identifier as a string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier! {
    /// `example.org` or `example.org:8448` ("Server Names").
    ServerName, "server name", check_server_name
}
identifier! {
    /// `@localpart:server` ("Users").
    UserId, "user id", check_user_id
}
identifier! {
    /// `!localpart:server` ("Rooms").
    RoomId, "room id", check_room_id
}
identifier! {
    /// `$` and a reference hash ("Events").
    EventId, "event id", check_event_id
}
identifier! {
    /// `ed25519:version` ("Signing").
    KeyId, "key id", check_key_id
}

impl ServerName {
    /// The name without its port.
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host)
    }

    /// The explicit port, if there is one.
    pub fn port(&self) -> Option<u16> {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }
}

impl UserId {
    /// The server that allocated this id.
    pub fn server_name(&self) -> ServerName {
        ServerName(self.server_str().into())
    }

    /// The server part, without allocating.
    pub fn server_str(&self) -> &str {
        after_colon(&self.0)
    }

    /// The part between `@` and the first `:`.
    pub fn localpart(&self) -> &str {
        self.0[1..].split_once(':').map_or("", |(local, _)| local)
    }
}

impl RoomId {
    /// The server name in the id. It says who allocated the id, not who the hub is.
    pub fn server_name(&self) -> ServerName {
        ServerName(after_colon(&self.0).into())
    }
}

impl EventId {
    /// The id of an event with this reference hash.
    pub fn from_reference_hash(hash: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(44);
        text.push('$');
        text.push_str(&crate::base64::encode_url(hash));
        Self(text.into())
    }
}

/// Compares a key version to its grammar ("Signing").
pub fn is_key_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn after_colon(id: &str) -> &str {
    // Grammar checked at parse: the first colon ends the localpart.
    id.split_once(':').map_or("", |(_, server)| server)
}

fn check_server_name(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_SERVER_NAME_BYTES {
        return Err("longer than 255 characters and a port");
    }
    let host = match text.split_once(':') {
        None => text,
        Some((host, port)) => {
            let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
            if !digits || port.parse::<u16>().is_err() {
                return Err("the port is not a number from 0 to 65535");
            }
            host
        }
    };
    if host.is_empty() || host.len() > 255 {
        return Err("the host name must have 1 to 255 characters");
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        return Err("only letters, digits, '-' and '.' may stand in a host name");
    }
    if is_numeric_address(host) {
        return Err("an IP address is not a server name");
    }
    Ok(())
}

/// Whether a resolver could take the name for an IPv4 address in any of its old notations (`127.1`, `0x7f000001`):
/// RFC 1123 wants the last label of a host name to be alphabetic.
fn is_numeric_address(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit_once('.').map_or(host, |(_, last)| last);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn check_sigil(text: &str, sigil: char) -> Result<(&str, &str), &'static str> {
    if text.len() > MAX_ID_BYTES {
        return Err("longer than 255 characters");
    }
    let rest = text.strip_prefix(sigil).ok_or("it does not start with its sigil")?;
    rest.split_once(':').ok_or("it names no server")
}

fn check_user_id(text: &str) -> Result<(), &'static str> {
    let (local, server) = check_sigil(text, '@')?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.=_/+".contains(&b);
    if local.is_empty() || !local.bytes().all(legal) {
        return Err("the localpart may hold only a-z, 0-9 and -.=_/+");
    }
    check_server_name(server)
}

fn check_room_id(text: &str) -> Result<(), &'static str> {
    let (local, server) = check_sigil(text, '!')?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-.~_".contains(&b);
    if local.is_empty() || !local.bytes().all(legal) {
        return Err("the localpart may hold only letters, digits and -.~_");
    }
    check_server_name(server)
}

fn check_event_id(text: &str) -> Result<(), &'static str> {
    let hash = text.strip_prefix('$').ok_or("it does not start with '$'")?;
    if hash.is_empty() || text.len() > MAX_ID_BYTES {
        return Err("it must have 2 to 255 characters");
    }
    if !hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err("only URL-safe base64 may follow '$'");
    }
    Ok(())
}

fn check_key_id(text: &str) -> Result<(), &'static str> {
    let version = text.strip_prefix("ed25519:").ok_or("the algorithm is not ed25519")?;
    if version.len() > MAX_ID_BYTES || !is_key_version(version) {
        return Err("the key version may hold only letters, digits and '_'");
    }
    Ok(())
}
