use crate::CheckpointError;

/// How names begin or what they contain in files that are something else.
const OTHERS: [(&str, &str); 9] = [
    ("conditioner.embedders.", "a Stable Diffusion XL checkpoint"),
    ("double_blocks.", "a Flux checkpoint"),
    ("joint_blocks.", "a Stable Diffusion 3 checkpoint"),
    ("model.diffusion_model.label_emb.", "the UNet of another Stable Diffusion than 1 and 2"),
    ("control_model.", "a ControlNet"),
    ("lora", "a LoRA, not a whole checkpoint"),
    ("string_to_param", "a text embedding, not a whole checkpoint"),
    ("down_blocks.", "one network of a diffusers folder; give the folder instead"),
    ("encoder.down.", "an autoencoder alone"),
];

/// The networks, how the names of each begin, and what one is called.
const NETWORKS: [(&[&str], &str); 3] = [
    (&["model.diffusion_model.input_blocks.0.0."], "UNet (model.diffusion_model.*)"),
    (&["first_stage_model."], "autoencoder (first_stage_model.*)"),
    (&[super::names::COMPVIS_CLIP, super::names::OPEN_CLIP], "text encoder (cond_stage_model.*)"),
];

/// Says what a file is if it is no Stable Diffusion 1 or 2, and what it lacks.
pub(crate) fn check(file: &str, names: &[&str]) -> Result<(), CheckpointError> {
    let has = |prefix: &&str| names.iter().any(|name| name.starts_with(*prefix));
    let missing: Vec<&str> =
        NETWORKS.iter().filter(|(prefixes, _)| !prefixes.iter().any(has)).map(|(_, network)| *network).collect();
    let found = OTHERS
        .iter()
        .take(if missing.is_empty() { 4 } else { OTHERS.len() })
        .find(|(part, _)| names.iter().any(|name| name.contains(part)));
    match found {
        Some((_, found)) if !missing.is_empty() || has(&"model.diffusion_model.label_emb.") => {
            Err(CheckpointError::Unsupported { file: file.to_owned(), found: (*found).to_owned() })
        }
        _ if missing.is_empty() => Ok(()),
        _ => Err(CheckpointError::Missing {
            file: file.to_owned(),
            missing: format!("has no {}", missing.join(", no ")),
        }),
    }
}
