//! What options must be together.

use std::path::PathBuf;

use super::{Config, ConfigError, OptionInfo, Sources};

/// Smaller request headers than this break honest clients (and hyper asks for it).
const MIN_HEADER_BYTES: u32 = 8192;

pub(super) fn check(config: &Config, sources: &Sources) -> Result<(), ConfigError> {
    let client = &config.client;
    let federation = &config.federation;
    pair("client", client.tls_certificate.as_ref(), client.tls_key.as_ref(), sources)?;
    pair("federation", federation.tls_certificate.as_ref(), federation.tls_key.as_ref(), sources)?;
    if client.listen.is_empty() && federation.listen.is_empty() {
        return fail("client.listen", "there is no address to listen on", None, sources);
    }
    if !federation.listen.is_empty() && !federation.plain_http && federation.tls_certificate.is_none() {
        let hint = "Set federation.tls_certificate and federation.tls_key, or federation.plain_http = true if a \
                    proxy in front does TLS.";
        return fail("federation.listen", "federation needs a TLS certificate", Some(hint.into()), sources);
    }
    if federation.plain_http && federation.tls_certificate.is_some() {
        let problem = "federation cannot be plain HTTP and have a certificate";
        let hint = "Remove federation.plain_http, or federation.tls_certificate and federation.tls_key.";
        return fail("federation.plain_http", problem, Some(hint.into()), sources);
    }
    for (key, url) in [("client.public_url", &client.public_url), ("client.support_page", &client.support_page)] {
        if url.as_ref().is_some_and(|url| !is_web(url)) {
            return fail(key, "not an http or https URL", None, sources);
        }
    }
    if config.registration.shared_secret.as_ref().is_some_and(String::is_empty) {
        return fail("registration.shared_secret", "a secret that everybody knows", None, sources);
    }
    limits(config, sources)
}

fn is_web(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

fn limits(config: &Config, sources: &Sources) -> Result<(), ConfigError> {
    let limits = &config.limits;
    if limits.header_bytes < MIN_HEADER_BYTES {
        return fail("limits.header_bytes", &format!("less than {MIN_HEADER_BYTES}"), None, sources);
    }
    let positive = [
        ("client.access_token_lifetime_seconds", config.client.access_token_lifetime_seconds),
        ("limits.max_connections", limits.max_connections),
        ("limits.max_connections_per_address", limits.max_connections_per_address),
        ("limits.header_timeout_seconds", limits.header_timeout_seconds),
        ("limits.body_timeout_seconds", limits.body_timeout_seconds),
        ("limits.idle_timeout_seconds", limits.idle_timeout_seconds),
    ];
    match positive.into_iter().find(|(_, value)| *value == 0) {
        Some((key, _)) => fail(key, "must be at least 1", None, sources),
        None => Ok(()),
    }
}

/// A certificate without its key is of no use, nor is a key without certificate.
fn pair(
    section: &str,
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    sources: &Sources,
) -> Result<(), ConfigError> {
    let (there, missing) = match (certificate, key) {
        (Some(_), None) => ("tls_certificate", "tls_key"),
        (None, Some(_)) => ("tls_key", "tls_certificate"),
        _ => return Ok(()),
    };
    let missing = format!("{section}.{missing}");
    let hint = OptionInfo::find(&missing).map(|option| format!("Write {}", option.line()));
    fail(&format!("{section}.{there}"), &format!("{missing} must be set as well"), hint, sources)
}

fn fail(key: &str, problem: &str, hint: Option<String>, sources: &Sources) -> Result<(), ConfigError> {
    let hint = hint.or_else(|| OptionInfo::find(key).map(|option| format!("Write {}", option.line())));
    Err(ConfigError::new(sources.place(key).unwrap_or_default(), format!("{key}: {problem}"), hint))
}
