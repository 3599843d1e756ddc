//! What an operator does not want previews of.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// URLs of a host and of those below it: `example.org`, or only those whose path begins so: `example.org/private`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPattern {
    host: Host,
    /// With the slash that it begins with.
    path: String,
}

/// Why a string is not a [`UrlPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host: write it as example.org, 192.0.2.1 or example.org/path")]
pub struct UrlPatternError(String);

impl UrlPattern {
    pub(super) fn matches(&self, url: &Url) -> bool {
        let is_host = match (&self.host, url.host()) {
            (Host::Domain(of), Some(Host::Domain(domain))) => {
                // The dot at the end changes nothing.
                let above = domain.strip_suffix('.').unwrap_or(domain).strip_suffix(of.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (of, Some(host)) => *of == host.to_owned(),
            (_, None) => false,
        };
        is_host && url.path().starts_with(&self.path)
    }
}

impl FromStr for UrlPattern {
    type Err = UrlPatternError;

    fn from_str(text: &str) -> Result<Self, UrlPatternError> {
        let error = || UrlPatternError(text.to_owned());
        // As a URL, so that host and path are written as those of URLs are.
        let url = Url::parse(&format!("http://{text}")).map_err(|_| error())?;
        let host = url.host().ok_or_else(error)?.to_owned();
        // The port that is usual is not in a URL any more.
        let authority = text.split('/').next().unwrap_or_default();
        let has_port = authority.rsplit(']').next().is_some_and(|after| after.contains(':'));
        let is_plain = !has_port && url.username().is_empty() && url.password().is_none();
        match is_plain && url.query().is_none() && url.fragment().is_none() && !text.starts_with('/') {
            true => Ok(Self { host, path: url.path().to_owned() }),
            false => Err(error()),
        }
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{}{path}", self.host)
    }
}

impl serde::Serialize for UrlPattern {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for UrlPattern {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, url: &str) -> bool {
        pattern.parse::<UrlPattern>().unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn hosts_and_what_is_below_them() {
        for url in ["https://example.org/", "http://a.b.EXAMPLE.org:8080/x", "https://example.org./"] {
            assert!(matches("Example.org", url), "{url}");
        }
        for url in ["https://notexample.org/", "https://example.org.evil.net/", "https://org/", "https://192.0.2.1/"] {
            assert!(!matches("example.org", url), "{url}");
        }
        assert!(matches("192.0.2.1", "http://0xc0000201/") && !matches("192.0.2.1", "http://192.0.2.11/"));
        assert!(matches("[2001:db8::1]", "http://[2001:db8:0::1]:8080/x"));
    }

    #[test]
    fn paths_by_how_they_begin() {
        assert!(matches("example.org/private", "https://example.org/private/x?y"));
        assert!(matches("example.org/private", "https://example.org/a/../private"));
        assert!(!matches("example.org/private", "https://example.org/public/private"));
    }

    #[test]
    fn only_hosts_and_paths_are_patterns() {
        for text in ["example.org", "example.org/a", "192.0.2.1", "[2001:db8::1]"] {
            assert_eq!(text.parse::<UrlPattern>().unwrap().to_string(), text);
        }
        for text in ["", "/", "//x", "https://example.org", "example.org:80", "a@b", "example.org?x", "a b", "*.org:x"]
        {
            assert!(text.parse::<UrlPattern>().is_err(), "{text}");
        }
    }
}
