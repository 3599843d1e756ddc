//! The operating system's VFS, with every write and sync told to a [`Disk`].
//!
//! Files are opened by the real VFS; only their tables of methods are exchanged for one that tells first.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use rusqlite::ffi::{
    SQLITE_ERROR, SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::disk::Disk;

/// To be given to SQLite.
pub(crate) const NAME: &str = "power-loss";
const C_NAME: &CStr = c"power-loss";

/// By folder.
static DISKS: Mutex<Option<HashMap<PathBuf, Disk>>> = Mutex::new(None);
/// Open files, by the address that SQLite knows them by.
static OPEN: Mutex<Option<HashMap<usize, OpenFile>>> = Mutex::new(None);
/// The table that replaces each real one, by its address: databases and logs have different ones.
static TELLING: Mutex<Option<HashMap<usize, Methods>>> = Mutex::new(None);
static REAL: OnceLock<Real> = OnceLock::new();

struct Real(*mut sqlite3_vfs);
type Methods = &'static sqlite3_io_methods;

#[derive(Clone)]
struct OpenFile {
    path: PathBuf,
    real: Methods,
}

// SAFETY: SQLite's default VFS lives as long as the process and may be used by every thread.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

/// Makes the VFS known to SQLite, and a folder one whose files are watched.
pub(crate) fn watch(folder: &Path, disk: Disk) {
    REAL.get_or_init(|| {
        // SAFETY: asks for the default VFS, and registers a copy of it under another name. Both stay for ever.
        unsafe {
            let real = sqlite3_vfs_find(std::ptr::null());
            assert!(!real.is_null());
            let mut shim = std::ptr::read(real);
            shim.zName = C_NAME.as_ptr();
            shim.pNext = std::ptr::null_mut();
            shim.xOpen = Some(open);
            shim.xDelete = Some(delete);
            assert_eq!(sqlite3_vfs_register(Box::leak(Box::new(shim)), 0), SQLITE_OK);
            Real(real)
        }
    });
    lock(&DISKS).get_or_insert_default().insert(folder.to_owned(), disk);
}

/// Does something with the disk of a folder.
pub(crate) fn with_disk<T>(folder: &Path, work: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    lock(&DISKS).as_mut()?.get_mut(folder).map(work)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Tells the disk what is about to happen to a file; returns the real methods.
fn tell(file: *mut sqlite3_file, what: impl FnOnce(&mut Disk, &Path)) -> Option<Methods> {
    let open = lock(&OPEN).as_ref()?.get(&file.addr()).cloned()?;
    with_disk(open.path.parent()?, |disk| what(disk, &open.path));
    Some(open.real)
}

fn telling(real: Methods) -> Methods {
    let make = || {
        let (write, truncate, sync, close) = (Some(write as _), Some(truncate as _), Some(sync as _), Some(close as _));
        let methods = sqlite3_io_methods { xWrite: write, xTruncate: truncate, xSync: sync, xClose: close, ..*real };
        &*Box::leak(Box::new(methods))
    };
    lock(&TELLING).get_or_insert_default().entry(std::ptr::from_ref(real).addr()).or_insert_with(make)
}

fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: SQLite gives a name that ends with zero, or null for a temporary file.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some((real, real_open)) = REAL.get().and_then(|real| {
        // SAFETY: the default VFS, see `watch`.
        Some((real.0, unsafe { (*real.0).xOpen }?))
    }) else {
        return SQLITE_ERROR;
    };
    let path = path_of(name);
    if let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?))) {
        with_disk(folder, |disk| disk.open(path));
    }
    // SAFETY: passes SQLite's own arguments on to the VFS whose size of file ours has.
    let result = unsafe { real_open(real, name, file, flags, out_flags) };
    // SAFETY: an opened file has methods, which live for ever, as does the table that replaces them.
    unsafe {
        if let (SQLITE_OK, Some(path), Some(real)) = (result, path, (*file).pMethods.as_ref()) {
            (*file).pMethods = telling(real);
            lock(&OPEN).get_or_insert_default().insert(file.addr(), OpenFile { path, real });
        }
    }
    result
}

unsafe extern "C" fn delete(_vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    if let Some(path) = path_of(name)
        && let Some(folder) = path.parent()
    {
        with_disk(folder, |disk| disk.delete(&path));
    }
    // SAFETY: passes SQLite's own arguments on.
    unsafe {
        match REAL.get().and_then(|real| Some((real.0, (*real.0).xDelete?))) {
            Some((real, real_delete)) => real_delete(real, name, sync_folder),
            None => SQLITE_ERROR,
        }
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, data: *const c_void, len: c_int, offset: sqlite3_int64) -> c_int {
    let (Ok(count), Ok(start)) = (usize::try_from(len), usize::try_from(offset)) else { return SQLITE_ERROR };
    // SAFETY: SQLite gives `len` bytes at `data`.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), count) };
    let real = tell(file, |disk, path| disk.write(path, start, bytes)).and_then(|real| real.xWrite);
    // SAFETY: passes SQLite's own arguments on.
    real.map_or(SQLITE_ERROR, |real| unsafe { real(file, data, len, offset) })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    let Ok(len) = usize::try_from(size) else { return SQLITE_ERROR };
    let real = tell(file, |disk, path| disk.set_len(path, len)).and_then(|real| real.xTruncate);
    // SAFETY: passes SQLite's own arguments on.
    real.map_or(SQLITE_ERROR, |real| unsafe { real(file, size) })
}

/// Nothing is synced in truth: the disk that counts is the one in memory, and the test is quicker.
unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    tell(file, Disk::sync).map_or(SQLITE_ERROR, |_| SQLITE_OK)
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let open = lock(&OPEN).as_mut().and_then(|open| open.remove(&file.addr()));
    let real = open.and_then(|open| open.real.xClose);
    // SAFETY: passes SQLite's own argument on.
    real.map_or(SQLITE_ERROR, |real| unsafe { real(file) })
}
