//! Authorization rules ("Authorization Rules").

mod power_levels;
mod rules;
mod selection;
mod state;

pub use power_levels::PowerLevels;
pub use rules::{AuthError, check};
pub use selection::select;
pub use state::{AuthState, CreateInfo, JoinRule, MapState, Membership};
