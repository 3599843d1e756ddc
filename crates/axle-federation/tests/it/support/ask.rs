//! Requests to a server's endpoints as another server makes them, rightly or wrongly signed.

use std::net::SocketAddr;
use std::sync::Arc;

use axle_protocol::signing::x_matrix::{SignedRequest, sign_request};
use axle_protocol::{ServerName, SigningKey, canonical_json};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName as TlsName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Ca;

/// A request about to be sent.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub body: Option<Vec<u8>>,
    pub authorization: Vec<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Ask {
    pub fn get(path: &str) -> Self {
        Self::without_body("GET", path)
    }

    pub fn without_body(method: &'static str, path: &str) -> Self {
        Self { method, path: path.into(), body: None, authorization: Vec::new() }
    }

    pub fn with(method: &'static str, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { method, path: path.into(), body: Some(body.into()), authorization: Vec::new() }
    }

    /// One more header, over what the request is now. A body that is no JSON is signed as it stands.
    pub fn signed_by(mut self, origin: &str, destination: &str, key: &SigningKey) -> Self {
        let content = self.body.as_ref().map(|body| match canonical_json::parse(body) {
            Ok(value) => canonical_json::to_string(&value),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        });
        let name = |text: &str| ServerName::parse(text).unwrap();
        let (origin, destination) = (name(origin), name(destination));
        let request = SignedRequest {
            method: self.method,
            uri: &self.path,
            origin: &origin,
            destination: &destination,
            content: content.as_deref(),
        };
        self.authorization.push(sign_request(&request, key).to_header());
        self
    }

    /// Sends it to a server of this name on a connection of its own.
    pub async fn send(self, ca: &Ca, server: &str, address: SocketAddr) -> Answer {
        let io = TokioIo::new(connect(ca, server, address).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(&self.path).header("host", server);
        for value in &self.authorization {
            request = request.header(AUTHORIZATION, value.as_bytes());
        }
        let body = Full::new(Bytes::from(self.body.unwrap_or_default()));
        let (head, body) = sender.send_request(request.body(body).unwrap()).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        driver.abort();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }
}

impl Answer {
    /// The JSON of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Checks that it is an error with this status and code, and a sentence.
    #[track_caller]
    pub fn fails(&self, status: u16, errcode: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status, body["errcode"].as_str()), (status, Some(errcode)), "{}", self.text);
        assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", self.text);
        body
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.headers[CONTENT_TYPE], "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }
}

/// A TLS connection, for HTTP/1.1.
pub async fn connect(ca: &Ca, server: &str, address: SocketAddr) -> TlsStream<TcpStream> {
    let mut config = (*ca.client().federation).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = TlsName::try_from(server.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}
