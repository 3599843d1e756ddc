//! Pagination and sync tokens: opaque to clients, versioned for us.
//!
//! `s1_N` is a moment: everything up to stream position N has arrived. `t1_N` is a place in one room: just before the
//! event at position N. Sync hands out both; `/messages` takes both.

use axle_protocol::{MatrixError, RoomId};

use crate::error::ApiResult;
use crate::state::Api;

/// A token that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A moment, in stream order.
    Stream(i64),
    /// A place in a room, in its own order.
    Position(i64),
}

impl Token {
    pub(crate) fn parse(text: &str) -> Result<Self, MatrixError> {
        let token = text.strip_prefix("s1_").and_then(|n| n.parse().ok()).map(Self::Stream);
        let token = token.or_else(|| text.strip_prefix("t1_").and_then(|n| n.parse().ok()).map(Self::Position));
        token.ok_or_else(|| MatrixError::invalid_param("This is not a token of this server."))
    }

    /// A moment, from which to sync.
    pub(crate) fn parse_stream(text: &str) -> Result<i64, MatrixError> {
        match Self::parse(text)? {
            Self::Stream(stream) => Ok(stream),
            Self::Position(_) => Err(MatrixError::invalid_param("This token is none to sync from.")),
        }
    }

    /// The place in a room that the token stands for.
    pub(crate) async fn position(self, api: &Api, room_id: &RoomId) -> ApiResult<i64> {
        match self {
            Self::Position(position) => Ok(position),
            Self::Stream(stream) => {
                let last = api.store.sync_room(room_id, BEFORE_EVERYTHING, stream, 1).await?.timeline.pop();
                Ok(last.and_then(|event| event.position).map_or(0, |position| position.saturating_add(1)))
            }
        }
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(stream) => write!(f, "s1_{stream}"),
            Self::Position(position) => write!(f, "t1_{position}"),
        }
    }
}

/// A stream position below all that are assigned.
pub(crate) const BEFORE_EVERYTHING: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_round_trip_and_others_are_refused() {
        for token in [Token::Stream(0), Token::Stream(i64::MAX), Token::Position(-7), Token::Position(i64::MIN)] {
            assert_eq!(Token::parse(&token.to_string()).unwrap(), token);
        }
        for bad in ["", "s", "s1_", "s2_1", "t1_x", "1", "s1_99999999999999999999", "t1_1 "] {
            assert_eq!(Token::parse(bad).unwrap_err().errcode, "M_INVALID_PARAM", "{bad:?}");
        }
    }
}
