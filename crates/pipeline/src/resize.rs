//! Scaling and cropping of images as in Pillow, which torchvision and transformers use.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::F32x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// The image has no pixels, or its sides differ so much that a square shows almost nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has {width}x{height} pixels; one side can be at most {} times the other", Self::LONGEST)]
pub struct Disproportionate {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Disproportionate {
    /// The largest ratio of the longer side to the shorter side.
    pub const LONGEST: u32 = 100;

    /// Checks that a square can be cropped from an image of this size.
    ///
    /// # Errors
    /// Returns an error if it cannot.
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

/// Scales an image with bicubic interpolation to `edge` pixels on its shorter side, and crops it to `size` x `size`
/// pixels at `place`: from 0, the left or upper end, to 1. Only pixels that are kept are computed.
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
    let (top, kept) = (rows.start, rows.end - rows.start);
    let bytes_of = |row: u32| row as usize * width as usize * 3;
    let source = &image.as_raw()[bytes_of(rows.start)..bytes_of(rows.end)];
    // First horizontally, rounded to bytes, then vertically: values out of range at an edge are clipped twice, as in
    // Pillow.
    let narrow = resample(source, [width, kept], [size, kept], [across.start, 0.0, across.length, f64::from(kept)]);
    let place = [0.0, down.start - f64::from(top), f64::from(size), down.length];
    let square = resample(&narrow, [size, kept], [size, size], place);
    Ok(RgbImage::from_raw(size, size, square).expect("three bytes a pixel"))
}

/// Scales a part of an image, given by left, top, width and height, to another size. The sums are float32. Sums of
/// bytes would have weights of 16 bits and would differ from Pillow's by one more often.
fn resample(bytes: &[u8], size: [u32; 2], target: [u32; 2], [left, top, width, height]: [f64; 4]) -> Vec<u8> {
    let pixel = |bytes: &[u8]| F32x3::new([0, 1, 2].map(|channel| f32::from(bytes[channel])));
    let pixels: Vec<F32x3> = bytes.chunks_exact(3).map(pixel).collect();
    let source = TypedImage::from_pixels(size[0], size[1], pixels).expect("three bytes a pixel");
    let mut resized = TypedImage::<F32x3>::new(target[0], target[1]);
    // A sum of fractions can exceed the border by a rounding error, which the resizer would refuse.
    let (width, height) = (width.min(f64::from(size[0]) - left), height.min(f64::from(size[1]) - top));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let done = Resizer::new().resize_typed(&source, &mut resized, &options.crop(left, top, width, height));
    done.expect("the crop lies within the source");
    let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    resized.pixels().iter().flat_map(|pixel| pixel.0.map(byte)).collect()
}

/// The part of an axis that the square shows, in pixels of the source.
struct Span {
    start: f64,
    length: f64,
    size: u32,
}

impl Span {
    /// For an axis of `source` pixels, in an image whose shorter side is scaled from `shorter` to `edge`.
    fn new(source: u32, shorter: u32, edge: u32, size: u32, place: f64) -> Self {
        let scaled = u64::from(source) * u64::from(edge) / u64::from(shorter);
        let ratio = f64::from(source) / scaled as f64;
        // Halves are rounded down, as in the integer division of transformers' `center_crop`.
        let offset = ((scaled - u64::from(size)) as f64 * place - 0.5).ceil().max(0.0);
        Self { start: offset * ratio, length: f64::from(size) * ratio, size }
    }

    fn is_identity(&self) -> bool {
        self.length == f64::from(self.size)
    }

    /// The pixels that contribute to the square: the filter reaches two pixels of the source or of the result,
    /// whichever are larger.
    fn source(&self, pixels: u32) -> std::ops::Range<u32> {
        let reach = 2.0 * (self.length / f64::from(self.size)).max(1.0) + 1.0;
        let end = (self.start + self.length + reach).ceil() as u32;
        (self.start - reach).floor().max(0.0) as u32..end.min(pixels)
    }
}
