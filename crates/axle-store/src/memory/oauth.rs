//! What the OAuth 2.0 authorization server keeps.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axle_protocol::UserId;
use axle_protocol::event::Hash;

use super::MemoryStore;
use crate::{
    DeviceAuthorization, MAX_DEVICE_AUTHORIZATIONS, MAX_OAUTH_CLIENTS, OAuth, OAuthCode, OAuthGrant,
    PolledAuthorization, StoreError, TakenCode, TokenOwner,
};

/// Clients, codes and devices that wait.
#[derive(Default)]
pub(super) struct OAuthData {
    clients: BTreeMap<String, Client>,
    /// Whether they were used.
    codes: BTreeMap<Hash, (OAuthCode, bool)>,
    /// By the code of the device.
    waiting: BTreeMap<Hash, Waiting>,
    /// Clients by device.
    pub(super) sessions: BTreeMap<(UserId, String), String>,
    id_token_key: Option<Vec<u8>>,
}

struct Client {
    metadata: String,
    allowed: bool,
    used_ts: i64,
}

struct Waiting {
    user_hash: Hash,
    authorization: DeviceAuthorization,
    answer: Option<Option<UserId>>,
}

#[async_trait]
impl OAuth for MemoryStore {
    async fn put_oauth_client(&self, client_id: &str, metadata: &str, now: i64) -> Result<(), StoreError> {
        let (client_id, metadata) = (client_id.to_owned(), metadata.to_owned());
        self.write(move |data| {
            let clients = &mut data.oauth.clients;
            if let Some(known) = clients.get_mut(&client_id) {
                known.used_ts = now;
                return Ok(());
            }
            while clients.len() >= MAX_OAUTH_CLIENTS {
                let least = clients.iter().min_by_key(|(_, client)| (client.allowed, client.used_ts));
                let Some(least) = least.map(|(id, _)| id.clone()) else { break };
                clients.remove(&least);
            }
            clients.insert(client_id, Client { metadata, allowed: false, used_ts: now });
            Ok(())
        })
        .await
    }

    async fn oauth_client(&self, client_id: &str) -> Result<Option<String>, StoreError> {
        Ok(self.lock().data.oauth.clients.get(client_id).map(|client| client.metadata.clone()))
    }

    async fn put_oauth_code(&self, hash: &Hash, code: OAuthCode, now: i64) -> Result<(), StoreError> {
        let hash = *hash;
        self.write(move |data| {
            data.oauth.codes.retain(|_, (code, _)| code.expires_ts > now);
            data.oauth.client_allowed(&code.grant.client_id, now);
            data.oauth.codes.insert(hash, (code, false));
            Ok(())
        })
        .await
    }

    async fn take_oauth_code(&self, hash: &Hash, now: i64) -> Result<TakenCode, StoreError> {
        let hash = *hash;
        self.write(move |data| {
            let found = data.oauth.codes.get_mut(&hash).filter(|(code, _)| code.expires_ts > now);
            let Some((code, used)) = found else { return Ok(TakenCode::Unknown) };
            let code = code.clone();
            Ok(if std::mem::replace(used, true) { TakenCode::Used(code) } else { TakenCode::Fresh(code) })
        })
        .await
    }

    async fn put_device_authorization(
        &self,
        device_hash: &Hash,
        user_hash: &Hash,
        waiting: DeviceAuthorization,
        now: i64,
    ) -> Result<bool, StoreError> {
        let (device_hash, user_hash) = (*device_hash, *user_hash);
        self.write(move |data| {
            let all = &mut data.oauth.waiting;
            all.retain(|_, waiting| waiting.authorization.expires_ts > now);
            let taken = all.values().any(|waiting| waiting.user_hash == user_hash) || all.contains_key(&device_hash);
            if taken || all.len() >= MAX_DEVICE_AUTHORIZATIONS {
                return Ok(false);
            }
            all.insert(device_hash, Waiting { user_hash, authorization: waiting, answer: None });
            Ok(true)
        })
        .await
    }

    async fn device_authorization(
        &self,
        user_hash: &Hash,
        now: i64,
    ) -> Result<Option<DeviceAuthorization>, StoreError> {
        let mut inner = self.lock();
        Ok(inner.data.oauth.waiting_for(user_hash, now).map(|waiting| waiting.authorization.clone()))
    }

    async fn answer_device_authorization(
        &self,
        user_hash: &Hash,
        user_id: Option<&UserId>,
        now: i64,
    ) -> Result<bool, StoreError> {
        let (hash, user_id) = (*user_hash, user_id.cloned());
        self.write(move |data| {
            let Some(waiting) = data.oauth.waiting_for(&hash, now) else { return Ok(false) };
            let client_id = waiting.authorization.client_id.clone();
            let allowed = user_id.is_some();
            waiting.answer = Some(user_id);
            if allowed {
                data.oauth.client_allowed(&client_id, now);
            }
            Ok(true)
        })
        .await
    }

    async fn poll_device_authorization(&self, device_hash: &Hash, now: i64) -> Result<PolledAuthorization, StoreError> {
        let hash = *device_hash;
        self.write(move |data| {
            let found = data.oauth.waiting.get(&hash).filter(|waiting| waiting.authorization.expires_ts > now);
            let Some(waiting) = found else { return Ok(PolledAuthorization::Unknown) };
            let DeviceAuthorization { client_id, device_id, scope, .. } = waiting.authorization.clone();
            let polled = match waiting.answer.clone() {
                None => return Ok(PolledAuthorization::Pending),
                Some(None) => PolledAuthorization::Denied,
                Some(Some(user_id)) => {
                    PolledAuthorization::Granted(OAuthGrant { user_id, client_id, device_id, scope })
                }
            };
            data.oauth.waiting.remove(&hash);
            Ok(polled)
        })
        .await
    }

    async fn put_oauth_session(&self, user_id: &UserId, device_id: &str, client_id: &str) -> Result<(), StoreError> {
        let (place, client_id) = ((user_id.clone(), device_id.to_owned()), client_id.to_owned());
        self.write(move |data| {
            data.oauth.sessions.insert(place, client_id);
            Ok(())
        })
        .await
    }

    async fn token_owner(&self, hash: &Hash) -> Result<Option<TokenOwner>, StoreError> {
        let data = &self.lock().data;
        let current = data.devices.iter().map(|(place, device)| (place, &device.tokens));
        for (place, tokens) in current.chain(data.next_tokens.iter()) {
            let is_refresh = tokens.refresh_hash.as_ref() == Some(hash);
            if is_refresh || tokens.access_hash == *hash {
                let client_id = data.oauth.sessions.get(place).cloned();
                let (user_id, device_id) = place.clone();
                return Ok(Some(TokenOwner { user_id, device_id, client_id, is_refresh }));
            }
        }
        Ok(None)
    }

    async fn id_token_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().data.oauth.id_token_key.clone())
    }

    async fn put_id_token_key(&self, pkcs8: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write(move |data| Ok(data.oauth.id_token_key.get_or_insert(pkcs8).clone())).await
    }
}

impl OAuthData {
    fn client_allowed(&mut self, client_id: &str, now: i64) {
        if let Some(client) = self.clients.get_mut(client_id) {
            (client.allowed, client.used_ts) = (true, now);
        }
    }

    /// What waits under a code for its user, if nobody has said anything yet.
    fn waiting_for(&mut self, user_hash: &Hash, now: i64) -> Option<&mut Waiting> {
        let waits = |waiting: &&mut Waiting| {
            waiting.user_hash == *user_hash && waiting.authorization.expires_ts > now && waiting.answer.is_none()
        };
        self.waiting.values_mut().find(waits)
    }
}
