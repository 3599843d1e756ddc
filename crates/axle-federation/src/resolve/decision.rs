//! The steps of "Resolving Server Names", without I/O: says what to ask next, takes the answer.

use std::net::SocketAddr;

use axle_protocol::ServerName;

use super::{Scheme, Target};

/// Where servers listen that say nothing else.
pub const DEFAULT_PORT: u16 = 8448;
/// SRV services, in the order they are asked for. The first is Matrix's newer name, the second the draft's.
const SRV_SERVICES: [&str; 2] = ["_matrix-fed._tcp", "_matrix._tcp"];

/// What has to be found out next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// `https://<host>/.well-known/matrix/server`.
    WellKnown {
        /// The host name.
        host: String,
    },
    /// The SRV records of a name.
    Srv {
        /// The whole name.
        name: String,
    },
    /// The addresses of hosts, to be tried in this order.
    Addresses {
        /// Host names and the ports to use with them.
        hosts: Vec<(String, u16)>,
    },
}

/// A resolution under way.
#[derive(Debug)]
pub(super) struct Resolution {
    tls_name: String,
    host_header: String,
    scheme: Scheme,
    services_asked: usize,
}

impl Resolution {
    /// Step 1, or the start of step 2.
    pub(super) fn begin(name: &ServerName) -> (Self, Question) {
        let resolution = Self::towards(name, Scheme::Https);
        let question = match name.port() {
            Some(port) => resolution.addresses(port),
            None => Question::WellKnown { host: name.host().to_owned() },
        };
        (resolution, question)
    }

    /// A peer that is spoken to without TLS: never delegated.
    pub(super) fn begin_plain(name: &ServerName) -> (Self, Question) {
        let resolution = Self::towards(name, Scheme::Http);
        let question = resolution.addresses(name.port().unwrap_or(DEFAULT_PORT));
        (resolution, question)
    }

    /// The rest of step 2, or step 3 if the answer was invalid (`None`).
    pub(super) fn on_well_known(&mut self, delegated: Option<&ServerName>) -> Question {
        if let Some(delegated) = delegated {
            *self = Self::towards(delegated, Scheme::Https);
            if let Some(port) = delegated.port() {
                return self.addresses(port);
            }
        }
        self.next_service()
    }

    /// SRV records, the preferred first; none if there are none.
    pub(super) fn on_srv(&mut self, targets: Vec<(String, u16)>) -> Question {
        match targets.is_empty() {
            true => self.next_service(),
            false => Question::Addresses { hosts: targets },
        }
    }

    /// The end.
    pub(super) fn on_addresses(self, addresses: Vec<SocketAddr>) -> Target {
        Target { addresses, tls_name: self.tls_name, host_header: self.host_header, scheme: self.scheme }
    }

    /// `Host` is the name with its port if it has one; TLS never sees a port.
    fn towards(name: &ServerName, scheme: Scheme) -> Self {
        Self { tls_name: name.host().to_owned(), host_header: name.to_string(), scheme, services_asked: 0 }
    }

    fn next_service(&mut self) -> Question {
        match SRV_SERVICES.get(self.services_asked) {
            Some(service) => {
                self.services_asked += 1;
                Question::Srv { name: format!("{service}.{}", self.tls_name) }
            }
            None => self.addresses(DEFAULT_PORT),
        }
    }

    fn addresses(&self, port: u16) -> Question {
        Question::Addresses { hosts: vec![(self.tls_name.clone(), port)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::parse(text).unwrap()
    }

    fn host(host: &str, port: u16) -> Question {
        Question::Addresses { hosts: vec![(host.into(), port)] }
    }

    fn srv(name: &str) -> Question {
        Question::Srv { name: name.into() }
    }

    fn names(resolution: Resolution) -> (String, String) {
        let target = resolution.on_addresses(Vec::new());
        (target.tls_name, target.host_header)
    }

    #[test]
    fn an_explicit_port_ends_it() {
        let (resolution, question) = Resolution::begin(&name("example.org:5678"));
        assert_eq!(question, host("example.org", 5678));
        assert_eq!(names(resolution), ("example.org".into(), "example.org:5678".into()));
    }

    #[test]
    fn delegation_with_a_port() {
        let (mut resolution, question) = Resolution::begin(&name("example.org"));
        assert_eq!(question, Question::WellKnown { host: "example.org".into() });
        assert_eq!(resolution.on_well_known(Some(&name("d.example.org:443"))), host("d.example.org", 443));
        assert_eq!(names(resolution), ("d.example.org".into(), "d.example.org:443".into()));
    }

    #[test]
    fn delegation_with_srv() {
        let (mut resolution, _) = Resolution::begin(&name("example.org"));
        assert_eq!(resolution.on_well_known(Some(&name("d.example.org"))), srv("_matrix-fed._tcp.d.example.org"));
        assert_eq!(resolution.on_srv(vec![]), srv("_matrix._tcp.d.example.org"));
        let found = vec![("a.example.net".to_owned(), 1), ("b.example.net".to_owned(), 2)];
        assert_eq!(resolution.on_srv(found.clone()), Question::Addresses { hosts: found });
        assert_eq!(names(resolution), ("d.example.org".into(), "d.example.org".into()));
    }

    #[test]
    fn delegation_without_srv() {
        let (mut resolution, _) = Resolution::begin(&name("example.org"));
        resolution.on_well_known(Some(&name("d.example.org")));
        resolution.on_srv(vec![]);
        assert_eq!(resolution.on_srv(vec![]), host("d.example.org", 8448));
        assert_eq!(names(resolution), ("d.example.org".into(), "d.example.org".into()));
    }

    #[test]
    fn no_delegation_with_srv() {
        let (mut resolution, _) = Resolution::begin(&name("example.org"));
        assert_eq!(resolution.on_well_known(None), srv("_matrix-fed._tcp.example.org"));
        assert_eq!(resolution.on_srv(vec![("s.example.net".into(), 99)]), host("s.example.net", 99));
        assert_eq!(names(resolution), ("example.org".into(), "example.org".into()));
    }

    #[test]
    fn nothing_at_all() {
        let (mut resolution, _) = Resolution::begin(&name("example.org"));
        resolution.on_well_known(None);
        resolution.on_srv(vec![]);
        assert_eq!(resolution.on_srv(vec![]), host("example.org", 8448));
        assert_eq!(names(resolution), ("example.org".into(), "example.org".into()));
    }
}
