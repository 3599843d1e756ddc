//! Asking for what a URL leads to, through redirects.

use axle_protocol::MatrixError;
use bytes::Bytes;
use url::Url;

use super::{check, is_denied};
use crate::error::ApiResult;
use crate::service::WebAnswer;
use crate::state::Api;

/// What is asked for when a page is wanted.
pub(super) const PAGES: &str = "text/html,application/xhtml+xml,image/*;q=0.8,*/*;q=0.5";
/// And a picture.
pub(super) const PICTURES: &str = "image/png,image/jpeg,image/webp,image/gif;q=0.9,image/*;q=0.5";
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// What a URL leads to.
pub(super) struct Found {
    /// Where it is in the end.
    pub(super) url: Url,
    pub(super) content_type: Option<String>,
    /// The beginning of it.
    pub(super) body: Bytes,
    /// Whether that is all.
    pub(super) is_whole: bool,
}

impl Found {
    /// Whether it says that it is a picture.
    pub(super) fn is_picture(&self) -> bool {
        self.essence().is_some_and(|essence| essence.starts_with("image/"))
    }

    /// Whether it says that it is a page, or says nothing.
    pub(super) fn is_page(&self) -> bool {
        self.essence().is_none_or(|essence| matches!(&*essence, "text/html" | "application/xhtml+xml"))
    }

    fn essence(&self) -> Option<String> {
        let content_type = self.content_type.as_deref()?;
        Some(content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }
}

/// Asks for a URL. Reads `max_bytes` of it at most.
pub(super) async fn fetch(api: &Api, url: &Url, accept: &'static str, max_bytes: usize) -> ApiResult<Found> {
    let failed = |why: &str| MatrixError::bad_gateway(why);
    let mut url = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        check(&url).map_err(failed)?;
        if api.config.url_previews.as_ref().is_none_or(|config| is_denied(config, &url)) {
            return Err(failed("it leads to what is denied").into());
        }
        let answer = api.web.get(url.as_str(), accept, max_bytes).await.map_err(|error| failed(&error))?;
        let WebAnswer { status, location, content_type, content_encoding, body, is_whole } = answer;
        match (status, location) {
            (200..=299, _) if content_encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity")) => {
                return Ok(Found { url, content_type, body, is_whole });
            }
            (200..=299, _) => return Err(failed("it is compressed all the same").into()),
            (300..=399, Some(location)) => {
                url = url.join(&location).map_err(|_| failed("it redirects to no URL"))?;
                url.set_fragment(None);
            }
            _ => return Err(failed(&format!("it answers {status}")).into()),
        }
    }
    Err(failed("it redirects too often").into())
}
