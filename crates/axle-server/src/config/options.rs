//! Every option by its key: what it is for, what form it has, and an example.

/// What form an option's value has. Decides how an environment variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Strings; in a variable separated by commas.
    List,
    /// Names with strings; in a variable `name=value`, separated by commas.
    Table,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionInfo {
    /// With its section: `client.listen`.
    pub key: &'static str,
    /// Its form.
    pub kind: Kind,
    /// A value to copy, in TOML.
    pub example: &'static str,
    /// For people who set it.
    pub text: &'static str,
}

impl OptionInfo {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("AXLE_{}", self.key.replace('.', "__").to_uppercase())
    }

    /// The section, if it has one, and the name in it.
    pub fn split(&self) -> (Option<&'static str>, &'static str) {
        match self.key.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.key),
        }
    }

    /// The option with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        OPTIONS.iter().find(|option| option.key == key)
    }

    /// The line to write in a file.
    pub(super) fn line(&self) -> String {
        match self.split() {
            (Some(section), name) => format!("{name} = {} (in the section [{section}])", self.example),
            (None, name) => format!("{name} = {}", self.example),
        }
    }
}

const fn option(key: &'static str, kind: Kind, example: &'static str, text: &'static str) -> OptionInfo {
    OptionInfo { key, kind, example, text }
}

/// All options, in the order of the reference.
pub const OPTIONS: &[OptionInfo] = &[
    option(
        "server_name",
        Kind::Text,
        r#""example.org""#,
        "The part of user ids after the colon, and the name that other servers know this one by: a host name, with a \
         port if federation is not found by `.well-known`, SRV or port 8448. Not an IP address. It is fixed when the \
         data folder is made: users and rooms carry it.",
    ),
    option(
        "data",
        Kind::Text,
        r#""/var/lib/axle""#,
        "The folder that holds everything the server keeps: database, media, signing keys, admin socket. Made if it is \
         not there. Relative paths, here and below, start at the working directory.",
    ),
    option(
        "client.listen",
        Kind::List,
        r#"["127.0.0.1:8008"]"#,
        "Addresses that serve the client-server API. Port 0 takes any free port.",
    ),
    option(
        "client.tls_certificate",
        Kind::Text,
        r#""/etc/axle/client.pem""#,
        "PEM file with the certificate chain of the client listeners. Without one they speak plain HTTP, for use on \
         this machine or behind a proxy. Read again when it changes and on SIGHUP.",
    ),
    option("client.tls_key", Kind::Text, r#""/etc/axle/client.key""#, "PEM file with the certificate's private key."),
    option(
        "client.public_url",
        Kind::Text,
        r#""https://chat.example.org""#,
        "Where clients reach this server, if that is not a listener's own address. Published at \
         `/.well-known/matrix/client`.",
    ),
    option(
        "client.support_page",
        Kind::Text,
        r#""https://example.org/help""#,
        "A page with help for users of this server. Published at `/.well-known/matrix/support`, with the contacts.",
    ),
    option(
        "client.support_admins",
        Kind::List,
        r#"["@admin:example.org", "admin@example.org"]"#,
        "Who runs this server: Matrix ids, also of other servers, and mail addresses. Published at \
         `/.well-known/matrix/support`.",
    ),
    option(
        "client.support_security",
        Kind::List,
        r#"["security@example.org"]"#,
        "Who is to be told of what endangers this server or its users, likewise.",
    ),
    option(
        "client.oauth",
        Kind::Switch,
        "false",
        "Let clients log in by OAuth 2.0, on pages that this server shows under `/oauth2`; clients that can prefer it to \
         asking for the password themselves. Only if `client.public_url` is set. A proxy in front has to pass \
         `/_matrix`, `/oauth2` and `/.well-known` on.",
    ),
    option(
        "client.trusted_proxies",
        Kind::List,
        r#"["127.0.0.1"]"#,
        "Networks of proxies in front of the client listeners. Their `X-Forwarded-For` says who the client is, for \
         rate limits; without this a proxy's clients count as one.",
    ),
    option(
        "client.serve_federation",
        Kind::Switch,
        "true",
        "Serve federation on the client listeners as well, for one proxy in front of both.",
    ),
    option(
        "client.access_token_lifetime_seconds",
        Kind::Number,
        "3600",
        "How long an access token is good. Only those of clients that asked for a refresh token end; others are good \
         until the device is logged out.",
    ),
    option(
        "federation.listen",
        Kind::List,
        r#"["0.0.0.0:8448"]"#,
        "Addresses that serve federation. With none, and without `client.serve_federation`, other servers cannot reach \
         this one: federation is off.",
    ),
    option(
        "federation.tls_certificate",
        Kind::Text,
        r#""/etc/axle/federation.pem""#,
        "PEM file with the certificate chain for the server name. Read again when it changes and on SIGHUP.",
    ),
    option(
        "federation.tls_key",
        Kind::Text,
        r#""/etc/axle/federation.key""#,
        "PEM file with the certificate's private key.",
    ),
    option(
        "federation.plain_http",
        Kind::Switch,
        "true",
        "Let the federation listeners speak plain HTTP: behind a proxy that does TLS, or in a test network.",
    ),
    option(
        "federation.ca_file",
        Kind::Text,
        r#""/etc/axle/ca.pem""#,
        "PEM file with certificate authorities to trust beside the system's, for private networks.",
    ),
    option(
        "federation.allowed_networks",
        Kind::List,
        r#"["10.0.0.0/8"]"#,
        "Federation never connects to loopback, private or otherwise special addresses, except those in these networks.",
    ),
    option(
        "federation.plain_http_peers",
        Kind::List,
        r#"["localhost:3000"]"#,
        "Servers that are spoken to by plain HTTP. For tests only.",
    ),
    option(
        "federation.overrides",
        Kind::Table,
        r#"{ "example.org" = "10.1.2.3:8448" }"#,
        "Where to find servers that are not to be looked up: server name to `address:port`. The certificate is still \
         checked against the server name.",
    ),
    option(
        "federation.linearized",
        Kind::Switch,
        "false",
        "Publish `m.linearized`, which says that this server speaks Linearized Matrix only. Turn it off towards a \
         Synapse that speaks both: it takes events from a server that says so for unfinished ones.",
    ),
    option(
        "federation.notaries",
        Kind::List,
        r#"["matrix.org"]"#,
        "Servers that are asked for the keys of servers that do not answer.",
    ),
    option(
        "federation.well_known",
        Kind::Text,
        r#""axle.example.org:443""#,
        "What to answer at `/.well-known/matrix/server`, for a server name whose host serves this server on another \
         port or under another name.",
    ),
    option(
        "federation.allow_profile_lookup",
        Kind::Switch,
        "false",
        "Tell other servers names, pictures and the rest of the profiles of users when they ask. Rooms tell their members' \
         names and pictures in any case.",
    ),
    option(
        "federation.allow_public_rooms",
        Kind::Switch,
        "true",
        "Tell other servers the list of rooms when they ask, for their users to search in it.",
    ),
    option(
        "registration.mode",
        Kind::Text,
        r#""token""#,
        "Who may register: `open` (anybody, also as a guest), `token` (who has a token, made with \
         `axle admin create-token`), `closed` (nobody; \
         `axle admin create-user` makes accounts).",
    ),
    option(
        "registration.shared_secret",
        Kind::Text,
        r#""a long random text""#,
        "Who knows it can make accounts, administrators too, whatever the mode: by `/_synapse/admin/v1/register`, as \
         Synapse has it, so that its tools work. Without it there is no such endpoint.",
    ),
    option(
        "rooms.default_version",
        Kind::Text,
        r#""org.matrix.i-d.ralston-mimi-linearized-matrix.02""#,
        "The room version of new rooms whose creator names none.",
    ),
    option(
        "media.max_upload_bytes",
        Kind::Number,
        "52428800",
        "The largest file that a user may upload, in bytes. A proxy in front has a limit of its own.",
    ),
    option(
        "media.quota_bytes_per_user",
        Kind::Number,
        "1073741824",
        "How many bytes all uploads of one user may have. Without it there is no limit but the disk.",
    ),
    option(
        "media.max_remote_bytes",
        Kind::Number,
        "52428800",
        "The largest file that is fetched from another server, in bytes.",
    ),
    option(
        "media.remote_cache_bytes",
        Kind::Number,
        "1073741824",
        "How many bytes all files that were fetched from other servers may have. Beyond that, those go that nobody has \
         asked for the longest; if somebody asks again, they are fetched again.",
    ),
    option(
        "media.remote_retention_days",
        Kind::Number,
        "30",
        "A file that was fetched from another server goes when nobody has asked for it for so many days. 0 keeps it, as \
         long as there is room for it.",
    ),
    option(
        "url_previews.enabled",
        Kind::Switch,
        "true",
        "Show users what a link in a message leads to: this server asks for the page, tells its title and description, and \
         keeps its picture. Off unless you turn it on, because users, and whoever writes to them, then choose what this \
         server asks for and learn its address. Of your own servers, those at public addresses that trust this machine \
         belong into `url_previews.denied`.",
    ),
    option(
        "url_previews.allowed_networks",
        Kind::List,
        r#"["10.7.0.0/16"]"#,
        "Pages are asked for at public addresses only, and in these networks. That holds for each address that a name leads \
         to, after redirects and for pictures, too.",
    ),
    option(
        "url_previews.denied",
        Kind::List,
        r#"["intranet.example.org", "example.org/private"]"#,
        "What nobody gets a preview of: hosts with all that are below them, or only the paths of a host that begin so.",
    ),
    option(
        "push.allowed_networks",
        Kind::List,
        r#"["10.7.0.0/16"]"#,
        "Push gateways are reached at public addresses only, and in these networks. Their URLs come from users. With \
         loopback among them, gateways on this machine may have `http` URLs; others always need `https`.",
    ),
    option(
        "presence.enabled",
        Kind::Switch,
        "false",
        "Tell users, and other servers, who of those they share rooms with is online. Each change wakes clients: on a \
         server with many users in large rooms, turning it off saves work.",
    ),
    option(
        "appservices.registration_files",
        Kind::List,
        r#"["/etc/axle/irc.yaml"]"#,
        "Registration files (YAML) of application services, as bridges write them. Read when the server starts. A \
         service may be anywhere that this machine reaches, on the machine itself too.",
    ),
    option("limits.max_connections", Kind::Number, "10000", "Open connections of one listener; more wait."),
    option(
        "limits.max_connections_per_address",
        Kind::Number,
        "1000",
        "Open connections from one IP address to one listener; more are closed at once. Set it to the value of \
         `max_connections` behind a proxy.",
    ),
    option(
        "limits.header_bytes",
        Kind::Number,
        "65536",
        "The most bytes that a request's header may have, at least 8192.",
    ),
    option(
        "limits.header_timeout_seconds",
        Kind::Number,
        "15",
        "Time for a TLS handshake, and for a request's header to arrive.",
    ),
    option(
        "limits.body_timeout_seconds",
        Kind::Number,
        "60",
        "Time for a request's body to arrive. An upload of media may take longer, as long as 64 KiB arrive in each such \
         time.",
    ),
    option(
        "limits.idle_timeout_seconds",
        Kind::Number,
        "120",
        "A connection without a request, and on which nothing moves, is closed after this time.",
    ),
    option(
        "limits.drain_seconds",
        Kind::Number,
        "10",
        "How long a server that was told to stop waits for requests in flight.",
    ),
    option(
        "rate_limits.enabled",
        Kind::Switch,
        "false",
        "Limit the rate of requests. Turn it off for load tests only.",
    ),
    option(
        "metrics.allowed_networks",
        Kind::List,
        r#"["127.0.0.1/32", "10.9.0.0/16"]"#,
        "Who may read `/_axle/metrics`. A request that came through a proxy (it has `Forwarded` or `X-Forwarded-For`) \
         is always refused.",
    ),
    option(
        "log.format",
        Kind::Text,
        r#""json""#,
        "`text` for people, `json` for one object a line. On standard error.",
    ),
    option(
        "log.filter",
        Kind::Text,
        r#""info,axle_federation=debug""#,
        "What is logged: `error`, `warn`, `info`, `debug` or `trace`, for all or by module.",
    ),
];
