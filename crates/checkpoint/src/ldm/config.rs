//! Configurations inferred from shapes. Settings that shapes do not show are the same in all published models of a
//! version.

use serde_json::{Value, json};

use super::schedule::Prediction;
use crate::view::View;
use crate::{CheckpointError, Weights};

/// `config.json` of the text tower.
pub(crate) fn text(view: &View, version_2: bool) -> Result<Value, CheckpointError> {
    let width = extent(view, "embeddings.token_embedding.weight", 1)?;
    Ok(json!({
        "vocab_size": extent(view, "embeddings.token_embedding.weight", 0)?,
        "hidden_size": width,
        "projection_dim": width,
        "max_position_embeddings": extent(view, "embeddings.position_embedding.weight", 0)?,
        "num_hidden_layers": count(view, |layer| format!("encoder.layers.{layer}.layer_norm1.weight")),
        "intermediate_size": extent(view, "encoder.layers.0.mlp.fc1.weight", 0)?,
        "num_attention_heads": (width / 64).max(1),
        "hidden_act": if version_2 { "gelu" } else { "quick_gelu" },
        "layer_norm_eps": 1e-5,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }))
}

/// `config.json` of the UNet.
pub(crate) fn unet(view: &View, version_2: bool, prediction: Prediction) -> Result<Value, CheckpointError> {
    let blocks = count(view, |block| format!("down_blocks.{block}.resnets.0.conv1.weight"));
    let channels = channels(view, blocks, "down_blocks")?;
    let attention =
        |way: &str, block: usize| view.info(&format!("{way}_blocks.{block}.attentions.0.norm.weight")).is_some();
    let heads = |channels: &usize| (channels / 64).max(1);
    Ok(json!({
        "_class_name": "UNet2DConditionModel",
        "sample_size": prediction.sample_size(),
        "in_channels": in_channels(view)?,
        "out_channels": extent(view, "conv_out.weight", 0)?,
        "block_out_channels": channels,
        "layers_per_block": count(view, |layer| format!("down_blocks.0.resnets.{layer}.conv1.weight")),
        "down_block_types": list(blocks, |block| if attention("down", block) { "CrossAttnDownBlock2D" } else { "DownBlock2D" }),
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "up_block_types": list(blocks, |block| if attention("up", block) { "CrossAttnUpBlock2D" } else { "UpBlock2D" }),
        "cross_attention_dim": extent(view, &format!("{MIDDLE}.transformer_blocks.0.attn2.to_k.weight"), 1)?,
        "transformer_layers_per_block": count(view, |layer| format!("{MIDDLE}.transformer_blocks.{layer}.norm1.weight")),
        "attention_head_dim": if version_2 { channels.iter().map(heads).collect() } else { json!(8) },
        "use_linear_projection": has_linear_projections(view),
        "only_cross_attention": false,
        "upcast_attention": false,
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "act_fn": "silu",
        "flip_sin_to_cos": true,
        "freq_shift": 0,
        "center_input_sample": false,
        "downsample_padding": 1,
        "mid_block_scale_factor": 1,
    }))
}

/// Every UNet of both versions has attention at least here.
const MIDDLE: &str = "mid_block.attentions.0";

/// 4, or 9 for inpainting.
pub(crate) fn in_channels(unet: &View) -> Result<usize, CheckpointError> {
    extent(unet, "conv_in.weight", 1)
}

/// Stable Diffusion 2 has linear layers where 1 has 1x1 convolutions.
pub(crate) fn has_linear_projections(unet: &View) -> bool {
    unet.info(&format!("{MIDDLE}.proj_in.weight")).is_some_and(|info| info.shape.len() == 2)
}

/// `config.json` of the autoencoder.
pub(crate) fn vae(view: &View) -> Result<Value, CheckpointError> {
    let blocks = count(view, |block| format!("encoder.down_blocks.{block}.resnets.0.conv1.weight"));
    Ok(json!({
        "_class_name": "AutoencoderKL",
        "sample_size": 512,
        "in_channels": extent(view, "encoder.conv_in.weight", 1)?,
        "out_channels": extent(view, "decoder.conv_out.weight", 0)?,
        "latent_channels": extent(view, "decoder.conv_in.weight", 1)?,
        "block_out_channels": channels(view, blocks, "encoder.down_blocks")?,
        "layers_per_block": count(view, |layer| format!("encoder.down_blocks.0.resnets.{layer}.conv1.weight")),
        "down_block_types": list(blocks, |_| "DownEncoderBlock2D"),
        "up_block_types": list(blocks, |_| "UpDecoderBlock2D"),
        "norm_num_groups": 32,
        "act_fn": "silu",
        "scaling_factor": 0.18215,
    }))
}

fn channels(view: &View, blocks: usize, place: &str) -> Result<Vec<usize>, CheckpointError> {
    (0..blocks).map(|block| extent(view, &format!("{place}.{block}.resnets.0.conv1.weight"), 0)).collect()
}

fn list(blocks: usize, block_type: impl Fn(usize) -> &'static str) -> Vec<&'static str> {
    (0..blocks).map(block_type).collect()
}

/// The number of tensors whose names count from 0.
fn count(view: &View, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|&index| view.info(&name(index)).is_some()).count()
}

fn extent(view: &View, name: &str, axis: usize) -> Result<usize, CheckpointError> {
    let wrong = |problem| CheckpointError::tensor(view.file(), name, problem);
    let info = view.info(name).ok_or_else(|| wrong("is missing (diffusers' name)".to_owned()))?;
    info.shape
        .get(axis)
        .copied()
        .ok_or_else(|| wrong(format!("has the shape {:?}; at least {} dimensions are expected", info.shape, axis + 1)))
}
