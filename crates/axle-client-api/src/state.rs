//! What every handler gets.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axle_media::MediaFolder;
use axle_store::Store;
use tokio::sync::{Notify, RwLock, Semaphore};

use crate::appservice::{Protocols, Queues};
use crate::background::Background;
use crate::config::{ClientApiConfig, RateLimits};
use crate::delayed::Delays;
use crate::encrypted_sends::EncryptedSends;
use crate::endpoints::{Deletions, Redactions};
use crate::fallback::Fallbacks;
use crate::fleeting::Clock;
use crate::groups::GroupService;
use crate::limiter::{Limiter, Limits};
use crate::media::{Fetching, MAX_THUMBNAILS_AT_ONCE, Uploading};
use crate::nonces::Nonces;
use crate::oauth;
use crate::oauth::KeyOnce;
use crate::oauth::visits::Visits;
use crate::openid::OpenIdTokens;
use crate::password::PasswordPool;
use crate::preferences::KnownPreferences;
use crate::presence::{Outbox, Presence, Resting};
use crate::previews::Previews;
use crate::profile::RemoteProfiles;
use crate::push::Pushing;
use crate::registering::Registrations;
use crate::remote_rooms::RemoteRooms;
use crate::room_facts::KnownFacts;
use crate::search::Index;
use crate::seen::Sightings;
use crate::servers::OtherServers;
use crate::service::{Notifier, PushGateway, RemoteServers, RoomService, ServiceClient, Thumbnailer, Web};
use crate::sync::ToldMembers;
use crate::sync::extensions::to_device::Told;
use crate::sync::sliding::{Bumps, Connections, RoomsOfUsers};
use crate::typing::Typing;
use crate::uia::Sessions;
use crate::unread::Counts;

/// What the client-server API stands on.
#[derive(Clone)]
pub struct ApiState {
    /// Where things are kept.
    pub store: Arc<dyn Store>,
    /// Where the content of media is kept.
    pub media: MediaFolder,
    /// What makes thumbnails of them.
    pub thumbnailer: Arc<dyn Thumbnailer>,
    /// What changes rooms.
    pub rooms: Arc<dyn RoomService>,
    /// The MLS groups of encrypted ones.
    pub groups: Arc<dyn GroupService>,
    /// What reaches other servers.
    pub servers: Arc<dyn OtherServers>,
    /// Other servers.
    pub remote: Arc<dyn RemoteServers>,
    /// What wakes syncs.
    pub notifier: Arc<dyn Notifier>,
    /// What tells push gateways.
    pub gateway: Arc<dyn PushGateway>,
    /// What asks for pages to make previews of.
    pub web: Arc<dyn Web>,
    /// What asks application services.
    pub services: Arc<dyn ServiceClient>,
    /// Settings.
    pub config: ClientApiConfig,
}

/// It is looked for files of other servers to remove whenever this part of what may be kept of them was fetched.
const SWEEP_AFTER_PART: u64 = 20;

/// What every handler gets: the state, and what this API keeps in memory beside it.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
    /// Those that hold for the request.
    pub(crate) limits: Arc<Limits>,
}

pub(crate) struct Inner {
    state: ApiState,
    /// Those of requests that have none.
    unlimited: Arc<Limits>,
    /// What requests have begun and left behind.
    pub(crate) background: Background,
    pub(crate) passwords: PasswordPool,
    pub(crate) uia: Sessions,
    /// Members that clients which load them lazily know.
    pub(crate) told_members: ToldMembers,
    /// Stages of registration that were passed on pages.
    pub(crate) fallbacks: Fallbacks,
    /// Registrations that clients have begun.
    pub(crate) registrations: Registrations,
    pub(crate) seen: Sightings,
    /// For registration with a shared secret.
    pub(crate) nonces: Nonces,
    /// How often a device asks whether its user has allowed it.
    pub(crate) device_polls: Limiter,
    /// Who is logged in to the pages about their account.
    pub(crate) visits: Visits,
    /// What ID tokens are signed with.
    pub(crate) signing_key: KeyOnce,
    /// What users prove to others with who they are.
    pub(crate) openid: OpenIdTokens,
    /// Profiles of other servers' users; `None`: there is none.
    pub(crate) remote_profiles: RemoteProfiles,
    /// Rooms that this server is not in, as others tell of them.
    pub(crate) remote_rooms: RemoteRooms,
    /// Media of other servers that are on their way.
    pub(crate) fetching: Fetching,
    /// Previews that are being made.
    pub(crate) previews: Previews,
    /// Bytes that were fetched since it was last looked for files to remove.
    fetched: AtomicU64,
    /// Wakes who looks for them.
    pub(crate) sweep: Notify,
    /// Wakes those who wait for media that is to be uploaded yet.
    pub(crate) uploaded: Notify,
    /// The order of what is not stored.
    pub(crate) clock: Clock,
    pub(crate) typing: Typing,
    pub(crate) presence: Presence,
    /// Rooms whose members were just told who is there.
    pub(crate) resting: Resting,
    /// Whose presence other servers are to be told.
    pub(crate) outbox: Outbox,
    /// Events that wait to be sent.
    pub(crate) delays: Delays,
    pub(crate) unread: Counts,
    /// Push rules, and whom users ignore.
    pub(crate) preferences: KnownPreferences,
    pub(crate) room_facts: KnownFacts,
    pub(crate) told_messages: Told,
    pub(crate) encrypted_sends: EncryptedSends,
    /// The tasks of pushers.
    pub(crate) pushing: Pushing,
    /// How far messages can be searched.
    pub(crate) index: Index,
    /// Of sliding sync.
    pub(crate) connections: Connections,
    pub(crate) bumps: Bumps,
    pub(crate) rooms_of_users: RoomsOfUsers,
    /// Who uploads at this moment.
    pub(crate) uploading: Uploading,
    /// Held for reading from when a file of media gets its name until the store knows it; for writing, to remove a file
    /// that the store does not know.
    pub(crate) keeping: RwLock<()>,
    /// Whose turn it is to make a thumbnail.
    pub(crate) thumbnailing: Arc<Semaphore>,
    /// Wakes the queues towards application services.
    pub(crate) queues: Queues,
    /// What application services said of other networks.
    pub(crate) protocols: Protocols,
    /// Rooms that administrators have closed.
    pub(crate) deletions: Deletions,
    pub(crate) redactions: Redactions,
}

impl Api {
    pub(crate) fn new(state: ApiState) -> Self {
        let limits = Arc::new(Limits::new(&state.config.limits));
        let inner = Arc::new(Inner {
            unlimited: Arc::new(Limits::new(&RateLimits::off())),
            queues: Queues::new(&state.config.services),
            protocols: Protocols::default(),
            deletions: Deletions::default(),
            redactions: Redactions::default(),
            state,
            background: Background::default(),
            passwords: PasswordPool::default(),
            uia: Sessions::default(),
            told_members: ToldMembers::default(),
            fallbacks: Fallbacks::default(),
            registrations: Registrations::default(),
            seen: Sightings::default(),
            nonces: Nonces::default(),
            device_polls: Limiter::new(Some(oauth::device::POLLS)),
            visits: Visits::default(),
            signing_key: KeyOnce::default(),
            openid: OpenIdTokens::default(),
            remote_profiles: RemoteProfiles::default(),
            remote_rooms: RemoteRooms::default(),
            fetching: Fetching::default(),
            previews: Previews::default(),
            fetched: AtomicU64::new(0),
            sweep: Notify::new(),
            uploaded: Notify::new(),
            clock: Clock::default(),
            typing: Typing::default(),
            presence: Presence::default(),
            resting: Resting::default(),
            outbox: Outbox::default(),
            delays: Delays::default(),
            unread: Counts::default(),
            preferences: KnownPreferences::default(),
            room_facts: KnownFacts::default(),
            told_messages: Told::default(),
            encrypted_sends: EncryptedSends::default(),
            pushing: Pushing::default(),
            index: Index::default(),
            connections: Connections::default(),
            bumps: Bumps::default(),
            rooms_of_users: RoomsOfUsers::default(),
            uploading: Uploading::default(),
            keeping: RwLock::default(),
            thumbnailing: Arc::new(Semaphore::new(MAX_THUMBNAILS_AT_ONCE)),
        });
        Self { inner, limits }
    }

    /// The same for requests that nothing limits.
    pub(crate) fn unlimited(self) -> Self {
        Self { limits: self.inner.unlimited.clone(), ..self }
    }
}

impl Inner {
    /// So many bytes more were fetched from other servers. Once it is a part of what may be kept of them that matters, it is
    /// looked for what to remove.
    pub(crate) fn fetching_has_grown(&self, bytes: u64) {
        let fetched = self.fetched.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if fetched >= self.config.media.remote_cache_bytes / SWEEP_AFTER_PART {
            self.fetched.store(0, Ordering::Relaxed);
            self.sweep.notify_one();
        }
    }
}

impl Deref for Api {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Deref for Inner {
    type Target = ApiState;
    fn deref(&self) -> &ApiState {
        &self.state
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
