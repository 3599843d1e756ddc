//! Settings of the client-server API.

use std::time::Duration;

use axle_protocol::{RoomVersion, ServerName};
use serde::Deserialize;

use crate::appservice::ApplicationServices;
use crate::previews::UrlPattern;
use crate::support::Support;

/// Settings of the client-server API.
#[derive(Debug, Clone)]
pub struct ClientApiConfig {
    /// The server whose users these are.
    pub server_name: ServerName,
    /// Who may register.
    pub registration: Registration,
    /// What tools that make accounts prove themselves with; `None`: there are none.
    pub registration_shared_secret: Option<String>,
    /// How long the access token of a client that can refresh it is good.
    pub access_token_lifetime: Duration,
    /// The version of rooms that are made without naming one.
    pub default_room_version: RoomVersion,
    /// Whom users can ask for help, for `/.well-known/matrix/support`.
    pub support: Support,
    /// Where clients reach this API, for `/.well-known/matrix/client`; `None` serves no such document.
    pub public_base_url: Option<String>,
    /// Whether push gateways on this machine may be spoken to by plain HTTP.
    pub local_push_gateways: bool,
    /// Whether clients can log in by OAuth 2.0. It needs [`Self::public_base_url`].
    pub oauth: bool,
    /// Whether users are told who of the others is there.
    pub presence: bool,
    /// How often things may be asked for.
    pub limits: RateLimits,
    /// Media.
    pub media: MediaConfig,
    /// Previews of URLs; `None`: there are none.
    pub url_previews: Option<UrlPreviewConfig>,
    /// Programs that act for many users.
    pub services: ApplicationServices,
    /// What other servers are told when they ask.
    pub told_to_servers: ToldToServers,
}

/// What other servers are told when they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldToServers {
    /// Profiles of users.
    pub profiles: bool,
    /// The list of rooms.
    pub public_rooms: bool,
}

impl Default for ToldToServers {
    fn default() -> Self {
        Self { profiles: true, public_rooms: false }
    }
}

impl ClientApiConfig {
    /// The defaults: nobody can register, rooms get the first room version, limits are on.
    pub fn new(server_name: ServerName) -> Self {
        Self {
            server_name,
            registration: Registration::Closed,
            registration_shared_secret: None,
            access_token_lifetime: Duration::from_secs(3600),
            default_room_version: RoomVersion::I1,
            support: Support::default(),
            public_base_url: None,
            local_push_gateways: false,
            oauth: true,
            presence: true,
            limits: RateLimits::default(),
            media: MediaConfig::default(),
            url_previews: None,
            services: ApplicationServices::default(),
            told_to_servers: ToldToServers::default(),
        }
    }
}

/// Settings of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaConfig {
    /// The largest upload.
    pub max_upload_bytes: u64,
    /// So many bytes all uploads of a user have at most; `None`: any number.
    pub quota_bytes_per_user: Option<u64>,
    /// An upload is given up when it makes no progress for so long; so is a file of another server.
    pub stall_timeout: Duration,
    /// The largest file of another server that is fetched.
    pub max_remote_bytes: u64,
    /// So many bytes all files of other servers have at most: those not asked for the longest are removed.
    pub remote_cache_bytes: u64,
    /// A file of another server is removed when nobody has asked for it for so long; `None`: never.
    pub remote_retention: Option<Duration>,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            max_upload_bytes: 100 << 20,
            quota_bytes_per_user: None,
            stall_timeout: Duration::from_secs(60),
            max_remote_bytes: 100 << 20,
            remote_cache_bytes: 10 << 30,
            remote_retention: None,
        }
    }
}

/// Settings of previews of URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlPreviewConfig {
    /// What nobody gets a preview of.
    pub denied: Vec<UrlPattern>,
}

/// Who may register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone.
    Open,
    /// Who has a registration token.
    Token,
    /// Nobody: an operator creates accounts.
    #[default]
    Closed,
}

/// Limits on requests. `None` sets one off.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Events, joins, invites and other changes of rooms and profiles, a user.
    pub changes: Option<Rate>,
    /// Rooms made, a user.
    pub rooms: Option<Rate>,
    /// Accounts registered, an address.
    pub registrations: Option<Rate>,
    /// Wrong passwords for one account from one address. Guesses from elsewhere do not lock anybody out.
    pub login_account: Option<Rate>,
    /// Wrong passwords, an address.
    pub login_address: Option<Rate>,
    /// What can be asked without logging in (profiles, free user names), an address.
    pub lookups: Option<Rate>,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            changes: Some(Rate { per_second: 10.0, burst: 100 }),
            rooms: Some(Rate { per_second: 0.1, burst: 20 }),
            registrations: Some(Rate { per_second: 0.05, burst: 5 }),
            login_account: Some(Rate { per_second: 0.1, burst: 5 }),
            login_address: Some(Rate { per_second: 0.2, burst: 20 }),
            lookups: Some(Rate { per_second: 5.0, burst: 50 }),
        }
    }
}

impl RateLimits {
    /// No limits at all, for tests and measurements.
    pub fn off() -> Self {
        Self {
            changes: None,
            rooms: None,
            registrations: None,
            login_account: None,
            login_address: None,
            lookups: None,
        }
    }
}

/// A bucket of `burst` requests that refills at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: f64,
    /// Requests at once.
    pub burst: u32,
}
