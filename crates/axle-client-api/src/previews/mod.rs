//! Previews of URLs: what a page says of itself, and a picture of it ("Content repository", `preview_url`).
//!
//! Whoever is logged in can have this server ask for any URL, and what answers may be hostile. So the addresses that a name
//! leads to are checked at each step (behind [`Web`](crate::Web)), what is read, followed and done at once is bounded, HTML
//! is read by a tokenizer without unsafe code that keeps nothing of the document, and pictures by a process of their own.

mod fetch;
mod page;
mod pattern;
mod picture;

use std::time::Duration;

use axle_protocol::{MatrixError, UserId};
use axle_store::UrlPreview;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use crate::config::UrlPreviewConfig;
use crate::error::{ApiError, ApiResult};
use crate::state::{Api, now_ms};
use crate::turns::Turns;
use crate::under_way::UnderWay;

pub use pattern::{UrlPattern, UrlPatternError};

use page::Page;
use picture::Picture;

/// The longest URL that is asked for.
const MAX_URL_BYTES: usize = 2048;
/// What came of a URL is good for so many milliseconds: an hour.
const FRESH_MS: i64 = 3600 * 1000;
/// Previews that are made at once; more wait. Likewise those from one host.
const MAX_AT_ONCE: usize = 8;
const MAX_AT_ONCE_OF_HOST: usize = 2;
/// Those that one user has begun; more of theirs wait.
const MAX_AT_ONCE_OF_USER: usize = 4;
/// Previews that are made or wait for that; more are refused.
const MAX_UNDER_WAY: usize = 200;
/// A preview that takes longer, from when it is its turn, is given up.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Previews that are being made.
pub(crate) struct Previews {
    under_way: UnderWay<String, Result<UrlPreview, MatrixError>>,
    turns: Turns<String>,
    /// So that nobody has all the turns.
    user_turns: Turns<UserId>,
}

impl Default for Previews {
    fn default() -> Self {
        Self {
            under_way: UnderWay::new(MAX_UNDER_WAY),
            turns: Turns::new(MAX_AT_ONCE, MAX_AT_ONCE_OF_HOST),
            user_turns: Turns::new(MAX_UNDER_WAY, MAX_AT_ONCE_OF_USER),
        }
    }
}

/// What a URL leads to, as OpenGraph has it; it may be empty. 404 `M_UNRECOGNIZED` if there are no previews, 400
/// `M_INVALID_PARAM` for what is no URL of the web, 403 `M_FORBIDDEN` for what the operator denies, 502 `M_UNKNOWN` for what
/// cannot be had.
pub(crate) async fn preview(api: &Api, user_id: &UserId, url: &str) -> ApiResult<Box<RawValue>> {
    let Some(config) = &api.config.url_previews else {
        return Err(MatrixError::unrecognized("This server makes no previews of URLs.").into());
    };
    let url = parse(url)?;
    if is_denied(config, &url) {
        return Err(MatrixError::forbidden("This server makes no previews of this URL.").into());
    }
    let preview = match fresh(api, &url).await? {
        Some(known) => known,
        None => {
            api.limits.changes.take(user_id.as_str())?;
            let turn = api.previews.user_turns.take(user_id).await?;
            let make = || {
                let (api, url) = (api.clone(), url.clone());
                async move {
                    let _turn = turn;
                    make(&api, &url).await.map_err(ApiError::into_matrix_error)
                }
            };
            api.previews.under_way.share(&api.background, url.to_string(), make).await??
        }
    };
    // Where it leads to is not told apart from where nothing answers: it may be in the operator's own network.
    let answer = preview.answer.ok_or_else(|| MatrixError::bad_gateway("There is no page to be had at this URL."))?;
    Ok(RawValue::from_string(answer).map_err(|_| MatrixError::unknown("The preview is damaged."))?)
}

/// A URL that may be asked for, whatever it leads to: of HTTP, and without a password.
fn parse(url: &str) -> Result<Url, MatrixError> {
    let refused = |why: &str| MatrixError::invalid_param(format!("There is no preview of this URL: {why}."));
    if url.len() > MAX_URL_BYTES {
        return Err(refused("it is too long"));
    }
    let mut url = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
    // The same page.
    url.set_fragment(None);
    check(&url).map_err(refused)?;
    Ok(url)
}

/// Why a URL is not asked for.
fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it is not of the web");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user name or a password in it");
    }
    // Below are the ports of other protocols, which may take a request for something else.
    match url.port() {
        Some(port @ 1..=1023) if port != 80 && port != 443 => Err("this is no port of the web"),
        Some(0) => Err("this is no port"),
        _ => Ok(()),
    }
}

fn is_denied(config: &UrlPreviewConfig, url: &Url) -> bool {
    config.denied.iter().any(|pattern| pattern.matches(url))
}

/// What came of it less than an hour ago.
async fn fresh(api: &Api, url: &Url) -> ApiResult<Option<UrlPreview>> {
    let known = api.store.url_preview(url.as_str()).await?;
    Ok(known.filter(|known| (0..FRESH_MS).contains(&now_ms().saturating_sub(known.fetched_ts))))
}

/// Makes a preview and keeps what comes of it, also if that is nothing.
async fn make(api: &Api, url: &Url) -> ApiResult<UrlPreview> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let _turn = api.previews.turns.take(&host).await?;
    // Another one may have been made between the look into the store and the entry in the list.
    if let Some(known) = fresh(api, url).await? {
        return Ok(known);
    }
    let before = api.store.url_preview(url.as_str()).await?.and_then(|known| known.picture);
    let fetched_ts = now_ms();
    let described = tokio::time::timeout(MAX_TIME, describe(api, url, before.as_deref())).await;
    let described = described.unwrap_or_else(|_| Err(MatrixError::gateway_timeout("it took too long").into()));
    let preview = match described {
        Ok((fields, picture)) => {
            let answer = Some(Value::Object(fields).to_string());
            UrlPreview { fetched_ts, answer, picture: picture.map(|picture| picture.media_id) }
        }
        Err(error) => {
            tracing::debug!(host, error = %error.into_matrix_error(), "there is no preview");
            UrlPreview { fetched_ts, answer: None, picture: None }
        }
    };
    api.store.put_url_preview(url.as_str(), preview.clone()).await?;
    Ok(preview)
}

/// What there is to tell of a URL. `before` is the picture that it had the last time.
async fn describe(api: &Api, url: &Url, before: Option<&str>) -> ApiResult<(Map<String, Value>, Option<Picture>)> {
    let found = fetch::fetch(api, url, fetch::PAGES, page::MAX_BYTES).await?;
    if found.is_picture() {
        let picture = match found.is_whole {
            true => picture::keep(api, found.body, before).await?,
            false => picture::fetch(api, &found.url, before).await?,
        };
        let name = found.url.path_segments().and_then(|mut segments| segments.next_back().map(str::to_owned));
        let mut fields = Map::new();
        if let Some(name) = name.filter(|name| !name.is_empty() && picture.is_some()) {
            fields.insert("og:title".into(), name.into());
        }
        return Ok((with_picture(fields, picture.as_ref()), picture));
    }
    if !found.is_page() {
        return Ok((Map::new(), None));
    }
    let Page { fields, picture } = page::read_apart(found.body, found.content_type).await?;
    // A page without its picture is better than none.
    let picture = match picture.and_then(|picture| found.url.join(&picture).ok()) {
        Some(url) => picture::fetch(api, &url, before).await.unwrap_or_default(),
        None => None,
    };
    Ok((with_picture(fields, picture.as_ref()), picture))
}

fn with_picture(mut fields: Map<String, Value>, picture: Option<&Picture>) -> Map<String, Value> {
    if let Some(picture) = picture {
        fields.extend(picture.fields.clone());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_is_asked() {
        for url in ["http://example.org", "https://example.org:8443/a?b=c#d", "http://[2001:db8::1]:8080/"] {
            parse(url).unwrap();
        }
        for url in [
            "example.org",
            "ftp://example.org/",
            "file:///etc/passwd",
            "data:text/html,x",
            "javascript:alert(1)",
            "http://",
            "http://user@example.org/",
            "http://:secret@example.org/",
            "http://example.org:25/",
            "http://example.org:0/",
            "http://exa mple.org/",
        ] {
            assert_eq!(parse(url).unwrap_err().errcode, "M_INVALID_PARAM", "{url}");
        }
        assert!(parse(&format!("http://example.org/{}", "x".repeat(MAX_URL_BYTES))).is_err());
        assert_eq!(parse("HTTP://EXAMPLE.org:80#x").unwrap().as_str(), "http://example.org/");
    }
}
