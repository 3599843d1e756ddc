//! The three servers and what lies around them: names, ports, certificates, folders.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use axle_protocol::ServerName;
use axle_sdk::SessionFile;
use axle_server::config::{
    ClientConfig, Config, FederationConfig, RateLimitsConfig, RegistrationConfig, RegistrationMode,
};
use tempfile::TempDir;

use super::Failure;
use super::authority::Authority;
use super::people::Cast;
use super::server::Server;

/// The hub first.
pub(in crate::commands) const NAMES: [&str; 3] = ["hub.example.test", "amber.example.test", "birch.example.test"];

/// Everything that the demo starts and leaves on the disk. Dropping it ends the servers and removes the folder.
pub(in crate::commands) struct Network {
    /// In the order of [`NAMES`].
    pub(in crate::commands) servers: Vec<Server>,
    // After the servers: they are gone when their folders go.
    folder: TempDir,
}

impl Network {
    /// Writes certificates and configuration. Nothing runs yet.
    pub(in crate::commands) fn new() -> Result<Self, Failure> {
        Self::with(RateLimitsConfig::default())
    }

    /// The same without limits of request rates.
    pub(in crate::commands) fn unlimited() -> Result<Self, Failure> {
        Self::with(RateLimitsConfig { enabled: false })
    }

    /// Starts all servers and waits until they answer.
    pub(in crate::commands) async fn start(&mut self) -> Result<(), Failure> {
        self.servers.iter_mut().try_for_each(Server::start)?;
        for server in &mut self.servers {
            server.ready().await?;
        }
        Ok(())
    }

    fn with(rate_limits: RateLimitsConfig) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("axle-demo-")?;
        let authority = Authority::new()?;
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, authority.certificate())?;
        let ports = free_ports(2 * NAMES.len())?;
        let (client, federation) = ports.split_at(NAMES.len());
        let overrides = NAMES.iter().zip(federation).map(|(name, address)| Ok((ServerName::parse(name)?, *address)));
        let overrides = overrides.collect::<Result<BTreeMap<_, _>, Failure>>()?;
        let mut servers = Vec::new();
        for ((name, client), federation) in NAMES.iter().zip(client).zip(federation) {
            let home = folder.path().join(name);
            std::fs::create_dir(&home)?;
            let files = authority.issue(name, &home)?;
            let config = Config {
                server_name: ServerName::parse(name)?,
                data: home.join("data"),
                client: ClientConfig {
                    listen: vec![*client],
                    tls_certificate: Some(files.certificate.clone()),
                    tls_key: Some(files.key.clone()),
                    ..ClientConfig::default()
                },
                federation: FederationConfig {
                    listen: vec![*federation],
                    tls_certificate: Some(files.certificate),
                    tls_key: Some(files.key),
                    ca_file: Some(ca_file.clone()),
                    allowed_networks: vec!["127.0.0.0/8".parse()?],
                    overrides: overrides.clone(),
                    ..FederationConfig::default()
                },
                registration: RegistrationConfig { mode: RegistrationMode::Open, ..RegistrationConfig::default() },
                rate_limits: rate_limits.clone(),
                ..Config::default()
            };
            std::fs::write(home.join("axle.toml"), toml::to_string_pretty(&config)?)?;
            servers.push(Server::new(name, &home, *client, &authority.certificate()));
        }
        Ok(Self { servers, folder })
    }

    /// Where everything lies.
    pub(in crate::commands) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the keys of a person's device lie: beside their session, where the chat client looks for them.
    pub(in crate::commands) fn key_file(&self, name: &str) -> PathBuf {
        crate::commands::chat::key_path(&self.session_file(name))
    }

    fn session_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.json"))
    }

    /// The server that orders the rooms.
    pub(in crate::commands) fn hub(&mut self) -> Result<&mut Server, Failure> {
        self.servers.first_mut().ok_or_else(|| "there is no hub".into())
    }

    /// Leaves everything running. Returns how to chat on it and how to end it.
    pub(in crate::commands) fn keep(mut self, cast: &Cast) -> Result<String, Failure> {
        let axle = std::env::current_exe()?;
        let mut text = String::from("The servers go on running. To chat, each in a terminal of its own:\n\n");
        for person in cast.everyone() {
            let file = SessionFile::new(self.session_file(person.name()));
            file.save(&person.client().session().ok_or("not logged in")?)?;
            let (axle, file) = (quoted(&axle), quoted(file.path()));
            writeln!(text, "  {axle} chat --session {file}    # {}", person.user_id())?;
        }
        let pids: Vec<String> = self.servers.iter().filter_map(Server::pid).map(|pid| pid.to_string()).collect();
        self.servers.iter_mut().for_each(Server::let_go);
        let folder = self.folder.keep();
        // A server that ends in an orderly way would remove files while `rm` does.
        writeln!(text, "\nTo stop:\n\n  kill -9 {} && rm -r {}", pids.join(" "), quoted(&folder))?;
        Ok(text)
    }

    /// Ends the servers and removes what they wrote.
    pub(in crate::commands) fn remove(mut self) -> Result<(), Failure> {
        self.servers.clear();
        Ok(self.folder.close()?)
    }

    /// Ends the servers but keeps what they wrote, for whoever looks for the reason. Returns where it is.
    pub(in crate::commands) fn preserve(mut self) -> PathBuf {
        self.servers.clear();
        self.folder.keep()
    }

    /// The end of each server's log.
    pub(in crate::commands) fn tails(&self, lines: usize) -> Vec<(String, Vec<String>)> {
        self.servers.iter().map(|server| (server.name().to_owned(), server.tail(lines))).collect()
    }
}

/// Ports that were free a moment ago. All are held at once, so that they differ.
fn free_ports(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = (0..count).map(bind).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    Ok(addresses)
}

/// A path to paste into a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_a_shell() {
        assert_eq!(quoted(Path::new("/tmp/axle-demo-1")), "/tmp/axle-demo-1");
        assert_eq!(quoted(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }

    #[test]
    fn the_configuration_is_what_a_server_reads() {
        let network = Network::new().unwrap();
        for name in NAMES {
            let file = network.folder().join(name).join("axle.toml");
            let inputs = axle_server::config::Inputs { file: Some(file), ..Default::default() };
            let config = axle_server::config::load(&inputs).unwrap().config;
            assert_eq!(config.server_name.as_str(), name);
            assert_eq!(config.federation.overrides.len(), NAMES.len());
        }
        let folder = network.folder().to_owned();
        network.remove().unwrap();
        assert!(!folder.exists());
    }
}
