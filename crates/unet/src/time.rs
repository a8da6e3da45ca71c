//! The time embedding.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_kernels::{Linear, LinearConfig, linear, silu};

/// Sinusoidal features of the timesteps, "Attention Is All You Need" (<https://arxiv.org/abs/1706.03762>), section 3.5:
/// the frequencies fall from 1 to 1/10000 over half the width.
///
/// They are computed on the host, with angles in float32: at `t = 999`, the rounding of the angle is larger than the
/// required accuracy of the network, and checkpoints were trained with this rounding.
///
/// # Shapes
/// `timesteps`: `[batch]` -> `[batch, width]`, float32
pub fn timestep_features(timesteps: &[f64], width: usize, flip: bool, freq_shift: f64, device: &Device) -> Tensor<2> {
    let half = width / 2;
    let frequency = |i: usize| (-(10_000f32.ln()) * i as f32 / (half as f64 - freq_shift) as f32).exp();
    let angles = |t: f64| (0..half).map(move |i| (t as f32 * frequency(i)) as f64);
    let row = |t: f64| -> Vec<f32> {
        let sin = angles(t).map(|angle| angle.sin() as f32);
        let cos = angles(t).map(|angle| angle.cos() as f32);
        let mut row: Vec<f32> = if flip { cos.chain(sin).collect() } else { sin.chain(cos).collect() };
        row.resize(width, 0.0);
        row
    };
    let values = timesteps.iter().flat_map(|&t| row(t)).collect();
    Tensor::from_data(TensorData::new::<f32, _>(values, [timesteps.len(), width]), device)
}

/// Two linear layers that turn timestep features into the time embedding.
#[derive(Module, Debug)]
pub struct TimestepEmbedding {
    /// From the features' width to the embedding's.
    pub linear_1: Linear,
    /// Keeps the embedding's width.
    pub linear_2: Linear,
}

impl TimestepEmbedding {
    /// Makes the layers on `device`.
    pub fn new(features: usize, width: usize, device: &Device) -> Self {
        Self {
            linear_1: LinearConfig::new(features, width).init(device),
            linear_2: LinearConfig::new(width, width).init(device),
        }
    }

    /// # Shapes
    /// `[batch, features]` -> `[batch, width]`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        linear(silu(linear(features, &self.linear_1)), &self.linear_2)
    }
}
