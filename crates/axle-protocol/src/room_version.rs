//! Room versions: which algorithms a room follows ("Room Versions").

/// The draft's stable identifier.
pub const I_1: &str = "I.1";
/// The identifier that implementations use on the wire today.
pub const UNSTABLE_02: &str = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";

/// A room version that this server implements.
///
/// Two identifiers, one set of algorithms. Matrix's own versions (rooms whose events form a DAG) will be further
/// variants: everything that differs between versions is asked of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoomVersion {
    /// `I.1`.
    I1,
    /// `org.matrix.i-d.ralston-mimi-linearized-matrix.02`.
    Unstable02,
}

impl RoomVersion {
    /// All of them, the preferred first.
    pub const ALL: [Self; 2] = [Self::I1, Self::Unstable02];

    /// The version with this identifier, if it is implemented.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// The identifier.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::I1 => I_1,
            Self::Unstable02 => UNSTABLE_02,
        }
    }

    /// Whether a hub orders the room (Linearized Matrix) rather than a DAG.
    pub fn is_linearized(self) -> bool {
        match self {
            Self::I1 | Self::Unstable02 => true,
        }
    }
}

impl std::fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
