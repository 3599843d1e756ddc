//! What people compare, out of band, to know that nobody stands between them.

use axle_protocol::event::sha256;

use crate::credential::Credential;

/// Digits of one fingerprint: six groups of five. Some 99 bits.
const GROUPS: usize = 6;

/// The code of two devices: the same on both, whoever computes it, and another if either has another key. Twelve groups
/// of five digits.
pub fn safety_code(one: &Credential, other: &Credential) -> String {
    let mut halves = [one, other].map(|device| digits(b"axle device fingerprint", &device.encode()));
    halves.sort();
    halves.join(" ")
}

/// The code of a group in one epoch, of its epoch authenticator (RFC 9420, section 8.7): the same on all devices that are
/// in the same group with the same members. Six groups of five digits.
pub fn epoch_code(authenticator: &[u8]) -> String {
    digits(b"axle epoch fingerprint", authenticator)
}

fn digits(label: &[u8], bytes: &[u8]) -> String {
    let hash = sha256([label, &[0], bytes].concat());
    let group = |chunk: &[u8]| chunk.iter().fold(0u64, |sum, byte| sum * 256 + u64::from(*byte)) % 100_000;
    let groups: Vec<String> = hash.chunks_exact(5).take(GROUPS).map(|chunk| format!("{:05}", group(chunk))).collect();
    groups.join(" ")
}
