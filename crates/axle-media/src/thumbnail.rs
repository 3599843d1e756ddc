//! Small pictures of large ones. What is decoded here comes from anybody: this belongs into a process of its own, which
//! may crash or be killed.

use std::fmt;
use std::io::{Cursor, Read};
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

/// A larger file is not looked into, in bytes.
pub const MAX_PICTURE_BYTES: u64 = 32 << 20;
/// A larger thumbnail is none, in bytes: the largest size has 800 times 600 pixels of 4 bytes.
pub const MAX_THUMBNAIL_BYTES: u64 = 4 << 20;
/// The widest and highest picture, in pixels.
const MAX_SIDE: u32 = 32_768;
/// The most pixels of a picture. Telephones take pictures of 50 million.
const MAX_PIXELS: u64 = 52_000_000;
/// What a decoder may have in memory, in bytes: twice the most pixels, of 4 bytes.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8;
/// Of 100.
const JPEG_QUALITY: u8 = 80;

/// How large a thumbnail is, and how it becomes so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThumbnailSize {
    width: u32,
    height: u32,
    is_crop: bool,
}

/// How a picture gets into a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThumbnailMethod {
    /// All of it is there, in its own shape.
    Scale,
    /// Its middle, in the shape that was asked for.
    Crop,
}

/// Why there is no thumbnail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThumbnailError {
    /// The picture has too many bytes or pixels.
    #[error("the picture is too large")]
    TooLarge,
    /// It is no picture, or of a kind that cannot be read, or broken.
    #[error("there is no picture that can be read")]
    NoPicture,
    /// Something else went wrong; it may go better the next time.
    #[error("{0}")]
    Failed(String),
}

impl ThumbnailSize {
    /// All there are: those that the specification recommends.
    pub const ALL: [Self; 5] = [
        Self { width: 32, height: 32, is_crop: true },
        Self { width: 96, height: 96, is_crop: true },
        Self { width: 320, height: 240, is_crop: false },
        Self { width: 640, height: 480, is_crop: false },
        Self { width: 800, height: 600, is_crop: false },
    ];

    /// The smallest one that is not smaller than this, in pixels; else the largest. Nothing large is cropped.
    pub fn for_request(method: ThumbnailMethod, width: u32, height: u32) -> Self {
        let fits = |size: &&Self| size.width >= width && size.height >= height;
        let may = |size: &&Self| !size.is_crop || method == ThumbnailMethod::Crop;
        let [.., largest] = Self::ALL;
        Self::ALL.iter().filter(may).find(fits).copied().unwrap_or(largest)
    }

    /// To what a picture of this width and height is scaled, and how much of the middle is left of it then. Neither is
    /// larger than the picture.
    fn of(self, picture: (u32, u32)) -> ((u32, u32), (u32, u32)) {
        let Self { width, height, is_crop } = self;
        let (by_width, by_height) = (scaled(picture, picture.0, width), scaled(picture, picture.1, height));
        // Scaled by its width, is it too high?
        let is_high = by_width.1 > height;
        let scaled = match is_high == is_crop {
            true => by_width,
            false => by_height,
        };
        (scaled, (scaled.0.min(width), scaled.1.min(height)))
    }
}

/// As `AxB-crop` or `AxB-scale`.
impl fmt::Display for ThumbnailSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.is_crop { "crop" } else { "scale" };
        write!(f, "{}x{}-{method}", self.width, self.height)
    }
}

impl FromStr for ThumbnailSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|size| size.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no size of thumbnails"))
    }
}

/// Makes a thumbnail: a PNG where something is transparent, else a JPEG. It shows the first picture of an animation, the
/// way up that the file says, and has none of the file's other data. Blocks, and takes the memory
/// that the largest picture takes.
pub fn make_thumbnail(picture: impl Read, size: ThumbnailSize) -> Result<Vec<u8>, ThumbnailError> {
    let (image, orientation) = decode(read(picture)?)?;
    let turn = |size: (u32, u32)| turned(size, orientation);
    // Turned when it is small.
    let (scaled, middle) = size.of(turn((image.width(), image.height())));
    let (scaled, middle) = (turn(scaled), turn(middle));
    let mut image = match scaled == (image.width(), image.height()) {
        true => image,
        false => image.thumbnail_exact(scaled.0, scaled.1),
    };
    if middle != scaled {
        image = image.crop_imm((scaled.0 - middle.0) / 2, (scaled.1 - middle.1) / 2, middle.0, middle.1);
    }
    image.apply_orientation(orientation);
    encode(image)
}

/// Width and height of a picture that a thumbnail could be made of, in pixels, the way up that the file says. Reads only
/// what comes before the picture itself. Blocks.
pub fn measure_picture(picture: impl Read) -> Result<(u32, u32), ThumbnailError> {
    let (decoder, orientation) = open(read(picture)?)?;
    Ok(turned(decoder.dimensions(), orientation))
}

/// The type of a picture that a thumbnail could be made of, by how it begins; `None`: it is none.
pub fn picture_type(picture: &[u8]) -> Option<&'static str> {
    match picture {
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => thumbnail_type(picture),
    }
}

/// The type of a thumbnail, by how it begins; `None`: it is none.
pub fn thumbnail_type(thumbnail: &[u8]) -> Option<&'static str> {
    match thumbnail {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ => None,
    }
}

/// A picture of which one side shrinks `from` so many pixels `to` others, if it has more.
fn scaled((width, height): (u32, u32), from: u32, to: u32) -> (u32, u32) {
    if from <= to {
        return (width, height);
    }
    let side = |side: u32| {
        let scaled = (u64::from(side) * u64::from(to)).checked_div(u64::from(from)).unwrap_or_default();
        u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
    };
    (side(width), side(height))
}

fn read(picture: impl Read) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    let read = picture.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| ThumbnailError::Failed(format!("the picture cannot be read: {error}")))?;
    match u64::try_from(read) {
        Ok(read) if read <= MAX_PICTURE_BYTES => Ok(bytes),
        _ => Err(ThumbnailError::TooLarge),
    }
}

/// Width and height the way up that the file says.
fn turned((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    }
}

fn decode(bytes: Vec<u8>) -> Result<(DynamicImage, Orientation), ThumbnailError> {
    let (decoder, orientation) = open(bytes)?;
    Ok((DynamicImage::from_decoder(decoder).map_err(refused)?, orientation))
}

/// What decodes a picture that is not too large, and how it is to be turned.
fn open(bytes: Vec<u8>) -> Result<(impl ImageDecoder, Orientation), ThumbnailError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.map_err(|error| ThumbnailError::Failed(error.to_string()))?;
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_DECODER_BYTES {
        return Err(ThumbnailError::TooLarge);
    }
    if width == 0 || height == 0 {
        return Err(ThumbnailError::NoPicture);
    }
    // What cannot be read of the metadata is no reason to show nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

fn refused(error: ImageError) -> ThumbnailError {
    match error {
        ImageError::Limits(_) => ThumbnailError::TooLarge,
        _ => ThumbnailError::NoPicture,
    }
}

fn encode(image: DynamicImage) -> Result<Vec<u8>, ThumbnailError> {
    let mut bytes = Vec::new();
    let has_alpha = image.color().has_alpha();
    let rgba = has_alpha.then(|| image.to_rgba8()).filter(|image| image.pixels().any(|pixel| pixel.0[3] != u8::MAX));
    let encoded = match rgba {
        Some(image) => image.write_with_encoder(PngEncoder::new(&mut bytes)),
        None => image.into_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)),
    };
    encoded.map_err(|error| ThumbnailError::Failed(format!("the thumbnail cannot be written: {error}")))?;
    Ok(bytes)
}
