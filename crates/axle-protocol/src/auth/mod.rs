//! Authorization rules ("Authorization Rules").

mod power_level_rules;
mod power_levels;
mod rules;
mod selection;
mod state;

pub use power_levels::{CREATOR_LEVEL, PowerLevels, may_redact, required_levels, user_level};
pub use rules::{AuthError, check};
pub use selection::{check_auth_events, select};
pub use state::{AuthState, CreateInfo, JoinRule, MapState, Membership};
