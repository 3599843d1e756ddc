//! The store that a server runs on: one SQLite file in WAL mode.

mod account_data;
mod accounts;
mod administration;
mod append;
mod application_services;
mod check;
mod dehydrated;
mod delayed_events;
mod delivery;
mod destinations;
mod device_keys;
mod device_lists;
mod devices;
mod directory;
mod edus;
mod erased;
mod error;
mod event_index;
mod faults;
mod forgotten;
mod fresh;
mod groups;
mod guests;
mod key_backups;
mod keys;
mod known_rooms;
mod lately;
mod later;
mod log;
mod login_tokens;
mod media;
mod media_administration;
mod notice_rooms;
mod oauth;
mod one_time_keys;
mod operator;
mod out_of_room;
mod profiles;
mod pushers;
mod readers;
mod receipts;
mod recent;
mod relations;
mod remote_media;
mod reports;
mod restored;
mod room_lists;
mod rows;
mod schema;
mod search;
mod sessions;
mod snapshot;
mod state;
mod thumbnail;
mod to_device;
mod url_previews;
mod user_directory;
mod user_rooms;
mod user_tokens;
mod writer;

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axle_protocol::RoomId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::StoreError;
use destinations::Destinations;
use erased::Erased;
use event_index::{EventIndex, View};
use fresh::Fresh;
use known_rooms::KnownRooms;
use lately::Lately;
use later::{Later, Responses};
use readers::Readers;
use rows::Room;
use sessions::Sessions;
use snapshot::Snapshot;
use writer::{Tx, Writer};

/// Prepared statements kept by each connection.
const STATEMENTS: usize = 128;
/// Pages of the write-ahead log after which they are moved into the database: 16 MiB. Fewer would move the same hot
/// pages again and again.
const CHECKPOINT_PAGES: i64 = 4096;
/// Page cache of the writer and of each reader, at most.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;
/// How long a connection waits for a lock of the database file (another process reads it, or recovers it).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many reads run at once.
    pub readers: usize,
    /// Opens a database that another process may be using; whatever writes is refused.
    pub read_only: bool,
    /// What is durable when.
    pub synchronous: Synchronous,
    /// The SQLite VFS to use; `None`: the operating system's.
    pub vfs: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, read_only: false, synchronous: Synchronous::Full, vfs: None }
    }
}

/// What is durable when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synchronous {
    /// What was acknowledged survives a loss of power.
    Full,
    /// What was acknowledged survives the end of the process, not a loss of power. For data that can be made again.
    Off,
}

/// Who a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Read,
}

/// A store in a SQLite file. Cheap to clone; the file is closed with the last clone.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// `None`: read-only. Fields are dropped in order: the lock goes last.
    writer: Option<Writer>,
    path: PathBuf,
    options: Options,
    lock: Mutex<Option<File>>,
}

/// What the writer thread and everyone else both see.
struct Shared {
    /// The last stream position that is durable.
    stream: AtomicI64,
    /// Whether the last transaction failed.
    write_failed: AtomicBool,
    destinations: Mutex<Destinations>,
    events: EventIndex,
    fresh: Mutex<Fresh>,
    lately: Lately,
    rooms: KnownRooms,
    later: Mutex<LaterState>,
    sessions: Sessions,
    erased: Erased,
}

#[derive(Default)]
struct LaterState {
    waiting: Later,
    /// Answers in the transaction that is being written: readers cannot see it yet.
    writing: Responses,
    /// The writer comes round by itself, soon.
    awake: bool,
}

impl SqliteStore {
    /// Opens a database, and makes it if there is none. Blocks while it is migrated or recovered.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let lock = if options.read_only { None } else { Some(lock(path)?) };
        let access = if options.read_only { Access::Read } else { Access::Write };
        let mut conn = connect(path, &options, access)?;
        if options.read_only {
            schema::require_current(&conn, path)?;
        } else {
            let version = schema::version(&conn, path)?;
            make_durable(&conn, path, options.synchronous)?;
            schema::migrate(&mut conn, path, version)?;
        }
        let stream = append::last_stream(&conn)?;
        let destinations = Destinations::load(&conn, stream)?;
        let shared = Arc::new(Shared {
            stream: AtomicI64::new(stream),
            write_failed: AtomicBool::new(false),
            destinations: Mutex::new(destinations),
            events: EventIndex::default(),
            fresh: Mutex::default(),
            lately: if options.read_only { Lately::blind() } else { Lately::from(stream) },
            rooms: KnownRooms::default(),
            later: Mutex::default(),
            sessions: Sessions::default(),
            erased: Erased::load(&conn)?,
        });
        shared.events.load(&conn, event_index::indexed_to(&conn)?)?;
        let readers = Readers::new(path.to_owned(), options.clone());
        let writer = if options.read_only { None } else { Some(Writer::start(conn, shared.clone())?) };
        let inner = Inner { shared, readers, writer, path: path.to_owned(), options, lock: Mutex::new(lock) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer()?.write(work).await
    }

    /// [`SqliteStore::write`] of something small: may block as long as a commit takes.
    async fn write_small<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer()?.write_small(work).await
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        debug_assert!(Snapshot::open(&self.inner.readers).is_none(), "work that reads a snapshot writes");
        let read_only = || StoreError::Io("the database is open for reading only".into());
        self.inner.writer.as_ref().ok_or_else(read_only)
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// Reads from a room; the default value if it is not known.
    async fn read_room<T, F>(&self, room_id: &RoomId, work: F) -> Result<T, StoreError>
    where
        T: Default + Send + 'static,
        F: FnOnce(&Connection, &RoomId, &Room) -> Result<T, StoreError> + Send + 'static,
    {
        let (room_id, shared) = (room_id.clone(), self.inner.shared.clone());
        self.read(move |conn| match shared.rooms.find(conn, &room_id)? {
            Some(room) => work(conn, &room_id, &room),
            None => Ok(T::default()),
        })
        .await
    }

    /// Reads from a room, unless it is known without a look that there is nothing: the default value then.
    async fn read_room_unless<T, F>(
        &self,
        nothing: impl FnOnce(&Lately, i64) -> bool,
        room_id: &RoomId,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Default + Send + 'static,
        F: FnOnce(&Connection, &RoomId, &Room) -> Result<T, StoreError> + Send + 'static,
    {
        let shared = &self.inner.shared;
        if shared.rooms.get(room_id).is_some_and(|room| nothing(&shared.lately, room.id)) {
            return Ok(T::default());
        }
        self.read_room(room_id, work).await
    }

    /// Reads from what can find events by their ids.
    async fn read_events<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &View) -> Result<T, StoreError> + Send + 'static,
    {
        // Taken before the read transaction begins: what is merged meanwhile is found twice rather than not at all.
        let shared = self.inner.shared.clone();
        let snapshot = Snapshot::open(&self.inner.readers);
        let view = snapshot.map_or_else(|| shared.events.view(), |snapshot| snapshot.view.clone());
        let others_write = self.inner.writer.is_none();
        self.read(move |conn| {
            if others_write {
                shared.events.catch_up(conn)?;
            }
            work(conn, &view)
        })
        .await
    }

    /// Changes what is to be written without anyone waiting for it.
    fn later(&self, change: impl FnOnce(&mut Later)) {
        let Some(writer) = &self.inner.writer else { return };
        let mut state = self.inner.shared.later_state();
        change(&mut state.waiting);
        if !std::mem::replace(&mut state.awake, true) {
            writer.nudge();
        }
    }
}

impl Shared {
    fn destinations(&self) -> MutexGuard<'_, Destinations> {
        self.destinations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn later_state(&self) -> MutexGuard<'_, LaterState> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the writer may sleep until it is woken: nothing waits to be written.
    fn may_sleep(&self) -> bool {
        let mut state = self.later_state();
        state.awake = !state.waiting.is_empty();
        !state.awake
    }

    fn woken(&self) {
        self.later_state().awake = true;
    }

    fn take_later(&self) -> Later {
        let mut state = self.later_state();
        state.writing = state.waiting.responses.clone();
        std::mem::take(&mut state.waiting)
    }

    fn later_written(&self) {
        self.later_state().writing.clear();
    }

    fn put_back_later(&self, later: Later) {
        let mut state = self.later_state();
        state.writing.clear();
        state.waiting.put_before(later);
    }
}

/// Keeps other processes away from the file as long as the returned file is open.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |error: std::io::Error| StoreError::Io(format!("{}: {error}", name.display()));
    let file = private(Path::new(&name)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Io(format!("{} is in use by another process", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Only the owner may read.
const FILE_MODE: u32 = 0o600;

/// Opens a file, and makes it if it is not there, for its owner alone: it holds passwords' hashes, tokens and messages.
fn private(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).mode(FILE_MODE).open(path)
}

fn connect(path: &Path, options: &Options, access: Access) -> Result<Connection, StoreError> {
    if access == Access::Write && options.vfs.is_none() {
        // What SQLite puts beside it has the mode of the file.
        private(path).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
    }
    let mode = match access {
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match options.vfs.as_deref() {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Or else a statement whose parameters stand beside a constant of a partial index is planned anew at each use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    let cache = if access == Access::Read { READER_CACHE_KIB } else { WRITER_CACHE_KIB };
    conn.pragma_update(None, "cache_size", -cache)?;
    Ok(conn)
}

/// Sets what a commit means. Changes the header of the file: only for a database that is known to be ours.
fn make_durable(conn: &Connection, path: &Path, synchronous: Synchronous) -> Result<(), StoreError> {
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Io(format!("{}: the file system does not allow a write-ahead log", path.display())));
    }
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Off => "OFF",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(())
}
