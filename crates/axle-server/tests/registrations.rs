//! Registration files of application services: what bridges write, and the words of errors.
#![allow(clippy::unwrap_used)]

use axle_client_api::ApplicationServices;
use axle_protocol::ServerName;
use axle_server::services::load;

/// As mautrix's bridges write it, without what a test changes.
const MAUTRIX: &str = r"
id: telegram
as_token: 8KxMMAzVbBzrpHcDDXGsMKrnSPd4vR3qeB0RoN1RxHj
hs_token: yhoRzYFBqKUcBbcGSgS5LIC4kjZ3vUL3nJ2FBSCBtPx
namespaces:
    users:
    - regex: ^@telegrambot:example\.org$
      exclusive: true
    - regex: ^@telegram_.*:example\.org$
      exclusive: true
    aliases:
    - exclusive: true
      regex: \#telegram_.*:example\.org
url: http://localhost:29317
sender_localpart: telegrambot
rate_limited: false
de.sorunome.msc2409.push_ephemeral: true
push_ephemeral: true
io.element.msc4190: true
";

/// As heisenbridge writes it.
const HEISENBRIDGE: &str = r"
id: heisenbridge
url: http://127.0.0.1:9898
as_token: eYHtT8bcNXUOHwkb9s2Wu9BkbwwKH2P4XzYPGhkUTgtB1Kj3TGv6VmGV0xgg4ZnV
hs_token: DEKMnBZRyS1LcWxbLTOzUElLMEIRl1BDIuDI3mTxsnlsOcfyqYTGgKX2gPhUNlSr
rate_limited: false
sender_localpart: heisenbridge
namespaces:
  users:
  - regex: '@irc_.*'
    exclusive: true
  aliases: []
  rooms: []
";

/// Loads these texts as the files `0.yaml`, `1.yaml` and so on.
fn registrations(texts: &[&str]) -> Result<ApplicationServices, String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |(number, text): (usize, &&str)| {
        let file = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&file, text).unwrap();
        file
    };
    let files: Vec<_> = texts.iter().enumerate().map(write).collect();
    let loaded = load(&files, &ServerName::parse("example.org").unwrap());
    loaded.map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), "DIR"))
}

#[track_caller]
fn refused(texts: &[&str], expected: &str) {
    let error = registrations(texts).unwrap_err();
    assert!(error.starts_with(&format!("the registration file DIR/{expected}")), "{error}");
    for secret in ["8KxMMAz", "yhoRzYF", "eYHtT8b", "DEKMnBZ"] {
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn what_bridges_write_is_read() {
    let services = registrations(&[MAUTRIX, HEISENBRIDGE]).unwrap();
    let services: Vec<_> = services.iter().collect();
    let [telegram, irc] = services[..] else { panic!("{services:?}") };
    assert_eq!((telegram.id.as_str(), telegram.sender.as_str()), ("telegram", "@telegrambot:example.org"));
    assert!(telegram.receive_ephemeral && !telegram.rate_limited);
    assert!(telegram.namespaces.users.iter().any(|users| users.matches("@telegram_1:example.org")));
    assert!(telegram.reserves_user(&"@telegram_1:example.org".parse().unwrap()));
    assert!(!telegram.reserves_user(&"@irc_1:example.org".parse().unwrap()));
    assert!(telegram.namespaces.aliases[0].matches("#telegram_x:example.org") && telegram.namespaces.rooms.is_empty());
    assert_eq!(irc.url.as_deref(), Some("http://127.0.0.1:9898"));
    assert!(!irc.receive_ephemeral && !irc.encrypts);
    assert!(!format!("{services:?}").contains("8KxMMAz"));
    let encrypting = registrations(&[&format!("{HEISENBRIDGE}\norg.matrix.msc3202: true\n")]).unwrap();
    assert!(encrypting.iter().all(|service| service.encrypts));
}

#[test]
fn a_service_may_want_to_be_told_nothing() {
    for url in ["url: null", "url: ''", "url:", ""] {
        let services = registrations(&[&HEISENBRIDGE.replace("url: http://127.0.0.1:9898", url)]).unwrap();
        assert!(services.iter().all(|service| service.url.is_none() && service.protocols.is_empty()));
    }
    let defaults = HEISENBRIDGE.replace("rate_limited: false", "rate_limited: null\nprotocols: [irc]");
    let services = registrations(&[&defaults]).unwrap();
    assert!(services.iter().all(|service| service.rate_limited && service.protocols == ["irc"]));
}

#[test]
fn a_mistake_is_told_with_its_file_and_field() {
    let with = |from: &str, to: &str| MAUTRIX.replace(from, to);
    refused(&[&with("as_token:", "token:")], "0.yaml: missing field `as_token`");
    refused(&[HEISENBRIDGE, &with("sender_localpart: telegrambot", "")], "1.yaml: missing field `sender_localpart`");
    refused(&[&with("rate_limited: false", "rate_limited: perhaps")], "0.yaml: ");
    refused(&[&with("regex: ^@telegram_", "regex: (@telegram_")], "0.yaml: namespaces.users[1].regex: ");
    refused(
        &[&with("sender_localpart: telegrambot", "sender_localpart: Bot")],
        "0.yaml: sender_localpart: \"Bot\" is no",
    );
    refused(&[&with("sender_localpart: telegrambot", "sender_localpart: a:b")], "0.yaml: sender_localpart: ");
    refused(&[&with("url: http:", "url: ftp:")], "0.yaml: url: \"ftp://localhost:29317\" is not an http or https URL");
    refused(&[&with("url: http://localhost:29317", "url: nowhere")], "0.yaml: url: \"nowhere\" is not a URL");
    refused(&[&with("id: telegram", "id: ''")], "0.yaml: id: is empty");
    refused(&[&with("8KxMMAzVbBzrpHcDDXGsMKrnSPd4vR3qeB0RoN1RxHj", "short")], "0.yaml: as_token: a token has at least");
    refused(&["{"], "0.yaml: ");
    refused(&["- a\n"], "0.yaml: ");
    let line = registrations(&[&with("rate_limited: false", "rate_limited: perhaps")]).unwrap_err();
    assert!(line.contains("line 16"), "{line}");
    let missing = load(&["/nowhere/irc.yaml".into()], &ServerName::parse("example.org").unwrap()).unwrap_err();
    assert!(missing.to_string().starts_with("the registration file /nowhere/irc.yaml: cannot be read: "), "{missing}");
}

#[test]
fn what_two_services_claim_is_told() {
    refused(&[MAUTRIX, MAUTRIX], "1.yaml: id: \"telegram\" is the id of the service in DIR/0.yaml");
    let other = HEISENBRIDGE.replace("eYHtT8bcNXUOHwkb9s2Wu9BkbwwKH2P4XzYPGhkUTgtB1Kj3TGv6VmGV0xgg4ZnV", "TOKEN");
    let other = other.replace("TOKEN", "8KxMMAzVbBzrpHcDDXGsMKrnSPd4vR3qeB0RoN1RxHj");
    refused(&[MAUTRIX, &other], "1.yaml: as_token: the same token is in DIR/0.yaml");
    let other = HEISENBRIDGE.replace("'@irc_.*'", r"^@telegram_.*:example\.org$");
    refused(&[MAUTRIX, &other], "1.yaml: namespaces: the exclusive namespace users ");
    let other = HEISENBRIDGE.replace("sender_localpart: heisenbridge", "sender_localpart: telegram_x");
    refused(&[MAUTRIX, &other], "1.yaml: sender_localpart, namespaces.users: ");
}
