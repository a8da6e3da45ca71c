use std::f64::consts::TAU;

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand_mt::Mt;

/// Values per block of torch's normal transform: 8 pairs.
const BLOCK: usize = 16;

/// The random numbers of `torch.Generator("cpu")`.
///
/// The engine is MT19937 (Matsumoto and Nishimura, 1998, <https://doi.org/10.1145/272991.272995>). The transform is
/// that of Box and Muller (1958, <https://doi.org/10.1214/aoms/1177706645>), in the order in which `torch.randn`
/// applies it. Logarithm, sine and cosine are computed in float64 and rounded once, so the noise does not depend on the
/// float32 library of a platform. torch's own values differ in the last digit.
#[derive(Debug, Clone)]
pub struct Generator {
    engine: Mt,
    /// The second normal of a pair, if a draw of fewer than 16 values used only the first.
    spare: Option<f64>,
}

impl Generator {
    /// A generator in the state after `torch.Generator("cpu").manual_seed(seed)`, which uses the low 32 bits of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { engine: Mt::new((seed & u64::from(u32::MAX)) as u32), spare: None }
    }

    /// `count` standard normal values, those of `torch.randn(count, generator=generator)`.
    #[must_use]
    pub fn randn(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK { (0..count).map(|_| self.normal() as f32).collect() } else { self.normal_blocks(count) }
    }

    /// Standard normal noise in float32, drawn on the host as `torch.randn(shape, generator=generator)` and copied to
    /// `device`.
    #[must_use]
    pub fn randn_tensor(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let values = self.randn(shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
    }

    /// `count` values in [0, 1), those of `torch.rand(count, generator=generator)`.
    #[must_use]
    pub fn rand(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.uniform_f32()).collect()
    }

    /// Draws all uniforms first, then transforms each block of 16 in place. If a rest remains, the last 16 values are
    /// drawn again.
    fn normal_blocks(&mut self, count: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..count).map(|_| self.uniform_f32()).collect();
        values.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !count.is_multiple_of(BLOCK) {
            let last = &mut values[count - BLOCK..];
            last.fill_with(|| self.uniform_f32());
            box_muller(last);
        }
        values
    }

    /// One normal value in float64. The second value of its pair is kept for the next call.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (angle, length) = (TAU * self.uniform_f64(), self.uniform_f64());
        let radius = (-2.0 * (-length).ln_1p()).sqrt();
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// 24 random bits in [0, 1).
    fn uniform_f32(&mut self) -> f32 {
        (self.engine.next_u32() & 0x00ff_ffff) as f32 / (1_u32 << 24) as f32
    }

    /// 53 random bits in [0, 1). The first draw of the engine gives the upper half.
    fn uniform_f64(&mut self) -> f64 {
        let (high, low) = (u64::from(self.engine.next_u32()), u64::from(self.engine.next_u32()));
        (((high << 32) | low) & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
    }
}

/// A source of noise for the images of a batch.
pub trait Noise {
    /// Standard normal noise in float32, drawn on the host and copied to `device`.
    ///
    /// # Shapes
    /// - `shape` and output: `[batch, channels, height, width]`
    fn draw(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4>;
}

/// One generator for the whole batch.
impl Noise for Generator {
    fn draw(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4> {
        self.randn_tensor(shape, device)
    }
}

/// One generator per image of a batch, like a list of generators in diffusers: no image depends on the others.
#[derive(Debug, Clone)]
pub struct Generators(Vec<Generator>);

impl Generators {
    /// One generator per seed.
    #[must_use]
    pub fn new(seeds: impl IntoIterator<Item = u64>) -> Self {
        Self(seeds.into_iter().map(Generator::new).collect())
    }
}

/// # Panics
/// When the number of images in the batch differs from the number of generators.
impl Noise for Generators {
    fn draw(&mut self, [batch, channels, height, width]: [usize; 4], device: &Device) -> Tensor<4> {
        assert_eq!(batch, self.0.len(), "a generator for each image");
        let image = |generator: &mut Generator| generator.randn_tensor([1, channels, height, width], device);
        Tensor::cat(self.0.iter_mut().map(image).collect(), 0)
    }
}

/// Turns 16 uniforms into normals: the first half gives the radii and receives the cosines, the second half gives the
/// angles and receives the sines.
fn box_muller(block: &mut [f32]) {
    let (radii, angles) = block.split_at_mut(BLOCK / 2);
    for (first, second) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * f64::from(1.0 - *first).ln()).sqrt();
        let angle = f64::from(TAU as f32 * *second);
        *first = (radius * angle.cos()) as f32;
        *second = (radius * angle.sin()) as f32;
    }
}
