//! `pyrograph eval`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use image::RgbImage;
use pyrograph::{Clip, Device, GeneratedImage, LoadOptions, Location, Output, Request, StableDiffusion};
use pyrograph_scenes::{Labels, SceneJudge, Scores};
use pyrograph_train::{Dataset, bits_per_dimension, reconstruction, tile};
use serde_json::Value;

use crate::outputs::open_images;
use crate::progress;
use crate::shipped::model_at;
use crate::txt2img::load;

/// The options of `eval`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Diffusers folder of a text-to-image model, a DDPM or an autoencoder [default: the model that ships with the
    /// program]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Images with captions that were held out from training
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Images with captions from the training data, for comparison
    #[arg(long, value_name = "FOLDER")]
    seen: Option<PathBuf>,
    /// Folder with one drawing of every object in every style on every background
    #[arg(long, value_name = "FOLDER")]
    drawings: Option<PathBuf>,
    /// Folder of a CLIP that judges the images too [default: clip in the model's folder]
    #[arg(long, value_name = "FOLDER")]
    clip: Option<PathBuf>,
    /// Number of images from each folder
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        allow_negative_numbers = true,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    count: usize,
    /// Denoising steps
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// Weight of the prompt
    #[arg(long, value_name = "F", default_value_t = 4.0)]
    guidance_scale: f64,
    /// Write the first 64 images of each folder's captions, side by side: FILE.png, and FILE-seen.png
    #[arg(long, value_name = "FILE.png")]
    grid: Option<PathBuf>,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
}

/// Measures the model.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let grids = arguments.grids()?;
    let device = pyrograph::device(&arguments.device)?;
    let folder = model_at(arguments.model.as_deref())?;
    let class = class_of(&folder)?;
    let mut out = stdout().lock();
    if class == "DDPMPipeline" {
        let data = open(&arguments.data, &folder.join("unet"))?;
        let bits = bits_per_dimension(&folder, &data, arguments.count, &device)?;
        writeln!(out, "{bits:.3} bits per dimension of {} images", arguments.count.min(data.len()))?;
        return Ok(());
    }
    let vae = if class == "AutoencoderKL" { folder.clone() } else { folder.join("vae") };
    let data = open(&arguments.data, &vae)?;
    let [psnr, ssim] = reconstruction(&vae, &data, arguments.count, &device)?;
    writeln!(out, "autoencoder, of {} images: {psnr:.2} dB PSNR, {ssim:.4} SSIM", arguments.count.min(data.len()))?;
    if class == "AutoencoderKL" {
        return Ok(());
    }
    let drawings = arguments.drawings.as_deref().context("--drawings is needed to judge the images")?;
    let evaluation = Evaluation::new(arguments, &folder, drawings, &vae, &device)?;
    let seen = arguments.seen.as_deref().map(|seen| open(seen, &vae)).transpose()?;
    for ((name, data), grid) in [("held out", Some(&data)), ("seen", seen.as_ref())].into_iter().zip(grids) {
        let Some(data) = data else { continue };
        let real = evaluation.scores(data, |number| Ok(data.image(number)?))?;
        let mut shown = Vec::new();
        let generated = evaluation.scores(data, |number| {
            let image = evaluation.generate(data.caption(number), number)?;
            if shown.len() < SHOWN {
                shown.push(image.clone());
            }
            Ok(image)
        })?;
        writeln!(out, "{name}, {} images (in brackets: the same for the images of the data)", generated.images())?;
        for ((property, generated), (_, real)) in generated.shares().zip(real.shares()) {
            writeln!(out, "  {property:<34} {:5.1} %  ({:.1} %)", generated.percent(), real.percent())?;
        }
        if let Some(grid) = grid {
            let image = tile(&shown, COLUMNS);
            GeneratedImage { image, parameters: String::new() }.write(grid).context("--grid")?;
        }
    }
    Ok(())
}

/// Images of a grid, and images of a row.
const SHOWN: usize = 64;
const COLUMNS: usize = 16;

impl Arguments {
    /// The outputs of both grids. The second is needed only with images of the training data.
    fn grids(&self) -> anyhow::Result<[Option<Output>; 2]> {
        let Some(path) = &self.grid else { return Ok([None, None]) };
        let [stem, extension] =
            [path.file_stem(), path.extension()].map(|part| part.unwrap_or_default().to_string_lossy());
        let seen = self.seen.is_some().then(|| path.with_file_name(format!("{stem}-seen.{extension}")));
        let open = |path: &Path| open_images(path, 1).context("--grid").map(|mut outputs| outputs.pop());
        Ok([open(path)?, seen.as_deref().map_or(Ok(None), open)?])
    }
}

/// `_class_name` of a folder's `model_index.json` or `config.json`.
fn class_of(folder: &Location) -> anyhow::Result<String> {
    let files = ["model_index.json", "config.json"].map(|name| folder.join(name));
    let file = files.into_iter().find(Location::is_file);
    let file = file.with_context(|| format!("{folder}: has neither model_index.json nor config.json"))?;
    Ok(file.read_json()?["_class_name"].as_str().unwrap_or_default().to_owned())
}

/// A data set in the image size of a component's training.
fn open(folder: &Path, component: &Location) -> anyhow::Result<Dataset> {
    let size = component.join("config.json").read_json()?["sample_size"]
        .as_u64()
        .context("config.json: has no sample_size")?;
    Ok(Dataset::open_unchecked(folder, size as u32)?)
}

/// The labels of an image; the number of objects is 1 by default.
fn labels(data: &Dataset, number: usize) -> anyhow::Result<Labels<'_>> {
    Ok(Labels {
        object: data.text_label(number, "object")?,
        background: data.text_label(number, "background")?,
        count: data.label(number, "count").and_then(Value::as_u64).unwrap_or(1) as usize,
    })
}

/// The models that generate and judge images.
struct Evaluation<'a> {
    arguments: &'a Arguments,
    pipeline: StableDiffusion,
    judge: SceneJudge,
    drawings: Dataset,
    clip: Option<Clip>,
}

impl<'a> Evaluation<'a> {
    fn new(
        arguments: &'a Arguments,
        folder: &Location,
        drawings: &Path,
        vae: &Location,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let drawings = open(drawings, vae)?;
        let mut judge = SceneJudge::default();
        for number in 0..drawings.len() {
            judge.add_drawing(&drawings.image(number)?, labels(&drawings, number)?);
        }
        let own = folder.join("clip");
        let clip = arguments.clip.as_deref().map(Location::from).or(own.is_dir().then_some(own));
        Ok(Self {
            arguments,
            pipeline: load(folder.clone(), device, LoadOptions::default())?,
            judge,
            clip: clip.map(|clip| Clip::open(clip, device)).transpose()?,
            drawings,
        })
    }

    fn generate(&self, caption: &str, seed: usize) -> anyhow::Result<RgbImage> {
        let request = Request::text(caption).with_guidance_scale(self.arguments.guidance_scale);
        let request = request.with_steps(self.arguments.steps).with_seed(seed as u64);
        Ok(self.pipeline.generate(&request)?[0].image.clone())
    }

    /// Judges images of the requested number of captions, evenly spaced over the data.
    fn scores(
        &self,
        data: &Dataset,
        mut image: impl FnMut(usize) -> anyhow::Result<RgbImage>,
    ) -> anyhow::Result<Scores> {
        let count = self.arguments.count.min(data.len());
        let mut scores = Scores::default();
        let bar = progress::images(count);
        for index in 0..count {
            let number = index * data.len() / count;
            let image = image(number)?;
            let labels = labels(data, number)?;
            scores.add(self.judge.judge(&image, labels));
            if labels.count == 1
                && let Some(right) = self.by_clip(&image, data, number)?
            {
                scores.add_clip(right);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(scores)
    }

    /// Whether CLIP finds the object among the captions of all drawings with the same background and style.
    fn by_clip(&self, image: &RgbImage, data: &Dataset, number: usize) -> anyhow::Result<Option<bool>> {
        let Some(clip) = &self.clip else { return Ok(None) };
        let same = |drawing: &usize| {
            ["background", "style"].iter().all(|key| self.drawings.label(*drawing, key) == data.label(number, key))
        };
        let candidates: Vec<usize> = (0..self.drawings.len()).filter(same).collect();
        let captions: Vec<&str> = candidates.iter().map(|&drawing| self.drawings.caption(drawing)).collect();
        let probabilities = clip.classify(image, &captions)?;
        let best = probabilities.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index);
        let found = best.and_then(|best| self.drawings.label(candidates[best], "object"));
        Ok(Some(found.is_some() && found == data.label(number, "object")))
    }
}
