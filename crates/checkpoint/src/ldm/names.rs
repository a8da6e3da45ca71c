//! Conversion of latent diffusion's names to diffusers' names: prefixes that depend on the number of blocks, then parts
//! inside them.

use crate::view::Part;

pub(crate) const COMPVIS_CLIP: &str = "cond_stage_model.transformer.";
pub(crate) const OPEN_CLIP: &str = "cond_stage_model.model.";

/// More blocks, or layers in a block, than any Stable Diffusion has. It limits the size of the table for broken files.
const MOST: usize = 32;

/// Renames the tensors of one network.
pub(crate) struct Names {
    /// Prefixes; the first match is replaced.
    outer: Vec<(String, String)>,
    /// Parts; all occurrences are replaced.
    inner: &'static [(&'static str, &'static str)],
}

const RESNET: &[(&str, &str)] = &[
    (".in_layers.0.", ".norm1."),
    (".in_layers.2.", ".conv1."),
    (".emb_layers.1.", ".time_emb_proj."),
    (".out_layers.0.", ".norm2."),
    (".out_layers.3.", ".conv2."),
    (".skip_connection.", ".conv_shortcut."),
];

const VAE: &[(&str, &str)] = &[
    (".nin_shortcut.", ".conv_shortcut."),
    (".norm_out.", ".conv_norm_out."),
    (".mid.block_1.", ".mid_block.resnets.0."),
    (".mid.attn_1.", ".mid_block.attentions.0."),
    (".mid.block_2.", ".mid_block.resnets.1."),
    (".attentions.0.norm.", ".attentions.0.group_norm."),
    (".attentions.0.q.", ".attentions.0.to_q."),
    (".attentions.0.k.", ".attentions.0.to_k."),
    (".attentions.0.v.", ".attentions.0.to_v."),
    (".attentions.0.proj_out.", ".attentions.0.to_out.0."),
];

const RESBLOCK: &[(&str, &str)] = &[
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
    (".attn.", ".self_attn."),
];

impl Names {
    /// The UNet. The layers of all its blocks are numbered in one sequence. The downsampler of a down block is an
    /// additional layer of that block. An up block has one more layer than a down block, and its upsampler follows the
    /// attention, if there is one.
    pub(crate) fn unet(names: &[&str]) -> Self {
        let has = |name: String| names.contains(&format!("model.diffusion_model.{name}").as_str());
        let ends: Vec<usize> =
            (1..MOST * MOST).filter(|row| has(format!("input_blocks.{row}.0.op.weight"))).take(MOST).collect();
        let rows = || (1..MOST).take_while(|row| has(format!("input_blocks.{row}.0.in_layers.0.weight"))).count();
        let layers = ends.first().map_or_else(rows, |end| (end - 1).min(MOST));
        let mut outer = vec![
            ("time_embed.0.".to_owned(), "time_embedding.linear_1.".to_owned()),
            ("time_embed.2.".to_owned(), "time_embedding.linear_2.".to_owned()),
            ("input_blocks.0.0.".to_owned(), "conv_in.".to_owned()),
            ("middle_block.0.".to_owned(), "mid_block.resnets.0.".to_owned()),
            ("middle_block.1.".to_owned(), "mid_block.attentions.0.".to_owned()),
            ("middle_block.2.".to_owned(), "mid_block.resnets.1.".to_owned()),
            ("out.0.".to_owned(), "conv_norm_out.".to_owned()),
            ("out.2.".to_owned(), "conv_out.".to_owned()),
        ];
        for block in 0..=ends.len() {
            let first = block * (layers + 1);
            for layer in 0..=layers {
                let (down, up) = (first + layer + 1, first + layer);
                outer.extend([
                    (format!("input_blocks.{down}.0.op."), format!("down_blocks.{block}.downsamplers.0.conv.")),
                    (format!("input_blocks.{down}.0."), format!("down_blocks.{block}.resnets.{layer}.")),
                    (format!("input_blocks.{down}.1."), format!("down_blocks.{block}.attentions.{layer}.")),
                    (format!("output_blocks.{up}.0."), format!("up_blocks.{block}.resnets.{layer}.")),
                    (format!("output_blocks.{up}.1.conv."), format!("up_blocks.{block}.upsamplers.0.conv.")),
                    (format!("output_blocks.{up}.2.conv."), format!("up_blocks.{block}.upsamplers.0.conv.")),
                    (format!("output_blocks.{up}.1."), format!("up_blocks.{block}.attentions.{layer}.")),
                ]);
            }
        }
        let outer = outer.into_iter().map(|(old, new)| (format!("model.diffusion_model.{old}"), new)).collect();
        Self { outer, inner: RESNET }
    }

    /// The autoencoder. Its decoder blocks are numbered from the image inwards.
    pub(crate) fn vae(names: &[&str]) -> Self {
        let has = |block: &usize| {
            names.iter().any(|name| name.starts_with(&format!("first_stage_model.decoder.up.{block}.")))
        };
        let blocks = (0..MOST).take_while(has).count();
        let block = |block: usize| {
            let up = blocks - 1 - block;
            [
                (format!("encoder.down.{block}.block."), format!("encoder.down_blocks.{block}.resnets.")),
                (format!("encoder.down.{block}.downsample."), format!("encoder.down_blocks.{block}.downsamplers.0.")),
                (format!("decoder.up.{block}.block."), format!("decoder.up_blocks.{up}.resnets.")),
                (format!("decoder.up.{block}.upsample."), format!("decoder.up_blocks.{up}.upsamplers.0.")),
            ]
        };
        let others = (String::new(), String::new());
        let outer = (0..blocks).flat_map(block).chain([others]);
        Self { outer: outer.map(|(old, new)| (format!("first_stage_model.{old}"), new)).collect(), inner: VAE }
    }

    /// The text tower, CLIP's (Stable Diffusion 1) or OpenCLIP's (2).
    pub(crate) fn text(names: &[&str]) -> Self {
        if has_open_clip(names) { Self::open_clip(names) } else { Self::compvis_clip() }
    }

    fn compvis_clip() -> Self {
        let outer = ["text_model.", ""].map(|prefix| (format!("{COMPVIS_CLIP}{prefix}"), String::new()));
        Self { outer: outer.into(), inner: &[] }
    }

    fn open_clip(names: &[&str]) -> Self {
        let block = |block| (format!("transformer.resblocks.{block}."), format!("encoder.layers.{block}."));
        let others = [
            ("token_embedding.", "embeddings.token_embedding."),
            ("positional_embedding", "embeddings.position_embedding.weight"),
            ("ln_final.", "final_layer_norm."),
        ];
        let others = others.map(|(old, new)| (old.to_owned(), new.to_owned()));
        let outer = (0..open_clip_layers(names)).map(block).chain(others);
        Self { outer: outer.map(|(old, new)| (format!("{OPEN_CLIP}{old}"), new)).collect(), inner: RESBLOCK }
    }

    /// The names of a tensor in diffusers.
    pub(crate) fn rename(&self, name: &str) -> Vec<(String, Part)> {
        let Some((old, new)) = self.outer.iter().find(|(old, _)| name.starts_with(old)) else { return Vec::new() };
        let name = format!("{new}{}", &name[old.len()..]);
        let name = self.inner.iter().fold(name, |name, (old, new)| name.replace(old, new));
        match name.split_once(".in_proj_") {
            Some((attention, kind)) => {
                let third = |(index, letter)| (format!("{attention}.{letter}_proj.{kind}"), Part::Third(index));
                ["q", "k", "v"].into_iter().enumerate().map(third).collect()
            }
            None if name.ends_with("position_ids") => Vec::new(),
            None => vec![(name, Part::Whole)],
        }
    }
}

pub(crate) fn has_open_clip(names: &[&str]) -> bool {
    names.iter().any(|name| name.starts_with(OPEN_CLIP))
}

/// Stable Diffusion 2 takes the text states from the second to last of ViT-H's 24 blocks. Files written by diffusers'
/// converter have neither the last block nor the projection after it.
fn open_clip_layers(names: &[&str]) -> usize {
    let has = |name: String| names.contains(&format!("{OPEN_CLIP}{name}").as_str());
    let blocks = (0..MOST).take_while(|block| has(format!("transformer.resblocks.{block}.ln_1.weight"))).count();
    if blocks == 24 || has("text_projection".to_owned()) { blocks.saturating_sub(1) } else { blocks }
}

/// Prefixes of tensors that the original code stores although it does not need them: the noise schedule, and the end of
/// the text tower. They are not reported as unused.
const TRAINING_CONSTANTS: [&str; 11] = [
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus_",
    "posterior_",
    "logvar",
    "lvlb_weights",
    "v_pred",
    "ztsnr",
    OPEN_CLIP,
    "cond_stage_model.logit_scale",
];

pub(crate) fn is_training_constant(name: &str) -> bool {
    name.ends_with("position_ids") || TRAINING_CONSTANTS.iter().any(|constant| name.starts_with(constant))
}
