//! `pyrograph train`.

use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use pyrograph::Device;
use pyrograph_train::{
    AutoencoderTask, ClipTask, DdpmTask, LatentTask, Run, RunConfig, Task, TaskRun, VqTask, read_table,
};

use crate::losses::Losses;
use crate::progress;

/// The options of `train`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What is trained
    kind: Kind,
    /// The TOML file that describes the run
    run: PathBuf,
    /// Go on from the run's checkpoint
    #[arg(long)]
    resume: bool,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
    /// Compute activations anew for gradients instead of keeping them: less memory, more time
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Folder of pictures with captions.jsonl or metadata.jsonl, instead of `data.folder`
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Folder that the run writes to, instead of `output.folder`
    #[arg(long, value_name = "FOLDER")]
    output: Option<String>,
    /// Steps of the whole run, instead of `trainer.steps`
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Pictures of a batch, instead of `data.batch_size`
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

/// What can be trained.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Pictures to latents and back; with `num_vq_embeddings` in the model's table, by a codebook
    Autoencoder,
    /// Pictures and texts into one space
    Clip,
    /// Noise to pictures, without text
    Ddpm,
    /// Text to latents
    Latent,
}

/// Trains until the run is done or interrupted.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // This thread is one of the pool's, so that no operation on the CPU waits for another thread to wake up.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    let mut run = arguments.open()?;
    let folder = run.output().folder.clone();
    let checkpoint = folder.join("checkpoint");
    if arguments.resume {
        run.resume(&checkpoint)?;
    } else {
        let problem = "has a checkpoint already; go on with --resume, or name another folder with --output";
        ensure!(!checkpoint.exists(), "{}: {problem}", folder.display());
    }
    let mut losses = Losses::open(&folder, run.steps())?;
    let interrupted = watch_for_interrupts()?;
    let bar = progress::training(run.total(), run.steps());
    while run.steps() < run.total() && !interrupted.load(Ordering::Relaxed) {
        let loss = run.step().with_context(|| how_to_go_on(&checkpoint, arguments))?;
        losses.add(run.steps(), loss, run.images_per_step())?;
        bar.set_position(run.steps() as u64);
        let said: Vec<String> = [Some(losses.summary()), run.report()].into_iter().flatten().collect();
        bar.set_message(said.join(", "));
        let (step, last) = (run.steps(), run.steps() == run.total());
        if bar.is_hidden() && step.is_multiple_of(SPOKEN_EVERY) {
            eprintln!("step {step} of {}: {}", run.total(), said.join(", "));
        }
        if last || step.is_multiple_of(run.output().sample_every.max(1)) {
            losses.plot()?;
            save_samples(run.as_ref(), &folder.join("samples"))?;
        }
        if last || step.is_multiple_of(run.output().save_every.max(1)) {
            run.save(&checkpoint)?;
        }
    }
    bar.finish_and_clear();
    if run.steps() < run.total() {
        run.save(&checkpoint)?;
        eprintln!("stopped after step {} and saved; {}", run.steps(), how_to_go_on(&checkpoint, arguments));
        return Ok(());
    }
    run.export(&folder.join("model"))?;
    eprintln!("{} (at last {})", folder.join("model").display(), losses.summary());
    Ok(())
}

/// Steps between lines where there is no terminal for a progress bar.
const SPOKEN_EVERY: usize = 100;

impl Arguments {
    fn open(&self) -> anyhow::Result<Box<dyn Run>> {
        let device = pyrograph::device(&self.device)?;
        let table = read_table(&self.run, &self.overrides())?;
        let has_codebook = table.get("model").is_some_and(|model| model.get("num_vq_embeddings").is_some());
        Ok(match self.kind {
            Kind::Autoencoder if has_codebook => open_task::<VqTask>(table, &device)?,
            Kind::Autoencoder => open_task::<AutoencoderTask>(table, &device)?,
            Kind::Clip => open_task::<ClipTask>(table, &device)?,
            Kind::Ddpm => open_task::<DdpmTask>(table, &device)?,
            Kind::Latent => open_task::<LatentTask>(table, &device)?,
        })
    }

    fn overrides(&self) -> Vec<(String, String)> {
        let quoted = |text: &String| format!("{text:?}");
        let named = [
            ("data.folder", self.data.as_ref().map(quoted)),
            ("output.folder", self.output.as_ref().map(quoted)),
            ("trainer.steps", self.steps.map(|steps| steps.to_string())),
            ("data.batch_size", self.batch_size.map(|size| size.to_string())),
            ("trainer.learning_rate", self.learning_rate.map(|rate| format!("{rate:?}"))),
            ("trainer.seed", self.seed.map(|seed| seed.to_string())),
            ("trainer.gradient_checkpointing", self.gradient_checkpointing.then(|| "true".to_owned())),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        named.chain(self.set.iter().cloned()).collect()
    }
}

fn open_task<T: Task + 'static>(table: toml::Table, device: &Device) -> anyhow::Result<Box<dyn Run>> {
    Ok(Box::new(TaskRun::<T>::new(RunConfig::new(table)?, device)?))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// The first interrupt lets the step end and saves; the second one stops at once.
fn watch_for_interrupts() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = interrupted.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            exit(130);
        }
        eprintln!("finishing the step, then saving; interrupt again to stop at once");
    })?;
    Ok(interrupted)
}

fn how_to_go_on(checkpoint: &Path, arguments: &Arguments) -> String {
    if !checkpoint.exists() && !arguments.resume {
        return "no checkpoint was written yet".to_owned();
    }
    let words: Vec<String> = std::env::args().filter(|word| word != "--resume").collect();
    format!("go on with: {} --resume", words.join(" "))
}

fn save_samples(run: &dyn Run, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{:06}.png", run.steps()));
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    pyrograph::Picture { image: run.samples()?, parameters: String::new() }.save(path)?;
    Ok(())
}
