//! Single files in the layout of the original latent-diffusion code, <https://github.com/CompVis/stable-diffusion> and
//! <https://github.com/Stability-AI/stablediffusion>.

mod config;
mod kind;
mod names;
mod schedule;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::view::View;
use crate::{Checkpoint, CheckpointError, Component, Defaults, TokenizerSource, Weights};

use names::Names;
use schedule::Prediction;

/// Opens the three networks of a single file.
pub(crate) fn open(weights: Arc<dyn Weights>) -> Result<Checkpoint, CheckpointError> {
    let all = weights.names();
    kind::check(weights.file(), &all)?;
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
    Component { class: class.to_owned(), config, weights: Box::new(weights) }
}
