//! Pagination and sync tokens: opaque to clients, versioned for us.
//!
//! `s1_N_M` is a moment: everything up to stream position N has arrived, and of what is in memory only, change M; `s1_N`,
//! as it was before there was any of that, is the same without M. `t1_N` is a place in one room: just before the
//! event at position N. `p1_N_S` is answer N of a connection of sliding sync, that ends at stream position S. Sync hands
//! out all of them; `/messages` takes all of them.

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
        let token = Moment::parse(text).map(|moment| Self::Stream(moment.stream));
        let token = token.or_else(|| Answer::parse(text).map(|answer| Self::Stream(answer.stream)));
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

/// A moment from which to sync, and where an answer of sync ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// In stream order.
    pub(crate) stream: i64,
    /// In the order of what is not stored; see [`Clock`](crate::fleeting::Clock).
    pub(crate) fleeting: i64,
}

impl Moment {
    /// A token of sync.
    pub(crate) fn parse_since(text: &str) -> Result<Self, MatrixError> {
        // Says what is wrong with other tokens.
        Token::parse_stream(text)?;
        Self::parse(text).ok_or_else(|| MatrixError::invalid_param("This token is none to sync from."))
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("s1_")?;
        let (stream, fleeting) = rest.split_once('_').unwrap_or((rest, "0"));
        Some(Self { stream: stream.parse().ok()?, fleeting: fleeting.parse().ok()? })
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s1_{}_{}", self.stream, self.fleeting)
    }
}

/// The end of an answer of sliding sync, from which its connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Which one it is.
    pub(crate) number: i64,
    /// Where it ends, in stream order.
    pub(crate) stream: i64,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, stream) = text.strip_prefix("p1_")?.split_once('_')?;
        Some(Self { number: number.parse().ok()?, stream: stream.parse().ok()? })
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p1_{}_{}", self.number, self.stream)
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
        let moment = Moment { stream: 7, fleeting: i64::MAX };
        assert_eq!(Moment::parse_since(&moment.to_string()).unwrap(), moment);
        assert_eq!(Token::parse(&moment.to_string()).unwrap(), Token::Stream(7));
        assert_eq!(Moment::parse_since("s1_7").unwrap(), Moment { stream: 7, fleeting: 0 });
        assert!(Moment::parse_since("t1_7").is_err());
        let answer = Answer { number: 3, stream: 7 };
        assert_eq!(Answer::parse(&answer.to_string()), Some(answer));
        assert_eq!(Token::parse(&answer.to_string()).unwrap(), Token::Stream(7));
        assert!(Moment::parse_since(&answer.to_string()).is_err());
        for bad in [
            "",
            "s",
            "s1_",
            "s1_1_",
            "s1_1_x",
            "s1_1_1_1",
            "s2_1",
            "t1_x",
            "1",
            "s1_99999999999999999999",
            "t1_1 ",
            "p1_",
            "p1_1",
            "p1_1_",
            "p1_1_1_1",
        ] {
            assert_eq!(Token::parse(bad).unwrap_err().errcode, "M_INVALID_PARAM", "{bad:?}");
        }
    }
}
