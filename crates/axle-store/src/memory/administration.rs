//! What administrators see and do of accounts that nobody else may.

use std::cmp::Ordering;

use async_trait::async_trait;
use axle_protocol::UserId;

use super::MemoryStore;
use crate::{AccountOrder, AccountQuery, Administration, FoundAccounts, Profile, Standing, StoreError, User};

#[async_trait]
impl Administration for MemoryStore {
    async fn find_accounts(&self, query: AccountQuery) -> Result<FoundAccounts, StoreError> {
        let inner = self.lock();
        let with_profile =
            |user: &User| (user.clone(), inner.data.profiles.get(&user.user_id).cloned().unwrap_or_default());
        let accounts = inner.data.users.values().map(with_profile);
        let mut accounts: Vec<_> = accounts.filter(|(user, profile)| is_wanted(&query, user, profile)).collect();
        accounts.sort_by(|one, other| {
            let order = compare(query.order, one, other).then_with(|| one.0.user_id.cmp(&other.0.user_id));
            if query.backward { order.reverse() } else { order }
        });
        let total = accounts.len() as u64;
        let accounts = accounts.into_iter().skip(query.offset).take(query.limit).collect();
        Ok(FoundAccounts { accounts, total })
    }

    async fn set_admin(&self, user_id: &UserId, admin: bool) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| Ok(data.users.get_mut(&user_id).map(|user| user.admin = admin).is_some())).await
    }

    async fn set_standing(&self, user_id: &UserId, standing: Standing) -> Result<bool, StoreError> {
        let user_id = user_id.clone();
        self.write(move |data| {
            let Some(user) = data.users.get_mut(&user_id) else { return Ok(false) };
            user.standing = Standing { guest: user.standing.guest, ..standing };
            Ok(true)
        })
        .await
    }

    async fn remove_registration_token(&self, token: &str) -> Result<bool, StoreError> {
        let token = token.to_owned();
        self.write(move |data| Ok(data.tokens.remove(&token).is_some())).await
    }
}

fn is_wanted(query: &AccountQuery, user: &User, profile: &Profile) -> bool {
    let contains = |part: &String| {
        let part = part.to_ascii_lowercase();
        let name = profile.displayname.as_deref().unwrap_or_default();
        user.user_id.as_str().to_ascii_lowercase().contains(&part) || name.to_ascii_lowercase().contains(&part)
    };
    query.contains.as_ref().is_none_or(contains)
        && query.deactivated.is_none_or(|deactivated| user.deactivated == deactivated)
        && query.admin.is_none_or(|admin| user.admin == admin)
        && query.locked.is_none_or(|locked| user.standing.locked == locked)
        && query.guest.is_none_or(|guest| user.standing.guest == guest)
}

fn compare(order: AccountOrder, one: &(User, Profile), other: &(User, Profile)) -> Ordering {
    let name = |account: &(User, Profile)| account.1.displayname.clone().unwrap_or_default();
    match order {
        AccountOrder::Name => Ordering::Equal,
        AccountOrder::DisplayName => name(one).cmp(&name(other)),
        AccountOrder::Created => one.0.created_ts.cmp(&other.0.created_ts),
        AccountOrder::Admin => one.0.admin.cmp(&other.0.admin),
        AccountOrder::Deactivated => one.0.deactivated.cmp(&other.0.deactivated),
    }
}
