//! A registration file, as bridges write it ("Registration" in the Application Service API).

use axle_client_api::{ApplicationService, Namespace, Namespaces};
use axle_protocol::{ServerName, UserId};
use serde::Deserialize;

/// The shortest token that is taken, in bytes. Those that bridges make have 32 and more.
const MIN_TOKEN_BYTES: usize = 8;

/// A registration, and the patterns that nobody else may claim, each after the kind of its namespace.
pub(super) struct Parsed {
    pub(super) service: ApplicationService,
    pub(super) reserved: Vec<String>,
}

/// Further fields are those of the bridge itself, or of other servers.
#[derive(Deserialize)]
struct File {
    id: String,
    url: Option<String>,
    as_token: String,
    hs_token: String,
    sender_localpart: String,
    namespaces: FileNamespaces,
    rate_limited: Option<bool>,
    receive_ephemeral: Option<bool>,
    /// Its name from before the specification had it.
    #[serde(rename = "de.sorunome.msc2409.push_ephemeral")]
    push_ephemeral: Option<bool>,
    /// As bridges that encrypt write it.
    #[serde(rename = "org.matrix.msc3202")]
    encrypts: Option<bool>,
    protocols: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct FileNamespaces {
    users: Option<Vec<FileNamespace>>,
    aliases: Option<Vec<FileNamespace>>,
    rooms: Option<Vec<FileNamespace>>,
}

#[derive(Deserialize)]
struct FileNamespace {
    exclusive: bool,
    regex: String,
}

/// Reads a registration. An error names the field, or the line.
pub(super) fn parse(text: &str, server_name: &ServerName) -> Result<Parsed, String> {
    // The line is told, not its text: it may be one with a token.
    let file: File = serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
    for (field, text) in [("id", &file.id), ("sender_localpart", &file.sender_localpart)] {
        if text.is_empty() {
            return Err(format!("{field}: is empty"));
        }
    }
    for (field, token) in [("as_token", &file.as_token), ("hs_token", &file.hs_token)] {
        if token.len() < MIN_TOKEN_BYTES || token.chars().any(|letter| !letter.is_ascii_graphic()) {
            return Err(format!("{field}: a token has at least {MIN_TOKEN_BYTES} visible ASCII characters"));
        }
    }
    if file.as_token == file.hs_token {
        return Err("hs_token: the same as as_token".into());
    }
    let mut reserved = Vec::new();
    let namespaces = Namespaces {
        users: namespaces("users", file.namespaces.users, &mut reserved)?,
        aliases: namespaces("aliases", file.namespaces.aliases, &mut reserved)?,
        rooms: namespaces("rooms", file.namespaces.rooms, &mut reserved)?,
    };
    let service = ApplicationService {
        sender: sender(&file.sender_localpart, server_name)?,
        url: file.url.filter(|url| !url.is_empty()).map(check_url).transpose()?,
        id: file.id,
        as_token: file.as_token,
        hs_token: file.hs_token,
        namespaces,
        rate_limited: file.rate_limited.unwrap_or(true),
        receive_ephemeral: file.receive_ephemeral.or(file.push_ephemeral).unwrap_or(false),
        encrypts: file.encrypts.unwrap_or(false),
        protocols: file.protocols.unwrap_or_default(),
    };
    Ok(Parsed { service, reserved })
}

fn namespaces(
    kind: &str,
    entries: Option<Vec<FileNamespace>>,
    reserved: &mut Vec<String>,
) -> Result<Vec<Namespace>, String> {
    let compile = |(index, entry): (usize, FileNamespace)| {
        let compiled = Namespace::new(&entry.regex, entry.exclusive).map_err(|error| {
            format!("namespaces.{kind}[{index}].regex: {:?} is not a pattern: {error}", entry.regex)
        })?;
        if entry.exclusive {
            reserved.push(format!("{kind} {:?}", entry.regex));
        }
        Ok(compiled)
    };
    entries.unwrap_or_default().into_iter().enumerate().map(compile).collect()
}

fn sender(localpart: &str, server_name: &ServerName) -> Result<UserId, String> {
    let parsed = match localpart.contains(':') {
        true => Err("it holds only a-z, 0-9 and -.=_/+".to_owned()),
        false => UserId::parse(format!("@{localpart}:{server_name}")).map_err(|error| error.to_string()),
    };
    parsed.map_err(|error| format!("sender_localpart: {localpart:?} is no localpart of a user id: {error}"))
}

fn check_url(url: String) -> Result<String, String> {
    let parsed = reqwest::Url::parse(&url).map_err(|error| format!("url: {url:?} is not a URL: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.cannot_be_a_base() {
        return Err(format!("url: {url:?} is not an http or https URL"));
    }
    Ok(url)
}
