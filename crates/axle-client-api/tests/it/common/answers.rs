//! What a client makes of an answer: every answer that a test gets is read as ruma's client reads it.

#![allow(deprecated)]

use std::sync::LazyLock;

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use ruma::api::client as c;
use ruma::api::path_builder::PathBuilder as _;
use ruma::api::{IncomingResponse as _, Metadata, OutgoingRequest};
use serde_json::Value;

/// Where paths begin that ruma has no types of: what they answer is checked where they are tested.
const UNTYPED: [&str; 8] = [
    "/_matrix/client/v3/events/",
    "/_matrix/client/v3/initialSync",
    "/_matrix/client/v3/directory/list/appservice/",
    "/_synapse/",
    "/oauth2/",
    "/_matrix/client/unstable/",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];
/// With this in the query an event is not sent, and its answer another.
const DELAY: &str = "org.matrix.msc4140.delay=";

/// An endpoint.
struct Endpoint {
    method: Method,
    /// With `{name}` for what differs.
    paths: Vec<&'static str>,
    /// What a client does with an answer.
    decode: fn(http::Response<&[u8]>) -> Result<(), String>,
}

impl Endpoint {
    fn of<R: OutgoingRequest + Metadata>() -> Self {
        let decode = |answer: http::Response<&[u8]>| {
            let decoded = R::IncomingResponse::try_from_http_response_inner(answer);
            decoded.map(|_| ()).map_err(|error| error.to_string())
        };
        Self { method: R::METHOD, paths: R::PATH_BUILDER.all_paths().collect(), decode }
    }

    /// How many parts of the path are those of a template; `None`: it is none of this endpoint's.
    fn fit(&self, method: &Method, path: &str) -> Option<usize> {
        let paths = self.paths.iter().filter(|_| self.method == *method);
        paths.filter_map(|template| fit(template, path)).max()
    }

    /// The one that is at a path.
    fn at(method: &Method, path: &str) -> Option<&'static Self> {
        let fits = ENDPOINTS.iter().filter_map(|endpoint| Some((endpoint.fit(method, path)?, endpoint)));
        fits.max_by_key(|(same, _)| *same).map(|(_, endpoint)| endpoint)
    }
}

fn fit(template: &str, path: &str) -> Option<usize> {
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (template, path) = (parts(template), parts(path));
    let same = template.iter().zip(&path).filter(|(a, b)| a == b).count();
    let fits = template.len() == path.len() && template.iter().zip(&path).all(|(a, b)| a == b || a.starts_with('{'));
    fits.then_some(same)
}

macro_rules! endpoints {
    ($($($part:ident)::+),+ $(,)?) => { vec![$(Endpoint::of::<c::$($part)::+::Request>()),+] };
}

static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    endpoints![
        account::add_3pid::v3,
        account::bind_3pid::v3,
        account::change_password::v3,
        account::check_registration_token_validity::v1,
        account::deactivate::v3,
        account::delete_3pid::v3,
        account::get_3pids::v3,
        account::get_username_availability::v3,
        account::register::v3,
        account::request_openid_token::v3,
        account::unbind_3pid::v3,
        account::whoami::v3,
        admin::get_user_info::v3,
        admin::is_user_locked::v1,
        admin::is_user_suspended::v1,
        admin::lock_user::v1,
        admin::suspend_user::v1,
        alias::create_alias::v3,
        alias::delete_alias::v3,
        alias::get_alias::v3,
        appservice::request_ping::v1,
        appservice::set_room_visibility::v3,
        authenticated_media::get_content::v1,
        authenticated_media::get_content_as_filename::v1,
        authenticated_media::get_content_thumbnail::v1,
        authenticated_media::get_media_config::v1,
        authenticated_media::get_media_preview::v1,
        backup::add_backup_keys::v3,
        backup::add_backup_keys_for_room::v3,
        backup::add_backup_keys_for_session::v3,
        backup::create_backup_version::v3,
        backup::delete_backup_keys::v3,
        backup::delete_backup_keys_for_room::v3,
        backup::delete_backup_keys_for_session::v3,
        backup::delete_backup_version::v3,
        backup::get_backup_info::v3,
        backup::get_backup_keys::v3,
        backup::get_backup_keys_for_room::v3,
        backup::get_backup_keys_for_session::v3,
        backup::get_latest_backup_info::v3,
        backup::update_backup_version::v3,
        config::get_global_account_data::v3,
        config::get_room_account_data::v3,
        config::set_global_account_data::v3,
        config::set_room_account_data::v3,
        context::get_context::v3,
        device::delete_device::v3,
        device::delete_devices::v3,
        device::get_device::v3,
        device::get_devices::v3,
        device::update_device::v3,
        directory::get_public_rooms::v3,
        directory::get_public_rooms_filtered::v3,
        directory::get_room_visibility::v3,
        directory::set_room_visibility::v3,
        discovery::discover_homeserver,
        discovery::discover_support,
        discovery::get_authorization_server_metadata::v1,
        discovery::get_capabilities::v3,
        discovery::get_supported_versions,
        filter::create_filter::v3,
        filter::get_filter::v3,
        keys::claim_keys::v3,
        keys::get_key_changes::v3,
        keys::get_keys::v3,
        keys::upload_keys::v3,
        keys::upload_signatures::v3,
        keys::upload_signing_keys::v3,
        knock::knock_room::v3,
        media::create_content::v3,
        media::create_content_async::v3,
        media::create_mxc_uri::v1,
        media::get_content::v3,
        media::get_content_as_filename::v3,
        media::get_content_thumbnail::v3,
        media::get_media_config::v3,
        media::get_media_preview::v3,
        membership::ban_user::v3,
        membership::forget_room::v3,
        membership::get_member_events::v3,
        membership::invite_user::v3,
        membership::join_room_by_id::v3,
        membership::join_room_by_id_or_alias::v3,
        membership::joined_members::v3,
        membership::joined_rooms::v3,
        membership::kick_user::v3,
        membership::leave_room::v3,
        membership::unban_user::v3,
        message::get_message_events::v3,
        message::send_message_event::v3,
        peeking::get_current_state::v3,
        peeking::listen_to_new_events::v3,
        presence::get_presence::v3,
        presence::set_presence::v3,
        profile::delete_profile_field::v3,
        profile::get_avatar_url::v3,
        profile::get_display_name::v3,
        profile::get_profile::v3,
        profile::get_profile_field::v3,
        profile::set_avatar_url::v3,
        profile::set_display_name::v3,
        profile::set_profile_field::v3,
        push::delete_pushrule::v3,
        push::get_notifications::v3,
        push::get_pushers::v3,
        push::get_pushrule::v3,
        push::get_pushrule_actions::v3,
        push::get_pushrule_enabled::v3,
        push::get_pushrules_all::v3,
        push::get_pushrules_global_scope::v3,
        push::set_pusher::v3,
        push::set_pushrule::v3,
        push::set_pushrule_actions::v3,
        push::set_pushrule_enabled::v3,
        read_marker::set_read_marker::v3,
        receipt::create_receipt::v3,
        redact::redact_event::v3,
        relations::get_relating_events::v1,
        relations::get_relating_events_with_rel_type::v1,
        relations::get_relating_events_with_rel_type_and_event_type::v1,
        reporting::report_user::v3,
        room::aliases::v3,
        room::create_room::v3,
        room::get_event_by_timestamp::v1,
        room::get_room_event::v3,
        room::get_summary::v1,
        room::report_content::v3,
        room::report_room::v3,
        room::upgrade_room::v3,
        search::search_events::v3,
        session::get_login_token::v1,
        session::get_login_types::v3,
        session::login::v3,
        session::logout::v3,
        session::logout_all::v3,
        session::refresh_token::v3,
        space::get_hierarchy::v1,
        state::get_state_event_for_key::v3,
        state::get_state_events::v3,
        state::send_state_event::v3,
        sync::sync_events::v3,
        tag::create_tag::v3,
        tag::delete_tag::v3,
        tag::get_tags::v3,
        thirdparty::get_location_for_protocol::v3,
        thirdparty::get_location_for_room_alias::v3,
        thirdparty::get_protocol::v3,
        thirdparty::get_protocols::v3,
        thirdparty::get_user_for_protocol::v3,
        thirdparty::get_user_for_user_id::v3,
        threads::get_threads::v1,
        to_device::send_event_to_device::v3,
        typing::create_typing_event::v3,
        user_directory::search_users::v3,
        voip::get_turn_server_info::v3,
    ]
});

/// Fails unless a client can read an answer: what succeeded is what the endpoint answers, what failed says why.
#[track_caller]
pub fn check(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let text = || format!("{method} {path}: {status} {}", String::from_utf8_lossy(body));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if status.is_client_error() || status.is_server_error() {
        return check_error(path, status, body, text);
    }
    let is_bare = *method == Method::OPTIONS || *method == Method::HEAD;
    if !status.is_success() || is_bare || query.contains(DELAY) {
        return;
    }
    // What is empty at the end of a path, as the key of most state is, may be left out with its slash.
    if is_of_older_clients(method, path) {
        return;
    }
    let endpoint = Endpoint::at(method, path).or_else(|| Endpoint::at(method, &format!("{path}/")));
    let Some(endpoint) = endpoint else {
        let is_untyped = UNTYPED.iter().any(|untyped| path.starts_with(untyped));
        assert!(is_untyped, "an endpoint that is not in the table: {}", text());
        return;
    };
    let mut answer = http::Response::builder().status(status);
    answer.headers_mut().unwrap().extend(headers.clone());
    if let Err(error) = (endpoint.decode)(answer.body(body).unwrap()) {
        panic!("a client cannot read the answer: {error}\n{}", text());
    }
}

/// Whether it is an endpoint for clients that are older than the specification, on a path that looks like one of today's.
fn is_of_older_clients(method: &Method, path: &str) -> bool {
    let rules_of_a_kind =
        path.strip_prefix("/_matrix/client/v3/pushrules/global/").and_then(|kind| kind.strip_suffix('/'));
    let sends_once = *method == Method::POST
        && path.starts_with("/_matrix/client/v3/rooms/")
        && (path.contains("/send/") || path.contains("/redact/"));
    rules_of_a_kind.is_some_and(|kind| !kind.is_empty()) || sends_once
}

/// "Standard error response": each has `errcode` and `error`. Where one has to authenticate first, neither is needed; OAuth
/// 2.0 has errors of its own.
#[track_caller]
fn check_error(path: &str, status: StatusCode, body: &[u8], text: impl Fn() -> String) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        assert!(path.starts_with("/oauth2/"), "an error that is no JSON: {}", text());
        return;
    };
    let has = |key: &str| body[key].as_str().is_some_and(|text| !text.is_empty());
    let is_error = match path {
        path if path.starts_with("/oauth2/") && has("error") => true,
        _ if status == StatusCode::UNAUTHORIZED && body["flows"].is_array() => has("session"),
        _ => has("errcode") && has("error"),
    };
    assert!(is_error, "an error without errcode and error: {}", text());
    let waits = body.get("retry_after_ms").is_none_or(Value::is_u64);
    assert!(waits, "a wait that is no number: {}", text());
}
