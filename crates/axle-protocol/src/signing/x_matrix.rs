//! Request authentication: the `X-Matrix` authorization scheme ("Request Authentication").
//!
//! A server that receives a request calls [`RequestAuth::parse`], gets the keys of [`RequestAuth::origin`], and then
//! [`RequestAuth::verify`]. A server that sends one calls [`sign_request`] for each of its keys.

mod header;

use crate::canonical_json;
use crate::id::{KeyId, ServerName};
use crate::keys::SigningKey;
use crate::limits::MAX_AUTHORIZATION_HEADERS;
use crate::signing::{KeySource, SignatureStatus, check_bytes};

pub use header::HeaderError;

/// One `Authorization` header of the scheme `X-Matrix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XMatrix {
    /// The server that sends the request.
    pub origin: ServerName,
    /// The server that it is for. Older Matrix servers leave it out.
    pub destination: Option<ServerName>,
    /// Which of the origin's keys signed.
    pub key: KeyId,
    /// The signature, in base64.
    pub signature: String,
}

impl XMatrix {
    /// Reads the value of an `Authorization` header.
    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        header::parse(value)
    }

    /// The value of the header.
    pub fn to_header(&self) -> String {
        header::write(self)
    }
}

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Path and query, exactly as sent.
    pub uri: &'a str,
    /// Who sends it.
    pub origin: &'a ServerName,
    /// Who it is for.
    pub destination: &'a ServerName,
    /// The body, as canonical JSON. `None` for a request without one.
    pub content: Option<&'a str>,
}

impl SignedRequest<'_> {
    /// The bytes that a signature covers.
    pub fn signed_bytes(&self) -> String {
        let content = self.content.unwrap_or_default();
        let mut out = String::with_capacity(content.len() + self.uri.len() + 256);
        out.push('{');
        if self.content.is_some() {
            out.push_str("\"content\":");
            out.push_str(content);
            out.push(',');
        }
        let fields = [
            ("\"destination\":", self.destination.as_str()),
            (",\"method\":", self.method),
            (",\"origin\":", self.origin.as_str()),
            (",\"uri\":", self.uri),
        ];
        for (name, value) in fields {
            out.push_str(name);
            canonical_json::write_string(&mut out, value);
        }
        out.push('}');
        out
    }
}

/// Signs a request. The draft wants `"content": {}` for a request without a body; Matrix servers want none: give
/// `content` accordingly.
pub fn sign_request(request: &SignedRequest<'_>, key: &SigningKey) -> XMatrix {
    XMatrix {
        origin: request.origin.clone(),
        destination: Some(request.destination.clone()),
        key: key.id().clone(),
        signature: key.sign(request.signed_bytes().as_bytes()),
    }
}

/// The authorization of a request: at least one header, all of the same origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAuth {
    origin: ServerName,
    headers: Vec<XMatrix>,
}

/// Why a request is not authentic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestAuthError {
    /// No `Authorization` header.
    #[error("the request has no Authorization header")]
    Missing,
    /// More headers than anybody has keys.
    #[error("the request has more than {MAX_AUTHORIZATION_HEADERS} Authorization headers")]
    TooMany,
    /// A header that cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Headers of several servers.
    #[error("the Authorization headers name different origins")]
    SeveralOrigins,
    /// The request was meant for somebody else.
    #[error("the request is for {0}")]
    WrongDestination(ServerName),
    /// A key that the origin does not publish now.
    #[error("{1} is not a current key of {0}")]
    UnknownKey(ServerName, KeyId),
    /// A signature that does not match.
    #[error("the signature of {0} does not match the request")]
    BadSignature(ServerName),
}

impl RequestAuth {
    /// Reads all `Authorization` headers of a request.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, RequestAuthError> {
        let mut headers: Vec<XMatrix> = Vec::with_capacity(1);
        for value in values {
            if headers.len() == MAX_AUTHORIZATION_HEADERS {
                return Err(RequestAuthError::TooMany);
            }
            let header = XMatrix::parse(value)?;
            if headers.first().is_some_and(|first| first.origin != header.origin) {
                return Err(RequestAuthError::SeveralOrigins);
            }
            headers.push(header);
        }
        let origin = headers.first().ok_or(RequestAuthError::Missing)?.origin.clone();
        Ok(Self { origin, headers })
    }

    /// The server that claims to have sent the request.
    pub fn origin(&self) -> &ServerName {
        &self.origin
    }

    /// The keys that it claims to have signed with.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.headers.iter().map(|header| &header.key)
    }

    /// Checks every header against the request as it arrived at `destination`, this server. `keys` must know current
    /// keys only: a key under `old_verify_keys` authenticates no request.
    pub fn verify(
        &self,
        method: &str,
        uri: &str,
        content: Option<&str>,
        destination: &ServerName,
        keys: &dyn KeySource,
        now_ts: i64,
    ) -> Result<(), RequestAuthError> {
        for header in &self.headers {
            if let Some(other) = header.destination.as_ref().filter(|name| *name != destination) {
                return Err(RequestAuthError::WrongDestination(other.clone()));
            }
            let request = SignedRequest { method, uri, origin: &self.origin, destination, content };
            match verify_request(header, &request, keys, now_ts) {
                SignatureStatus::Ok => {}
                SignatureStatus::UnknownKey | SignatureStatus::Missing => {
                    return Err(RequestAuthError::UnknownKey(self.origin.clone(), header.key.clone()));
                }
                SignatureStatus::Bad => return Err(RequestAuthError::BadSignature(self.origin.clone())),
            }
        }
        Ok(())
    }
}

/// Checks one header's signature. A request without a body may be signed without `content` or with an empty one.
pub fn verify_request(
    header: &XMatrix,
    request: &SignedRequest<'_>,
    keys: &dyn KeySource,
    now_ts: i64,
) -> SignatureStatus {
    let check = |request: &SignedRequest<'_>| {
        let signature = (header.key.as_str(), header.signature.as_str());
        let bytes = request.signed_bytes();
        check_bytes(bytes.as_bytes(), &header.origin, std::iter::once(signature), keys, now_ts)
    };
    match check(request) {
        SignatureStatus::Bad if request.content.is_none() => check(&SignedRequest { content: Some("{}"), ..*request }),
        status => status,
    }
}
