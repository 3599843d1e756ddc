//! Small pictures of large, odd and hostile ones.

use std::io::{Cursor, Read as _};

use axle_media::ThumbnailMethod::{Crop, Scale};
use axle_media::{MAX_PICTURE_BYTES, ThumbnailError, ThumbnailSize, make_thumbnail, thumbnail_type};
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, ImageEncoder as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

const RED: Rgb<u8> = Rgb([200, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 200]);

fn size(text: &str) -> ThumbnailSize {
    text.parse().unwrap()
}

/// The left half is red, the right one blue.
fn two_halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn thumbnail(picture: &[u8], name: &str) -> RgbImage {
    let bytes = make_thumbnail(picture, size(name)).unwrap();
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}

/// Colours of a JPEG are about what they were.
#[track_caller]
fn assert_colour(image: &RgbImage, x: u32, y: u32, expected: Rgb<u8>) {
    let found = image.get_pixel(x, y);
    let is_near = found.0.iter().zip(expected.0).all(|(found, expected)| found.abs_diff(expected) < 40);
    assert!(is_near, "({x}, {y}) is {found:?}, not {expected:?}");
}

#[test]
fn a_request_gets_the_size_that_is_not_smaller() {
    let chosen = |method, width, height| ThumbnailSize::for_request(method, width, height).to_string();
    assert_eq!(chosen(Crop, 1, 1), "32x32-crop");
    assert_eq!(chosen(Crop, 32, 32), "32x32-crop");
    assert_eq!(chosen(Crop, 32, 33), "96x96-crop");
    assert_eq!(chosen(Crop, 97, 20), "320x240-scale");
    assert_eq!(chosen(Scale, 1, 1), "320x240-scale");
    assert_eq!(chosen(Scale, 320, 241), "640x480-scale");
    assert_eq!(chosen(Scale, 800, 600), "800x600-scale");
    assert_eq!(chosen(Scale, u32::MAX, 1), "800x600-scale");
    for all in ThumbnailSize::ALL {
        assert_eq!(size(&all.to_string()), all);
    }
    assert!("96x96-scale".parse::<ThumbnailSize>().is_err());
}

#[test]
fn pictures_are_scaled_or_cropped_and_never_enlarged() {
    for (picture, name, expected) in [
        ((1000, 500), "320x240-scale", (320, 160)),
        ((500, 1000), "320x240-scale", (120, 240)),
        ((1000, 500), "96x96-crop", (96, 96)),
        ((500, 1000), "96x96-crop", (96, 96)),
        ((640, 480), "320x240-scale", (320, 240)),
        ((320, 240), "320x240-scale", (320, 240)),
        ((300, 20), "320x240-scale", (300, 20)),
        ((20, 10), "96x96-crop", (20, 10)),
        ((20, 200), "32x32-crop", (20, 32)),
        ((5000, 1), "800x600-scale", (800, 1)),
        ((1, 5000), "32x32-crop", (1, 32)),
        ((33, 32), "32x32-crop", (32, 32)),
        ((1, 1), "800x600-scale", (1, 1)),
    ] {
        let made = thumbnail(&encoded(two_halves(picture.0, picture.1), ImageFormat::Png), name);
        assert_eq!(made.dimensions(), expected, "{picture:?} {name}");
    }
    let made = thumbnail(&encoded(two_halves(1000, 500), ImageFormat::Png), "96x96-crop");
    assert_colour(&made, 5, 50, RED);
    assert_colour(&made, 90, 50, BLUE);
}

#[test]
fn every_kind_of_picture_is_read() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let bytes = make_thumbnail(&*encoded(two_halves(400, 400), format), size("96x96-crop")).unwrap();
        assert_eq!(thumbnail_type(&bytes), Some("image/jpeg"), "{format:?}");
        let made = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_colour(&made, 10, 10, RED);
        assert_colour(&made, 85, 85, BLUE);
    }
    let grey = image::GrayImage::from_pixel(200, 200, image::Luma([77]));
    assert_colour(&thumbnail(&encoded(grey, ImageFormat::Png), "32x32-crop"), 5, 5, Rgb([77, 77, 77]));
    let deep = image::ImageBuffer::from_pixel(200, 200, Rgb([50_000_u16, 0, 0]));
    let deep = DynamicImage::ImageRgb16(deep);
    assert_colour(&thumbnail(&encoded(deep, ImageFormat::Png), "32x32-crop"), 5, 5, Rgb([195, 0, 0]));
}

#[test]
fn what_is_transparent_stays_so() {
    let picture = RgbaImage::from_fn(200, 200, |x, _| if x < 100 { Rgba([0, 0, 0, 0]) } else { Rgba([9, 9, 9, 255]) });
    let bytes = make_thumbnail(&*encoded(picture, ImageFormat::Png), size("32x32-crop")).unwrap();
    assert_eq!(thumbnail_type(&bytes), Some("image/png"));
    let made = image::load_from_memory(&bytes).unwrap().into_rgba8();
    assert_eq!((made.get_pixel(3, 3).0[3], made.get_pixel(28, 3).0[3]), (0, 255));
    let opaque = RgbaImage::from_pixel(200, 200, Rgba([9, 9, 9, 255]));
    let bytes = make_thumbnail(&*encoded(opaque, ImageFormat::Png), size("32x32-crop")).unwrap();
    assert_eq!(thumbnail_type(&bytes), Some("image/jpeg"));
}

#[test]
fn of_an_animation_the_first_picture_is_shown() {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for colour in [RED, BLUE] {
        let frame = RgbImage::from_pixel(50, 50, colour);
        encoder.encode_frame(Frame::new(DynamicImage::from(frame).into_rgba8())).unwrap();
    }
    drop(encoder);
    assert_colour(&thumbnail(&bytes, "32x32-crop"), 9, 9, RED);
}

/// A JPEG of two halves whose metadata says how it was held.
fn held(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    let image = two_halves(800, 400);
    encoder.write_image(&image, 800, 400, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn pictures_are_shown_the_right_way_up() {
    let upright = thumbnail(&held(1), "320x240-scale");
    assert_eq!(upright.dimensions(), (320, 160));
    assert_colour(&upright, 10, 80, RED);
    let upside_down = thumbnail(&held(3), "320x240-scale");
    assert_eq!(upside_down.dimensions(), (320, 160));
    assert_colour(&upside_down, 10, 80, BLUE);
    // To be turned to the right: what was left is above.
    let turned = thumbnail(&held(6), "320x240-scale");
    assert_eq!(turned.dimensions(), (120, 240));
    assert_colour(&turned, 60, 10, RED);
    assert_colour(&turned, 60, 230, BLUE);
    let turned = thumbnail(&held(8), "96x96-crop");
    assert_eq!(turned.dimensions(), (96, 96));
    assert_colour(&turned, 48, 5, BLUE);
    assert_colour(&turned, 48, 90, RED);
}

/// A PNG whose header says that it has so many pixels, and little else.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(RgbImage::from_pixel(1, 1, RED), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &bytes[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[test]
fn what_is_no_picture_or_too_large_is_refused() {
    let any = size("32x32-crop");
    let whole = encoded(two_halves(300, 300), ImageFormat::Png);
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>";
    for nothing in [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", svg, &whole[..60]]
    {
        assert_eq!(make_thumbnail(nothing, any), Err(ThumbnailError::NoPicture), "{nothing:?}");
    }
    for (width, height) in [(30_000, 30_000), (40_000, 1), (1, 40_000)] {
        assert_eq!(make_thumbnail(&*claims(width, height), any), Err(ThumbnailError::TooLarge), "{width}x{height}");
    }
    assert_eq!(make_thumbnail(&*claims(100, 100), any), Err(ThumbnailError::NoPicture), "less than it claims");
    let endless = std::io::repeat(7).take(MAX_PICTURE_BYTES + 1);
    assert_eq!(make_thumbnail(endless, any), Err(ThumbnailError::TooLarge));
}
