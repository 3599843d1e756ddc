//! Unpadded base64 ("Unpadded Base64"): written without padding, read with or without.

use ::base64::Engine as _;
use ::base64::alphabet::{STANDARD, URL_SAFE};
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(false)
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, CONFIG);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, CONFIG);

/// Encodes with the standard alphabet, unpadded.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    PLAIN.encode(bytes)
}

/// Encodes with the URL-safe alphabet, unpadded.
pub fn encode_url(bytes: impl AsRef<[u8]>) -> String {
    URL.encode(bytes)
}

/// Decodes the standard alphabet; `None` if it is not base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    PLAIN.decode(text).ok()
}

/// Decodes exactly `N` bytes of the standard alphabet.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
