//! What a group's refusal is answered with: 409 and a code of its own each, so that clients know what to do about it.

use axle_mls::hub::Refusal;
use axle_protocol::MatrixError;

/// What refusals begin with where only a text can be told, as in `failed_pdus`: `mls/CODE: what is wrong`.
const TEXT_PREFIX: &str = "mls/";
/// What their codes begin with.
const CODE_PREFIX: &str = "IM.AXLE.MLS.";
/// The longest code, in bytes.
const MAX_CODE_BYTES: usize = 64;
const CONFLICT: u16 = 409;

/// The answer for a refusal.
pub(crate) fn refused(refusal: &Refusal) -> MatrixError {
    MatrixError::new(CONFLICT, code(refusal.code()), refusal.to_string())
}

/// The answer for a refusal that another server told in a text; `None`: it is about something else.
pub(crate) fn refusal_of(text: &str) -> Option<MatrixError> {
    let (name, reason) = text.strip_prefix(TEXT_PREFIX)?.split_once(": ")?;
    let is_code = name.len() <= MAX_CODE_BYTES && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then(|| MatrixError::new(CONFLICT, code(name), reason))
}

fn code(name: &str) -> String {
    format!("{CODE_PREFIX}{}", name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_being_told_as_text() {
        let refusal = Refusal::WrongEpoch { current: 7 };
        let told = axle_room::Refusal::from(refusal.clone()).to_string();
        assert_eq!(refusal_of(&told), Some(refused(&refusal)));
        assert_eq!(refused(&refusal).errcode, "IM.AXLE.MLS.WRONG_EPOCH");
        assert_eq!(refused(&refusal).status, 409);
    }

    #[test]
    fn other_texts_are_no_refusals() {
        for text in ["", "mls/", "mls/wrong_epoch", "mls/WRONG: x", "mls/a b: x", "the sender is not in the room"] {
            assert_eq!(refusal_of(text), None, "{text}");
        }
    }
}
