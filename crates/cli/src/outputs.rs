//! The files that a command writes, opened before its work starts.

use std::path::Path;

use anyhow::{Context, ensure};
use burn::tensor::{Tensor, TensorData};
use pyrograph::{GeneratedImages, Output, Request};

/// The outputs of `txt2img`.
pub(crate) struct Outputs {
    images: Vec<Output>,
    latents: Option<Output>,
}

impl Outputs {
    /// Opens `count` images and the latents. Fails at once if one of them could not be written after minutes of work.
    pub(crate) fn open(output: &Path, count: usize, save_latents: Option<&Path>) -> anyhow::Result<Self> {
        let images = open_images(output, count).context("--output")?;
        let latents = save_latents.map(open).transpose().context("--save-latents")?;
        if let Some(latents) = &latents {
            let is_taken = images.iter().any(|image| image.is_same_file(latents));
            ensure!(!is_taken, "--save-latents: {} is the file of an image", latents.path().display());
        }
        Ok(Self { images, latents })
    }

    /// Writes the latents if there is an output for them.
    pub(crate) fn write_latents(&mut self, latents: Tensor<4>) -> anyhow::Result<()> {
        let Some(output) = self.latents.take() else { return Ok(()) };
        let latents: TensorData = latents.try_into_data()?;
        pyrograph::write_tensors(output, &[("latents", latents)]).context("--save-latents")
    }

    /// Writes every image that can be written, and returns the first error.
    pub(crate) fn write_images(self, images: &GeneratedImages, request: &Request) -> anyhow::Result<()> {
        let mut result = Ok(());
        for (index, (image, output)) in images.iter().zip(self.images).enumerate() {
            let path = output.path().display().to_string();
            match image.write(output) {
                Ok(()) => eprintln!("{path} (seed {})", request.seed_of_image(index)),
                Err(error) => result = result.and(Err(error).context("--output")),
            }
        }
        result
    }
}

/// The outputs of `count` images; `-` means the standard output.
pub(crate) fn open_images(path: &Path, count: usize) -> anyhow::Result<Vec<Output>> {
    if path == Path::new("-") {
        return Ok((0..count).map(|_| Output::standard()).collect());
    }
    Ok(GeneratedImages::outputs(path, count)?)
}

fn open(path: &Path) -> anyhow::Result<Output> {
    if path == Path::new("-") { Ok(Output::standard()) } else { Ok(Output::create(path)?) }
}
