//! A whole server: started from a configuration, stopped without losing anything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axle_client_api::{
    ApiState, ApplicationServices, ClientApi, ClientApiConfig, MediaConfig, OtherServers as _, RateLimits,
    Registration, RemoteServers, Support, ToldToServers, UrlPreviewConfig, make_service_users,
};
use axle_federation::tls::TlsError;
use axle_media::{MediaError, MediaFolder};
use axle_store::sqlite::{Options, SqliteStore};
use axle_store::{Store, StoreError};
use axum::{Router, middleware};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{self, Admin};
use crate::between::{Between, Incoming};
use crate::config::{Config, RegistrationMode};
use crate::folder::{DataFolder, FolderError};
use crate::key_file::{KeyFileError, MakeKey, SigningKeys};
use crate::listen::{Api, Bound, Certificates, Running, Service, label};
use crate::metrics::Metrics;
use crate::network::{self, Network, NetworkError, Nobody};
use crate::push_gateway::WebGateway;
use crate::query_service::QueryAnswers;
use crate::rooms::Rooms;
use crate::services::{self, HttpServices, RegistrationError};
use crate::system::System;
use crate::thumbnails::ThumbnailProcesses;
use crate::web::PreviewWeb;

/// A running server.
pub struct Server {
    store: Arc<dyn Store>,
    rooms: Rooms,
    network: Option<Network>,
    listeners: Vec<(Api, Running)>,
    certificates: Arc<Certificates>,
    clients: ClientApi,
    /// Answers `axle admin`, unless the socket could not be opened.
    admin: Option<JoinHandle<()>>,
    /// What the client-server API does beside answering.
    client_work: JoinHandle<()>,
    /// Deactivated accounts leave their rooms.
    departures: JoinHandle<()>,
    stop: watch::Sender<bool>,
    // Last: the lock of the folder is given back when everything else is gone.
    _folder: DataFolder,
}

/// What an operator says of a data folder at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// Whether a server whose keys are gone gets a new one.
    pub make_key: MakeKey,
    /// The database is an older copy that was not made by [`Operator::backup`](axle_store::Operator::backup), which
    /// would say so by itself.
    pub restored: bool,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The database.
    #[error("the database {path}: {error}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: StoreError,
    },
    /// The files of media.
    #[error("the files of media: {0}")]
    Media(#[from] MediaError),
    /// A registration file of an application service.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// Requests to application services.
    #[error("requests to application services: {0}")]
    Services(String),
    /// An address to listen on.
    #[error("cannot listen on {address}: {error}{}", bind_hint(error))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        error: std::io::Error,
    },
    /// A certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The way to other servers.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Metrics.
    #[error("setting up metrics: {0}")]
    Metrics(String),
    /// A thread that was to do part of it.
    #[error("a part of the start failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl StartError {
    /// The file or folder that the configuration names and that cannot be used.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Tls(error) | Self::Network(NetworkError::Tls(error)) => error.file(),
            Self::Folder(FolderError::Io { path, .. }) => Some(path),
            _ => None,
        }
    }
}

fn bind_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "\n  Another program listens there: stop it, or take another address or port",
        std::io::ErrorKind::AddrNotAvailable => {
            "\n  This machine does not have that address: 0.0.0.0 and [::] take all it has"
        }
        std::io::ErrorKind::PermissionDenied => {
            "\n  Ports below 1024 need a privilege: take a higher one, or give it to the program"
        }
        _ => "",
    }
}

impl Server {
    /// Starts a server. When this returns, it answers. Must be called inside a tokio runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, StartOptions::default()).await
    }

    /// The same, when something has happened to its data folder.
    pub async fn start_with(config: Config, options: StartOptions) -> Result<Self, StartError> {
        let folder = DataFolder::open(&config.data, &config.server_name)?;
        let services = services::load(&config.appservices.registration_files, &config.server_name)?;
        let service_client = HttpServices::new(&services).map_err(StartError::Services)?;
        let make_key = if folder.database().exists() { options.make_key } else { MakeKey::Yes };
        let keys = SigningKeys::load_or_create(&folder.signing_keys(), make_key)?;
        let certificates = Arc::new(Certificates::default());
        // Taken before the database is opened: a port in use is told at once.
        let listeners = Listeners::bind(&config, &certificates).await?;
        let store = open_store(folder.database()).await?;
        let media = open_media(folder.media()).await?;
        make_service_users(&*store, &services)
            .await
            .map_err(|error| StartError::Store { path: folder.database(), error })?;
        let (rooms, network) = network::connect(&config, &keys, &store)?;
        hold_restored(&*store, &rooms, options.restored)
            .await
            .map_err(|error| StartError::Store { path: folder.database(), error })?;
        let metrics = Metrics::new().map_err(|error| StartError::Metrics(error.to_string()))?;
        let (stop, stopped) = watch::channel(false);

        let ways = network.as_ref().map(|network| (network.client(), network.queues()));
        let me = config.server_name.clone();
        let between = Arc::new(Between::new(me, store.clone(), rooms.clone(), ways, network::boot()?));
        let devices = Arc::downgrade(&between);
        rooms.set_device_source(devices);
        let foundations = Foundations { store: &store, rooms: &rooms, between: &between, network: network.as_ref() };
        let clients = foundations.client_api(&config, media, service_client, services);
        let routers = Routers::new(&config, &foundations, &clients, &metrics, &stopped);
        tokio::spawn(certificates.clone().watch(stopped.clone()));
        let admin = Admin {
            store: store.clone(),
            server_name: config.server_name.clone(),
            signing_keys: folder.signing_keys(),
            running: true,
        };
        let socket = DataFolder::admin_socket(&config.data);
        let admin = admin::listen(&socket, admin, stopped.clone()).await.inspect_err(|error| {
            tracing::warn!(socket = %socket.display(), %error, "axle admin works only while the server is stopped");
        });
        // After the socket: whoever sees the server answer may go on with `axle admin`.
        let listeners = listeners.serve(&config, &routers, &metrics, &stopped);
        let client_work = tokio::spawn(clients.work().run(stopped));
        resume(&rooms, network.as_ref()).await.map_err(|error| StartError::Store { path: folder.database(), error })?;
        between.devices_changed().await;
        let departures = tokio::spawn(axle_client_api::finish_departures(store.clone(), Arc::new(rooms.clone())));
        Ok(Self {
            store,
            rooms,
            network,
            listeners,
            certificates,
            clients,
            admin: admin.ok(),
            client_work,
            departures,
            stop,
            _folder: folder,
        })
    }

    /// Where an API listens.
    pub fn addresses(&self, api: Api) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().filter(move |(of, _)| *of == api).map(|(_, running)| running.address())
    }

    /// Reads all certificates again. One that cannot be used leaves the one before in place.
    pub fn reload_certificates(&self) {
        self.certificates.reload();
    }

    /// Stops: requests in flight finish within [`crate::config::LimitsConfig::drain`], new connections are told that
    /// the server stops, and what was accepted is durable when this returns.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for (_, listener) in self.listeners {
            listener.finished().await;
        }
        if let Err(error) = self.client_work.await {
            tracing::error!(%error, "the work beside the client-server API broke off");
        }
        self.clients.end_background().await;
        // Who has not left all rooms yet goes on leaving them after the next start.
        self.departures.abort();
        let _ = self.departures.await;
        self.rooms.close().await;
        if let Some(network) = self.network {
            network.stop().await;
        }
        if let Some(admin) = self.admin {
            let _ = admin.await;
        }
        self.store.close().await;
    }
}

/// Holds the rooms of a database that is an older copy: all of them, if the operator says so.
async fn hold_restored(store: &dyn Store, rooms: &Rooms, restored: bool) -> Result<(), StoreError> {
    if restored {
        store.mark_restored().await?;
    }
    rooms.hold_restored().await
}

/// Goes on with what the end of the process before interrupted.
async fn resume(rooms: &Rooms, network: Option<&Network>) -> Result<(), StoreError> {
    rooms.resume().await?;
    match network {
        Some(network) => network.resume().await,
        None => Ok(()),
    }
}

async fn open_store(path: PathBuf) -> Result<Arc<dyn Store>, StartError> {
    let file = path.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(file, Options::default())).await?;
    Ok(Arc::new(opened.map_err(|error| StartError::Store { path, error })?))
}

async fn open_media(path: PathBuf) -> Result<MediaFolder, StartError> {
    Ok(tokio::task::spawn_blocking(move || MediaFolder::open(path)).await??)
}

/// What endpoints stand on.
struct Foundations<'a> {
    store: &'a Arc<dyn Store>,
    rooms: &'a Rooms,
    between: &'a Arc<Between>,
    network: Option<&'a Network>,
}

impl Foundations<'_> {
    fn client_api(
        &self,
        config: &Config,
        media: MediaFolder,
        service_client: HttpServices,
        services: ApplicationServices,
    ) -> ClientApi {
        ClientApi::new(ApiState {
            store: self.store.clone(),
            media,
            thumbnailer: Arc::new(ThumbnailProcesses::new()),
            rooms: Arc::new(self.rooms.clone()),
            groups: Arc::new(self.rooms.clone()),
            servers: self.between.clone(),
            remote: self.network.map_or_else(|| Arc::new(Nobody) as Arc<dyn RemoteServers>, Network::remote),
            notifier: self.rooms.wakes(),
            gateway: Arc::new(WebGateway::new(config)),
            web: Arc::new(PreviewWeb::new(config)),
            services: Arc::new(service_client),
            config: client_config(config, services),
        })
    }

    /// The server-to-server API; empty where federation is off.
    fn federation(&self, clients: &ClientApi) -> Router {
        let Some(network) = self.network else { return Router::new() };
        let users = Arc::new(Incoming::new(self.between.clone(), clients.clone()));
        let answers = Arc::new(QueryAnswers { queries: clients.queries(), rooms: self.rooms.clone() });
        let accounts = Arc::downgrade(&answers);
        self.rooms.set_accounts(accounts);
        network.router(users, answers)
    }
}

/// The endpoints of each kind of listener.
struct Routers {
    client: Router,
    federation: Router,
}

impl Routers {
    fn new(
        config: &Config,
        foundations: &Foundations<'_>,
        clients: &ClientApi,
        metrics: &Arc<Metrics>,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let shared = config.client.serve_federation;
        let system = System {
            store: foundations.store.clone(),
            rooms: foundations.rooms.clone(),
            queues: foundations.network.map(Network::queues),
            metrics: metrics.clone(),
            server_name: config.server_name.clone(),
            metrics_networks: config.metrics.allowed_networks.clone().into(),
            // Where federation is served, it answers this itself.
            well_known: config.federation.well_known.clone().filter(|_| !shared),
            stop: stop.clone(),
        };
        let federation = foundations.federation(clients);
        let client = clients.router();
        let client = if shared { client.merge(federation.clone()) } else { client };
        let labelled = |router: Router| router.layer(middleware::from_fn(label));
        let plain = System { well_known: None, ..system.clone() };
        Self { client: labelled(system.router().merge(client)), federation: labelled(plain.router().merge(federation)) }
    }
}

fn client_config(config: &Config, services: ApplicationServices) -> ClientApiConfig {
    let mut client = ClientApiConfig::new(config.server_name.clone());
    client.registration = match config.registration.mode {
        RegistrationMode::Open => Registration::Open,
        RegistrationMode::Token => Registration::Token,
        RegistrationMode::Closed => Registration::Closed,
    };
    client.registration_shared_secret = config.registration.shared_secret.clone();
    client.access_token_lifetime = Duration::from_secs(config.client.access_token_lifetime_seconds.into());
    client.default_room_version = config.rooms.default_version;
    client.media = MediaConfig {
        max_upload_bytes: config.media.max_upload_bytes,
        quota_bytes_per_user: config.media.quota_bytes_per_user,
        stall_timeout: config.limits.body_timeout(),
        max_remote_bytes: config.media.max_remote_bytes,
        remote_cache_bytes: config.media.remote_cache_bytes,
        remote_retention: config.media.remote_retention(),
    };
    let previews = &config.url_previews;
    client.url_previews = previews.enabled.then(|| UrlPreviewConfig { denied: previews.denied.clone() });
    client.told_to_servers = ToldToServers {
        profiles: config.federation.allow_profile_lookup,
        public_rooms: config.federation.allow_public_rooms,
    };
    client.local_push_gateways = config.has_local_gateways();
    client.oauth = config.client.oauth;
    client.presence = config.presence.enabled;
    client.services = services;
    client.public_base_url = config.client.public_url.clone();
    client.support = Support {
        page: config.client.support_page.clone(),
        admins: config.client.support_admins.clone(),
        security: config.client.support_security.clone(),
    };
    if !config.rate_limits.enabled {
        client.limits = RateLimits::off();
    }
    client
}

/// The sockets, before they are served.
struct Listeners(Vec<(Api, Bound, Option<Arc<rustls::ServerConfig>>)>);

impl Listeners {
    async fn bind(config: &Config, certificates: &Certificates) -> Result<Self, StartError> {
        let (client, federation) = (&config.client, &config.federation);
        let tls = |certificate: &Option<PathBuf>, key: &Option<PathBuf>| match (certificate, key) {
            (Some(certificate), Some(key)) => certificates.add(certificate, key).map(Some),
            _ => Ok(None),
        };
        let mut bound = Vec::new();
        let client_tls = tls(&client.tls_certificate, &client.tls_key)?;
        let federation_tls = tls(&federation.tls_certificate, &federation.tls_key)?;
        let clients = client.listen.iter().map(|address| (Api::Client, *address, &client_tls));
        let federations = federation.listen.iter().map(|address| (Api::Federation, *address, &federation_tls));
        for (api, address, tls) in clients.chain(federations) {
            let socket = Bound::bind(address).await.map_err(|error| StartError::Bind { address, error })?;
            bound.push((api, socket, tls.clone()));
        }
        Ok(Self(bound))
    }

    fn serve(
        self,
        config: &Config,
        routers: &Routers,
        metrics: &Arc<Metrics>,
        stop: &watch::Receiver<bool>,
    ) -> Vec<(Api, Running)> {
        let serve = |(api, bound, tls): (Api, Bound, Option<Arc<rustls::ServerConfig>>)| {
            let (router, trusted_proxies) = match api {
                Api::Client => (routers.client.clone(), config.client.trusted_proxies.clone()),
                Api::Federation => (routers.federation.clone(), Vec::new()),
            };
            let limits = config.limits.clone();
            let service = Service { api, router, tls, limits, trusted_proxies, metrics: metrics.clone() };
            (api, bound.serve(service, stop.clone()))
        };
        self.0.into_iter().map(serve).collect()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}
