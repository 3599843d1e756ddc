//! The processes of a benchmark: one hub, and peers that receive and send.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axle_protocol::{RoomId, ServerName};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::peers::{Answer, Command as Order};
use super::process::{Process, free_address};

/// How long a server may take to be ready.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(20);
/// How many rooms are made at once.
const ROOMS_AT_ONCE: usize = 8;
/// The user that makes rooms.
const USER: &str = "bench";
const PASSWORD: &str = "a password for benchmarks";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A certificate authority and a certificate for every name of the benchmark.
pub(super) struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    pub(super) fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate()?;
        fs::write(folder.path().join("ca.pem"), params.self_signed(&ca_key)?.pem())?;
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate()?;
        let names = CertificateParams::new(vec!["*.bench.test".to_owned()])?;
        fs::write(folder.path().join("cert.pem"), names.signed_by(&key, &issuer)?.pem())?;
        fs::write(folder.path().join("key.pem"), key.serialize_pem())?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A process that plays servers.
pub(super) struct Peers {
    _process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The names of the servers it plays.
    pub(super) names: Vec<ServerName>,
    port: u16,
}

impl Peers {
    pub(super) fn start(certificates: &Certificates, prefix: &str, servers: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "peers", "--prefix", prefix, "--servers", &servers.to_string()])
            .arg("--ca")
            .arg(certificates.path("ca.pem"))
            .arg("--cert")
            .arg(certificates.path("cert.pem"))
            .arg("--key")
            .arg(certificates.path("key.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut peers = Self { _process: Process::new(child), input, output, names: Vec::new(), port: 0 };
        let hello = peers.answer()?;
        peers.names = hello.names;
        peers.port = hello.port.ok_or("the peers named no port")?;
        Ok(peers)
    }

    /// Has a command carried out; how long it took.
    pub(super) fn run(&mut self, order: &Order) -> Result<Duration> {
        writeln!(self.input, "{}", serde_json::to_string(order)?)?;
        self.input.flush()?;
        Ok(Duration::from_micros(self.answer()?.micros))
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: Answer = serde_json::from_str(&line)?;
        match answer.error {
            Some(error) => Err(error.into()),
            None => Ok(answer),
        }
    }
}

/// The server that is measured.
pub(super) struct Hub {
    process: Process,
    _data: tempfile::TempDir,
    name: String,
    federation: SocketAddr,
    client: String,
    http: reqwest::blocking::Client,
    token: String,
}

impl Hub {
    /// Starts `axle serve` with the peers' addresses; ready when this returns.
    pub(super) fn start(certificates: &Certificates, peers: &[&Peers]) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let (federation, client) = (free_address()?, free_address()?);
        let name = format!("hub.bench.test:{}", federation.port());
        let config = data.path().join("axle.toml");
        fs::write(&config, configuration(certificates, peers, data.path(), &name, federation, client))?;
        let log = fs::File::create(data.path().join("axle.log"))?;
        let child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        // A provider that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::blocking::Client::builder().timeout(START_PATIENCE).build()?;
        let client = format!("http://{client}");
        let mut hub =
            Self { process: Process::new(child), _data: data, name, federation, client, http, token: String::new() };
        hub.wait_until_healthy()?;
        Ok(hub)
    }

    /// CPU used since the start.
    pub(super) fn cpu(&self) -> Result<Duration> {
        Ok(self.process.cpu()?)
    }

    /// Resident memory, in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        Ok(self.process.resident_mib()?)
    }

    /// How peers find it.
    pub(super) fn introduction(&self) -> Order {
        Order::Hub { name: self.name.clone(), address: self.federation }
    }

    /// Registers the user that makes rooms.
    pub(super) fn register(&mut self) -> Result<()> {
        let body = json!({
            "username": USER, "password": PASSWORD, "auth": {"type": "m.login.dummy"}, "device_id": "BENCH"
        });
        let answer = self.post("/_matrix/client/v3/register", &body)?;
        self.token = answer["access_token"].as_str().ok_or("no access token")?.to_owned();
        Ok(())
    }

    /// Makes public rooms, several at once.
    pub(super) fn create_rooms(&self, count: usize) -> Result<Vec<RoomId>> {
        let numbers = AtomicUsize::new(0);
        let worker = || {
            let mut rooms = Vec::new();
            while numbers.fetch_add(1, Ordering::Relaxed) < count {
                rooms.push(self.create_room().map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(rooms)
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..ROOMS_AT_ONCE.min(count)).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join()).collect()
        });
        let mut rooms = Vec::with_capacity(count);
        for made in made {
            rooms.extend(made.map_err(|_| "making rooms failed")??);
        }
        Ok(rooms)
    }

    fn create_room(&self) -> Result<RoomId> {
        let answer = self.post("/_matrix/client/v3/createRoom", &json!({"preset": "public_chat"}))?;
        Ok(RoomId::parse(answer["room_id"].as_str().ok_or("no room id")?)?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.client);
        let answer = self.http.post(url).bearer_auth(&self.token).json(body).send()?;
        let status = answer.status();
        let text = answer.text()?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let started = Instant::now();
        let url = format!("{}/_axle/health", self.client);
        while !self.http.get(&url).send().is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = self.process.ended()? {
                let log = fs::read_to_string(self._data.path().join("axle.log")).unwrap_or_default();
                return Err(format!("the hub ended with {status}:\n{log}").into());
            }
            if started.elapsed() > START_PATIENCE {
                return Err("the hub did not get ready".into());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

fn configuration(
    certificates: &Certificates,
    peers: &[&Peers],
    data: &Path,
    name: &str,
    federation: SocketAddr,
    client: SocketAddr,
) -> String {
    use std::fmt::Write as _;
    let mut overrides = String::new();
    for peers in peers {
        for peer in &peers.names {
            // Writing to a String cannot fail.
            let _ = writeln!(overrides, "{:?} = \"127.0.0.1:{}\"", peer.as_str(), peers.port);
        }
    }
    format!(
        "server_name = {name:?}\ndata = {:?}\n\
         [client]\nlisten = [\"{client}\"]\n\
         [federation]\nlisten = [\"{federation}\"]\ntls_certificate = {:?}\ntls_key = {:?}\nca_file = {:?}\n\
         allowed_networks = [\"127.0.0.0/8\"]\n\
         [registration]\nmode = \"open\"\n\
         [rate_limits]\nenabled = false\n\
         [log]\nfilter = \"warn\"\n\
         [federation.overrides]\n{overrides}",
        data.join("data"),
        certificates.path("cert.pem"),
        certificates.path("key.pem"),
        certificates.path("ca.pem"),
    )
}
