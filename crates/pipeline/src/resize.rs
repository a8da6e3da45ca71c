//! Images scaled and cropped as Pillow, and with it torchvision and transformers, does it.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, IntoImageView, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// An image without pixels, or with sides so different that a square shows next to nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {width}x{height} pixels; one side can be at most {} times the other", Self::LONGEST)]
pub struct Disproportionate {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl Disproportionate {
    /// The longer side of an image over its shorter side, at most.
    pub const LONGEST: u32 = 100;

    /// Says whether a square can be cut out of an image of this size.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(width: u32, height: u32) -> Result<(), Self> {
        let (shorter, longer) = (width.min(height), width.max(height));
        if shorter == 0 || longer > shorter.saturating_mul(Self::LONGEST) {
            return Err(Self { width, height });
        }
        Ok(())
    }
}

/// The middle of an image, as the `place` of [`crop_square`].
pub const CENTER: f64 = 0.5;

/// Scales an image so that its shorter side has `edge` pixels, by bicubic interpolation, and crops it to `size` pixels each
/// way at `place`: from 0, the left or upper end, to 1. Only pixels that are kept are computed.
///
/// # Errors
/// See [`Disproportionate::check`].
///
/// # Panics
/// When `size` is 0 or larger than `edge`.
pub fn crop_square(image: &RgbImage, edge: u32, size: u32, place: f64) -> Result<RgbImage, Disproportionate> {
    assert!((1..=edge).contains(&size), "{size} pixels cannot be cut out of {edge}");
    let (width, height) = image.dimensions();
    Disproportionate::check(width, height)?;
    let shorter = width.min(height);
    let [across, down] = [width, height].map(|length| Span::new(length, shorter, edge, size, place));
    if across.is_identity() && down.is_identity() {
        let (left, top) = (across.start as u32, down.start as u32);
        return Ok(image::imageops::crop_imm(image, left, top, size, size).to_image());
    }
    let rows = down.source(height);
    let source = ImageRef::new(width, height, image.as_raw(), PixelType::U8x3).expect("three bytes a pixel");
    // Across first, rounded to bytes, then down: what overshoots at an edge is clipped twice, as Pillow clips it.
    let mut narrow = Image::new(size, rows.end - rows.start, PixelType::U8x3);
    let (top, kept) = (f64::from(rows.start), f64::from(rows.end - rows.start));
    resample(&source, &mut narrow, [across.start, top, across.length, kept]);
    let mut square = Image::new(size, size, PixelType::U8x3);
    resample(&narrow, &mut square, [0.0, down.start - top, f64::from(size), down.length]);
    Ok(RgbImage::from_raw(size, size, square.into_vec()).expect("three bytes a pixel"))
}

/// Scales a part of `source` to the size of `target`.
fn resample(source: &impl IntoImageView, target: &mut Image<'_>, [left, top, width, height]: [f64; 4]) {
    // A sum of fractions may pass the border by a rounding error, which the resizer would refuse.
    let (width, height) = (width.min(f64::from(source.width()) - left), height.min(f64::from(source.height()) - top));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let resized = Resizer::new().resize(source, target, &options.crop(left, top, width, height));
    resized.expect("the crop lies within the source");
}

/// The part of an axis that a square shows, in pixels of the source.
struct Span {
    start: f64,
    length: f64,
    size: u32,
}

impl Span {
    /// Of an axis of `source` pixels, in an image whose shorter side goes from `shorter` to `edge`.
    fn new(source: u32, shorter: u32, edge: u32, size: u32, place: f64) -> Self {
        let scaled = u64::from(source) * u64::from(edge) / u64::from(shorter);
        let ratio = f64::from(source) / scaled as f64;
        // Halves are rounded down, as by the integer division of transformers' `center_crop`.
        let offset = ((scaled - u64::from(size)) as f64 * place - 0.5).ceil().max(0.0);
        Self { start: offset * ratio, length: f64::from(size) * ratio, size }
    }

    fn is_identity(&self) -> bool {
        self.length == f64::from(self.size)
    }

    /// The pixels that have a part in the square: the filter reaches two pixels, of the source or of the result, whichever
    /// are larger.
    fn source(&self, pixels: u32) -> std::ops::Range<u32> {
        let reach = 2.0 * (self.length / f64::from(self.size)).max(1.0) + 1.0;
        let end = (self.start + self.length + reach).ceil() as u32;
        (self.start - reach).floor().max(0.0) as u32..end.min(pixels)
    }
}
