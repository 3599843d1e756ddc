//! Pages for people: plain HTML that needs no scripts.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::url;
use crate::error::ApiResult;
use crate::state::Api;

/// How they look.
pub(crate) const STYLE: &str = "\
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }
body { max-width: 26rem; margin: 3rem auto; padding: 0 1rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input, button { padding: .5rem; margin: .25rem 0 1rem }
button { cursor: pointer }
.error { border-left: .25rem solid #c00; padding-left: .75rem }
code { font-size: 1.1em }
li { margin-bottom: 1rem }
";

/// A page. Whatever comes from elsewhere has to be [escaped](escape) before it is put in.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) title: &'static str,
    pub(crate) status: StatusCode,
    /// HTML.
    pub(crate) body: String,
    /// Where the answer to a form may lead beside this server.
    pub(crate) leads_to: Option<String>,
}

impl Page {
    /// A page with this text.
    pub(crate) fn new(title: &'static str, body: String) -> Self {
        Self { title, status: StatusCode::OK, body, leads_to: None }
    }

    /// Something that went wrong.
    pub(crate) fn problem(text: &str) -> Self {
        let body = format!("<p class=\"error\">{}</p>", escape(text));
        Self { status: StatusCode::BAD_REQUEST, ..Self::new("This did not work", body) }
    }

    /// As it is answered.
    pub(crate) fn respond(self, api: &Api) -> ApiResult<Response> {
        let style = escape(&url(api, "/oauth2/style.css")?);
        let Self { title, status, body, leads_to } = self;
        let style = format!("<link rel=\"stylesheet\" href=\"{style}\">");
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
            leads_to.unwrap_or_default()
        );
        Ok(answer(status, &document(title, &style, &body), &policy))
    }
}

/// A page in HTML. `head` and `body` are HTML, too.
pub(crate) fn document(title: &'static str, head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n{head}\n</head>\n<body>\n\
         <h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
}

/// A page as it is answered, with its content security policy. Nobody may frame it, keep it, or learn from it where the
/// user came from.
pub(crate) fn answer(status: StatusCode, html: &str, policy: &str) -> Response {
    let mut response = Response::new(Body::from(html.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What leads elsewhere was checked to be a plain URI: this cannot fail.
    let policy = HeaderValue::from_str(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    headers.insert(HeaderName::from_static("content-security-policy"), policy);
    response
}

/// Text as HTML, also between quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
