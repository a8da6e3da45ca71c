//! A drawing, and its scaling to the size in an image.

use image::RgbaImage;

use crate::layout::Place;

/// A drawing without empty rows and columns around it. Colours are multiplied by alpha.
#[derive(Debug)]
pub(crate) struct Glyph {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
}

/// A drawing at its place in a square image, transparent around it: sRGB values times alpha, and alpha, from 0 to 1.
#[derive(Debug)]
pub(crate) struct Layer(pub(crate) Vec<[f32; 4]>);

/// The weights of the drawing's columns (or rows) in one column of the image, beginning with the first that
/// contributes.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Glyph {
    /// Removes empty rows and columns around the drawing; `None` if nothing is left.
    pub(crate) fn trimmed(premultiplied: &RgbaImage) -> Option<Self> {
        // A single pixel of a few percent is not part of the drawing.
        let drawn = premultiplied.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] >= 16);
        let (left, top, right, bottom) = drawn
            .fold((u32::MAX, u32::MAX, 0, 0), |(left, top, right, bottom), (x, y, _)| {
                (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1))
            });
        let (width, height) = (right.checked_sub(left)?, bottom.checked_sub(top)?);
        let part = image::imageops::crop_imm(premultiplied, left, top, width, height).to_image();
        let pixels = part.pixels().map(|pixel| pixel.0).collect();
        Some(Self { width: width as usize, height: height as usize, pixels })
    }

    /// Width and height, if the longer of the two is `side`.
    pub(crate) fn fitted(&self, side: f32) -> (f32, f32) {
        let longer = self.width.max(self.height) as f32;
        (side * self.width as f32 / longer, side * self.height as f32 / longer)
    }

    /// The drawing at `place` in an image of `size` x `size` pixels.
    ///
    /// It is resampled with the Catmull-Rom cubic, widened by the factor of the reduction, on sRGB values times alpha,
    /// as in browsers. The cubic is a polynomial, so the result does not depend on the sine function of a machine.
    pub(crate) fn stretched(&self, place: &Place, size: usize) -> Layer {
        let across: Vec<Taps> =
            (0..size).map(|x| Taps::new(x, place.left, place.width, self.width, place.mirrored)).collect();
        let down: Vec<Taps> = (0..size).map(|y| Taps::new(y, place.top, place.height, self.height, false)).collect();

        let mut narrow = Vec::with_capacity(size * self.height);
        for row in self.pixels.chunks_exact(self.width) {
            narrow
                .extend(across.iter().map(|taps| taps.sum(|column| row[column].map(|value| f32::from(value) / 255.0))));
        }
        let mut pixels = Vec::with_capacity(size * size);
        for taps in &down {
            for x in 0..size {
                let [red, green, blue, alpha] = taps.sum(|row| narrow[row * size + x]);
                // The cubic overshoots at edges.
                let alpha = alpha.clamp(0.0, 1.0);
                pixels.push([red.clamp(0.0, alpha), green.clamp(0.0, alpha), blue.clamp(0.0, alpha), alpha]);
            }
        }
        Layer(pixels)
    }
}

impl Taps {
    /// The weights for pixel `at` of the image. The `length` pixels of the drawing begin at `start` and are `extent`
    /// long in the image.
    fn new(at: usize, start: f32, extent: f32, length: usize, mirrored: bool) -> Self {
        let scale = (length as f32 / extent).max(1.0);
        let part = (at as f32 + 0.5 - start) / extent;
        let center = if mirrored { 1.0 - part } else { part } * length as f32;
        let (from, to) = ((center - 2.0 * scale).floor() as i64, (center + 2.0 * scale).ceil() as i64);
        let weight = |source: i64| cubic((source as f32 + 0.5 - center) / scale);
        // Weights outside of the drawing count too: it is transparent there.
        let total: f32 = (from..to).map(weight).sum();
        let within = from.clamp(0, length as i64)..to.clamp(0, length as i64);
        Self { first: within.start as usize, weights: within.map(|source| weight(source) / total).collect() }
    }

    fn sum(&self, pixel: impl Fn(usize) -> [f32; 4]) -> [f32; 4] {
        let mut sum = [0.0; 4];
        for (place, weight) in self.weights.iter().enumerate() {
            let values = pixel(self.first + place);
            for (sum, value) in sum.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        sum
    }
}

/// The Catmull-Rom cubic, which is zero from 2 on.
fn cubic(distance: f32) -> f32 {
    let x = distance.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    /// Red on the left, blue on the right, 40 x 20 pixels in the middle of 64 x 64.
    fn two_colored() -> Glyph {
        let image = RgbaImage::from_fn(64, 64, |x, y| match (x, y) {
            (12..32, 22..42) => Rgba([255, 0, 0, 255]),
            (32..52, 22..42) => Rgba([0, 0, 255, 255]),
            _ => Rgba([0, 0, 0, 0]),
        });
        Glyph::trimmed(&image).unwrap()
    }

    fn place(mirrored: bool) -> Place {
        Place { left: 4.0, top: 8.0, width: 24.0, height: 12.0, mirrored }
    }

    #[test]
    fn empty_margins_are_cut_off() {
        assert_eq!(two_colored().fitted(10.0), (10.0, 5.0));
        assert!(Glyph::trimmed(&RgbaImage::new(8, 8)).is_none());
    }

    #[test]
    fn a_drawing_fills_its_place_and_no_more() {
        let Layer(pixels) = two_colored().stretched(&place(false), 32);
        for (index, pixel) in pixels.iter().enumerate() {
            let (x, y) = (index % 32, index / 32);
            let (inside, outside) =
                ((6..26).contains(&x) && (10..18).contains(&y), !(2..30).contains(&x) || !(6..22).contains(&y));
            assert!(!inside || pixel[3] > 0.99, "{x} {y}: {pixel:?}");
            assert!(!outside || pixel[3] == 0.0, "{x} {y}: {pixel:?}");
        }
        let area: f32 = pixels.iter().map(|pixel| pixel[3]).sum();
        assert!((area - 24.0 * 12.0).abs() < 3.0, "{area}");
    }

    #[test]
    fn a_mirrored_drawing_has_its_sides_exchanged() {
        let at = |mirrored| two_colored().stretched(&place(mirrored), 32).0[13 * 32 + 8];
        assert!(at(false)[0] > 0.9 && at(true)[2] > 0.9);
    }
}
