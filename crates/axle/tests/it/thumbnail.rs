//! Thumbnails by a process of their own, as a server has them made: what comes of them, and of processes that go wrong.

use std::fs::File;
use std::io::{Cursor, Seek as _, Write as _};
use std::path::Path;
use std::process::Command;

use axle_client_api::Thumbnailer as _;
use axle_media::ThumbnailError::{NoPicture, TooLarge};
use axle_media::{ThumbnailError, picture_type, thumbnail_type};
use axle_server::thumbnails::ThumbnailProcesses;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

const AXLE: &str = env!("CARGO_BIN_EXE_axle");

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

async fn make(program: impl AsRef<Path>, picture: &[u8], size: &str) -> Result<Vec<u8>, ThumbnailError> {
    ThumbnailProcesses::of(program.as_ref()).make(file(picture), size.parse().unwrap()).await
}

#[tokio::test]
async fn a_picture_becomes_small() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let picture = encoded(RgbImage::from_pixel(1000, 700, Rgb([9, 99, 199])), format);
        let thumbnail = make(AXLE, &picture, "96x96-crop").await.unwrap();
        assert_eq!(thumbnail_type(&thumbnail), Some("image/jpeg"), "{format:?}");
        let made = image::load_from_memory(&thumbnail).unwrap();
        assert_eq!((made.width(), made.height()), (96, 96));
    }
}

#[tokio::test]
async fn the_most_pixels_fit_into_the_memory_that_it_may_have() {
    let picture = encoded(image::GrayAlphaImage::new(7200, 7200), ImageFormat::Png);
    let made = image::load_from_memory(&make(AXLE, &picture, "800x600-scale").await.unwrap()).unwrap();
    assert_eq!((made.width(), made.height()), (600, 600));
}

#[tokio::test]
async fn a_picture_is_measured() {
    let measure = async |picture: &[u8]| ThumbnailProcesses::of(Path::new(AXLE)).measure(file(picture)).await;
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let picture = encoded(RgbImage::new(1000, 700), format);
        assert_eq!(picture_type(&picture), Some(format.to_mime_type()));
        assert_eq!(measure(&picture).await, Ok((1000, 700)), "{format:?}");
    }
    assert_eq!(measure(b"not a picture").await, Err(NoPicture));
    let vast = encoded(image::GrayImage::new(40_000, 1), ImageFormat::Png);
    assert_eq!(measure(&vast).await, Err(TooLarge));
}

#[tokio::test]
async fn it_is_told_why_there_is_none() {
    assert_eq!(make(AXLE, b"not a picture", "32x32-crop").await, Err(NoPicture));
    let vast = encoded(image::GrayImage::new(40_000, 1), ImageFormat::Png);
    assert_eq!(make(AXLE, &vast, "32x32-crop").await, Err(TooLarge));
}

#[tokio::test]
async fn a_process_that_goes_wrong_is_no_verdict_on_the_picture() {
    // One that fails, one that never ends what it says, and one that is not there.
    for program in ["false", "yes", "/nonexistent/axle"] {
        let outcome = make(program, b"any", "32x32-crop").await;
        assert!(matches!(outcome, Err(ThumbnailError::Failed(_))), "{program}: {outcome:?}");
    }
}

#[test]
fn the_command_is_not_for_people() {
    let help = Command::new(AXLE).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("serve") && !help.contains("thumbnail"), "{help}");
}
