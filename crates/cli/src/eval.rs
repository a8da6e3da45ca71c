//! `pyrograph eval`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use image::RgbImage;
use pyrograph::{Clip, Device, GeneratedImage, LoadOptions, Location, Output, Request, StableDiffusion};
use pyrograph_train::{Dataset, SceneJudge, bits_per_dimension, reconstruction, tile};

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
    let examiner = Examiner::new(arguments, &folder, drawings, &vae, &device)?;
    let seen = arguments.seen.as_deref().map(|seen| open(seen, &vae)).transpose()?;
    for ((name, data), grid) in [("held out", Some(&data)), ("seen", seen.as_ref())].into_iter().zip(grids) {
        let Some(data) = data else { continue };
        let real = examiner.examine(data, |number| Ok(data.image(number)?))?;
        let mut shown = Vec::new();
        let painted = examiner.examine(data, |number| {
            let image = examiner.paint(data.caption(number), number)?;
            if shown.len() < SHOWN {
                shown.push(image.clone());
            }
            Ok(image)
        })?;
        writeln!(out, "{name}, {} images (in brackets: the same for the images of the data)", painted.count)?;
        for ((what, painted), (_, real)) in painted.shares().into_iter().zip(real.shares()) {
            writeln!(out, "  {what:<34} {painted:5.1} %  ({real:.1} %)")?;
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

/// The models that generate and judge images.
struct Examiner<'a> {
    arguments: &'a Arguments,
    pipeline: StableDiffusion,
    judge: SceneJudge,
    drawings: Dataset,
    clip: Option<Clip>,
}

impl<'a> Examiner<'a> {
    fn new(
        arguments: &'a Arguments,
        folder: &Location,
        drawings: &Path,
        vae: &Location,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let drawings = open(drawings, vae)?;
        let own = folder.join("clip");
        let clip = arguments.clip.as_deref().map(Location::from).or(own.is_dir().then_some(own));
        Ok(Self {
            arguments,
            pipeline: load(folder.clone(), device, LoadOptions::default())?,
            judge: SceneJudge::new(&drawings)?,
            clip: clip.map(|clip| Clip::open(clip, device)).transpose()?,
            drawings,
        })
    }

    fn paint(&self, caption: &str, seed: usize) -> anyhow::Result<RgbImage> {
        let request = Request::text(caption).with_guidance_scale(self.arguments.guidance_scale);
        let request = request.with_steps(self.arguments.steps).with_seed(seed as u64);
        Ok(self.pipeline.generate(&request)?[0].image.clone())
    }

    /// Judges images of the requested number of captions, evenly spaced over the data.
    fn examine(
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
            let verdict = self.judge.judge(&image, data, number)?;
            scores.count += 1;
            scores.background.add(verdict.background);
            scores.number.add(verdict.count);
            if let Some(object) = verdict.object {
                scores.object.add(object);
                if let Some(right) = self.by_clip(&image, data, number)? {
                    scores.clip.add(right);
                }
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

/// How often each property was right.
#[derive(Default)]
struct Scores {
    count: usize,
    background: Share,
    object: Share,
    clip: Share,
    number: Share,
}

impl Scores {
    /// The measured shares in percent.
    fn shares(&self) -> Vec<(&'static str, f64)> {
        let all = [
            ("background", self.background),
            ("object, by the nearest drawing", self.object),
            ("object, by CLIP", self.clip),
            ("number of objects", self.number),
        ];
        all.into_iter().filter(|(_, share)| share.of > 0).map(|(name, share)| (name, share.percent())).collect()
    }
}

#[derive(Clone, Copy, Default)]
struct Share {
    right: usize,
    of: usize,
}

impl Share {
    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.of += 1;
    }

    fn percent(self) -> f64 {
        100.0 * self.right as f64 / self.of as f64
    }
}
