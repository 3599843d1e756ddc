//! The key that ID tokens are signed with, which is nothing else's. It is made once, and kept in the store.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axle_protocol::{MatrixError, base64};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::error::ApiResult;
use crate::state::Api;

/// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, 3.3): what every client of OpenID Connect has to know, and what those
/// expect that do not say otherwise.
pub(crate) const ALGORITHM: &str = "RS256";

/// The key, once it was needed.
#[derive(Default)]
pub(crate) struct KeyOnce(OnceCell<SigningKey>);

/// A private key.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    public: PublicKey,
}

/// What everybody may know of it: a JSON Web Key (RFC 7517, 4; RFC 7518, 6.3.1).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PublicKey {
    kty: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: String,
    n: String,
    e: String,
}

impl SigningKey {
    /// The key of this server.
    pub(crate) async fn of(api: &Api) -> ApiResult<&Self> {
        api.signing_key.0.get_or_try_init(|| kept_or_new(api)).await
    }

    /// What its signatures are checked with.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs claims as a JSON Web Token (RFC 7519) in its compact form.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> ApiResult<String> {
        let header = json!({"alg": ALGORITHM, "kid": self.public.kid, "typ": "JWT"});
        let claims = serde_json::to_vec(claims).map_err(|_| failed("claims cannot be written"))?;
        let signed = format!("{}.{}", base64::encode_url(header.to_string()), base64::encode_url(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| failed("nothing can be signed"))?;
        Ok(format!("{signed}.{}", base64::encode_url(signature)))
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, MatrixError> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| failed("what is kept is no key"))?;
        let PublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
        let (n, e) = (base64::encode_url(n), base64::encode_url(e));
        // Its name is its hash (RFC 7638).
        let thumbprint = Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        let kid = base64::encode_url(thumbprint);
        let public = PublicKey { kty: "RSA", r#use: "sig", alg: ALGORITHM, kid, n, e };
        Ok(Self { pair, public })
    }
}

async fn kept_or_new(api: &Api) -> ApiResult<SigningKey> {
    let pkcs8 = match api.store.id_token_key().await? {
        Some(pkcs8) => pkcs8,
        None => {
            // It takes a while: primes are looked for.
            let made = spawn_blocking(make).await.map_err(|_| failed("nobody could make one"))?;
            api.store.put_id_token_key(made?).await?
        }
    };
    Ok(SigningKey::from_pkcs8(&pkcs8)?)
}

/// A new key: PKCS #8 in DER.
fn make() -> Result<Vec<u8>, MatrixError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("none can be made"))?;
    let pkcs8 = pair.as_der().map_err(|_| failed("none can be written"))?;
    Ok(pkcs8.as_ref().to_vec())
}

fn failed(why: &str) -> MatrixError {
    tracing::error!("the key of ID tokens: {why}");
    MatrixError::unknown("The server has no key to sign ID tokens with.")
}
