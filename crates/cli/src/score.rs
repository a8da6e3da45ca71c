//! `pyrograph score`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::Args;
use pyrograph::read_image;

use crate::classify::{load, warn_if_too_long};

/// The options of `score`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: PNG, JPEG or WebP
    image: PathBuf,
    /// The text that may describe it
    text: String,
    /// CLIP folder in transformers' layout [default: the CLIP that ships with the program]
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
}

/// Prints the cosine similarity.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let image = read_image(&arguments.image)?;
    let clip = load(arguments.model.as_deref(), &arguments.device)?;
    warn_if_too_long(&clip, &arguments.text)?;
    writeln!(stdout().lock(), "{:.4}", clip.score(&image, &arguments.text)?)?;
    Ok(())
}
