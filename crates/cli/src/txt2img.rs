//! `pyrograph txt2img`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pyrograph::{Algorithm, Denoising, Device, LoadOptions, Location, PredictionType, Request, StableDiffusion};

use crate::outputs::Outputs;
use crate::progress;
use crate::shipped::model_at;

/// The options of `txt2img`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Description of the image
    prompt: String,
    /// Diffusers folder, or one LDM-layout .safetensors / .ckpt file [default: the model that ships with the program]
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// What the image should not show
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative_prompt: String,
    /// Denoising steps [default: the model's, else 50]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Weight of the prompt; guidance is off at 1 or less [default: the model's, else 7.5]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    guidance_scale: Option<f64>,
    /// Move the standard deviation back to that without guidance, 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    guidance_rescale: f64,
    /// Seed of the noise; a negative seed means a random one [default: random]
    #[arg(long, value_name = "N", default_value = "-1", hide_default_value = true, allow_negative_numbers = true, value_parser = seed)]
    seed: Seed,
    /// Width in pixels [default: the model's]
    #[arg(long, value_name = "PX")]
    width: Option<usize>,
    /// Height in pixels [default: the model's]
    #[arg(long, value_name = "PX")]
    height: Option<usize>,
    /// Number of images to generate at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch_size: usize,
    /// Sampler [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = scheduler)]
    scheduler: Option<Algorithm>,
    /// Use the noise levels of Karras et al.
    #[arg(long)]
    karras: bool,
    /// Prediction type of the UNet, for single files that do not state it
    #[arg(long, value_name = "TYPE")]
    prediction_type: Option<Prediction>,
    /// Number of last blocks of the text encoder to skip
    #[arg(long, value_name = "N", default_value_t = 0)]
    clip_skip: usize,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
    /// Number format of UNet and text encoder
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// Compute one sample at a time in the UNet: less memory, slower, the same images
    #[arg(long)]
    low_memory: bool,
    /// Start from this standard normal noise: safetensors, tensor `latents` [n, 4, h/f, w/f] f32
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
    /// Write the final latents before decoding: safetensors, tensor `latents`; `-` for standard output
    #[arg(long, value_name = "FILE")]
    save_latents: Option<PathBuf>,
    /// Output file of the image; `-` for standard output
    #[arg(long, value_name = "FILE.png", default_value = "output.png")]
    output: PathBuf,
}

/// The source of the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seed {
    Random,
    Number(u64),
}

/// The prediction types of a UNet.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "that is what the field calls it")]
enum Prediction {
    Epsilon,
    VPrediction,
    Sample,
}

/// Number formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    F32,
    F16,
}

/// Generates the images.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let request = arguments.request()?;
    request.validate()?;
    let mut outputs = Outputs::open(&arguments.output, request.batch_size, arguments.save_latents.as_deref())?;
    let device = pyrograph::device(&arguments.device)?;
    let pipeline = load(model_at(arguments.model.as_deref())?, &device, arguments.load_options())?;
    for dropped in pipeline.dropped(&request)? {
        eprintln!("warning: the prompt is too long for the text encoder; its end was dropped: {dropped:?}");
    }
    let mut denoising = pipeline.denoise(&request)?;
    watch(&mut denoising)?;
    let latents_written = outputs.write_latents(denoising.latents());
    let decoding = progress::waiting("decoding");
    let images = denoising.images()?;
    decoding.finish_and_clear();
    let images_written = outputs.write_images(&images, &request);
    latents_written.and(images_written) // an error of one does not prevent the others
}

/// Loads a checkpoint.
pub(crate) fn load(model: Location, device: &Device, options: LoadOptions) -> anyhow::Result<StableDiffusion> {
    let loading = progress::waiting("loading");
    let pipeline = StableDiffusion::open(model, device, options)?;
    loading.finish_and_clear();
    for note in pipeline.notes() {
        eprintln!("note: {note}");
    }
    if !pipeline.unused().is_empty() {
        let unused = pipeline.unused();
        eprintln!("note: {} tensors of the checkpoint are not used, such as {}", unused.len(), unused[0]);
    }
    Ok(pipeline)
}

/// Runs all steps, with a progress bar.
pub(crate) fn watch(denoising: &mut Denoising) -> anyhow::Result<()> {
    let bar = progress::steps(denoising.len());
    for step in denoising.by_ref() {
        step?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

impl Arguments {
    fn load_options(&self) -> LoadOptions {
        let prediction_type = self.prediction_type.map(PredictionType::from);
        LoadOptions::default()
            .with_f16(self.dtype == Dtype::F16)
            .with_prediction_type(prediction_type)
            .with_low_memory(self.low_memory)
    }

    fn request(&self) -> anyhow::Result<Request> {
        let request = Request::text(&self.prompt);
        let seed = match self.seed {
            Seed::Random => request.seed,
            Seed::Number(seed) => seed,
        };
        Ok(request
            .with_negative_prompt(&self.negative_prompt)
            .with_size(self.width, self.height)
            .with_steps(self.steps)
            .with_scheduler(self.scheduler)
            .with_karras(self.karras.then_some(true))
            .with_guidance_scale(self.guidance_scale)
            .with_guidance_rescale(self.guidance_rescale)
            .with_seed(seed)
            .with_batch_size(self.batch_size)
            .with_clip_skip(self.clip_skip)
            .with_noise(self.latents.as_deref().map(pyrograph::read_latents).transpose()?))
    }
}

impl From<Prediction> for PredictionType {
    fn from(prediction: Prediction) -> Self {
        match prediction {
            Prediction::Epsilon => Self::Epsilon,
            Prediction::VPrediction => Self::VPrediction,
            Prediction::Sample => Self::Sample,
        }
    }
}

/// A negative number means a random seed, as in other programs.
fn seed(text: &str) -> Result<Seed, String> {
    match (text.parse::<u64>(), text.parse::<i128>()) {
        (Ok(seed), _) => Ok(Seed::Number(seed)),
        (_, Ok(..0)) => Ok(Seed::Random),
        _ => Err("a whole number below 2^64 is expected, or -1 for a random seed".to_owned()),
    }
}

fn scheduler(name: &str) -> Result<Algorithm, String> {
    name.parse().map_err(|error: pyrograph::SchedulerError| error.to_string())
}
