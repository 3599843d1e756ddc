//! Configuration: a TOML file, environment variables over it, command line flags over both.
//!
//! Every option has a default, so that a server starts without any file. [`OPTIONS`] describes each one; the reference
//! in `docs/configuration.md` is made from it, and a test keeps the two and these structs equal.

mod check;
mod error;
mod load;
mod options;
mod reference;
mod source;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axle_client_api::Contact;
use axle_protocol::{RoomVersion, ServerName};
use serde::{Deserialize, Serialize};

pub use axle_client_api::UrlPattern;
pub use axle_federation::resolve::Network;
pub use error::ConfigError;
pub use load::{Inputs, Loaded, Sources, load};
pub use options::{Kind, OPTIONS, OptionInfo};
pub use reference::reference;

/// Where a client listener is by default: Matrix's usual port, this machine only.
const DEFAULT_CLIENT_PORT: u16 = 8008;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The part of user ids after the colon, and the name other servers know this one by.
    pub server_name: ServerName,
    /// The data folder.
    pub data: PathBuf,
    /// The client-server API.
    pub client: ClientConfig,
    /// The server-to-server API.
    pub federation: FederationConfig,
    /// Who may register.
    pub registration: RegistrationConfig,
    /// New rooms.
    pub rooms: RoomsConfig,
    /// Media.
    pub media: MediaConfig,
    /// Previews of URLs.
    pub url_previews: UrlPreviewsConfig,
    /// Push gateways.
    pub push: PushConfig,
    /// Who is there.
    pub presence: PresenceConfig,
    /// Application services.
    pub appservices: AppservicesConfig,
    /// Limits of connections.
    pub limits: LimitsConfig,
    /// Limits of request rates.
    pub rate_limits: RateLimitsConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Logs.
    pub log: LogConfig,
}

/// `[client]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// PEM file with the certificate chain; without it the listeners speak plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// Where clients reach this server, if not at the listener's own address.
    pub public_url: Option<String>,
    /// A page with help for users.
    pub support_page: Option<String>,
    /// Who runs the server.
    pub support_admins: Vec<Contact>,
    /// Who is to be told of what endangers it.
    pub support_security: Vec<Contact>,
    /// Whether clients can log in by OAuth 2.0, if there is a public URL.
    pub oauth: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether these listeners serve federation as well.
    pub serve_federation: bool,
    /// How long an access token that can be refreshed is good.
    pub access_token_lifetime_seconds: u32,
}

/// `[federation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FederationConfig {
    /// Addresses to listen on; none: no federation listener.
    pub listen: Vec<SocketAddr>,
    /// PEM file with the certificate chain for the server name.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// Listen without TLS: for a proxy in front that does it, or for tests.
    pub plain_http: bool,
    /// PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Private networks that federation requests may go to.
    pub allowed_networks: Vec<Network>,
    /// Servers that are spoken to without TLS.
    pub plain_http_peers: Vec<ServerName>,
    /// Addresses of servers that are not to be looked up.
    pub overrides: BTreeMap<ServerName, SocketAddr>,
    /// Whether to publish `m.linearized`.
    pub linearized: bool,
    /// Servers that are asked for keys of servers that do not answer.
    pub notaries: Vec<ServerName>,
    /// What `/.well-known/matrix/server` answers.
    pub well_known: Option<ServerName>,
    /// Whether other servers are told profiles of users.
    pub allow_profile_lookup: bool,
    /// Whether other servers are told the list of rooms.
    pub allow_public_rooms: bool,
}

/// `[registration]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationConfig {
    /// Who may register.
    pub mode: RegistrationMode,
    /// What tools that make accounts prove themselves with.
    pub shared_secret: Option<String>,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Anybody.
    Open,
    /// Who has a token.
    Token,
    /// Nobody; `axle admin create-user` makes accounts.
    Closed,
}

/// `[rooms]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomsConfig {
    /// The version of rooms that are made without naming one.
    #[serde(with = "room_version")]
    pub default_version: RoomVersion,
}

/// `[push]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Private networks in which there are push gateways.
    pub allowed_networks: Vec<Network>,
}

/// `[media]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaConfig {
    /// The largest upload.
    pub max_upload_bytes: u64,
    /// What all uploads of a user may have.
    pub quota_bytes_per_user: Option<u64>,
    /// The largest file of another server that is fetched.
    pub max_remote_bytes: u64,
    /// What all files of other servers may have.
    pub remote_cache_bytes: u64,
    /// How long a file of another server is kept that nobody asks for; 0: for ever.
    pub remote_retention_days: u32,
}

/// `[url_previews]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UrlPreviewsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Private networks in which there are pages.
    pub allowed_networks: Vec<Network>,
    /// What nobody gets a preview of.
    pub denied: Vec<UrlPattern>,
}

/// `[presence]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresenceConfig {
    /// Whether users are told who of the others is there.
    pub enabled: bool,
}

/// `[appservices]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppservicesConfig {
    /// Registration files.
    pub registration_files: Vec<PathBuf>,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Open connections of one listener.
    pub max_connections: u32,
    /// Open connections from one address to one listener.
    pub max_connections_per_address: u32,
    /// Bytes of one request's header.
    pub header_bytes: u32,
    /// For a TLS handshake, and for a request's header.
    pub header_timeout_seconds: u32,
    /// For a request's body.
    pub body_timeout_seconds: u32,
    /// A connection on which nothing moves.
    pub idle_timeout_seconds: u32,
    /// For requests in flight when the server stops.
    pub drain_seconds: u32,
}

/// `[rate_limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitsConfig {
    /// All of them.
    pub enabled: bool,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Who may read `/_axle/metrics`.
    pub allowed_networks: Vec<Network>,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged, in the syntax of `tracing_subscriber`'s `EnvFilter`.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Whether push gateways on this machine may be reached, and then by plain HTTP as well.
    pub fn has_local_gateways(&self) -> bool {
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        self.push.allowed_networks.iter().any(|network| loopback.iter().any(|address| network.contains(*address)))
    }

    /// Whether other servers can reach this one.
    pub fn serves_federation(&self) -> bool {
        self.client.serve_federation || !self.federation.listen.is_empty()
    }
}

impl MediaConfig {
    /// [`Self::remote_retention_days`]; `None`: for ever.
    pub fn remote_retention(&self) -> Option<Duration> {
        let days = Some(self.remote_retention_days).filter(|days| *days > 0)?;
        Some(Duration::from_secs(u64::from(days) * 24 * 3600))
    }
}

impl LimitsConfig {
    /// [`Self::header_timeout_seconds`].
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_seconds.into())
    }

    /// [`Self::body_timeout_seconds`].
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds.into())
    }

    /// [`Self::idle_timeout_seconds`].
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds.into())
    }

    /// [`Self::drain_seconds`].
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: default_server_name(),
            data: "axle-data".into(),
            client: ClientConfig::default(),
            federation: FederationConfig::default(),
            registration: RegistrationConfig::default(),
            rooms: RoomsConfig::default(),
            media: MediaConfig::default(),
            url_previews: UrlPreviewsConfig::default(),
            push: PushConfig::default(),
            presence: PresenceConfig::default(),
            appservices: AppservicesConfig::default(),
            limits: LimitsConfig::default(),
            rate_limits: RateLimitsConfig::default(),
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_CLIENT_PORT))],
            tls_certificate: None,
            tls_key: None,
            public_url: None,
            support_page: None,
            support_admins: Vec::new(),
            support_security: Vec::new(),
            oauth: true,
            trusted_proxies: Vec::new(),
            serve_federation: false,
            access_token_lifetime_seconds: 3600,
        }
    }
}

impl Default for FederationConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            plain_http: false,
            ca_file: None,
            allowed_networks: Vec::new(),
            plain_http_peers: Vec::new(),
            overrides: BTreeMap::new(),
            linearized: true,
            notaries: Vec::new(),
            well_known: None,
            allow_profile_lookup: true,
            allow_public_rooms: false,
        }
    }
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self { mode: RegistrationMode::Closed, shared_secret: None }
    }
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self { default_version: RoomVersion::I1 }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            max_upload_bytes: 100 << 20,
            quota_bytes_per_user: None,
            max_remote_bytes: 100 << 20,
            remote_cache_bytes: 10 << 30,
            remote_retention_days: 90,
        }
    }
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            header_bytes: 65_536,
            header_timeout_seconds: 15,
            body_timeout_seconds: 60,
            idle_timeout_seconds: 120,
            drain_seconds: 10,
        }
    }
}

impl Default for RateLimitsConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            allowed_networks: [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].map(Network::from).into(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

#[allow(clippy::expect_used)]
fn default_server_name() -> ServerName {
    // A constant that the grammar allows; a test parses the defaults.
    ServerName::parse("localhost:8448").expect("a valid name")
}

mod room_version {
    use axle_protocol::RoomVersion;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(version: &RoomVersion, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(version.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<RoomVersion, D::Error> {
        let text = String::deserialize(d)?;
        RoomVersion::parse(&text).ok_or_else(|| {
            let known: Vec<_> = RoomVersion::ALL.into_iter().map(RoomVersion::as_str).collect();
            serde::de::Error::custom(format!("not a room version of this server; those are {}", known.join(", ")))
        })
    }
}
