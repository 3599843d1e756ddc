//! URIs that clients name ("client_uri and relationship with other URIs" and "Redirect URI validation" in Matrix's
//! specification).
//!
//! Only a plain form of URIs is taken, which everybody reads alike: what is compared here is what a browser goes to.

/// Hosts that are this machine, whichever it is.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// Printable characters of ASCII that stand in no URI.
const NEVER: &str = "\"<>\\^`{|}";

/// An `http` or `https` URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WebUri<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    /// With its colon, if there is one.
    port: &'a str,
    /// Path, query and fragment.
    rest: &'a str,
}

impl<'a> WebUri<'a> {
    /// `None`: it is no such URI, or has a user or a password.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, after) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let authority = after.split(['/', '?', '#']).next()?;
        let rest = after.strip_prefix(authority)?;
        let host_end = if authority.starts_with('[') {
            authority.find(']')? + 1
        } else {
            authority.find(':').unwrap_or(authority.len())
        };
        let (host, port) = authority.split_at_checked(host_end)?;
        let is_name = |host: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
            !host.is_empty() && host.bytes().all(plain) && !host.starts_with('.') && !host.ends_with('.')
        };
        let is_port = |port: &str| port.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok());
        let is_good =
            is_plain(text) && (LOOPBACK.contains(&host) || is_name(host)) && (port.is_empty() || is_port(port));
        is_good.then_some(Self { scheme, host, port, rest })
    }

    /// Whether it is on the host of another or below it.
    pub(super) fn is_based_on(&self, host: &str) -> bool {
        let below = self.host.strip_suffix(host).is_some_and(|rest| rest.ends_with('.') || rest.is_empty());
        self.scheme == "https" && below
    }

    /// Scheme, host and port: where it leads, for people and for a browser's rules.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.port)
    }

    fn is_loopback(&self) -> bool {
        self.scheme == "http" && LOOPBACK.contains(&self.host)
    }
}

/// The host that a client is from, if its `client_uri` is one that can be trusted to say so.
pub(super) fn client_host(uri: &str) -> Option<&str> {
    let uri = WebUri::parse(uri).filter(|uri| uri.scheme == "https")?;
    // A whole top-level domain is nobody's.
    (uri.host.contains('.') || uri.host == "localhost").then_some(uri.host)
}

/// Whether a client from this host may have its users sent to a URI.
pub(super) fn may_redirect(host: &str, is_native: bool, uri: &str) -> bool {
    if uri.contains('#') {
        return false;
    }
    match WebUri::parse(uri) {
        Some(web) if web.is_loopback() => is_native && web.port.is_empty(),
        Some(web) => web.is_based_on(host),
        None => is_native && is_private_use(host, uri),
    }
}

/// Whether a redirect URI is a registered one. On the loopback interface any port will do.
pub(super) fn is_registered(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    let without_port = |uri: &str| {
        WebUri::parse(uri).filter(WebUri::is_loopback).map(|web| format!("http://{}{}", web.host, web.rest))
    };
    without_port(registered).is_some_and(|known| without_port(asked) == Some(known))
}

/// Where a browser may be sent by the answer to a form, as a source in a Content-Security-Policy.
pub(super) fn source(redirect_uri: &str) -> String {
    match WebUri::parse(redirect_uri) {
        // A policy has no way to write such an address.
        Some(web) if web.host.starts_with('[') => "http:".into(),
        Some(web) => web.origin(),
        None => format!("{}:", redirect_uri.split(':').next().unwrap_or_default()),
    }
}

/// Whether it has a scheme of the client's own, `com.example.app:/path` for a client from `example.com`.
fn is_private_use(host: &str, uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let reversed = host.rsplit('.').collect::<Vec<_>>().join(".");
    let is_own = scheme.strip_prefix(&reversed).is_some_and(|more| more.is_empty() || more.starts_with('.'));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-+".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase()) && scheme.bytes().all(plain);
    is_plain(uri) && is_own && is_scheme && host.contains('.') && !rest.starts_with("//")
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !NEVER.as_bytes().contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_from_a_host() {
        assert_eq!(client_host("https://example.com/"), Some("example.com"));
        assert_eq!(client_host("https://app.example.com:8443/about?x"), Some("app.example.com"));
        for bad in [
            "http://example.com/",
            "https://com/",
            "https://a@example.com/",
            "https://example.com@evil.org/",
            "example.com",
            "https://",
            "https:///x",
            "https://exa mple.com",
            "https://example.com\\@evil.org",
            "https://Example.com",
            "https://example.com:port/",
            "https://.com/",
            "javascript:alert(1)",
            "https://[::2]/",
        ] {
            assert_eq!(client_host(bad), None, "{bad}");
        }
    }

    #[test]
    fn web_clients_are_sent_to_their_own_host() {
        for good in [
            "https://example.com/callback",
            "https://app.example.com/callback",
            "https://example.com:5173/?query=value",
        ] {
            assert!(may_redirect("example.com", false, good), "{good}");
        }
        for bad in [
            "https://example.com/callback#fragment",
            "http://example.com/callback",
            "http://localhost/",
            "https://badexample.com/",
            "https://example.com.evil.org/",
            "https://u@example.com/",
            "com.example:/x",
        ] {
            assert!(!may_redirect("example.com", false, bad), "{bad}");
        }
    }

    #[test]
    fn native_clients_may_have_schemes_and_ports_of_their_own() {
        for good in [
            "com.example.app:/callback",
            "com.example:/",
            "com.example:callback",
            "http://localhost/callback",
            "http://127.0.0.1/callback",
            "http://[::1]/callback",
            "https://example.com/callback",
        ] {
            assert!(may_redirect("example.com", true, good), "{good}");
        }
        for bad in [
            "example:/callback",
            "com.example.app://callback",
            "https://localhost/callback",
            "http://localhost:1234/callback",
            "com.examples:/x",
            "http://10.0.0.1/",
            "javascript:alert(1)",
            "com.example:/x y",
            "com.example:/x#y",
        ] {
            assert!(!may_redirect("example.com", true, bad), "{bad}");
        }
        assert!(is_registered("http://127.0.0.1/cb?x", "http://127.0.0.1:4000/cb?x"));
        assert!(!is_registered("http://127.0.0.1/cb", "http://127.0.0.1:4000/other"));
        assert!(!is_registered("http://127.0.0.1/cb", "http://localhost:4000/cb"));
        assert!(!is_registered("https://example.com/cb", "https://example.com:444/cb"));
        assert_eq!(source("com.example.app:/cb"), "com.example.app:");
        assert_eq!(source("https://example.com:1/cb?x"), "https://example.com:1");
        assert_eq!(source("http://[::1]:5/cb"), "http:");
    }
}
