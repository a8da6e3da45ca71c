//! `unet/config.json`.

use pyrograph_blocks::{AttentionConfig, ConfigError, PerBlock, ResnetBlock2dConfig};
use serde::{Deserialize, Serialize};

/// The configuration of a [`crate::UNet2dConditionModel`], with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct UNet2dConditionConfig {
    /// Height and width of the latents in training; the default size of an image follows from it.
    pub sample_size: Option<SampleSize>,
    /// The version of diffusers that wrote the file.
    #[serde(rename = "_diffusers_version")]
    pub diffusers_version: Option<String>,
    /// Channels of the latents: 4, or 9 for inpainting.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Whether the timestep features are `[cos, sin]` instead of `[sin, cos]`.
    pub flip_sin_to_cos: bool,
    /// Offset of the frequencies of the timestep features; 0 or 1 in practice.
    pub freq_shift: f64,
    /// `CrossAttnDownBlock2D` or `DownBlock2D`, the highest resolution first.
    pub down_block_types: Vec<String>,
    /// `UNetMidBlock2DCrossAttn`, `UNetMidBlock2D`, or none in distilled networks.
    pub mid_block_type: Option<String>,
    /// `UpBlock2D` or `CrossAttnUpBlock2D`, the lowest resolution first.
    pub up_block_types: Vec<String>,
    /// Whether the first attention of a transformer block is cross-attention to the text too.
    pub only_cross_attention: PerBlock<bool>,
    /// Channels per block.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per down block; up blocks have one more.
    pub layers_per_block: PerBlock<usize>,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Epsilon of the residual blocks' group normalisations.
    pub norm_eps: f64,
    /// Width of the text embeddings.
    pub cross_attention_dim: PerBlock<usize>,
    /// Transformer blocks per attention.
    pub transformer_layers_per_block: PerBlock<usize>,
    /// The number of heads, despite its name.
    pub attention_head_dim: PerBlock<usize>,
    /// Whether the input projection of a transformer is a linear layer (SD 2) or a 1x1 convolution (SD 1). The values
    /// of the weights are the same.
    pub use_linear_projection: bool,
    /// Whether attention is computed in float32.
    pub upcast_attention: bool,
}

/// `sample_size` of a configuration: one number for both sides, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum SampleSize {
    /// Height and width.
    Square(usize),
    /// Height, then width.
    Sides([usize; 2]),
}

impl SampleSize {
    /// Both sides.
    pub fn height_and_width(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Sides(sides) => sides,
        }
    }
}

/// No Stable Diffusion has wider layers or longer lists; a larger value means that the file is broken.
const LARGEST: usize = 1 << 16;

impl Default for UNet2dConditionConfig {
    fn default() -> Self {
        let names = |names: [&str; 4]| names.map(String::from).to_vec();
        let cross_down = "CrossAttnDownBlock2D";
        let cross_up = "CrossAttnUpBlock2D";
        Self {
            sample_size: None,
            diffusers_version: None,
            in_channels: 4,
            out_channels: 4,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            down_block_types: names([cross_down, cross_down, cross_down, "DownBlock2D"]),
            mid_block_type: Some("UNetMidBlock2DCrossAttn".into()),
            up_block_types: names(["UpBlock2D", cross_up, cross_up, cross_up]),
            only_cross_attention: PerBlock::All(false),
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: PerBlock::All(2),
            norm_num_groups: 32,
            norm_eps: 1e-5,
            cross_attention_dim: PerBlock::All(1280),
            transformer_layers_per_block: PerBlock::All(1),
            attention_head_dim: PerBlock::All(8),
            use_linear_projection: false,
            upcast_attention: false,
        }
    }
}

impl UNet2dConditionConfig {
    /// Checks that the configuration describes a network that can be built here.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let blocks = self.block_out_channels.len();
        let sane = |size: usize| (1..=LARGEST).contains(&size);
        let groups = self.norm_num_groups;
        let check = ConfigError::unless;
        check((1..=16).contains(&blocks), "block_out_channels", "must list 1 to 16 blocks")?;
        check(sane(groups), "norm_num_groups", "must be a positive number")?;
        let divisible = |&channels: &usize| sane(channels) && channels % groups == 0;
        let problem = format!("must be positive multiples of norm_num_groups, {groups}");
        check(self.block_out_channels.iter().all(divisible), "block_out_channels", &problem)?;
        check(self.norm_eps.is_finite() && self.norm_eps > 0.0, "norm_eps", "must be a positive number")?;
        check(sane(self.in_channels), "in_channels", "must be a positive number")?;
        check(sane(self.out_channels), "out_channels", "must be a positive number")?;
        let positive = self.sample_size.is_none_or(|size| size.height_and_width().into_iter().all(sane));
        check(positive, "sample_size", "must be a positive number, or two for height and width")?;
        check(
            self.layers_per_block.fits(blocks, |n| (1..=16).contains(&n)),
            "layers_per_block",
            &per_block(blocks, "1 to 16"),
        )?;
        check(
            self.cross_attention_dim.fits(blocks, sane),
            "cross_attention_dim",
            &per_block(blocks, "a positive number"),
        )?;
        check(
            self.only_cross_attention.fits(blocks, |_| true),
            "only_cross_attention",
            &per_block(blocks, "true or false"),
        )?;
        let layers = &self.transformer_layers_per_block;
        check(
            layers.fits(blocks, |n| (1..=64).contains(&n)),
            "transformer_layers_per_block",
            &per_block(blocks, "1 to 64"),
        )?;
        check(
            self.attention_head_dim.fits(blocks, sane),
            "attention_head_dim",
            &per_block(blocks, "a number of heads"),
        )?;
        let heads_divide =
            |block: usize| self.block_out_channels[block].is_multiple_of(self.attention_head_dim.get(block));
        let problem = "is the number of heads and must divide block_out_channels";
        check((0..blocks).all(heads_divide), "attention_head_dim", problem)?;
        self.validate_types(blocks)
    }

    /// Height and width of the latents if a request has no image size, as in diffusers' `StableDiffusionPipeline`:
    /// `sample_size`, or 64. Files of versions before 0.9.0 say 32 for networks that were trained on 64; for these, the
    /// minimum is 64.
    pub fn default_size(&self) -> [usize; 2] {
        match self.sample_size {
            None => [64, 64],
            Some(SampleSize::Square(side)) if self.is_from_before_0_9() => [side.max(64); 2],
            Some(size) => size.height_and_width(),
        }
    }

    /// Whether the version is before 0.9.0; `0.9.0.dev0` counts as 0.9.0.
    fn is_from_before_0_9(&self) -> bool {
        let parts = self.diffusers_version.iter().flat_map(|version| version.split('.'));
        let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
        let numbers: Vec<u64> = parts.map_while(|part| digits(part).parse().ok()).collect();
        !numbers.is_empty() && numbers.as_slice() < [0, 9].as_slice()
    }

    fn validate_types(&self, blocks: usize) -> Result<(), ConfigError> {
        let known = |types: &[String], known: [&str; 2]| {
            types.len() == blocks && types.iter().all(|name| known.contains(&name.as_str()))
        };
        let down = known(&self.down_block_types, ["DownBlock2D", "CrossAttnDownBlock2D"]);
        let up = known(&self.up_block_types, ["UpBlock2D", "CrossAttnUpBlock2D"]);
        let mid = matches!(self.mid_block_type.as_deref(), None | Some("UNetMidBlock2DCrossAttn" | "UNetMidBlock2D"));
        let kinds = |kind: &str| format!("must list {blocks} of {kind}2D and CrossAttn{kind}2D");
        ConfigError::unless(down, "down_block_types", &kinds("DownBlock"))?;
        ConfigError::unless(up, "up_block_types", &kinds("UpBlock"))?;
        ConfigError::unless(mid, "mid_block_type", "must be UNetMidBlock2DCrossAttn, UNetMidBlock2D or null")
    }

    /// Width of the time embedding.
    pub(crate) fn time_embedding(&self) -> usize {
        4 * self.block_out_channels[0]
    }

    pub(crate) fn resnet(&self, channels: [usize; 2]) -> ResnetBlock2dConfig {
        let time_embedding = Some(self.time_embedding());
        ResnetBlock2dConfig { channels, time_embedding, groups: self.norm_num_groups, epsilon: self.norm_eps }
    }

    /// The attention of `block` to tokens of width `context`.
    pub(crate) fn attention(&self, block: usize, context: usize) -> AttentionConfig {
        AttentionConfig {
            channels: self.block_out_channels[block],
            context,
            heads: self.attention_head_dim.get(block),
            bias: false,
            norm: None,
            upcast: self.upcast_attention,
        }
    }
}

fn per_block(blocks: usize, what: &str) -> String {
    format!("must be {what}, alone or in a list of {blocks}")
}
