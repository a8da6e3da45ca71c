//! `pyrograph bench`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use pyrograph::{LoadOptions, TextToImage};
use serde_json::json;

use crate::txt2img::{Dtype, load};

/// The options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Diffusers folder or single file [default: the model in assets]
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

/// Measures load, text encoder, every step and decoder of one guided picture.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut clock = Clock(Instant::now());
    let device = pyrograph::device(&arguments.device)?;
    let start = clock.lap();
    let options = LoadOptions { f16: arguments.dtype == Dtype::F16, ..LoadOptions::default() };
    let pipeline = load(arguments.model.as_deref(), &device, options)?;
    let loading = clock.lap();
    let memory_after_load = peak_memory();
    let request = TextToImage { width: arguments.width, height: arguments.height, ..TextToImage::new("a red apple") };
    let request = request.with_steps(arguments.steps).with_seed(0);
    let mut denoising = pipeline.denoise(&request)?;
    denoising.latents().device().sync()?;
    let text = clock.lap();
    let mut steps = Vec::new();
    for step in denoising.by_ref() {
        step?;
        steps.push(clock.lap());
    }
    pipeline.decode(denoising.latents())?;
    let decoding = clock.lap();
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": device.name(),
        "largest_binding_bytes": device.largest_binding(),
        "dtype": format!("{:?}", arguments.dtype).to_lowercase(),
        "latent_shape": denoising.latents().dims(),
        "milliseconds": {
            "start": start, "load": loading, "text_encoder": text, "unet_steps": steps, "decoder": decoding,
        },
        "peak_memory_bytes": { "after_load": memory_after_load, "after_picture": peak_memory() },
    });
    writeln!(stdout(), "{report:#}")?;
    Ok(())
}

/// Milliseconds since the last question.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self) -> f64 {
        let last = std::mem::replace(&mut self.0, Instant::now());
        (self.0 - last).as_secs_f64() * 1e3
    }
}

/// The most main memory that the process has held, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}
