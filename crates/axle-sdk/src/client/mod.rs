//! Requests to a homeserver: one method an endpoint.

mod account;
mod builder;
mod encryption;
mod events;
mod media;
mod request;
mod rooms;
mod sync;

use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Url;

pub use account::{Profile, Registration, WhoAmI};
pub use builder::ClientBuilder;
pub use events::{Member, MessagesPage, PageFrom};
pub use request::RetryPolicy;
pub(crate) use request::random;
pub use rooms::{CreateRoom, JoinRule, Preset};

use crate::{Error, Session};

/// A client of one homeserver. Cheap to clone; clones share the session.
///
/// Every call waits out rate limits and, where a repetition cannot do harm, broken connections and servers that are
/// away, for as long as the [`RetryPolicy`] allows.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    retry: RetryPolicy,
}

struct Inner {
    http: reqwest::Client,
    server: Url,
    ca_certificates: Vec<String>,
    session: RwLock<Option<Session>>,
}

impl Client {
    /// A client of the server whose client API is at this address, for example `https://hub.example.org`.
    pub fn builder(server: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(server.into())
    }

    /// A client that goes on with a session from before.
    pub fn resume(session: Session) -> Result<Self, Error> {
        let mut builder = Self::builder(&session.server);
        for pem in &session.ca_certificates {
            builder = builder.ca_certificate(pem);
        }
        builder.session(session).build()
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        self.inner.server.as_str().trim_end_matches('/')
    }

    /// The session, if there is one.
    pub fn session(&self) -> Option<Session> {
        self.inner.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with a session from before.
    pub fn restore(&self, session: Session) {
        self.set_session(Some(session));
    }

    /// Who is logged in.
    pub fn user_id(&self) -> Result<String, Error> {
        self.session().map(|session| session.user_id).ok_or(Error::NotLoggedIn)
    }

    /// The same client with another patience.
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { inner: Arc::clone(&self.inner), retry }
    }

    fn set_session(&self, session: Option<Session>) {
        *self.inner.session.write().unwrap_or_else(PoisonError::into_inner) = session;
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).field("session", &self.session()).finish()
    }
}

/// A fresh id for a transaction. A request that is sent again with the id of the first is done once.
pub fn new_transaction_id() -> String {
    format!("axle-{:016x}{:016x}", random(), random())
}
