//! Detection of kinds from the names of tensors.

use super::Kind;
use crate::Weights;

/// Parts of tensor names by kind; the first matching line counts. The layouts are those of kohya-ss, diffusers,
/// LyCORIS, Stability AI, Black Forest Labs, and AUTOMATIC1111's training code.
static PARTS: [(&[&str], Kind); 16] = [
    (&["scaled_fp8", ".scale_weight", ".weight_scale"], Kind::ScaledFloat8),
    (&["lora_", ".lora.", ".hada_w1", ".lokr_w", ".oft_", "dora_scale", ":up", ".processor.to_q_lora"], Kind::LoRa),
    (&["string_to_param", "emb_params"], Kind::Embedding),
    (&["conditioner.embedders.", "add_embedding."], Kind::StableDiffusionXl),
    (&["double_blocks.", "single_transformer_blocks."], Kind::Flux),
    (&["joint_blocks.", "attn.add_q_proj."], Kind::StableDiffusion3),
    (&["control_model.", "controlnet_", "input_hint_block."], Kind::ControlNet),
    (&["motion_modules."], Kind::Adapter("motion modules of AnimateDiff")),
    (&["ip_adapter.", "image_proj."], Kind::Adapter("an IP adapter")),
    (&["adapter.body.", "body.0.in_conv."], Kind::Adapter("a T2I adapter")),
    (&[".linear.0.weight", ".linear.1.weight"], Kind::Adapter("a hypernetwork")),
    (&["exp_avg", "param_groups"], Kind::Optimizer),
    (&[".RDB1.", ".rdb1.", "upconv1.", "residual_group."], Kind::Upscaler),
    (&["model.layers.0.self_attn.", "transformer.h.0.", "lm_head."], Kind::LanguageModel),
    (&["label_emb.", "noise_augmentor."], Kind::OtherStableDiffusion),
    (&["vision_model.", "transformer.resblocks."], Kind::TextEncoder),
];

/// Prefixes of the tensor names of a single network, in a file of its own or in a diffusers folder.
static NETWORKS: [(&[&str], Kind); 3] = [
    (
        &[
            "encoder.down.",
            "decoder.up.",
            "encoder.down_blocks.",
            "decoder.up_blocks.",
            "decoder.layers.",
            "encoder.layers.0.weight",
            "first_stage_model.",
        ],
        Kind::Vae,
    ),
    (&["down_blocks.", "up_blocks.", "input_blocks.", "output_blocks.", "model.diffusion_model."], Kind::UNet),
    (
        &["text_model.", "encoder.block.", "shared.weight", "cond_stage_model.", "embeddings.token_embedding."],
        Kind::TextEncoder,
    ),
];

impl Kind {
    /// The kind of a file that is not Stable Diffusion 1 or 2, if its tensors show it.
    pub(crate) fn of_tensors(weights: &dyn Weights) -> Option<Self> {
        let names = weights.names();
        let contains = |parts: &[&str]| names.iter().any(|name| parts.iter().any(|part| name.contains(part)));
        if let Some((_, kind)) = PARTS.iter().find(|(parts, _)| contains(parts)) {
            return Some(kind.clone());
        }
        let begins = |(starts, _): &&(&[&str], Self)| {
            names.iter().any(|name| starts.iter().any(|start| name.starts_with(start)))
        };
        let networks: Vec<&Self> = NETWORKS.iter().filter(begins).map(|(_, kind)| kind).collect();
        match networks.as_slice() {
            [network] => Some((*network).clone()),
            [] if is_embedding(weights) => Some(Self::Embedding),
            _ => None,
        }
    }
}

/// Whether the tensors are only vectors of the width of a text encoder: CLIP's, OpenCLIP's, and the two of XL.
fn is_embedding(weights: &dyn Weights) -> bool {
    let is_vector = |name: &str| {
        weights.info(name).is_some_and(|info| {
            info.shape.len() <= 2 && info.shape.last().is_some_and(|width| [768, 1024, 1280].contains(width))
        })
    };
    let names = weights.names();
    (1..=16).contains(&names.len()) && names.into_iter().all(is_vector)
}
