//! Noise schedules, samplers and random numbers for pyrograph.
//!
//! A [`SchedulerConfig`] is read from `scheduler_config.json`; [`Algorithm::build`] makes a [`Scheduler`] of it. The
//! caller owns the loop, the model and the guidance:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pyrograph_scheduler::{Algorithm, Generator, SchedulerConfig};
//!
//! let config = SchedulerConfig::from_json(r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}"#)?;
//! let mut scheduler = Algorithm::Euler.build(&config, 20)?;
//! let mut generator = Generator::new(42);
//! let mut sample = generator.randn_tensor([1, 4, 8, 8], &Device::flex()) * scheduler.init_noise_sigma();
//! for (index, timestep) in scheduler.timesteps().to_vec().into_iter().enumerate() {
//!     let input = scheduler.scale_model_input(sample.clone(), index);
//!     let output = input * (timestep / 1000.0); // the UNet's place
//!     sample = scheduler.step(output, index, sample, &mut generator);
//! }
//! # Ok::<(), pyrograph_scheduler::SchedulerError>(())
//! ```
//!
//! The numbers are those of huggingface diffusers 0.42: tables that it holds in float32 are rounded to float32 here, and
//! every coefficient that follows from them is float64 on the host. A scheduler never reads a tensor back.

mod algorithm;
mod config;
mod ddim;
mod ddpm;
mod deis;
mod diffusion;
mod dpm_solver;
mod error;
mod euler;
mod euler_ancestral;
mod generator;
mod heun;
mod kdpm2;
mod kdpm2_ancestral;
mod lcm;
mod limit;
mod lms;
mod multistep;
mod noise_schedule;
mod pndm;
mod prediction;
mod sigmas;
mod timesteps;
mod unipc;

use burn::tensor::Tensor;

pub use algorithm::Algorithm;
pub use config::{FinalSigmasType, SchedulerConfig, SolverType, VarianceType};
pub use diffusion::{Diffusion, Gaussian};
pub use error::SchedulerError;
pub use generator::Generator;
pub use noise_schedule::BetaSchedule;
pub use prediction::PredictionType;
pub use timesteps::TimestepSpacing;

/// A sampler in the middle of one run: it turns a model's outputs into ever less noisy samples.
///
/// `index` is a position in [`timesteps`](Self::timesteps), since timesteps may repeat. Calls go through the positions
/// in ascending order and may begin at any of them; multistep methods gather their history on the way.
pub trait Scheduler: std::fmt::Debug {
    /// The model's time inputs in the order of the calls. There may be more of them than steps, some may be fractional.
    fn timesteps(&self) -> &[f64];

    /// The standard deviation of the first sample: standard normal noise is multiplied with it.
    fn init_noise_sigma(&self) -> f64 {
        1.0
    }

    /// The model's input for this sample.
    ///
    /// # Shapes
    /// - sample and output: `[batch, channels, height, width]`
    fn scale_model_input(&self, sample: Tensor<4>, _index: usize) -> Tensor<4> {
        sample
    }

    /// One step towards less noise. Stochastic samplers draw from `generator` as diffusers does.
    ///
    /// # Shapes
    /// - `model_output` (any float type), `sample` and output (the sample's type): `[batch, channels, height, width]`
    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        generator: &mut Generator,
    ) -> Tensor<4>;

    /// `original` at the noise level of the position `index`.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, index: usize) -> Tensor<4>;
}
