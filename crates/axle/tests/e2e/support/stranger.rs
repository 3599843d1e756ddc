//! A server that has valid keys and no manners: it signs whatever it is told to send.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axle_protocol::signing::server_keys::publish;
use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{KeyId, ServerName, SigningKey, canonical_json};
use serde_json::Value;

use super::{Answer, free_address, http};

/// Speaks plain HTTP under the name `localhost:PORT`; its keys are served by a thread.
pub(crate) struct Stranger {
    pub(crate) name: ServerName,
    pub(crate) key: SigningKey,
}

impl Stranger {
    pub(crate) fn start() -> Self {
        let address = free_address();
        let name = ServerName::parse(format!("localhost:{}", address.port())).unwrap();
        let key = SigningKey::from_seed(KeyId::parse("ed25519:s").unwrap(), &[7; 32]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let keys = publish(&name, now + 3_600_000, true, std::slice::from_ref(&key), &Default::default());
        let keys: Arc<str> = canonical_json::object_to_string(&keys).into();
        let listener = TcpListener::bind(address).unwrap();
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keys = keys.clone();
                std::thread::spawn(move || answer(stream, &keys));
            }
        });
        Self { name, key }
    }

    /// Sends a request to a federation listener without TLS, signed as it should be if `content` is canonical JSON.
    pub(crate) fn call(
        &self,
        to: &ServerName,
        address: SocketAddr,
        method: &str,
        uri: &str,
        content: Option<&Value>,
    ) -> Answer {
        let content = content.map(canonical);
        let request = SignedRequest { method, uri, origin: &self.name, destination: to, content: content.as_deref() };
        let header = sign_request(&request, &self.key).to_header();
        let url = format!("http://{address}{uri}");
        let mut request = http().request(method.parse().unwrap(), url).header("Authorization", header);
        if let Some(content) = content {
            request = request.header("Content-Type", "application/json").body(content);
        }
        Answer::of(request.send().unwrap())
    }
}

fn canonical(value: &Value) -> String {
    let mut text = String::new();
    canonical_json::write_value(&mut text, value);
    text
}

/// The keys for whoever asks for keys, 404 for all else.
fn answer(mut stream: TcpStream, keys: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).is_err() || first.is_empty() {
            return;
        }
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        let (status, body) = match first.contains("/_matrix/key/v2/server") {
            true => ("200 OK", keys),
            false => ("404 Not Found", r#"{"errcode":"M_UNRECOGNIZED","error":"no"}"#),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}
