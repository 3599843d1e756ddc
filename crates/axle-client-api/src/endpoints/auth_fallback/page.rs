//! What people see.

use axum::response::Response;
use http::StatusCode;
use ruma::api::client::uiaa::AuthType;
use sha2::{Digest, Sha256};

use crate::oauth::{STYLE, answer, document, escape};

/// Tells the client that opened the page that it can go on, as the specification wants it.
const SCRIPT: &str = "\
if (window.onAuthDone) { window.onAuthDone(); }
else if (window.opener && window.opener.postMessage) { window.opener.postMessage('authDone', '*'); }
";

/// Asks for what the stage needs.
pub(super) fn ask(stage: &AuthType, problem: Option<&str>) -> Response {
    let complaint = problem.map(|problem| format!("<p class=\"error\">{}</p>\n", escape(problem))).unwrap_or_default();
    let fields = fields(stage);
    // Without an address of its own, a form goes to that of its page, which has the session in it.
    let body = format!("{complaint}<form method=\"post\">\n{fields}\n<button>Go on</button>\n</form>");
    let status = if problem.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    respond(status, "Register", "", &body)
}

/// The stage is passed.
pub(super) fn done() -> Response {
    let head = format!("<script>{SCRIPT}</script>");
    respond(
        StatusCode::OK,
        "Thank you",
        &head,
        "<p>This is done. You may close this page and go on in your client.</p>",
    )
}

fn fields(stage: &AuthType) -> &'static str {
    match stage {
        AuthType::RegistrationToken => {
            "<label>Registration token <input name=\"token\" autocomplete=\"off\" required></label>"
        }
        _ => "<p>Nothing more is asked of you.</p>",
    }
}

/// Nothing runs but our script, and nothing is loaded.
fn respond(status: StatusCode, title: &'static str, head: &str, body: &str) -> Response {
    let head = format!("<style>{STYLE}</style>\n{head}");
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    answer(status, &document(title, &head, body), &policy)
}

/// What stands in a page itself, by its hash.
fn source(text: &str) -> String {
    // This has no padding, which the policy needs: 32 bytes have one `=`.
    format!("'sha256-{}='", axle_protocol::base64::encode(Sha256::digest(text.as_bytes())))
}
