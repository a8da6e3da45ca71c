//! Text to image with the library.
//!
//! `cargo run --release --example txt2img -- "a red apple on a blue background"`

use anyhow::Context;
use indicatif::ProgressBar;
use pyrograph::{Request, StableDiffusion};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().context("usage: txt2img PROMPT [MODEL]")?;
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/spark");
    let model = arguments.next().unwrap_or_else(|| shipped.to_owned());

    let device = pyrograph::device("auto")?;
    let pipeline = StableDiffusion::from_path(model, &device)?;
    let request = Request::text(prompt).with_steps(25).with_seed(42);

    let mut denoising = pipeline.denoise(&request)?;
    let bar = ProgressBar::new(denoising.len() as u64);
    for step in &mut denoising {
        step?;
        bar.inc(1);
    }
    bar.finish();
    denoising.images()?.save("txt2img.png")?;
    eprintln!("txt2img.png, on {}", device.name());
    Ok(())
}
