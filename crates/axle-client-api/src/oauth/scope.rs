//! What a client may be allowed ("Scope" in Matrix's specification): the whole client-server API, as one device; with an ID
//! token, if it wants one.

/// The whole client-server API, and its name from before it was specified.
const API: [&str; 2] = ["urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*"];
/// With which a client asks for an ID token (OpenID Connect Core 1.0, 3.1.2.1).
const OPENID: &str = "openid";
/// What can be asked for, beside devices.
pub(crate) const SCOPES: [&str; 3] = [OPENID, API[0], API[1]];
/// What stands before the id of a device, and what stood there before.
const DEVICE: [&str; 2] = ["urn:matrix:client:device:", "urn:matrix:org.matrix.msc2967.client:device:"];
/// The longest device id.
const MAX_DEVICE_ID_BYTES: usize = 255;

/// What a client asks for, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The device.
    pub(crate) device_id: String,
    /// In the words of the client.
    pub(crate) text: String,
}

impl Scope {
    /// Reads it; why it cannot be allowed, otherwise. What is not known here is left out.
    pub(crate) fn parse(asked: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = asked.split(' ').collect();
        let device = |word: &&str| DEVICE.iter().find_map(|prefix| word.strip_prefix(prefix).map(str::to_owned));
        let mut devices: Vec<String> = words.iter().filter_map(device).collect();
        devices.dedup();
        let [device_id] = devices.as_slice() else { return Err("The scope has to name one device.") };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if device_id.is_empty() || device_id.len() > MAX_DEVICE_ID_BYTES || !device_id.bytes().all(is_plain) {
            return Err("The id of the device in the scope cannot be one.");
        }
        if !words.iter().any(|word| API.contains(word)) {
            return Err("The scope has to have the client-server API.");
        }
        let known = words.into_iter().filter(|word| SCOPES.contains(word) || device(word).is_some());
        Ok(Self { device_id: device_id.clone(), text: known.collect::<Vec<_>>().join(" ") })
    }
}

/// Whether who was allowed this gets an ID token.
pub(crate) fn wants_id_token(scope: &str) -> bool {
    scope.split(' ').any(|word| word == OPENID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_with_the_whole_api() {
        let scope = Scope::parse("email urn:matrix:client:api:* urn:matrix:client:device:ABC-1._~").unwrap();
        assert_eq!(scope.device_id, "ABC-1._~");
        assert_eq!(scope.text, "urn:matrix:client:api:* urn:matrix:client:device:ABC-1._~");
        assert!(!wants_id_token(&scope.text));
        let scope = Scope::parse("openid email urn:matrix:client:api:* urn:matrix:client:device:ABC").unwrap();
        assert_eq!(scope.text, "openid urn:matrix:client:api:* urn:matrix:client:device:ABC");
        assert!(wants_id_token(&scope.text));
        let old = "urn:matrix:org.matrix.msc2967.client:api:* urn:matrix:org.matrix.msc2967.client:device:ABC";
        assert_eq!(Scope::parse(old).unwrap(), Scope { device_id: "ABC".into(), text: old.into() });
        for bad in [
            "",
            "openid",
            "urn:matrix:client:api:*",
            "urn:matrix:client:device:ABC",
            "urn:matrix:client:api:* urn:matrix:client:device:",
            "urn:matrix:client:api:* urn:matrix:client:device:a/b",
            "urn:matrix:client:api:* urn:matrix:client:device:A urn:matrix:client:device:B",
            "urn:matrix:client:api:guest urn:matrix:client:device:ABC",
        ] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }
}
