//! Stable Diffusion in Rust on WebGPU.
//!
//! ```no_run
//! use pyrograph::{Request, StableDiffusion};
//!
//! let device = pyrograph::device("auto")?; // a hardware GPU through wgpu, else the CPU
//! let pipeline = StableDiffusion::from_path("stable-diffusion-v1-5", &device)?;
//! let request = Request::text("a lighthouse at dusk, watercolour").with_steps(25).with_seed(42);
//! pipeline.generate(&request)?.save("lighthouse.png")?;
//! # Ok::<(), pyrograph::Error>(())
//! ```
//!
//! The reference is huggingface diffusers on the CPU in float32: the same checkpoint, request and seed give the same
//! image.

mod adapter;
mod clip;
mod clip_image;
mod conditioning;
mod decode;
mod denoising;
mod device;
mod error;
mod generated_image;
mod guidance;
mod image_file;
mod infotext;
mod memory;
mod readback;
mod request;
mod resize;
mod sampler;
mod stable_diffusion;
mod start;
mod text;

pub use adapter::{Adapter, adapters, adapters_async};
pub use burn;
pub use clip::Clip;
pub use denoising::{Denoising, Step};
pub use device::{Device, Limits, device, device_async, device_within};
pub use error::Error;
pub use generated_image::{GeneratedImage, GeneratedImages};
pub use image_file::{ImageFileError, decode_image, read_image};
pub use pyrograph_checkpoint::{
    Attempt, Checkpoint, CheckpointError, Defaults, Location, Note, OnDemand, Output, OutputError, Source, Storage,
    read_latents, save_tensors, write_tensors,
};
pub use pyrograph_scheduler::{Algorithm, PredictionType, SchedulerError, SigmaSchedule};
pub use request::{Canvas, Guidance, Request, Sampling};
pub use resize::{CENTER, Disproportionate, crop_square};
pub use stable_diffusion::{LoadOptions, StableDiffusion};
