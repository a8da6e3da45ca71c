use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_scheduler::Diffusion;

/// The weights of the timesteps in the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weighting {
    /// All the same: `L_simple`, equation 14 of <https://arxiv.org/abs/2006.11239>.
    Simple,
    /// By the signal-to-noise ratio, but no more than so much: <https://arxiv.org/abs/2303.09556>, where 5 is advised.
    MinSnr(f64),
}

/// The loss of each sample: the mean squared error of `model`'s prediction for the noisy sample and its timestep, weighted.
///
/// What the model predicts is the configuration's `prediction_type`; its timesteps are the process's own numbers.
///
/// # Shapes
/// - `original`, `noise`, and the model's input and output: `[batch, channels, height, width]`
/// - result: `[batch]`
pub fn denoising_loss(
    diffusion: &Diffusion,
    weighting: Weighting,
    model: impl FnOnce(Tensor<4>, &[f64]) -> Tensor<4>,
    original: Tensor<4>,
    noise: Tensor<4>,
    timesteps: &[usize],
) -> Tensor<1> {
    let noisy = diffusion.add_noise(original.clone(), noise.clone(), timesteps);
    let times: Vec<f64> = timesteps.iter().map(|&timestep| timestep as f64).collect();
    let output = model(noisy, &times);
    let error = (output - diffusion.target(original, noise, timesteps)).square();
    let losses = error.reshape([timesteps.len() as i32, -1]).mean_dim(1).reshape([timesteps.len()]); // [batch]
    match weighting {
        Weighting::Simple => losses,
        Weighting::MinSnr(gamma) => {
            let weight = |&timestep| diffusion.min_snr_weight(timestep, gamma) as f32;
            let weights: Vec<f32> = timesteps.iter().map(weight).collect();
            let device = losses.device();
            losses * Tensor::from_data(TensorData::new(weights, [timesteps.len()]), &device)
        }
    }
}

/// The text states of a network without cross-attention, which does not look at them.
pub(crate) fn no_text(batch: usize, device: &Device) -> Tensor<3> {
    Tensor::zeros([batch, 1, 1], device)
}
