//! A file as it lies encrypted with a server: Matrix's `EncryptedFile`, version `v2`, AES-CTR with 256 bits.

use aes::Aes256;
use axle_protocol::base64;
use axle_protocol::event::sha256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use serde_json::{Value, json};

use super::AttachmentError;

type Result<T> = std::result::Result<T, AttachmentError>;

const VERSION: &str = "v2";
const ALGORITHM: &str = "A256CTR";
const KEY_BYTES: usize = 32;
const IV_BYTES: usize = 16;
/// The other half of the first counter block is 0, so that counting never carries into it.
const RANDOM_IV_BYTES: usize = 8;

/// Where an encrypted file lies, and what it takes to read it. Whoever has this can read the file: it belongs into messages
/// that are encrypted themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedFile {
    uri: String,
    key: [u8; KEY_BYTES],
    iv: [u8; IV_BYTES],
    /// SHA-256 of what lies with the server.
    sha256: [u8; 32],
}

impl EncryptedFile {
    /// Encrypts what is in a file under a key of its own. What comes out has no address yet.
    pub(crate) fn encrypt(mut bytes: Vec<u8>) -> Result<(Vec<u8>, Self)> {
        let (mut key, mut iv) = ([0; KEY_BYTES], [0; IV_BYTES]);
        getrandom::fill(&mut key).map_err(|_| AttachmentError::NoRandomness)?;
        getrandom::fill(&mut iv[..RANDOM_IV_BYTES]).map_err(|_| AttachmentError::NoRandomness)?;
        apply(&key, &iv, &mut bytes);
        let sha256 = sha256(&bytes);
        Ok((bytes, Self { uri: String::new(), key, iv, sha256 }))
    }

    /// The same file, at this address.
    pub(crate) fn at(self, uri: String) -> Self {
        Self { uri, ..self }
    }

    /// Its `mxc://` address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Decrypts what the server has, if it is what was sent.
    pub fn decrypt(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
        if sha256(&bytes) != self.sha256 {
            return Err(AttachmentError::Altered);
        }
        apply(&self.key, &self.iv, &mut bytes);
        Ok(bytes)
    }

    /// Reads the `file` of a message.
    pub fn read(file: &Value) -> Result<Self> {
        let malformed = |what| move || AttachmentError::Malformed(what);
        let text = |path: &str| file.pointer(path).and_then(Value::as_str);
        if text("/v") != Some(VERSION) {
            return Err(AttachmentError::Malformed("its version is not v2"));
        }
        if text("/key/kty") != Some("oct") || text("/key/alg") != Some(ALGORITHM) {
            return Err(AttachmentError::Malformed("its key is not for A256CTR"));
        }
        // The key is in the alphabet for addresses, the rest is not.
        let key = text("/key/k").map(|key| key.replace('-', "+").replace('_', "/"));
        Ok(Self {
            uri: text("/url").ok_or_else(malformed("url"))?.to_owned(),
            key: key.and_then(|key| base64::decode_array(&key)).ok_or_else(malformed("key"))?,
            iv: text("/iv").and_then(base64::decode_array).ok_or_else(malformed("iv"))?,
            sha256: text("/hashes/sha256").and_then(base64::decode_array).ok_or_else(malformed("hashes"))?,
        })
    }

    /// The `file` of a message.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "v": VERSION,
            "url": self.uri,
            "key": {
                "kty": "oct", "key_ops": ["encrypt", "decrypt"], "alg": ALGORITHM, "ext": true,
                "k": base64::encode_url(self.key),
            },
            "iv": base64::encode(self.iv),
            "hashes": { "sha256": base64::encode(self.sha256) },
        })
    }
}

/// Encrypts, or decrypts: it is the same.
fn apply(key: &[u8; KEY_BYTES], iv: &[u8; IV_BYTES], bytes: &mut [u8]) {
    Ctr128BE::<Aes256>::new(&(*key).into(), &(*iv).into()).apply_keystream(bytes);
}

impl std::fmt::Debug for EncryptedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptedFile({})", self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: Value) -> Result<EncryptedFile> {
        EncryptedFile::read(&file)
    }

    #[test]
    fn what_is_encrypted_is_decrypted_and_what_was_changed_is_not() {
        for text in [&b""[..], b"leaves and water", &[7; 100_000]] {
            let (sealed, file) = EncryptedFile::encrypt(text.to_vec()).unwrap();
            assert_eq!(sealed.len(), text.len());
            assert!(text.is_empty() || sealed != text);
            let file = read(file.at("mxc://hub.test/abc".into()).to_json()).unwrap();
            assert_eq!(file.uri(), "mxc://hub.test/abc");
            assert_eq!(file.decrypt(sealed.clone()).unwrap(), text);
            for changed in [[&sealed[..], &[0]].concat(), sealed.iter().map(|byte| byte ^ 1).collect()] {
                let is_same = changed == sealed;
                assert_eq!(file.decrypt(changed) == Err(AttachmentError::Altered), !is_same);
            }
        }
    }

    #[test]
    fn no_two_files_have_a_key_in_common() {
        let files: Vec<_> = (0..4).map(|_| EncryptedFile::encrypt(vec![1; 64]).unwrap()).collect();
        for (at, (sealed, file)) in files.iter().enumerate() {
            assert_eq!(file.iv[RANDOM_IV_BYTES..], [0; 8]);
            assert!(files[..at].iter().all(|(other, it)| other != sealed && it.key != file.key && it.iv != file.iv));
        }
        assert!(!format!("{:?}", files[0].1).contains(&base64::encode_url(files[0].1.key)));
    }

    /// NIST SP 800-38A, F.5.5 (CTR-AES256.Encrypt), as a file of another client would come.
    #[test]
    fn it_is_the_aes_ctr_of_others() {
        let key = base64::encode_url(hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"));
        let sealed = hex(
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613\
             c2dd08457941a6",
        );
        let file = read(json!({
            "v": "v2", "url": "mxc://hub.test/abc", "iv": base64::encode(hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")),
            "key": {"kty": "oct", "alg": "A256CTR", "k": key, "key_ops": ["encrypt", "decrypt"], "ext": true},
            "hashes": {"sha256": base64::encode(sha256(&sealed))},
        }));
        let plain = hex(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad\
             2b417be66c3710",
        );
        assert_eq!(file.unwrap().decrypt(sealed).unwrap(), plain);
    }

    #[test]
    fn what_is_malformed_is_named() {
        let good = EncryptedFile::encrypt(vec![1]).unwrap().1.at("mxc://a/b".into()).to_json();
        assert!(read(good.clone()).is_ok());
        let with = |path: &str, value: Value| {
            let mut file = good.clone();
            *file.pointer_mut(path).unwrap() = value;
            read(file).unwrap_err().to_string()
        };
        assert!(with("/v", json!("v1")).contains("v2"));
        assert!(with("/key/alg", json!("A256GCM")).contains("A256CTR"));
        assert!(with("/key/kty", json!(1)).contains("A256CTR"));
        for (path, value) in [
            ("/key/k", json!("AAAA")),
            ("/key/k", json!(null)),
            ("/iv", json!("AAAA")),
            ("/iv", json!("!")),
            ("/hashes/sha256", json!("AAAA")),
            ("/hashes", json!([])),
            ("/url", json!({})),
        ] {
            let error = with(path, value);
            let part = path.split('/').nth(1).unwrap();
            assert!(error.ends_with(part), "{path}: {error}");
        }
        for nothing in [json!(null), json!([]), json!("v2"), json!({})] {
            assert!(read(nothing).is_err());
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |byte: &[u8]| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 16).unwrap();
        text.as_bytes().chunks(2).map(digit).collect()
    }
}
