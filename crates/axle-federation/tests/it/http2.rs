//! The client against HTTP/2 servers, frame by frame.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axle_federation::client::{Client, ClientError, SendAnswer, transaction_body};
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{Ca, client, name, timeouts};

/// TLS record type of what is encrypted.
const APPLICATION_DATA: u8 = 23;
const RECORD_HEADER: usize = 5;

/// Remembers what was read from it.
struct Tap {
    stream: TcpStream,
    read: Arc<Mutex<Vec<u8>>>,
}

/// A server called `hub.test` that has not accepted anything yet.
struct Hub {
    listener: TcpListener,
    tls: TlsAcceptor,
    read: Arc<Mutex<Vec<u8>>>,
}

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

impl Hub {
    async fn start() -> (Self, Client) {
        let ca = Ca::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(&ca, "a.test", 1, &[("hub.test", listener.local_addr().unwrap())], timeouts());
        let tls = TlsAcceptor::from(ca.server(&["hub.test"]).config());
        (Self { listener, tls, read: Arc::default() }, client)
    }

    async fn accept(&self) -> Connection<TlsStream<Tap>, Bytes> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let stream = self.tls.accept(Tap { stream, read: self.read.clone() }).await.unwrap();
        h2::server::handshake(stream).await.unwrap()
    }
}

/// Reads and writes until the peer closes.
fn drive(mut connection: Connection<TlsStream<Tap>, Bytes>) {
    tokio::spawn(async move { while connection.accept().await.is_some() {} });
}

fn answer(respond: &mut SendResponse<Bytes>) {
    respond.send_response(Response::new(()), false).unwrap().send_data(Bytes::from_static(b"{}"), true).unwrap();
}

async fn send(client: &Client, txn_id: &str) -> Result<SendAnswer, ClientError> {
    let event = format!(r#"{{"content":{{"body":"{}"}}}}"#, "x".repeat(1000));
    let body = transaction_body([event.as_str()].into_iter(), &[]);
    client.send_transaction(&name("hub.test"), txn_id, body).await
}

/// Lengths of the encrypted TLS records among these bytes.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(RECORD_HEADER) {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[0] == APPLICATION_DATA {
            lengths.push(length);
        }
        bytes = &rest[length..];
    }
    lengths
}

#[tokio::test]
async fn a_small_request_is_one_tls_record() {
    let (hub, client) = Hub::start().await;
    let read = hub.read.clone();
    tokio::spawn(async move {
        let mut connection = hub.accept().await;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut body = request.into_body();
                while !body.is_end_stream() {
                    let _ = body.data().await.unwrap().unwrap();
                }
                answer(&mut respond);
            });
        }
    });
    // What follows the first answer is the acknowledgement of settings.
    send(&client, "1").await.unwrap();
    send(&client, "2").await.unwrap();
    let before = records(&read.lock().unwrap()).len();
    send(&client, "3").await.unwrap();
    let records = records(&read.lock().unwrap()).split_off(before);
    assert!(matches!(records[..], [length] if length > 1000), "{records:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_gets_no_more_requests_but_answers_those_it_has() {
    let (hub, client) = Hub::start().await;
    let served = tokio::spawn(async move {
        let mut first = hub.accept().await;
        let (one, other) = (first.accept().await.unwrap().unwrap(), first.accept().await.unwrap().unwrap());
        let is_held = |asked: &Asked| asked.0.uri().path().ends_with("/held");
        let ((_, mut held), (_, mut last)) = if is_held(&one) { (one, other) } else { (other, one) };
        // Both in one write: who has the answer knows that the server goes.
        first.graceful_shutdown();
        answer(&mut last);
        drive(first);
        let mut second = hub.accept().await;
        answer(&mut second.accept().await.unwrap().unwrap().1);
        drive(second);
        answer(&mut held);
    });
    let other = client.clone();
    let held = tokio::spawn(async move { send(&other, "held").await });
    send(&client, "last").await.unwrap();
    send(&client, "next").await.unwrap();
    held.await.unwrap().unwrap();
    served.await.unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_reset() {
    let (hub, client) = Hub::start().await;
    let (arrived, arrives) = oneshot::channel();
    let served = tokio::spawn(async move {
        let mut connection = hub.accept().await;
        let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
        drive(connection);
        arrived.send(()).unwrap();
        poll_fn(|context| respond.poll_reset(context)).await.unwrap()
    });
    let sending = tokio::spawn(async move { send(&client, "1").await });
    arrives.await.unwrap();
    sending.abort();
    assert_eq!(served.await.unwrap(), Reason::CANCEL);
}

#[tokio::test]
async fn a_request_that_the_server_resets() {
    let (hub, client) = Hub::start().await;
    tokio::spawn(async move {
        let mut connection = hub.accept().await;
        connection.accept().await.unwrap().unwrap().1.send_reset(Reason::INTERNAL_ERROR);
        drive(connection);
    });
    let error = send(&client, "1").await.unwrap_err();
    assert!(matches!(error, ClientError::Http2(_)) && !error.never_arrived());
    assert_eq!(error.to_string(), "the connection broke: stream error received: unexpected internal error encountered");
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.read.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        outcome
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
