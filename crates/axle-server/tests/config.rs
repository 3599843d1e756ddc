//! Configuration: defaults, precedence, the words of errors, and the reference in docs/.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use axle_server::config::{Config, ConfigError, Inputs, Loaded, OPTIONS, RegistrationMode, load, reference};

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("axle.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = load(&Inputs { file: Some(path), ..Inputs::default() });
    loaded
        .map_err(|error| ConfigError { place: error.place.replace(&*folder.path().to_string_lossy(), "DIR"), ..error })
}

fn from_environment(name: &str, value: &str) -> Result<Loaded, ConfigError> {
    load(&Inputs { environment: vec![(name.into(), value.into())], ..Inputs::default() })
}

fn message(result: Result<Loaded, ConfigError>) -> String {
    result.expect_err("a mistake is refused").to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    let loaded = load(&Inputs::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.server_name.as_str(), "localhost:8448");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("axle.toml");
    std::fs::write(&file, "server_name = 'a.test'\ndata = '/a'\n[registration]\nmode = 'open'\n").unwrap();
    let loaded = load(&Inputs {
        file: Some(file),
        environment: vec![("AXLE_SERVER_NAME".into(), "b.test".into()), ("AXLE_DATA".into(), "/b".into())],
        flags: vec![("--data", "data", "/c".into())],
    })
    .unwrap();
    assert_eq!(loaded.config.registration.mode, RegistrationMode::Open);
    assert_eq!(loaded.config.server_name.as_str(), "b.test");
    assert_eq!(loaded.config.data, Path::new("/c"));
    assert_eq!(loaded.sources.place("data"), Some("--data"));
}

#[test]
fn variables_set_every_form_of_value() {
    let loaded = load(&Inputs {
        environment: [
            ("AXLE_CLIENT__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("AXLE_FEDERATION__OVERRIDES", "a.test=127.0.0.1:3, b.test:4=127.0.0.1:5"),
            ("AXLE_FEDERATION__LINEARIZED", "false"),
            ("AXLE_LIMITS__DRAIN_SECONDS", "3"),
            ("AXLE_FEDERATION__ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        ..Inputs::default()
    })
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.client.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.federation.overrides["b.test:4"], "127.0.0.1:5".parse().unwrap());
    assert!(!config.federation.linearized);
    assert_eq!(config.limits.drain_seconds, 3);
    assert_eq!(config.federation.allowed_networks.len(), 1);
}

#[test]
fn an_unknown_key_is_refused_with_what_was_meant() {
    assert_eq!(
        message(from_file("# a comment\n\n[client]\nlisten = []\ntls_certficate = 'x'\n")),
        "DIR/axle.toml, line 5: there is no option \"tls_certficate\" in the section [client]\n  \
         Did you mean tls_certificate?"
    );
    assert_eq!(
        message(from_file("[fedration]\nlisten = []\n")),
        "DIR/axle.toml, line 1: there is no option or section \"fedration\"\n  Did you mean [federation]?"
    );
    assert_eq!(
        message(from_file("linearized = true\n")),
        "DIR/axle.toml, line 1: there is no option or section \"linearized\"\n  \
         Write linearized = false (in the section [federation])"
    );
    assert_eq!(
        message(from_file("client = 5\n")),
        "DIR/axle.toml, line 1: client is a section, not an option\n  \
         Write [client] in a line of its own, and the section's options below it."
    );
}

#[test]
fn a_wrong_value_is_refused_with_what_to_write() {
    assert_eq!(
        message(from_file("server_name = \"127.0.0.1\"\n")),
        "DIR/axle.toml, line 1: server_name: not a valid server name: an IP address is not a server name\n  \
         Write server_name = \"example.org\""
    );
    assert_eq!(
        message(from_file("[client]\nlisten = [\n  \"127.0.0.1:8008\",\n  \"nowhere\",\n]\n")),
        "DIR/axle.toml, line 4: client.listen: invalid socket address syntax\n  \
         Write listen = [\"127.0.0.1:8008\"] (in the section [client])"
    );
    assert!(
        message(from_file("[registration]\nmode = 'opne'\n")).contains("line 2: registration.mode: unknown variant")
    );
    assert!(message(from_file("[rooms]\ndefault_version = '99'\n")).contains("those are I.1, org.matrix"));
    assert!(message(from_file("[limits]\ndrain_seconds = -1\n")).contains("line 2: limits.drain_seconds: "));
    assert!(message(from_file("server_name = \n")).starts_with("DIR/axle.toml, line 1: "));
    assert!(message(from_file("data = 'a'\ndata = 'b'\n")).starts_with("DIR/axle.toml, line 2: "));
}

#[test]
fn a_wrong_variable_is_refused_with_what_to_write() {
    assert_eq!(
        message(from_environment("AXLE_LIMITS__DRAIN_SECONDS", "soon")),
        "the environment variable AXLE_LIMITS__DRAIN_SECONDS: \"soon\" is not a whole number\n  \
         Write for example AXLE_LIMITS__DRAIN_SECONDS=10"
    );
    assert!(message(from_environment("AXLE_CLIENT__LISTNE", "x")).contains("Did you mean AXLE_CLIENT__LISTEN?"));
    assert!(
        message(from_environment("AXLE_FEDERATION__OVERRIDES", "a.test"))
            .contains("AXLE_FEDERATION__OVERRIDES=example.org=10.1.2.3:8448")
    );
    let unused = from_environment("AXLE_SERVERNAME", "a.test").unwrap();
    assert_eq!(
        unused.warnings,
        ["the environment variable AXLE_SERVERNAME sets nothing; did you mean AXLE_SERVER_NAME?"]
    );
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    assert_eq!(
        message(from_file("[federation]\nlisten = ['127.0.0.1:0']\n")),
        "DIR/axle.toml, line 2: federation.listen: federation needs a TLS certificate\n  \
         Set federation.tls_certificate and federation.tls_key, or federation.plain_http = true if a proxy in front \
         does TLS."
    );
    assert!(message(from_file("[client]\ntls_key = 'k'\n")).contains("client.tls_certificate must be set as well"));
    assert!(message(from_file("[client]\nlisten = []\n")).contains("line 2: client.listen: there is no address"));
    assert!(message(from_file("[client]\npublic_url = 'example.org'\n")).contains("not an http or https URL"));
    assert!(message(from_file("[client]\nsupport_page = 'help'\n")).contains("not an http or https URL"));
    assert!(message(from_file("[client]\nsupport_admins = ['admin']\n")).contains("nor a mail address"));
    assert!(message(from_file("[limits]\nheader_bytes = 100\n")).contains("less than 8192"));
    assert!(message(from_file("[limits]\nmax_connections = 0\n")).contains("at least 1"));
    assert!(message(from_file("[client]\naccess_token_lifetime_seconds = 0\n")).contains("at least 1"));
    assert!(message(from_file("[registration]\nshared_secret = ''\n")).contains("a secret that everybody knows"));
}

#[test]
fn a_missing_file_is_refused() {
    let missing = load(&Inputs { file: Some("/nowhere/axle.toml".into()), ..Inputs::default() });
    assert!(message(missing).starts_with("/nowhere/axle.toml: cannot be read: "));
}

/// The keys of a configuration as the structs have them.
fn keys_of_the_structs() -> Vec<String> {
    let value = serde_json::to_value(Config::default()).unwrap();
    let mut keys = Vec::new();
    for (name, value) in value.as_object().unwrap() {
        match value.as_object() {
            Some(section) => keys.extend(section.keys().map(|inner| format!("{name}.{inner}"))),
            None => keys.push(name.clone()),
        }
    }
    keys.sort();
    keys
}

#[test]
fn every_option_is_described_and_its_example_works() {
    let mut described: Vec<_> = OPTIONS.iter().map(|option| option.key.to_owned()).collect();
    described.sort();
    assert_eq!(described, keys_of_the_structs());
    for option in OPTIONS {
        let (section, name) = option.split();
        let line = format!("{name} = {}", option.example);
        let text = section.map_or_else(|| line.clone(), |section| format!("[{section}]\n{line}\n"));
        // Some options need others beside them; the value itself must be one that the option can have.
        toml::from_str::<Config>(&text).unwrap_or_else(|error| panic!("{}: {error}", option.key));
    }
}

#[test]
fn the_reference_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == reference(), "run UPDATE_DOCS=1 cargo test -p axle-server --test config, and commit docs/");
    let sample = written.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    toml::from_str::<Config>(sample).unwrap();
}
