//! What a client asks of a user when it sends them to the page of this server (RFC 6749, 4.1.1).

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::parameters::encode;
use super::{Client, Page, Parameters, Scope, find_client, id_token, uri, wants_id_token};
use crate::error::{ApiError, ApiResult};
use crate::state::Api;

/// Letters of a SHA-256 in base64.
const CHALLENGE_LETTERS: usize = 43;
/// The `prompt` of a client whose user has no account yet.
pub(crate) const CREATE: &str = "create";

/// A request that can be put to a user.
#[derive(Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) client: Client,
    pub(crate) scope: Scope,
    pub(crate) challenge: String,
    /// What the client wants to find again in its ID token.
    pub(crate) nonce: Option<String>,
    /// Whom the client thinks it is for.
    pub(crate) hint: Option<String>,
    /// Whether the client sends somebody who wants to make an account ("Authorization code flow" in Matrix's
    /// specification; `prompt` is OpenID Connect's).
    pub(crate) is_new: bool,
    pub(crate) back: Back,
}

/// The way back to the client.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) redirect_uri: String,
    state: Option<String>,
    in_fragment: bool,
}

/// What became of a request.
pub(crate) enum Parsed {
    /// It is good.
    Good(Box<AuthorizationRequest>),
    /// The client is told what is wrong.
    SentBack(Response),
    /// The user is, as it is not known where to send them.
    Refused(Page),
}

impl AuthorizationRequest {
    /// Reads and checks a request.
    pub(crate) async fn parse(api: &Api, parameters: &Parameters) -> ApiResult<Parsed> {
        let client_id = parameters.get("client_id").unwrap_or_default();
        let client = match find_client(api, client_id).await {
            Ok(client) => client,
            Err(ApiError::OAuth(..)) => {
                return Ok(Parsed::Refused(Page::problem("The app that sent you here is not registered.")));
            }
            Err(error) => return Err(error),
        };
        let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
        if !client.has_redirect_uri(redirect_uri) {
            let text = "The app that sent you here wants you to be sent to a place that it has not registered.";
            return Ok(Parsed::Refused(Page::problem(text)));
        }
        let back = Back {
            redirect_uri: redirect_uri.to_owned(),
            state: parameters.get("state").map(str::to_owned),
            in_fragment: parameters.get("response_mode") == Some("fragment"),
        };
        match check(&client, parameters) {
            Ok((scope, challenge, nonce)) => Ok(Parsed::Good(Box::new(Self {
                client_id: client_id.to_owned(),
                client,
                scope,
                challenge,
                nonce,
                hint: parameters.get("login_hint").map(str::to_owned),
                is_new: parameters.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == CREATE)),
                back,
            }))),
            Err((error, description)) => Ok(Parsed::SentBack(back.error(error, description)?)),
        }
    }
}

/// What a good request is for: the scope, the challenge, the nonce.
type Checked = (Scope, String, Option<String>);

fn check(client: &Client, parameters: &Parameters) -> Result<Checked, (&'static str, &'static str)> {
    if parameters.get("response_type") != Some("code") {
        return Err(("unsupported_response_type", "Only the response type code is offered."));
    }
    if !client.may("authorization_code") {
        return Err(("unauthorized_client", "The client has not registered for authorization_code."));
    }
    if !matches!(parameters.get("response_mode"), None | Some("query" | "fragment")) {
        return Err(("invalid_request", "The response mode is query or fragment."));
    }
    let challenge = parameters.get("code_challenge").unwrap_or_default();
    let is_plain = challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let is_s256 = parameters.get("code_challenge_method") == Some("S256");
    if !is_s256 || challenge.len() != CHALLENGE_LETTERS || !is_plain {
        return Err(("invalid_request", "There has to be a code_challenge of the method S256."));
    }
    let scope = Scope::parse(parameters.get("scope").unwrap_or_default()).map_err(|why| ("invalid_scope", why))?;
    let nonce = if wants_id_token(&scope.text) { id_token::nonce(parameters)? } else { None };
    Ok((scope, challenge.to_owned(), nonce))
}

impl Back {
    /// Sends the user back to the client with a code.
    pub(crate) fn code(&self, code: &str) -> ApiResult<Response> {
        self.redirect([("code", Some(code)), ("state", self.state.as_deref())])
    }

    /// Sends the user back to the client with an error.
    pub(crate) fn error(&self, error: &str, description: &str) -> ApiResult<Response> {
        let text = [("error", Some(error)), ("error_description", Some(description))];
        self.redirect(text.into_iter().chain([("state", self.state.as_deref())]))
    }

    /// Where the user is sent, for them to see.
    pub(crate) fn place(&self) -> String {
        uri::source(&self.redirect_uri)
    }

    fn redirect<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> ApiResult<Response> {
        let given = parameters.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let separator = match self.in_fragment {
            true => '#',
            false if self.redirect_uri.contains('?') => '&',
            false => '?',
        };
        let location = format!("{}{separator}{}", self.redirect_uri, encode(given));
        see_other(&location)
    }
}

/// Sends a browser elsewhere, with another request.
pub(crate) fn see_other(location: &str) -> ApiResult<Response> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| super::parameters::invalid_request("This is no place to be sent to.".into()))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
