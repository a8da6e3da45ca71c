//! The canvas of an image: a plain colour with layers over it.

use image::{Rgb, RgbImage};

use crate::glyph::Layer;

/// How far a contour moves the background towards black or white at its strongest point.
const CONTOUR: f32 = 0.5;

/// A square image of sRGB values from 0 to 1.
#[derive(Debug)]
pub(crate) struct Canvas {
    size: usize,
    color: [f32; 3],
    pixels: Vec<[f32; 3]>,
}

impl Canvas {
    /// `size` x `size` pixels of one colour.
    pub(crate) fn filled(size: usize, color: [u8; 3]) -> Self {
        let color = color.map(|value| f32::from(value) / 255.0);
        Self { size, color, pixels: vec![color; size * size] }
    }

    /// Lays `layer` over the image. If it would not stand out from the background, a soft contour is drawn below it.
    pub(crate) fn lay(&mut self, layer: &Layer) {
        if self.would_be_lost(layer) {
            self.contour(layer);
        }
        for (below, &[red, green, blue, alpha]) in self.pixels.iter_mut().zip(&layer.0) {
            for (below, above) in below.iter_mut().zip([red, green, blue]) {
                *below = above + *below * (1.0 - alpha);
            }
        }
    }

    /// The image in eight bits.
    pub(crate) fn into_image(self) -> RgbImage {
        RgbImage::from_fn(self.size as u32, self.size as u32, |x, y| {
            Rgb(self.pixels[y as usize * self.size + x as usize].map(|value| (value * 255.0).round() as u8))
        })
    }

    /// Whether more than a quarter of the border has nearly the colour of the background: a difference of less than 40
    /// of 255 on average over the channels. The border consists of pixels that are at least half covered and have a
    /// neighbour that is not.
    fn would_be_lost(&self, layer: &Layer) -> bool {
        let covered = |x: usize, y: usize| layer.0[y * self.size + x][3] >= 0.5;
        let last = self.size - 1;
        let (mut border, mut alike) = (0, 0);
        for (index, &[red, green, blue, alpha]) in layer.0.iter().enumerate() {
            let (x, y) = (index % self.size, index / self.size);
            let neighbours =
                [(x.saturating_sub(1), y), ((x + 1).min(last), y), (x, y.saturating_sub(1)), (x, (y + 1).min(last))];
            if covered(x, y) && !neighbours.iter().all(|&(x, y)| covered(x, y)) {
                border += 1;
                let difference = |(above, below): (f32, f32)| (above / alpha - below).abs();
                let sum: f32 = [red, green, blue].into_iter().zip(self.color).map(difference).sum();
                alike += usize::from(sum / 3.0 < 40.0 / 255.0);
            }
        }
        alike * 4 > border
    }

    /// Darkens the background around `layer`, or lightens it where it is dark, with a blurred, slightly larger
    /// silhouette.
    fn contour(&mut self, layer: &Layer) {
        let [red, green, blue] = self.color;
        let dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.35;
        let shade = if dark { 1.0 } else { 0.0 };
        let alphas: Vec<f32> = layer.0.iter().map(|pixel| pixel[3]).collect();
        let blurred = blur(&blur(&alphas, self.size, 1), self.size, self.size);
        for (pixel, alpha) in self.pixels.iter_mut().zip(blurred) {
            let strength = CONTOUR * (2.0 * alpha).min(1.0);
            *pixel = pixel.map(|value| value + (shade - value) * strength);
        }
    }
}

/// Blurs along the axis whose neighbours are `step` apart, with the binomial weights 1, 4, 6, 4, 1.
fn blur(values: &[f32], size: usize, step: usize) -> Vec<f32> {
    let at = |index: usize, offset: i64| {
        let place = (index / step % size) as i64 + offset;
        if (0..size as i64).contains(&place) { values[(index as i64 + offset * step as i64) as usize] } else { 0.0 }
    };
    let weights = [(-2, 1.0), (-1, 4.0), (0, 6.0), (1, 4.0), (2, 1.0)];
    (0..values.len())
        .map(|index| weights.iter().map(|&(offset, weight)| at(index, offset) * weight).sum::<f32>() / 16.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of `color` from 8 to 24 in an image of 32 x 32.
    fn square(color: [f32; 3]) -> Layer {
        let inside = |index: usize| (8..24).contains(&(index % 32)) && (8..24).contains(&(index / 32));
        let [red, green, blue] = color;
        Layer((0..32 * 32).map(|index| if inside(index) { [red, green, blue, 1.0] } else { [0.0; 4] }).collect())
    }

    fn image(background: [u8; 3], color: [f32; 3]) -> RgbImage {
        let mut canvas = Canvas::filled(32, background);
        canvas.lay(&square(color));
        canvas.into_image()
    }

    #[test]
    fn an_object_of_another_color_has_no_contour() {
        let image = image([255; 3], [1.0, 0.0, 0.0]);
        for (x, y, pixel) in image.enumerate_pixels() {
            let inside = (8..24).contains(&x) && (8..24).contains(&y);
            assert_eq!(pixel.0, if inside { [255, 0, 0] } else { [255; 3] });
        }
    }

    #[test]
    fn white_on_white_and_black_on_black_stay_visible() {
        let white = image([255; 3], [1.0; 3]);
        assert_eq!(white.get_pixel(8, 16).0, [255; 3]);
        assert!(white.get_pixel(7, 16).0[0] < 200);
        assert_eq!(white.get_pixel(2, 16).0, [255; 3]);
        let black = image([16; 3], [0.0; 3]);
        assert!(black.get_pixel(7, 16).0[0] > 60);
    }

    #[test]
    fn a_half_covered_pixel_is_a_mixture() {
        let mut canvas = Canvas::filled(1, [0, 0, 255]);
        canvas.lay(&Layer(vec![[0.5, 0.0, 0.0, 0.5]]));
        assert_eq!(canvas.into_image().get_pixel(0, 0).0, [128, 0, 128]);
    }
}
