//! What notaries are asked and answer: `GET /_matrix/key/v2/query/:serverName`, `POST /_matrix/key/v2/query`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ServerKeys, ServerKeysError};
use crate::canonical_json;
use crate::id::ServerName;
use crate::keys::SigningKey;
use crate::limits::MAX_SERVERS_PER_KEY_QUERY;
use crate::signing::{KeySource, SignatureStatus, check_object, sign_object};

/// What is asked about one key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCriteria {
    /// Until when the keys must be valid to be of use, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_valid_until_ts: Option<i64>,
}

/// The body of `POST /_matrix/key/v2/query`: criteria by server name and key id. No key ids: all keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeyQuery {
    /// Key ids are not read: a query may name algorithms that this server does not know.
    pub server_keys: BTreeMap<ServerName, BTreeMap<String, KeyCriteria>>,
}

impl KeyQuery {
    /// Parses a request body. Names that no server can have here, such as the IP addresses of Matrix, are left out:
    /// nothing is known of them, and the others are still to be answered.
    pub fn parse(bytes: &[u8]) -> Result<Self, ServerKeysError> {
        #[derive(Deserialize)]
        struct Body {
            server_keys: BTreeMap<String, BTreeMap<String, KeyCriteria>>,
        }
        let wrong = || ServerKeysError::Field("server_keys");
        let object = canonical_json::parse(bytes)?;
        // Serde would take an array of the fields for an object.
        let object = Some(object).filter(Value::is_object).ok_or_else(wrong)?;
        let body: Body = serde_json::from_value(object).map_err(|_| wrong())?;
        if body.server_keys.len() > MAX_SERVERS_PER_KEY_QUERY {
            return Err(ServerKeysError::TooMany);
        }
        let servers = body.server_keys.into_iter();
        let server_keys = servers.filter_map(|(name, criteria)| Some((ServerName::parse(name).ok()?, criteria)));
        Ok(Self { server_keys: server_keys.collect() })
    }

    /// Until when a server's keys must be valid to answer this query, if the query says.
    pub fn minimum_valid_until_ts(&self, server: &ServerName) -> Option<i64> {
        self.server_keys.get(server)?.values().filter_map(|criteria| criteria.minimum_valid_until_ts).max()
    }
}

/// The answer to either query.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct KeyQueryResponse {
    /// Published responses, each with the notary's signature added.
    pub server_keys: Vec<Map<String, Value>>,
}

impl KeyQueryResponse {
    /// Parses an answer. Each entry is to be checked by [`check_attested`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ServerKeysError> {
        let mut object = canonical_json::parse_object(bytes)?;
        let Some(Value::Array(items)) = object.remove("server_keys") else {
            return Err(ServerKeysError::Field("server_keys"));
        };
        let object = |item| match item {
            Value::Object(object) => Ok(object),
            _ => Err(ServerKeysError::Field("server_keys")),
        };
        Ok(Self { server_keys: items.into_iter().map(object).collect::<Result<_, _>>()? })
    }
}

/// Adds the notary's signature to a response that it has checked and kept.
pub fn attest(response: &[u8], notary: &ServerName, key: &SigningKey) -> Result<Map<String, Value>, ServerKeysError> {
    let mut object = canonical_json::parse_object(response)?;
    sign_object(&mut object, notary.as_str(), key);
    Ok(object)
}

/// Checks one entry of a notary's answer: the server's own signatures and the notary's.
pub fn check_attested(
    entry: &Map<String, Value>,
    server: &ServerName,
    notary: &ServerName,
    notary_keys: &dyn KeySource,
    now_ts: i64,
) -> Result<ServerKeys, ServerKeysError> {
    if check_object(entry, notary, notary_keys, now_ts) != SignatureStatus::Ok {
        return Err(ServerKeysError::Field("signatures"));
    }
    ServerKeys::from_object(entry, server, now_ts)
}
