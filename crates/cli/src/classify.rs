//! `pyrograph classify`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use pyrograph::{Clip, read_image};

use crate::progress;
use crate::shipped::clip_at;

/// The options of `classify`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The image: PNG, JPEG or WebP
    image: PathBuf,
    #[command(flatten)]
    labels: Labels,
    /// CLIP folder in transformers' layout [default: the CLIP that ships with the program]
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// The text for a label; {} stands for the label
    #[arg(long, value_name = "TEXT", default_value = "a picture of {}")]
    template: String,
    /// auto, cpu, wgpu, or a part of an adapter's name as `pyrograph devices` lists it
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: String,
}

/// The labels, from one of two options.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Labels {
    /// Labels, separated by commas
    #[arg(long, value_name = "LABELS")]
    labels: Option<String>,
    /// File with one label per line
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
}

/// Prints each label and its probability, most probable first.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let labels = arguments.labels.read()?;
    ensure!(arguments.template.contains("{}"), "--template: {:?} has no {{}} for the label", arguments.template);
    let image = read_image(&arguments.image)?;
    let clip = load(arguments.model.as_deref(), &arguments.device)?;
    let texts: Vec<String> = labels.iter().map(|label| arguments.template.replace("{}", label)).collect();
    for text in &texts {
        warn_if_too_long(&clip, text)?;
    }
    let probabilities = clip.classify(&image, &texts)?;
    let mut ranking: Vec<(&String, f64)> = labels.iter().zip(probabilities).collect();
    ranking.sort_by(|left, right| right.1.total_cmp(&left.1));
    let mut out = stdout().lock();
    for (label, probability) in ranking {
        writeln!(out, "{probability:.4}  {label}")?;
    }
    Ok(())
}

/// Loads a CLIP model.
pub(crate) fn load(path: Option<&Path>, device: &str) -> anyhow::Result<Clip> {
    let model = clip_at(path)?;
    let device = pyrograph::device(device)?;
    let loading = progress::waiting("loading");
    let clip = Clip::open(model, &device)?;
    loading.finish_and_clear();
    Ok(clip)
}

/// Prints a warning about the end of a text that the model does not use.
pub(crate) fn warn_if_too_long(clip: &Clip, text: &str) -> anyhow::Result<()> {
    if let Some(dropped) = clip.dropped(text)? {
        eprintln!("warning: a text is too long for the model; its end was dropped: {dropped:?}");
    }
    Ok(())
}

impl Labels {
    /// All labels, without surrounding white space.
    fn read(&self) -> anyhow::Result<Vec<String>> {
        let (option, text) = match (&self.labels, &self.labels_file) {
            (Some(labels), _) => ("--labels".to_owned(), labels.replace(',', "\n")),
            (None, Some(file)) => {
                let option = format!("--labels-file: {}", file.display());
                let text = std::fs::read_to_string(file).with_context(|| option.clone())?;
                (option, text)
            }
            (None, None) => bail!("--labels or --labels-file is needed"),
        };
        let labels: Vec<String> =
            text.lines().map(str::trim).filter(|label| !label.is_empty()).map(str::to_owned).collect();
        ensure!(!labels.is_empty(), "{option}: there is no label; name what the image may show");
        Ok(labels)
    }
}
