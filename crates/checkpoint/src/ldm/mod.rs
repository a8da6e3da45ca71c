//! Single files in the layout of the original latent-diffusion code, <https://github.com/CompVis/stable-diffusion> and
//! <https://github.com/Stability-AI/stablediffusion>.

mod config;
mod names;
mod schedule;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::view::View;
use crate::{Checkpoint, CheckpointError, Component, Defaults, Kind, TokenizerSource, Weights};

use names::{COMPVIS_CLIP, Names, OPEN_CLIP};
use schedule::Prediction;

/// Opens the three networks of a single file.
pub(crate) fn open(weights: Arc<dyn Weights>) -> Result<Checkpoint, CheckpointError> {
    let all = weights.names();
    check(weights.as_ref(), &all)?;
    let view = |names: Names| View::new(weights.clone(), move |name| names.rename(name));
    let (text, unet, vae) = (view(Names::text(&all)), view(Names::unet(&all)), view(Names::vae(&all)));
    let used: BTreeSet<&str> = [&text, &unet, &vae].into_iter().flat_map(View::sources).collect();
    let unused = all.iter().filter(|name| !used.contains(*name) && !names::is_training_constant(name));
    let unused = unused.map(|name| (*name).to_owned()).collect();

    let version_2 = names::has_open_clip(&all) || config::has_linear_projections(&unet);
    let prediction = Prediction::of(weights.as_ref(), version_2, config::in_channels(&unet)?);
    Ok(Checkpoint {
        text_encoder: component("CLIPTextModel", config::text(&text, version_2)?, text),
        unet: component("UNet2DConditionModel", config::unet(&unet, version_2, prediction)?, unet),
        vae: component("AutoencoderKL", config::vae(&vae)?, vae),
        scheduler_config: prediction.scheduler_config(),
        tokenizer: TokenizerSource::clip(version_2),
        notes: prediction.note().into_iter().collect(),
        defaults: Defaults::default(),
        unused,
        file: None,
    })
}

fn component(class: &str, config: Value, weights: View) -> Component {
    Component { class: class.to_owned(), config, weights: Arc::new(weights) }
}

/// The networks: the prefixes of their tensor names, and the name for messages.
const NETWORKS: [(&[&str], &str); 3] = [
    (&["model.diffusion_model.input_blocks.0.0."], "UNet (model.diffusion_model.*)"),
    (&["first_stage_model."], "autoencoder (first_stage_model.*)"),
    (&[COMPVIS_CLIP, OPEN_CLIP], "text encoder (cond_stage_model.*)"),
];

/// Other Stable Diffusion models that have the same networks and additional tensors.
static OTHERS: [Kind; 2] = [Kind::OtherStableDiffusion, Kind::ScaledFloat8];

/// Checks that the file is a complete Stable Diffusion 1 or 2. Otherwise the error names its kind or the missing
/// network.
fn check(weights: &dyn Weights, names: &[&str]) -> Result<(), CheckpointError> {
    let has = |prefix: &&str| names.iter().any(|name| name.starts_with(prefix));
    let missing = NETWORKS.iter().filter(|(prefixes, _)| !prefixes.iter().any(has));
    let missing: Vec<&str> = missing.map(|(_, network)| *network).collect();
    let file = weights.file().to_owned();
    match Kind::of_tensors(weights) {
        Some(kind) if !missing.is_empty() || OTHERS.contains(&kind) => Err(CheckpointError::Kind { file, kind }),
        _ if missing.is_empty() => Ok(()),
        _ => Err(CheckpointError::Missing { file, missing: format!("has no {}", missing.join(", no ")) }),
    }
}
