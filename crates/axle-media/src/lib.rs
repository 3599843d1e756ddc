//! Content-addressed files: what people upload, by its SHA-256.
//!
//! A file is written under `incoming/`, synced, and renamed to the name of its hash; then the folder is synced. So a
//! file that has its final name is whole and survives a loss of power, and the same content is kept once. Whose a file
//! is and how it is called is not known here. Memory is bounded in both directions: [`NewFile`] takes pieces,
//! [`FileReader`] gives pieces.
//!
//! [`make_thumbnail`] makes a small picture of a large one, [`measure_picture`] says how large one is; both belong into a process of its own.

mod error;
mod folder;
mod new_file;
mod reader;
mod thumbnail;

pub use error::MediaError;
pub use folder::MediaFolder;
pub use new_file::{NewFile, StoredFile};
pub use reader::FileReader;
pub use thumbnail::{
    MAX_PICTURE_BYTES, MAX_THUMBNAIL_BYTES, ThumbnailError, ThumbnailMethod, ThumbnailSize, make_thumbnail,
    measure_picture, picture_type, thumbnail_type,
};

/// The SHA-256 of a file's content: its name.
pub type ContentHash = [u8; 32];
