use image::RgbImage;

/// The peak signal-to-noise ratio of two images of one size, in decibels: `10 log10(255^2 / mean squared error)`.
pub fn peak_signal_to_noise(a: &RgbImage, b: &RgbImage) -> f64 {
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    let error = a.as_raw().iter().zip(b.as_raw()).map(square).sum::<f64>() / a.as_raw().len() as f64;
    10.0 * (255.0 * 255.0 / error).log10()
}

/// Width and height of the window, in pixels.
pub(super) const WINDOW: u32 = 2 * RADIUS as u32 + 1;
/// Half the width of the window, beyond which its weights are zero.
const RADIUS: usize = 5;
/// The standard deviation of the window's weights, in pixels.
const SIGMA: f64 = 1.5;
/// Constants that avoid a division by zero: (0.01 * 255)^2 and (0.03 * 255)^2.
const C1: f64 = 6.5025;
const C2: f64 = 58.5225;

/// The mean structural similarity of two images of one size (Wang et al. 2004, <https://doi.org/10.1109/TIP.2003.819861>),
/// over all channels and all places at which the window of 11x11 pixels fits: 1 for equal images.
///
/// # Panics
/// When the images differ in size or are smaller than the window.
pub fn structural_similarity(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions(), "the images differ in size");
    assert!(a.width().min(a.height()) >= WINDOW, "the images are smaller than the window");
    (0..3).map(|channel| of_planes(&Plane::of(a, channel), &Plane::of(b, channel))).sum::<f64>() / 3.0
}

fn of_planes(a: &Plane, b: &Plane) -> f64 {
    let mean = |plane: &Plane| plane.blurred();
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (square_a, square_b, product) = (mean(&a.times(a)), mean(&b.times(b)), mean(&a.times(b)));
    let at = |i: usize| {
        let (mu_a, mu_b) = (mean_a.values[i], mean_b.values[i]);
        let (variance_a, variance_b) = (square_a.values[i] - mu_a * mu_a, square_b.values[i] - mu_b * mu_b);
        let covariance = product.values[i] - mu_a * mu_b;
        (2.0 * mu_a * mu_b + C1) * (2.0 * covariance + C2)
            / ((mu_a * mu_a + mu_b * mu_b + C1) * (variance_a + variance_b + C2))
    };
    (0..mean_a.values.len()).map(at).sum::<f64>() / mean_a.values.len() as f64
}

/// One channel, row by row.
struct Plane {
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    fn of(image: &RgbImage, channel: usize) -> Self {
        let values = image.pixels().map(|pixel| f64::from(pixel.0[channel])).collect();
        Self { width: image.width() as usize, values }
    }

    fn times(&self, other: &Self) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a * b).collect();
        Self { width: self.width, values }
    }

    /// Weighted means over the window, where it fits: along the rows, then along the columns.
    fn blurred(&self) -> Self {
        self.along_rows().turned().along_rows().turned()
    }

    fn along_rows(&self) -> Self {
        let weight = |i: usize| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
        let weights: Vec<f64> = (0..=2 * RADIUS).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let mean =
            |window: &[f64]| window.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>() / sum;
        let values = self.values.chunks(self.width).flat_map(|row| row.windows(weights.len()).map(mean)).collect();
        Self { width: self.width - 2 * RADIUS, values }
    }

    fn turned(&self) -> Self {
        let height = self.values.len() / self.width;
        let column = |x: usize| (0..height).map(move |y| y * self.width + x);
        Self { width: height, values: (0..self.width).flat_map(column).map(|i| self.values[i]).collect() }
    }
}
