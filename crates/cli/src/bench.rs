//! `pyrograph bench`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use pyrograph::{Device, LoadOptions, Request, StableDiffusion};
use serde_json::{Value, json};

use crate::shipped::model_at;
use crate::txt2img::{Dtype, load};

/// The options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Diffusers folder or single file [default: the model that ships with the program]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// auto, cpu, wgpu, or a part of an adapter's name
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
    /// Number format of UNet and text encoder
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// Denoising steps
    #[arg(long, value_name = "N", default_value_t = 4)]
    steps: usize,
    /// Width in pixels [default: the model's]
    #[arg(long, value_name = "PX")]
    width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long, value_name = "PX")]
    height: Option<usize>,
}

/// Measures the generation of one image with guidance in a fresh process, and of a second image, for which the shaders
/// are already compiled.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut clock = Clock(Instant::now());
    let device = pyrograph::device(&arguments.device)?;
    let start = clock.lap();
    let options = LoadOptions::default().with_f16(arguments.dtype == Dtype::F16);
    let pipeline = load(model_at(arguments.model.as_deref())?, &device, options)?;
    let loading = clock.lap();
    let memory_after_load = peak_memory();
    let request = Request::text("a red apple").with_size(arguments.width, arguments.height);
    let request = request.with_steps(arguments.steps).with_seed(0);
    let first = Times::of(&pipeline, &request, &device)?;
    let second = Times::of(&pipeline, &request, &device)?;
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": device.name(),
        "largest_binding_bytes": device.largest_binding(),
        "dtype": format!("{:?}", arguments.dtype).to_lowercase(),
        "latent_shape": first.latent_shape,
        "milliseconds": {
            "start": start,
            "load": loading,
            "first_image": first.json(),
            "second_image": second.json(),
            "shader_compilation": first.beyond(&second),
            "to_first_image": start + loading + first.total(),
        },
        "steps_per_second": 1e3 * second.steps.len() as f64 / second.steps.iter().sum::<f64>(),
        "peak_memory_bytes": {
            "after_load": memory_after_load,
            "after_image": peak_memory(),
            "device": first.device_memory.max(second.device_memory),
        },
    });
    writeln!(stdout(), "{report:#}")?;
    Ok(())
}

/// Milliseconds of the stages of an image.
struct Times {
    text_encoder: f64,
    steps: Vec<f64>,
    decoder: f64,
    latent_shape: [usize; 4],
    /// The largest amount of memory that the device has reserved, if it reports it.
    device_memory: Option<u64>,
}

impl Times {
    fn of(pipeline: &StableDiffusion, request: &Request, device: &Device) -> anyhow::Result<Self> {
        let reserved = || device.tensors().memory_pool_usage().map(|usage| usage.bytes_reserved);
        let mut clock = Clock(Instant::now());
        let mut denoising = pipeline.denoise(request)?;
        denoising.latents().device().sync()?;
        let text_encoder = clock.lap();
        let mut steps = Vec::new();
        let mut device_memory = reserved();
        for step in denoising.by_ref() {
            step?;
            steps.push(clock.lap());
            device_memory = device_memory.max(reserved());
        }
        denoising.images()?;
        let decoder = clock.lap();
        let latent_shape = denoising.latents().dims();
        Ok(Self { text_encoder, steps, decoder, latent_shape, device_memory: device_memory.max(reserved()) })
    }

    fn total(&self) -> f64 {
        self.text_encoder + self.steps.iter().sum::<f64>() + self.decoder
    }

    /// The time that the stages took longer than in `later`, for which the shaders were already compiled.
    fn beyond(&self, later: &Self) -> f64 {
        (self.total() - later.total()).max(0.0)
    }

    fn json(&self) -> Value {
        json!({ "text_encoder": self.text_encoder, "unet_steps": self.steps, "decoder": self.decoder })
    }
}

/// Measures the milliseconds since its last use.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> f64 {
        let last = std::mem::replace(&mut self.0, Instant::now());
        (self.0 - last).as_secs_f64() * 1e3
    }
}

/// The peak main memory of the process, if the system reports it (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
