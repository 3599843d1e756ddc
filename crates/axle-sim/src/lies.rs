//! Lies that a hub can tell, and what the draft lets a participant notice of each.

use axle_room::FaultKind;

/// What a hub does that it should not do.
///
/// | lie | what shows it to the participant that is lied to |
/// |---|---|
/// | [`Lie::Forbidden`] | the auth rules, asked again ("Receiving Events/PDUs": "Participant servers SHOULD also perform the following checks") |
/// | [`Lie::WrongAuthEvents`] | rule 4: an auth event of a kind that the selection does not name |
/// | [`Lie::OutdatedAuthEvents`] | "Auth Events Selection": of the right kind, and not the current one |
/// | [`Lie::WrongHub`] | `hub_server`, which the LPDU's author signed, names another server |
/// | [`Lie::Forged`] | the signature of the sender's server |
/// | [`Lie::Tampered`], [`Lie::AlteredEcho`] | the content hash; that of the LPDU, if the hub made the other one anew |
/// | [`Lie::Replayed`] | the LPDU hash is that of an event which is in the room |
/// | [`Lie::Withheld`] | a parent that the hub does not give, by whatever request |
/// | [`Lie::MadeUpParent`] | the same: a parent that nobody has |
/// | [`Lie::TwoHistories`] | two events with the same parent, once the participant has both of them |
/// | [`Lie::Swallowed`] | an LPDU was answered 200, and a later one came back before it |
/// | [`Lie::WrongState`] | the state that answers a join is not authorised by its own auth events |
/// | [`Lie::OldState`] | the auth events of the join are not in the state that is said to be the one before it |
/// | [`Lie::Reordered`] | nothing is to be noticed: the order is in the events, and is restored |
///
/// What no participant can notice by itself is written at [`FaultKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Appends an event that the auth rules forbid.
    Forbidden,
    /// Appends an event with an auth event that has no business there.
    WrongAuthEvents,
    /// Appends an event authorised by what is not current any more.
    OutdatedAuthEvents,
    /// Appends an LPDU that was made for another hub.
    WrongHub,
    /// Makes an event in the name of another server's user.
    Forged,
    /// Changes what an event of its own says, on the way to one participant.
    Tampered,
    /// Changes what an LPDU says before it finishes it.
    AlteredEcho,
    /// Makes two events of one LPDU.
    Replayed,
    /// Withholds an event from one participant, whatever it asks.
    Withheld,
    /// Appends an event after a parent that does not exist.
    MadeUpParent,
    /// Tells one participant another event than the others.
    TwoHistories,
    /// Says that it took an LPDU, and does not append it.
    Swallowed,
    /// Answers a join with state that nobody could have made.
    WrongState,
    /// Answers a join with power levels that have been replaced.
    OldState,
    /// Sends events in another order than the room's.
    Reordered,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Forbidden,
        Self::WrongAuthEvents,
        Self::OutdatedAuthEvents,
        Self::WrongHub,
        Self::Forged,
        Self::Tampered,
        Self::AlteredEcho,
        Self::Replayed,
        Self::Withheld,
        Self::MadeUpParent,
        Self::TwoHistories,
        Self::Swallowed,
        Self::WrongState,
        Self::OldState,
        Self::Reordered,
    ];

    /// The lie of this name, as `Debug` writes it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lie| format!("{lie:?}").eq_ignore_ascii_case(name))
    }

    /// Whether it is told in the answer to a join.
    pub fn is_about_a_join(self) -> bool {
        matches!(self, Self::WrongState | Self::OldState)
    }

    /// Whether a fault of this kind shows it. `None`: nothing is to be noticed.
    pub fn shows_as(self, kind: &FaultKind) -> Option<bool> {
        Some(match self {
            Self::Forbidden => matches!(kind, FaultKind::Forbidden(_)),
            Self::WrongAuthEvents => matches!(kind, FaultKind::AuthEvents(_)),
            Self::OutdatedAuthEvents | Self::OldState => matches!(kind, FaultKind::OutdatedAuthEvents),
            Self::WrongHub => matches!(kind, FaultKind::WrongHub(_)),
            Self::Forged => matches!(kind, FaultKind::BadSignature(_)),
            Self::Tampered | Self::AlteredEcho => matches!(kind, FaultKind::ContentChanged),
            Self::Replayed => matches!(kind, FaultKind::ReplayedLpdu(_)),
            Self::Withheld | Self::MadeUpParent => matches!(kind, FaultKind::MissingParent(_)),
            Self::TwoHistories => matches!(kind, FaultKind::Forked { .. }),
            Self::Swallowed => matches!(kind, FaultKind::SkippedLpdu(_)),
            Self::WrongState => matches!(kind, FaultKind::UnauthorisedState(_)),
            Self::Reordered => return None,
        })
    }
}
