use super::names::{COMPVIS_CLIP, OPEN_CLIP};
use crate::CheckpointError;

/// Other Stable Diffusions of the same layout embed labels: XL, and those that take a picture's embedding.
const LABELS: &str = "model.diffusion_model.label_emb.";

/// What names contain in files that are something else.
const OTHERS: [(&str, &str); 8] = [
    ("conditioner.embedders.", "a Stable Diffusion XL checkpoint"),
    ("double_blocks.", "a Flux checkpoint"),
    ("joint_blocks.", "a Stable Diffusion 3 checkpoint"),
    (LABELS, "another Stable Diffusion"),
    ("control_model.", "a ControlNet"),
    ("lora", "a LoRA, not a whole checkpoint"),
    ("string_to_param", "a text embedding, not a whole checkpoint"),
    ("down_blocks.", "one network of a diffusers folder, not the folder"),
];

/// The networks, how the names of each begin, and what one is called.
const NETWORKS: [(&[&str], &str); 3] = [
    (&["model.diffusion_model.input_blocks.0.0."], "UNet (model.diffusion_model.*)"),
    (&["first_stage_model."], "autoencoder (first_stage_model.*)"),
    (&[COMPVIS_CLIP, OPEN_CLIP], "text encoder (cond_stage_model.*)"),
];

/// Says what a file is if it is no Stable Diffusion 1 or 2, or what it lacks.
pub(crate) fn check(file: &str, names: &[&str]) -> Result<(), CheckpointError> {
    let has = |prefix: &&str| names.iter().any(|name| name.starts_with(prefix));
    let missing = NETWORKS.iter().filter(|(prefixes, _)| !prefixes.iter().any(has));
    let missing: Vec<&str> = missing.map(|(_, network)| *network).collect();
    if missing.is_empty() && !has(&LABELS) {
        return Ok(());
    }
    let file = file.to_owned();
    Err(match OTHERS.iter().find(|(part, _)| names.iter().any(|name| name.contains(part))) {
        Some((_, found)) => CheckpointError::Unsupported { file, found: (*found).to_owned() },
        None => CheckpointError::Missing { file, missing: format!("has no {}", missing.join(", no ")) },
    })
}
