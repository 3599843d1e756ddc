//! Finding users by their names ("User Directory" in Matrix's specification).

use async_trait::async_trait;
use axle_protocol::UserId;

use crate::StoreError;

/// A user, as a room that the searcher may know of has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    /// Who.
    pub user_id: UserId,
    /// Display name.
    pub displayname: Option<String>,
    /// `mxc://` address.
    pub avatar_url: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundUsers {
    /// By id.
    pub users: Vec<FoundUser>,
    /// Whether there may be more.
    pub limited: bool,
}

/// Members of rooms, by their names.
#[async_trait]
pub trait UserDirectory {
    /// Users who are in a room with the searcher, or in one that anybody may join or read and in which somebody of the
    /// searcher's server is, and whose id and display name there have, for each of these words, one that begins like it.
    /// The searcher is found only in a room of the second kind, as everybody else would find them. Words consist of letters
    /// and digits; none find nobody. Only so many of the users with such names are looked at, whoever may see them.
    async fn search_users(&self, searcher: &UserId, words: Vec<String>, limit: usize)
    -> Result<FoundUsers, StoreError>;
}
