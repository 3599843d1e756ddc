//! DNS look-ups: addresses and SRV records, bounded, with refused addresses left out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::{AddressPolicy, ResolveError};

/// SRV targets that are looked at, the preferred first.
const MAX_SRV_TARGETS: usize = 8;
/// Addresses that are tried, the preferred first.
const MAX_ADDRESSES: usize = 16;
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Asks DNS, and sorts out what must not be connected to.
pub(crate) struct Dns {
    resolver: TokioResolver,
    policy: AddressPolicy,
}

impl Dns {
    /// Uses the system's name servers, or `server` instead.
    pub(crate) fn new(server: Option<SocketAddr>, policy: AddressPolicy) -> Result<Self, ResolveError> {
        let failed = |error: NetError| ResolveError::Setup(error.to_string());
        let (config, options) = match server {
            Some(server) => (single_server(server), None),
            None => {
                let (config, options) = read_system_conf().map_err(failed)?;
                (config, Some(options))
            }
        };
        // Server names are whole: a search domain would make `example` mean `example.corp.internal`.
        let (_, _, name_servers) = config.into_parts();
        let config = ResolverConfig::from_parts(None, Vec::new(), name_servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        if let Some(options) = options {
            *builder.options_mut() = options;
        }
        Ok(Self { resolver: builder.build().map_err(failed)?, policy })
    }

    /// The permitted addresses of these hosts, in their order.
    pub(crate) async fn addresses(&self, hosts: &[(String, u16)]) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut found = Vec::new();
        let mut error = None;
        for (host, port) in hosts {
            match self.host_addresses(host).await {
                Ok(addresses) => found.extend(addresses.into_iter().map(|ip| SocketAddr::new(ip, *port))),
                Err(failure) => error = Some(failure),
            }
        }
        found.truncate(MAX_ADDRESSES);
        match (found.is_empty(), error) {
            (false, _) => Ok(found),
            (true, Some(error)) => Err(error),
            (true, None) => Err(ResolveError::NoAddress(names(hosts))),
        }
    }

    /// The SRV targets of a name, sorted as RFC 2782 says. A failing look-up counts as no records: some name servers
    /// answer names that begin with an underscore with an error, and the certificate is checked in any case.
    pub(super) async fn srv(&self, name: &str) -> Vec<(String, u16)> {
        let lookup = match self.resolver.lookup(format!("{name}."), RecordType::SRV).await {
            Ok(lookup) => lookup,
            Err(error) => {
                if !error.is_no_records_found() {
                    tracing::debug!(name, %error, "SRV look-up failed");
                }
                return Vec::new();
            }
        };
        let records = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) if !srv.target.is_root() => Some(Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_utf8().trim_end_matches('.').to_owned(),
            }),
            _ => None,
        });
        let records = records.take(4 * MAX_SRV_TARGETS).collect();
        let mut ordered = order(records, random_below);
        ordered.truncate(MAX_SRV_TARGETS);
        ordered
    }

    async fn host_addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let found: Vec<IpAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) if is_localhost(host) => LOOPBACK.to_vec(),
            Err(_) => {
                let lookup = self.resolver.lookup_ip(host).await;
                lookup.map_err(|error| failure(host, &error))?.iter().collect()
            }
        };
        let total = found.len();
        let permitted: Vec<_> = found.into_iter().filter(|address| self.policy.permits(*address)).collect();
        if permitted.is_empty() && total > 0 {
            return Err(ResolveError::Refused(host.to_owned()));
        }
        Ok(permitted)
    }
}

/// In the words of an operator: the library shows the query as it has it in memory.
fn failure(host: &str, error: &NetError) -> ResolveError {
    let name = host.to_owned();
    match (error.is_nx_domain(), error.is_no_records_found()) {
        (true, _) => ResolveError::Dns { name, error: "there is no such name".into() },
        (false, true) => ResolveError::NoAddress(name),
        (false, false) => ResolveError::Dns { name, error: error.to_string() },
    }
}

/// RFC 6761: these names are this machine, whatever DNS says.
pub(super) fn is_localhost(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost")
}

/// This machine.
pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    LOOPBACK.iter().map(|address| SocketAddr::new(*address, port)).collect()
}

#[derive(Debug, Clone)]
struct Srv {
    priority: u16,
    weight: u16,
    port: u16,
    target: String,
}

/// Lower priorities first; within one, at random in proportion to weight.
fn order(mut records: Vec<Srv>, mut random_below: impl FnMut(u32) -> u32) -> Vec<(String, u16)> {
    // Records of weight 0 come first, so that they have a small chance too.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let group = records.iter().take_while(|record| record.priority == first.priority);
        let total: u32 = group.map(|record| u32::from(record.weight)).sum();
        let mut drawn = random_below(total + 1);
        let chosen = records.iter().position(|record| {
            let weight = u32::from(record.weight);
            let here = drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            here
        });
        let record = records.remove(chosen.unwrap_or(0));
        ordered.push((record.target, record.port));
    }
    ordered
}

fn random_below(limit: u32) -> u32 {
    // Without randomness the order is still one that the records permit.
    getrandom::u32().map_or(0, |random| random % limit.max(1))
}

fn single_server(server: SocketAddr) -> ResolverConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = server.port();
    }
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections)])
}

fn names(hosts: &[(String, u16)]) -> String {
    hosts.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 1, target: target.into() }
    }

    fn ordered(records: Vec<Srv>, draw: impl FnMut(u32) -> u32) -> Vec<String> {
        order(records, draw).into_iter().map(|(target, _)| target).collect()
    }

    #[test]
    fn priorities_go_first() {
        let records = || vec![srv(20, 100, "c"), srv(10, 0, "a"), srv(10, 10, "b")];
        assert_eq!(ordered(records(), |_| 0), ["a", "b", "c"]);
        assert_eq!(ordered(records(), |limit| limit - 1), ["b", "a", "c"]);
    }

    #[test]
    fn weights_decide_within_a_priority() {
        let records = || vec![srv(1, 10, "light"), srv(1, 90, "heavy")];
        assert_eq!(ordered(records(), |_| 10), ["light", "heavy"]);
        assert_eq!(ordered(records(), |_| 11), ["heavy", "light"]);
    }

    #[test]
    fn localhost_is_a_reserved_name() {
        assert!(is_localhost("localhost") && is_localhost("a.LOCALHOST"));
        assert!(!is_localhost("localhost.example.org") && !is_localhost("notlocalhost"));
    }
}
