//! `vae/config.json` of an `AutoencoderKL`.

use pyrograph_blocks::{ConfigError, ResnetBlock2dConfig};
use serde::{Deserialize, Serialize};

/// The configuration of a [`crate::AutoencoderKl`], with diffusers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct AutoencoderKlConfig {
    /// Channels of the encoded image.
    pub in_channels: usize,
    /// Channels of the decoded image.
    pub out_channels: usize,
    /// Channels per block, highest resolution first. Every block but the last halves the size.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per encoder block; decoder blocks have one more.
    pub layers_per_block: usize,
    /// Activation: `silu`, also called `swish`.
    pub act_fn: String,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Groups of the group normalisations.
    pub norm_num_groups: usize,
    /// Factor of the latents, which gives them unit variance for the diffusion model.
    pub scaling_factor: f64,
    /// Subtracted from latents before scaling.
    pub shift_factor: Option<f64>,
    /// Whether a 1x1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the middle blocks of encoder and decoder have a self-attention layer.
    pub mid_block_add_attention: bool,
}

impl Default for AutoencoderKlConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: "silu".into(),
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

/// Added to the variance by every group normalisation of the autoencoder.
pub(crate) const EPSILON: f64 = 1e-6;

impl AutoencoderKlConfig {
    /// Checks that the configuration describes a network that can be built.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        let sane = |size: usize| (1..=1 << 16).contains(&size);
        let groups = self.norm_num_groups;
        check(sane(groups), "norm_num_groups", "must be a positive number")?;
        check((1..=8).contains(&self.block_out_channels.len()), "block_out_channels", "must list 1 to 8 blocks")?;
        let divisible = |&channels: &usize| sane(channels) && channels % groups == 0;
        let problem = format!("must be positive multiples of norm_num_groups, {groups}");
        check(self.block_out_channels.iter().all(divisible), "block_out_channels", &problem)?;
        check((1..=16).contains(&self.layers_per_block), "layers_per_block", "must be 1 to 16")?;
        check(sane(self.in_channels), "in_channels", "must be a positive number")?;
        check(sane(self.out_channels), "out_channels", "must be a positive number")?;
        check(sane(self.latent_channels), "latent_channels", "must be a positive number")?;
        check(
            ["silu", "swish"].contains(&self.act_fn.as_str()),
            "act_fn",
            "is not supported with this value; only \"silu\" is",
        )?;
        let scale = self.scaling_factor;
        check(scale.is_finite() && scale > 0.0, "scaling_factor", "must be a positive number")
    }

    /// Pixels of the image per pixel of the latents, along each axis.
    pub fn downsampling(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }

    pub(crate) fn resnet(&self, channels: [usize; 2]) -> ResnetBlock2dConfig {
        ResnetBlock2dConfig { channels, time_embedding: None, groups: self.norm_num_groups, epsilon: EPSILON }
    }
}
