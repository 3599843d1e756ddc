//! What would be on a disk if the machine lost power now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Disks write so many bytes or none of them.
const SECTOR: usize = 512;

/// A change that was not synced.
#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
}

/// A file: what is durable, and what came after.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// What survives of unsynced writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// Of all sectors written, in whatever order, these that a coin chooses.
    RandomSectors,
    /// The first so many writes and no others.
    RandomPrefix,
}

/// Which operations are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Counted {
    #[default]
    All,
    /// Those that move pages from the log into the database.
    Checkpoint,
}

/// The files of one folder.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    files: BTreeMap<PathBuf, File>,
    /// After so many operations, on the files that count, a copy is made.
    countdown: Option<u64>,
    counted: Counted,
    /// How many writes had been acknowledged to their callers.
    acknowledged: Arc<AtomicUsize>,
    pub(crate) taken: Option<Box<Taken>>,
}

/// The disk at one moment, and how many writes had been acknowledged then.
#[derive(Clone)]
pub(crate) struct Taken {
    disk: Disk,
    pub(crate) acknowledged: usize,
}

impl Disk {
    pub(crate) fn new(acknowledged: Arc<AtomicUsize>) -> Self {
        Self { acknowledged, ..Self::default() }
    }

    /// Takes a copy in the middle of the operation that comes after so many others.
    pub(crate) fn take_after(&mut self, operations: u64, counted: Counted) {
        self.countdown = Some(operations);
        self.counted = counted;
        self.taken = None;
    }

    pub(crate) fn open(&mut self, path: &Path) {
        let existing = || File { durable: std::fs::read(path).unwrap_or_default(), unsynced: Vec::new() };
        self.files.entry(path.to_owned()).or_insert_with(existing);
    }

    pub(crate) fn write(&mut self, path: &Path, offset: usize, data: &[u8]) {
        self.tick(path);
        self.change(path, Change::Write { offset, data: data.to_vec() });
    }

    pub(crate) fn set_len(&mut self, path: &Path, len: usize) {
        self.tick(path);
        self.change(path, Change::SetLen(len));
    }

    pub(crate) fn sync(&mut self, path: &Path) {
        self.tick(path);
        if let Some(file) = self.files.get_mut(path) {
            for change in std::mem::take(&mut file.unsynced) {
                apply(&mut file.durable, &change);
            }
        }
    }

    pub(crate) fn delete(&mut self, path: &Path) {
        self.files.remove(path);
    }

    fn change(&mut self, path: &Path, change: Change) {
        self.files.entry(path.to_owned()).or_default().unsynced.push(change);
    }

    fn tick(&mut self, path: &Path) {
        if self.counted == Counted::Checkpoint && path.extension().is_none_or(|extension| extension != "db") {
            return;
        }
        let Some(left) = self.countdown else { return };
        self.countdown = left.checked_sub(1);
        if left == 0 {
            let disk = Self { files: self.files.clone(), ..Self::default() };
            self.taken = Some(Box::new(Taken { disk, acknowledged: self.acknowledged.load(Ordering::SeqCst) }));
        }
    }
}

impl Taken {
    /// Writes into a folder what the disk would have after power is back.
    pub(crate) fn restore(&self, folder: &Path, survival: Survival, random: &mut Random) {
        for (path, file) in &self.disk.files {
            let mut content = file.durable.clone();
            let cut = random.below(file.unsynced.len() + 1);
            for (index, change) in file.unsynced.iter().enumerate() {
                match survival {
                    Survival::Nothing => {}
                    Survival::Everything => apply(&mut content, change),
                    Survival::RandomPrefix if index < cut => apply(&mut content, change),
                    Survival::RandomPrefix => {}
                    Survival::RandomSectors => {
                        sectors(change).filter(|_| random.coin()).for_each(|sector| apply(&mut content, &sector));
                    }
                }
            }
            std::fs::write(folder.join(path.file_name().unwrap()), content).unwrap();
        }
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => {
            let end = offset + data.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(data);
        }
        Change::SetLen(len) => content.resize(*len, 0),
    }
}

/// A change in the pieces that a disk does as a whole.
fn sectors(change: &Change) -> impl Iterator<Item = Change> {
    let mut pieces = Vec::new();
    match change {
        Change::Write { offset, data } => {
            let mut start = 0;
            while start < data.len() {
                let end = data.len().min(start + SECTOR - (offset + start) % SECTOR);
                pieces.push(Change::Write { offset: offset + start, data: data[start..end].to_vec() });
                start = end;
            }
        }
        Change::SetLen(_) => pieces.push(change.clone()),
    }
    pieces.into_iter()
}

/// Xorshift: the same seed, the same losses.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}
