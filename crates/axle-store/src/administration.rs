//! What administrators see and do of accounts that nobody else may.

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::{Profile, Standing, StoreError, User};

/// Which accounts are wanted, and in what order.
#[derive(Debug, Clone, Default)]
pub struct AccountQuery {
    /// Part of the id or of the display name, whatever the case of ASCII letters.
    pub contains: Option<String>,
    /// Only those that are deactivated, or are not.
    pub deactivated: Option<bool>,
    /// Only administrators, or only others.
    pub admin: Option<bool>,
    /// Only those that are locked, or are not.
    pub locked: Option<bool>,
    /// Only guests, or only others.
    pub guest: Option<bool>,
    /// By what they are ordered; equal ones by their ids.
    pub order: AccountOrder,
    /// Whether the greatest come first.
    pub backward: bool,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// By what accounts are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountOrder {
    /// Their ids.
    #[default]
    Name,
    /// Their display names.
    DisplayName,
    /// When they were made.
    Created,
    /// Whether they are administrators.
    Admin,
    /// Whether they are deactivated.
    Deactivated,
}

/// Accounts that were wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAccounts {
    /// A page of them.
    pub accounts: Vec<(User, Profile)>,
    /// How many there are in all.
    pub total: u64,
}

/// What administrators see and do.
#[async_trait]
pub trait Administration {
    /// Looks for accounts.
    async fn find_accounts(&self, query: AccountQuery) -> Result<FoundAccounts, StoreError>;

    /// Makes an account an administrator, or a plain one; `false`: there is no such account.
    async fn set_admin(&self, user_id: &UserId, admin: bool) -> Result<bool, StoreError>;

    /// Locks or suspends an account, or ends that; whether it is a guest's stays. `false`: there is no such account.
    async fn set_standing(&self, user_id: &UserId, standing: Standing) -> Result<bool, StoreError>;

    /// Removes a registration token; `false`: there is none.
    async fn remove_registration_token(&self, token: &str) -> Result<bool, StoreError>;
}
