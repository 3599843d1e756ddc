//! The Matrix client-server API: accounts, rooms, messages, media and sync, on Matrix's own paths and types.
//!
//! Accounts and reading go straight to the store; whatever changes a room goes through [`RoomService`]. [`router`] is
//! the whole of it: endpoints are one a file under `endpoints`, and `endpoint` is the one way they are reached.

mod account_data;
mod accounts;
mod aggregations;
mod aliases;
mod appservice;
mod background;
mod by_time;
mod cache;
mod config;
mod delayed;
mod departure;
mod elsewhere;
mod encrypted_sends;
mod endpoint;
mod endpoints;
mod erasure;
mod error;
mod event_content;
mod event_fields;
mod event_filter;
mod expired_keys;
mod fallback;
mod fleeting;
mod groups;
mod guests;
mod ids;
mod ignored;
mod json_request;
mod json_response;
mod key_backup;
mod key_object;
mod limiter;
mod media;
mod members;
mod memberships;
mod mls_keys;
mod new_room;
mod nonces;
mod oauth;
mod openid;
mod page;
mod password;
mod power;
mod preferences;
mod presence;
mod previews;
mod profile;
mod published;
mod push;
mod push_rules;
mod pushers;
mod queries;
mod reading;
mod receipts;
mod redaction;
mod registering;
mod relations;
mod remote_rooms;
mod render;
mod reports;
mod room_description;
mod room_facts;
mod room_id;
mod room_list;
mod room_versions;
mod search;
mod seen;
mod server_acl;
mod servers;
mod service;
mod session;
mod spaces;
mod state;
mod succession;
mod support;
mod sync;
mod thread;
mod token;
mod turns;
mod typing;
mod uia;
mod under_way;
mod unread;
mod upgrade;
mod visibility;
mod work;

use axle_protocol::{RoomId, UserId};
use axum::Router;
use axum::routing::any;
use http::{HeaderName, Method, header};
use tower_http::cors::{Any, CorsLayer};

pub use accounts::{CreateUserError, create_user};
pub use appservice::{ApplicationService, ApplicationServices, Namespace, Namespaces, make_service_users};
pub use config::{ClientApiConfig, MediaConfig, Rate, RateLimits, Registration, ToldToServers, UrlPreviewConfig};
pub use departure::finish_departures;
pub use endpoint::ClientAddress;
pub use erasure::erased_events;
pub use groups::{BindingRequest, GroupAt, GroupService, MemberRequest, PairRequest, Paired, PairedWith};
pub use guests::{GUEST_ACCESS, takes_guests};
pub use key_object::{MAX_KEY_BYTES, cross_signing_key};
pub use mls_keys::{is_key_package, key_package, mls_device};
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, PasswordError, hash_password};
pub use previews::{UrlPattern, UrlPatternError};
pub use published::{PublishedDeviceKeys, PublishedKeys, published_keys};
pub use queries::{FileOut, Queries};
pub use room_id::new_room_id;
pub use servers::{Availability, MessageElsewhere, OtherServers, PresenceUpdate};
pub use service::{
    CreateRoom, Knocked, NoRemoteFile, Notifier, PushGateway, RemoteFile, RemoteServers, ResolvedAlias, RoomListQuery,
    RoomService, SendEvent, ServiceAnswer, ServiceCall, ServiceCallError, ServiceClient, Thumbnailer, Web, WebAnswer,
};
pub use state::ApiState;
pub use support::{Contact, Support};
pub use work::Work;

use state::Api;

/// The client-server API, and what other servers have to say to it. Cheap to clone.
#[derive(Clone)]
pub struct ClientApi(Api);

impl ClientApi {
    /// An API on these foundations.
    pub fn new(state: ApiState) -> Self {
        Self(Api::new(state))
    }

    /// The endpoints; see [`router`].
    pub fn router(&self) -> Router {
        routes().with_state(self.0.clone())
    }

    /// What is to be run as long as they are served.
    pub fn work(&self) -> Work {
        Work::new(self.0.clone())
    }

    /// Breaks off what requests have begun and left behind. To be called when nothing is answered any more.
    pub async fn end_background(&self) {
        self.0.background.end().await;
    }

    /// What other servers are answered.
    pub fn queries(&self) -> Queries {
        Queries::new(self.0.clone())
    }

    /// A user of another server, who is known to be in the room, types there, or does not any more.
    pub async fn typing_elsewhere(&self, room_id: &RoomId, user_id: &UserId, typing: bool) {
        typing::set_elsewhere(&self.0, room_id, user_id, typing).await;
    }

    /// Another server says whether users of its, which these are known to be, are there.
    pub async fn presence_elsewhere(&self, updates: Vec<PresenceUpdate>) {
        if let Err(error) = presence::note_elsewhere(&self.0, updates).await {
            tracing::info!(?error, "it was not noted whether users of another server are there");
        }
    }
}

/// The client-server API: everything under `/_matrix/client` and `/_matrix/media`, `/.well-known/matrix/client`, OAuth 2.0
/// under `/oauth2` with its `/.well-known` documents, and what is served under `/_synapse` for tools that know Synapse.
///
/// Every answer carries the CORS headers that the specification asks for; what is not there answers `M_UNRECOGNIZED`.
/// The router has no fallback of its own, so that it can be merged with others. The [`Work`] is to be run as long as it is
/// served.
pub fn router(state: ApiState) -> (Router, Work) {
    let api = ClientApi::new(state);
    (api.router(), api.work())
}

fn routes() -> Router<Api> {
    endpoints::routes()
        .route("/_matrix/client", any(endpoint::unrecognized))
        .route("/_matrix/client/", any(endpoint::unrecognized))
        .route("/_matrix/client/{*path}", any(endpoint::unrecognized))
        .route("/_matrix/media", any(endpoint::unrecognized))
        .route("/_matrix/media/", any(endpoint::unrecognized))
        .route("/_matrix/media/{*path}", any(endpoint::unrecognized))
        .route("/oauth2/{*path}", any(endpoint::unrecognized))
        .route("/_synapse/admin/{*path}", any(endpoint::unrecognized))
        .layer(cors())
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        .allow_headers([HeaderName::from_static("x-requested-with"), header::CONTENT_TYPE, header::AUTHORIZATION])
}
