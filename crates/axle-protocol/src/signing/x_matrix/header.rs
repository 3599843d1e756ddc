//! The syntax of the header: RFC 9110, sections 5.6 and 11.4.

use super::XMatrix;
use crate::base64;
use crate::id::{IdError, KeyId, ServerName};
use crate::limits::MAX_AUTHORIZATION_BYTES;

const SCHEME: &str = "X-Matrix";

/// Why a header cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another scheme, such as `Bearer`.
    #[error("the scheme of the Authorization header is not {SCHEME}")]
    Scheme,
    /// Longer than [`MAX_AUTHORIZATION_BYTES`].
    #[error("the Authorization header is longer than {MAX_AUTHORIZATION_BYTES} bytes")]
    TooLong,
    /// Not a list of `name=value`.
    #[error("the Authorization header is malformed: {0}")]
    Syntax(&'static str),
    /// A parameter that must be there is not.
    #[error("the Authorization header lacks {0:?}")]
    Missing(&'static str),
    /// A parameter stands there twice.
    #[error("the Authorization header has {0:?} twice")]
    Twice(&'static str),
    /// Not a server name or key id.
    #[error("in the Authorization header: {0}")]
    Id(#[from] IdError),
}

/// The parameters that mean something here; two names of one parameter are one.
#[derive(Default)]
struct Parameters {
    origin: Option<String>,
    destination: Option<String>,
    key: Option<String>,
    signature: Option<String>,
}

pub(super) fn parse(value: &str) -> Result<XMatrix, HeaderError> {
    if value.len() > MAX_AUTHORIZATION_BYTES {
        return Err(HeaderError::TooLong);
    }
    let (scheme, list) = value.trim().split_once(' ').ok_or(HeaderError::Scheme)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(HeaderError::Scheme);
    }
    let parameters = parameters(list)?;
    let signature = parameters.signature.ok_or(HeaderError::Missing("sig"))?;
    if base64::decode_array::<64>(&signature).is_none() {
        return Err(HeaderError::Syntax("the signature is not the base64 of 64 bytes"));
    }
    Ok(XMatrix {
        origin: ServerName::parse(parameters.origin.ok_or(HeaderError::Missing("origin"))?)?,
        destination: parameters.destination.map(ServerName::parse).transpose()?,
        key: KeyId::parse(parameters.key.ok_or(HeaderError::Missing("key"))?)?,
        signature,
    })
}

pub(super) fn write(header: &XMatrix) -> String {
    let destination = header.destination.as_ref().map(|name| format!("destination=\"{name}\","));
    format!(
        "{SCHEME} origin=\"{}\",{}key=\"{}\",sig=\"{}\"",
        header.origin,
        destination.unwrap_or_default(),
        header.key,
        header.signature
    )
}

fn parameters(list: &str) -> Result<Parameters, HeaderError> {
    let mut found = Parameters::default();
    let mut rest = skip_space(list);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(',') {
            rest = skip_space(after);
            continue;
        }
        let (name, after) = token(rest)?;
        let after = skip_space(after).strip_prefix('=').ok_or(HeaderError::Syntax("a parameter has no value"))?;
        let (value, after) = parameter_value(skip_space(after))?;
        keep(&mut found, name, value)?;
        rest = skip_space(after);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(HeaderError::Syntax("no comma between two parameters"));
        }
    }
    Ok(found)
}

/// Unknown parameters are ignored.
fn keep(found: &mut Parameters, name: &str, value: String) -> Result<(), HeaderError> {
    let (slot, name) = match name.to_ascii_lowercase().as_str() {
        "origin" => (&mut found.origin, "origin"),
        "destination" => (&mut found.destination, "destination"),
        "key" => (&mut found.key, "key"),
        "sig" | "signature" => (&mut found.signature, "sig"),
        _ => return Ok(()),
    };
    // A sender may serve readers of both names with the same signature.
    if slot.as_ref().is_some_and(|known| name != "sig" || *known != value) {
        return Err(HeaderError::Twice(name));
    }
    *slot = Some(value);
    Ok(())
}

fn token(text: &str) -> Result<(&str, &str), HeaderError> {
    split_while(text, is_token_byte)
}

fn parameter_value(text: &str) -> Result<(String, &str), HeaderError> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted_string(quoted);
    }
    // More than a token, since older servers send names with a port and signatures without quotes.
    let (value, rest) = split_while(text, |byte| is_token_byte(byte) || b":/=".contains(&byte))?;
    Ok((value.to_owned(), rest))
}

/// The text up to the closing quote, unescaped, and what follows.
fn quoted_string(text: &str) -> Result<(String, &str), HeaderError> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((i, char)) = chars.next() {
        let char = match char {
            '"' => return Ok((value, text.get(i + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped)) => escaped,
                None => break,
            },
            char => char,
        };
        if char.is_control() && char != '\t' {
            return Err(HeaderError::Syntax("a control character in a quoted value"));
        }
        value.push(char);
    }
    Err(HeaderError::Syntax("a quoted value does not end"))
}

fn split_while(text: &str, belongs: impl Fn(u8) -> bool) -> Result<(&str, &str), HeaderError> {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    // `belongs` accepts ASCII only, so `end` is on a character boundary.
    match text.split_at_checked(end) {
        Some((taken, rest)) if !taken.is_empty() => Ok((taken, rest)),
        _ => Err(HeaderError::Syntax("a name or value is empty or has a character that needs quotes")),
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}
