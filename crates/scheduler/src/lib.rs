//! Noise schedules, samplers and random numbers for pyrograph.
//!
//! A [`SchedulerConfig`] is read from `scheduler_config.json`, and [`Algorithm::build`] makes a [`Scheduler`] from it.
//! The caller owns the loop, the network and the guidance:
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
//! Image to image starts at the position [`Scheduler::first_step`], with [`Scheduler::add_noise`].
//!
//! The numbers are those of huggingface diffusers 0.42: tables that diffusers stores in float32 are rounded to float32
//! here, and all coefficients computed from them are float64 on the host. A scheduler never reads a tensor back.

mod algorithm;
mod config;
mod ddim;
mod ddpm;
mod deis;
mod diffusion;
mod dpm_solver;
mod error;
mod euler;
mod generator;
mod heun;
mod kdpm2;
mod lcm;
mod level;
mod limit;
mod lms;
mod noise_schedule;
mod pndm;
mod posterior;
mod prediction;
mod sampler;
mod schedule;
mod scheduler;
mod sigma_schedule;
mod sigma_table;
mod spacing;
mod unipc;

pub use algorithm::Algorithm;
pub use config::{FinalSigmasType, SchedulerConfig, SolverType, VarianceType};
pub use diffusion::{Diffusion, Gaussian};
pub use error::SchedulerError;
pub use generator::{Generator, Generators, Noise};
pub use noise_schedule::BetaSchedule;
pub use prediction::PredictionType;
pub use scheduler::Scheduler;
pub use sigma_schedule::SigmaSchedule;
pub use spacing::TimestepSpacing;
