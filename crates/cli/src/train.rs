//! `pyrograph train`.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use pyrograph::Device;
use pyrograph_train::{
    AutoencoderTask, ClipTask, DdpmTask, LatentTask, Recipe, Run, RunFolder, Task, TrainError, VqTask, read_table,
};

use crate::session::Session;
use crate::{interrupts, progress};

/// The options of `train`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The kind of model to train
    kind: Kind,
    /// The TOML file that describes the run
    run: PathBuf,
    /// Resume from the latest checkpoint of the run
    #[arg(long)]
    resume: bool,
    /// Resume although keys of the file have changed that affect the steps
    #[arg(long, requires = "resume")]
    allow_changed_configuration: bool,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
    /// Compute activations again for the gradients instead of storing them: less memory, more time
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Folder of images with captions.jsonl, metadata.jsonl or metadata.csv, instead of `data.folder`
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Folder that the run writes to, instead of `output.folder`
    #[arg(long, value_name = "FOLDER")]
    output: Option<String>,
    /// Steps of the whole run, instead of `trainer.steps`
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Images per batch, instead of `data.batch_size`
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Highest learning rate, instead of `trainer.learning_rate`
    #[arg(long, value_name = "F")]
    learning_rate: Option<f64>,
    /// Seed of all random numbers, instead of `trainer.seed`
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Any other key of the file, such as `loss.kl=0.001`
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

/// The kinds of models that can be trained.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Images to latents and back; with `num_vq_embeddings` in the table `model`, with a codebook
    Autoencoder,
    /// Images and texts into one embedding space
    Clip,
    /// Noise to images, without text
    Ddpm,
    /// Text to latents
    Latent,
}

/// Trains until the run is done or interrupted.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // This thread becomes part of the pool. Otherwise every operation on the CPU would wait for another thread to wake
    // up.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    let table = read_table(&arguments.run, &arguments.overrides())?;
    let has_codebook = table.get("model").is_some_and(|model| model.get("num_vq_embeddings").is_some());
    match arguments.kind {
        Kind::Autoencoder if has_codebook => train::<VqTask>(arguments, table),
        Kind::Autoencoder => train::<AutoencoderTask>(arguments, table),
        Kind::Clip => train::<ClipTask>(arguments, table),
        Kind::Ddpm => train::<DdpmTask>(arguments, table),
        Kind::Latent => train::<LatentTask>(arguments, table),
    }
}

fn train<T: Task>(arguments: &Arguments, table: toml::Table) -> anyhow::Result<()> {
    let recipe = Recipe::new(table)?;
    let device = pyrograph::device(&arguments.device)?;
    let folder = open_folder::<T>(arguments, &recipe)?;
    let checkpoint = folder.latest()?;
    let mut run = open_run::<T>(recipe, &device)?;
    if let Some(checkpoint) = &checkpoint {
        run.resume(checkpoint)?;
    }
    let interrupted = interrupts::watch()?;
    let mut session = Session::open(&mut run, folder)?;
    session.train(|| interrupted.load(Ordering::Relaxed))
}

/// Opens the run. A progress bar shows the check of its images.
fn open_run<T: Task>(recipe: Recipe<T::Config>, device: &Device) -> anyhow::Result<Run<T>> {
    let bar = progress::checking();
    let run = Run::open(recipe, device, |checked, images| {
        bar.set_length(images as u64);
        bar.set_position(checked as u64);
    });
    bar.finish_and_clear();
    Ok(run?)
}

/// The folder of the run: with a checkpoint of the same recipe to resume from, or without a checkpoint.
fn open_folder<T: Task>(arguments: &Arguments, recipe: &Recipe<T::Config>) -> anyhow::Result<RunFolder> {
    let path = &recipe.output.folder;
    let none = || anyhow!("{}: has no checkpoint to resume from; leave out --resume to start", path.display());
    if arguments.resume && !path.is_dir() {
        return Err(none());
    }
    let folder = RunFolder::open(path)?;
    match folder.latest()? {
        None if arguments.resume => Err(none()),
        Some(_) if !arguments.resume => {
            let advice = "already has a checkpoint; continue it with --resume, or name another folder with --output";
            Err(anyhow!("{}: {advice}", path.display()))
        }
        Some(checkpoint) if !arguments.allow_changed_configuration => match recipe.check_unchanged(&checkpoint) {
            Err(changed @ TrainError::Changed { .. }) => {
                Err(anyhow!("{changed}; change it back, or add --allow-changed-configuration"))
            }
            checked => Ok(checked.map(|()| folder)?),
        },
        _ => Ok(folder),
    }
}

impl Arguments {
    fn overrides(&self) -> Vec<(String, String)> {
        let quoted = |text: &String| toml::Value::from(text.as_str()).to_string();
        let named = [
            ("data.folder", self.data.as_ref().map(quoted)),
            ("output.folder", self.output.as_ref().map(quoted)),
            ("trainer.steps", self.steps.map(|steps| steps.to_string())),
            ("data.batch_size", self.batch_size.map(|size| size.to_string())),
            ("trainer.learning_rate", self.learning_rate.map(|rate| toml::Value::from(rate).to_string())),
            ("trainer.seed", self.seed.map(|seed| seed.to_string())),
            ("trainer.gradient_checkpointing", self.gradient_checkpointing.then(|| "true".to_owned())),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        named.chain(self.set.iter().cloned()).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
