//! The sending side: joins and load, as a participant.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axle_protocol::event::Template;
use axle_protocol::room_version::UNSTABLE_02;
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{Event, RoomId, RoomVersion, ServerName, UserId};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{Map, Value};

use super::super::floor::message;
use super::{Command, Peer};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How many users of one server join in a transaction.
const JOINS_PER_TXN: usize = 50;
/// How many rooms are joined at once.
const JOINS_AT_ONCE: usize = 8;

/// What has run, and how long the part that counts took, if not all of it does.
pub(super) type Ran = Result<Option<Duration>, Box<dyn Error>>;

/// Sends requests to the hub as any of the peers.
pub(super) struct Sender {
    ca: reqwest::Certificate,
    peers: Arc<Vec<Peer>>,
    hub: Option<(ServerName, reqwest::Client)>,
    last_ts: i64,
    next_txn: u64,
    members: usize,
    /// Where the next load goes on in the rooms.
    rooms_used: usize,
}

impl Sender {
    pub(super) fn new(ca: &Path, peers: Arc<Vec<Peer>>) -> Result<Self, Box<dyn Error>> {
        // A provider that is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ca)?)?;
        Ok(Self { ca, peers, hub: None, last_ts: 0, next_txn: 0, members: 0, rooms_used: 0 })
    }

    pub(super) async fn run(&mut self, command: Command) -> Ran {
        match command {
            Command::Hub { name, address } => self.meet(&name, address),
            Command::Join { server, rooms } => self.join(server, &rooms).await,
            Command::Members { server, room, count } => self.add_members(server, &room, count).await,
            Command::Load { server, rooms, mixed, events, per_txn, bytes } => {
                let each = if mixed { 1 } else { per_txn.max(1) };
                let rooms = rooms.iter().cycle().skip(self.rooms_used).flat_map(|room| std::iter::repeat_n(room, each));
                self.rooms_used += events.div_ceil(each);
                self.load(server, rooms.take(events), per_txn, bytes).await
            }
            Command::Wait { .. } => Err("not the sender's".into()),
        }
    }

    fn meet(&mut self, name: &str, address: SocketAddr) -> Ran {
        let name = ServerName::parse(name)?;
        let client = reqwest::Client::builder()
            .add_root_certificate(self.ca.clone())
            .resolve(name.host(), address)
            .timeout(TIMEOUT)
            .build()?;
        self.hub = Some((name, client));
        Ok(None)
    }

    async fn join(&mut self, server: usize, rooms: &[RoomId]) -> Ran {
        let joins: Vec<_> = rooms.iter().map(|room| (room, self.timestamp(), self.txn())).collect();
        let sender = &*self;
        let joins = joins.into_iter().map(|(room, at, txn)| sender.join_room(server, room, at, txn));
        stream::iter(joins).buffer_unordered(JOINS_AT_ONCE).try_collect::<()>().await?;
        Ok(None)
    }

    async fn join_room(&self, server: usize, room: &RoomId, at: i64, txn: String) -> Result<(), Box<dyn Error>> {
        let user = user(&self.peer(server)?.name, 0)?;
        let path = format!("/_matrix/federation/v1/make_join/{room}/{user}?ver=I.1&ver={UNSTABLE_02}");
        let answer = self.request(server, Method::GET, &path, None).await?;
        let version = answer.get("room_version").and_then(Value::as_str).and_then(RoomVersion::parse);
        let version = version.ok_or("make_join named no room version that is known")?;
        let event = self.membership(server, version, room, &user, at)?;
        let path = format!("/_matrix/federation/unstable/{UNSTABLE_02}/send_join/{txn}");
        self.request(server, Method::POST, &path, Some(event.json())).await?;
        Ok(())
    }

    async fn add_members(&mut self, server: usize, room: &RoomId, count: usize) -> Ran {
        let mut left = count;
        while left > 0 {
            let mut pdus = Vec::new();
            for _ in 0..left.min(JOINS_PER_TXN) {
                self.members += 1;
                let user = user(&self.peer(server)?.name, self.members)?;
                let at = self.timestamp();
                pdus.push(self.membership(server, RoomVersion::I1, room, &user, at)?);
            }
            left -= pdus.len();
            self.send(server, &body(&pdus)).await?;
        }
        Ok(None)
    }

    /// Sends a message to each of these rooms.
    async fn load(&mut self, server: usize, rooms: impl Iterator<Item = &RoomId>, per_txn: usize, bytes: usize) -> Ran {
        let mut bodies = Vec::new();
        let mut pdus = Vec::with_capacity(per_txn);
        let mut rooms = rooms.peekable();
        while let Some(room) = rooms.next() {
            let sender = user(&self.peer(server)?.name, 0)?;
            let template = message(room, &sender, self.timestamp(), bytes);
            pdus.push(self.lpdu(server, RoomVersion::I1, template)?);
            if pdus.len() == per_txn || rooms.peek().is_none() {
                bodies.push(body(&pdus));
                pdus.clear();
            }
        }
        let started = Instant::now();
        for body in &bodies {
            self.send(server, body).await?;
        }
        Ok(Some(started.elapsed()))
    }

    async fn send(&mut self, server: usize, body: &str) -> Result<(), Box<dyn Error>> {
        let path = format!("/_matrix/federation/unstable/{UNSTABLE_02}/send/{}", self.txn());
        let answer = self.request(server, Method::PUT, &path, Some(body)).await?;
        match answer.get("failed_pdus").and_then(Value::as_object) {
            Some(failed) if !failed.is_empty() => Err(format!("the hub refused events: {failed:?}").into()),
            _ => Ok(()),
        }
    }

    fn membership(
        &self,
        server: usize,
        version: RoomVersion,
        room: &RoomId,
        user: &UserId,
        at: i64,
    ) -> Result<Event, Box<dyn Error>> {
        let template = Template {
            room_id: room.clone(),
            event_type: "m.room.member".into(),
            state_key: Some(user.to_string()),
            sender: user.clone(),
            origin_server_ts: at,
            content: Map::from_iter([("membership".to_owned(), "join".into())]),
        };
        self.lpdu(server, version, template)
    }

    fn lpdu(&self, server: usize, version: RoomVersion, template: Template) -> Result<Event, Box<dyn Error>> {
        let peer = self.peer(server)?;
        let (hub, _) = self.hub.as_ref().ok_or("the hub is not known yet")?;
        Ok(template.into_lpdu(version, hub, &peer.name, &peer.key)?)
    }

    async fn request(
        &self,
        server: usize,
        method: Method,
        path: &str,
        content: Option<&str>,
    ) -> Result<Value, Box<dyn Error>> {
        let peer = self.peer(server)?;
        let (hub, client) = self.hub.as_ref().ok_or("the hub is not known yet")?;
        let url = reqwest::Url::parse(&format!("https://{hub}{path}"))?;
        let uri = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let signed =
            SignedRequest { method: method.as_str(), uri: &uri, origin: &peer.name, destination: hub, content };
        let header = sign_request(&signed, &peer.key).to_header();
        let mut request = client.request(method, url).header("authorization", header);
        if let Some(content) = content {
            request = request.header("content-type", "application/json").body(content.to_owned());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn peer(&self, server: usize) -> Result<&Peer, Box<dyn Error>> {
        self.peers.get(server).ok_or_else(|| format!("there is no server {server}").into())
    }

    /// Now, and later than ever before.
    fn timestamp(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        self.last_ts = now.max(self.last_ts + 1);
        self.last_ts
    }

    fn txn(&mut self) -> String {
        self.next_txn += 1;
        format!("{}_{}", std::process::id(), self.next_txn)
    }
}

fn user(server: &ServerName, number: usize) -> Result<UserId, Box<dyn Error>> {
    Ok(UserId::parse(format!("@user{number}:{server}"))?)
}

fn body(pdus: &[Event]) -> String {
    let mut body = String::from("{\"pdus\":[");
    for (i, pdu) in pdus.iter().enumerate() {
        if i > 0 {
            body.push(',');
        }
        body.push_str(pdu.json());
    }
    body.push_str("]}");
    body
}
