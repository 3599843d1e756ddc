//! A file that is being read.

use std::io::{Error, ErrorKind, Result, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Some bytes of a file, piece by piece.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    left: u64,
}

impl FileReader {
    pub(crate) async fn open(path: &Path, bytes: Range<u64>) -> Result<Self> {
        let mut file = File::open(path).await?;
        if bytes.start > 0 {
            file.seek(SeekFrom::Start(bytes.start)).await?;
        }
        Ok(Self { file, left: bytes.end.saturating_sub(bytes.start) })
    }

    /// The next piece; `None`: that was all. A file that ends too early is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        if wanted == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(wanted);
        let read = (&mut self.file).take(self.left).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(Some(piece.freeze()))
    }
}
