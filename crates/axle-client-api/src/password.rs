//! Passwords: argon2id, hashed on threads of their own, a few at a time.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use axle_protocol::MatrixError;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The shortest password that is taken, in characters.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// The longest password that is taken, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// Of the settings of argon2id that OWASP's "Password Storage Cheat Sheet" holds to be equally strong, the one that
/// takes the least memory, in KiB, and the least time.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;
const LANES: u32 = 1;
/// Hashes computed at once. Each takes [`MEMORY_KIB`] and one core.
const HASHES_AT_ONCE: usize = 2;
/// Hashes wanted at once, before further requests are told to come back.
const MAX_QUEUED_HASHES: usize = 64;
/// When they are told to come back.
const RETRY_AFTER_MS: u64 = 2_000;
const SALT_BYTES: usize = 16;

/// Why a password cannot be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Shorter than [`MIN_PASSWORD_CHARS`].
    #[error("a password has at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("a password has at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// No randomness for the salt, or no memory.
    #[error("hashing failed: {0}")]
    Failed(String),
}

/// Hashes a new password: argon2id, in PHC form. Takes tens of milliseconds.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    check_password(password)?;
    let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| failed(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| failed(&error))?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Whether a password may be set.
pub(crate) fn check_password(password: &str) -> Result<(), PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    if password.chars().count() < MIN_PASSWORD_CHARS {
        return Err(PasswordError::TooShort);
    }
    Ok(())
}

impl From<PasswordError> for MatrixError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooShort => Self::new(400, "M_WEAK_PASSWORD", error.to_string()),
            PasswordError::TooLong => Self::invalid_param(error.to_string()),
            PasswordError::Failed(_) => {
                tracing::error!(%error);
                Self::unknown("The password could not be hashed.")
            }
        }
    }
}

/// Bounds how much memory and how many cores passwords take.
pub(crate) struct PasswordPool {
    queue: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for PasswordPool {
    fn default() -> Self {
        Self { queue: Arc::new(Semaphore::new(MAX_QUEUED_HASHES)), running: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}

impl PasswordPool {
    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, MatrixError> {
        check_password(&password)?;
        Ok(self.run(move || hash_password(&password)).await??)
    }

    /// Checks a password. Without a hash it takes as long, and is wrong: who guesses cannot tell accounts from none.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, MatrixError> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(false);
        }
        self.run(move || match hash {
            Some(hash) => verify(&password, &hash),
            None => {
                verify(&password, decoy());
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, MatrixError> {
        let busy = |_| MatrixError::limit_exceeded(RETRY_AFTER_MS);
        let queued = Arc::clone(&self.queue).try_acquire_owned().map_err(busy)?;
        let stopped = || MatrixError::unknown("The server is stopping.");
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| stopped())?;
        // The permits go with the work, which goes on when the client has gone.
        let done = spawn_blocking(move || {
            let _permits = (queued, running);
            work()
        });
        done.await.map_err(|_| stopped())
    }
}

fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        tracing::error!("a stored password hash is not in PHC form");
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// A hash that costs what a real one costs and that no password has.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| {
        let (m, t, p) = (MEMORY_KIB, PASSES, LANES);
        let (salt, output) = ("A".repeat(22), "A".repeat(43));
        format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_only() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{hash}");
        assert!(verify("correct horse", &hash));
        assert!(!verify("correct horsf", &hash));
        assert_ne!(hash, hash_password("correct horse").unwrap());
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(hash_password("seven77"), Err(PasswordError::TooShort));
        assert_eq!(hash_password(&"x".repeat(MAX_PASSWORD_BYTES + 1)), Err(PasswordError::TooLong));
    }

    #[test]
    fn the_decoy_is_a_hash_that_nothing_matches() {
        assert!(PasswordHash::new(decoy()).is_ok());
        assert!(!verify("", decoy()));
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_is_told_to_come_back() {
        let pool = PasswordPool::default();
        let _all = Arc::clone(&pool.queue).try_acquire_many_owned(MAX_QUEUED_HASHES as u32).unwrap();
        let refused = pool.hash("long enough".into()).await.unwrap_err();
        assert_eq!(refused.status, 429);
    }
}
