//! A server on loopback that stops with the test.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Server {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(tls: Option<Arc<rustls::ServerConfig>>, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, tls, router)
    }

    pub fn on(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, router: Router) -> Self {
        let address = listener.local_addr().unwrap();
        let serve = super::listen::serve(listener, tls, router);
        Self { address, task: tokio::spawn(serve) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
