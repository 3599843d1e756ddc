//! From a server name to where and how it is reached ("Resolving Server Names").

mod addresses;
mod cache;
mod decision;
mod dns;
mod well_known;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axle_protocol::ServerName;
use lru::LruCache;

pub use addresses::{AddressPolicy, Network, NetworkError};
pub use cache::{DEFAULT_TTL, FIRST_ERROR_TTL, MAX_ERROR_TTL, MAX_TTL, MIN_TTL};
pub use decision::DEFAULT_PORT;
pub use well_known::{MAX_REDIRECTS, MAX_WELL_KNOWN_BYTES, WELL_KNOWN_TIMEOUT};

use crate::web::{self, OpenAnswer, WebError};
use cache::Entry;
use decision::{Question, Resolution};
pub(crate) use dns::Dns;
use well_known::WellKnown;

/// Hosts whose `.well-known` answer is remembered.
const WELL_KNOWN_CACHE_SIZE: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// How server names are resolved.
#[derive(Debug, Clone)]
pub struct ResolverConfig {
    /// Servers at a fixed address, without DNS and without `.well-known`. For test networks and private links.
    pub overrides: HashMap<ServerName, SocketAddr>,
    /// Servers that are spoken to without TLS. Nothing but a test network has any.
    pub plain_http: HashSet<ServerName>,
    /// A name server to ask instead of the system's.
    pub dns_server: Option<SocketAddr>,
    /// Networks that are not of the public internet and may be connected to all the same.
    pub allowed_networks: Vec<Network>,
    /// Where `.well-known` is asked for. Nothing but a test network changes it.
    pub well_known_port: u16,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            overrides: HashMap::new(),
            plain_http: HashSet::new(),
            dns_server: None,
            allowed_networks: Vec::new(),
            well_known_port: 443,
        }
    }
}

/// With or without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// With.
    Https,
    /// Without.
    Http,
}

/// Where and how a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// To be tried in this order.
    pub addresses: Vec<SocketAddr>,
    /// What its certificate must be for.
    pub tls_name: String,
    /// What to write into `Host`.
    pub host_header: String,
    /// With or without TLS.
    pub scheme: Scheme,
}

/// Why a server name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// DNS has no addresses, or does not answer.
    #[error("looking up {name}: {error}")]
    Dns {
        /// What was looked up.
        name: String,
        /// What DNS said.
        error: String,
    },
    /// The name exists and has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// Every address is in a network that is not of the public internet.
    #[error("{0} has only addresses in private or special networks, and none of them is in allowed_networks")]
    Refused(String),
    /// DNS could not be set up.
    #[error("setting up DNS: {0}")]
    Setup(String),
}

/// Resolves server names, with a memory for `.well-known` answers. DNS answers are kept as long as they say.
pub struct Resolver {
    config: ResolverConfig,
    dns: Dns,
    well_known: WellKnown,
    cache: Mutex<LruCache<String, Arc<tokio::sync::Mutex<Option<Entry>>>>>,
}

impl Resolver {
    /// `tls` is for `.well-known`.
    pub fn new(config: ResolverConfig, tls: Arc<rustls::ClientConfig>) -> Result<Self, ResolveError> {
        let policy = AddressPolicy::new(config.allowed_networks.clone());
        Ok(Self {
            dns: Dns::new(config.dns_server, policy)?,
            well_known: WellKnown::new(tls, config.well_known_port),
            cache: Mutex::new(LruCache::new(WELL_KNOWN_CACHE_SIZE)),
            config,
        })
    }

    /// Where a server is reached now.
    pub async fn resolve(&self, name: &ServerName) -> Result<Target, ResolveError> {
        if let Some(address) = self.config.overrides.get(name) {
            return Ok(self.begin(name).0.on_addresses(vec![*address]));
        }
        let (mut resolution, mut question) = self.begin(name);
        loop {
            question = match question {
                Question::WellKnown { host } => resolution.on_well_known(self.delegation(&host).await.as_ref()),
                Question::Srv { name } => resolution.on_srv(self.dns.srv(&name).await),
                Question::Addresses { hosts } => {
                    let addresses = match self.is_local_plain(name) {
                        true => dns::loopback(name.port().unwrap_or(DEFAULT_PORT)),
                        false => self.dns.addresses(&hosts).await?,
                    };
                    return Ok(resolution.on_addresses(addresses));
                }
            }
        }
    }

    /// Asks for an https URL that another server named.
    pub(crate) async fn web(&self, uri: &http::Uri) -> Result<OpenAnswer, WebError> {
        web::get(&self.dns, self.well_known.tls(), uri).await
    }

    fn begin(&self, name: &ServerName) -> (Resolution, Question) {
        match self.config.plain_http.contains(name) {
            true => Resolution::begin_plain(name),
            false => Resolution::begin(name),
        }
    }

    /// An operator who writes `plain_http = ["localhost:3000"]` has allowed exactly that address.
    fn is_local_plain(&self, name: &ServerName) -> bool {
        self.config.plain_http.contains(name) && dns::is_localhost(name.host())
    }

    /// The host's `.well-known` answer; asked for once by whoever comes first.
    async fn delegation(&self, host: &str) -> Option<ServerName> {
        let slot = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get_or_insert(host.to_owned(), Arc::default).clone()
        };
        let mut entry = slot.lock().await;
        if !entry.as_ref().is_some_and(|entry| entry.holds(Instant::now())) {
            let fetched = self.well_known.fetch(&self.dns, host, entry.as_ref()).await;
            *entry = Some(fetched);
        }
        entry.as_ref().and_then(|entry| entry.delegated.clone())
    }
}
