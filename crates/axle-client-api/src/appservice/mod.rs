//! Application services: programs of the operator's that act for many users, and hear of what concerns these
//! ("Application Service API" in Matrix's specification). Most of them are bridges to other networks.

mod call;
mod encryption;
mod interest;
mod masquerade;
mod query;
mod queue;
mod registration;
mod third_party;
mod transaction;

use std::sync::Arc;

use axle_protocol::{MatrixError, UserId};
use axle_store::{Standing, Store, StoreError, User};
use sha2::{Digest as _, Sha256};

use crate::accounts;
use crate::session::Session;
use crate::state::now_ms;

pub use registration::{ApplicationService, Namespace, Namespaces};

pub(crate) use call::ping;
pub(crate) use masquerade::session;
pub(crate) use query::{alias as query_alias, user as known_user};
pub(crate) use queue::{Queues, serve};
pub(crate) use third_party::{Protocols, locations, protocol, protocols, users};

/// The application services of this server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ApplicationServices(Arc<[ApplicationService]>);

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceIndex(usize);

impl ApplicationServices {
    /// These ones. No two of them have the same id, or the same token.
    pub fn new(services: Vec<ApplicationService>) -> Self {
        Self(services.into())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ApplicationService> {
        self.0.iter()
    }

    /// The same with what they are named by.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (ServiceIndex, &ApplicationService)> {
        self.0.iter().enumerate().map(|(index, service)| (ServiceIndex(index), service))
    }

    /// One of them.
    pub(crate) fn get(&self, index: ServiceIndex) -> Option<&ApplicationService> {
        self.0.get(index.0)
    }

    /// Which of them has this token.
    pub(crate) fn by_token(&self, token: &str) -> Option<ServiceIndex> {
        if self.0.is_empty() {
            return None;
        }
        // Hashes are compared: how long that takes tells nothing of a token.
        let hash = Sha256::digest(token.as_bytes());
        self.indexed().find(|(_, service)| Sha256::digest(service.as_token.as_bytes()) == hash).map(|(index, _)| index)
    }

    /// Refuses a name that belongs to another service alone. 400 `M_EXCLUSIVE`.
    pub(crate) fn check_user(&self, by: Option<ServiceIndex>, user_id: &UserId) -> Result<(), MatrixError> {
        self.check(by, "This user name belongs to an application service.", |service| service.reserves_user(user_id))
    }

    /// The same of an alias; and of one that a service wants and that is none of its own. A service's sender is the
    /// service also when logged in: bots that encrypt are.
    pub(crate) fn check_alias(&self, session: &Session, alias: &str) -> Result<(), MatrixError> {
        let by = session.service();
        if by.and_then(|index| self.get(index)).is_some_and(|service| !service.has_alias(alias)) {
            return Err(exclusive("This room alias is none of the application service's."));
        }
        self.check(by, "This room alias belongs to an application service.", |service| {
            service.sender != session.user_id && Namespace::reserves(&service.namespaces.aliases, alias)
        })
    }

    fn check(
        &self,
        by: Option<ServiceIndex>,
        problem: &str,
        reserved: impl Fn(&ApplicationService) -> bool,
    ) -> Result<(), MatrixError> {
        match self.indexed().any(|(index, service)| Some(index) != by && reserved(service)) {
            true => Err(exclusive(problem)),
            false => Ok(()),
        }
    }
}

/// Makes the users that application services act as when they name nobody else, those that are not there yet.
pub async fn make_service_users(store: &dyn Store, services: &ApplicationServices) -> Result<(), StoreError> {
    for service in services.iter() {
        match accounts::make(store, new_user(service.sender.clone()), None).await {
            Ok(_) | Err(StoreError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An account that nobody logs in to by a password.
pub(crate) fn new_user(user_id: UserId) -> User {
    User {
        user_id,
        password_hash: None,
        admin: false,
        deactivated: false,
        erased: false,
        standing: Standing::default(),
        created_ts: now_ms(),
    }
}

/// Something belongs to an application service alone, or is none of this one's.
pub(crate) fn exclusive(problem: &str) -> MatrixError {
    MatrixError::new(400, "M_EXCLUSIVE", problem)
}
