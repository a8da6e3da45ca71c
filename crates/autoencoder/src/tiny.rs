//! TAESD, a tiny autoencoder distilled from the large one (<https://github.com/madebyollin/taesd>).

use burn::module::Module;
use burn::nn::Relu;
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::tensor::{DType, Device, Tensor};
use pyrograph_kernels::{Conv2d, Conv2dConfig};
use serde::Deserialize;

use crate::extent::Sizes;
use crate::feature_map::FeatureMap;
use crate::rows::Rows;
use crate::{ConfigError, DoesNotFit, Extent};

/// `config.json` of a diffusers `AutoencoderTiny`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct AutoencoderTinyConfig {
    /// Channels of the encoded image.
    pub in_channels: usize,
    /// Channels of the decoded image.
    pub out_channels: usize,
    /// Channels per stage of the encoder, all equal.
    pub encoder_block_out_channels: Vec<usize>,
    /// Channels per stage of the decoder, all equal.
    pub decoder_block_out_channels: Vec<usize>,
    /// Activation; only `relu` is supported.
    pub act_fn: String,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Residual blocks per stage of the encoder.
    pub num_encoder_blocks: Vec<usize>,
    /// Residual blocks per stage of the decoder.
    pub num_decoder_blocks: Vec<usize>,
    /// Factor of the latents for the diffusion model.
    pub scaling_factor: f64,
}

/// diffusers' `AutoencoderTiny`.
#[derive(Module, Debug)]
pub struct AutoencoderTiny {
    /// Images to latents.
    pub encoder: TinyLayers,
    /// Latents to images.
    pub decoder: TinyLayers,
    scaling_factor: f64,
}

/// A sequence of layers.
#[derive(Module, Debug)]
pub struct TinyLayers {
    /// The layers; their indices are their state-dict names.
    pub layers: Vec<TinyLayer>,
}

/// One layer of an [`AutoencoderTiny`].
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are about twenty of them, half of them blocks")]
pub enum TinyLayer {
    /// A 3x3 convolution.
    Conv(Conv2d),
    /// A residual block.
    Block(AutoencoderTinyBlock),
    /// A rectifier.
    Relu(Relu),
    /// Upsampling by two.
    Upsample(Interpolate2d),
}

/// Three convolutions with a residual connection.
#[derive(Module, Debug)]
pub struct AutoencoderTinyBlock {
    /// `conv.0` to `conv.4` of the state dict.
    pub conv: (Conv2d, Relu, Conv2d, Relu, Conv2d),
}

impl Default for AutoencoderTinyConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            encoder_block_out_channels: vec![64; 4],
            decoder_block_out_channels: vec![64; 4],
            act_fn: "relu".into(),
            latent_channels: 4,
            num_encoder_blocks: vec![1, 3, 3, 3],
            num_decoder_blocks: vec![3, 3, 3, 1],
            scaling_factor: 1.0,
        }
    }
}

impl AutoencoderTinyConfig {
    /// Checks that the configuration describes a network that can be built.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless;
        let uniform = |channels: &[usize], blocks: &[usize]| {
            let sane = (1..=8).contains(&channels.len()) && (1..=1 << 16).contains(&channels[0]);
            sane && channels.len() == blocks.len() && channels.iter().all(|&c| c == channels[0])
        };
        let problem = "must list the same positive number once for each entry of the num_*_blocks list, at most 8";
        let encoder = uniform(&self.encoder_block_out_channels, &self.num_encoder_blocks);
        let decoder = uniform(&self.decoder_block_out_channels, &self.num_decoder_blocks);
        check(encoder, "encoder_block_out_channels", problem)?;
        check(decoder, "decoder_block_out_channels", problem)?;
        let few = |blocks: &[usize]| blocks.iter().all(|&n| n <= 64);
        check(few(&self.num_encoder_blocks), "num_encoder_blocks", "must be at most 64 each")?;
        check(few(&self.num_decoder_blocks), "num_decoder_blocks", "must be at most 64 each")?;
        check(self.act_fn == "relu", "act_fn", "is not supported with this value; only \"relu\" is")?;
        let channels = [self.in_channels, self.out_channels, self.latent_channels];
        check(channels.iter().all(|c| (1..=1 << 16).contains(c)), "latent_channels", "must be a positive number")
    }

    /// Pixels of the image per pixel of the latents, along each axis.
    pub fn downsampling(&self) -> usize {
        1 << (self.decoder_block_out_channels.len() - 1)
    }

    /// Makes the autoencoder on `device`. Its weights are computed when they are first used.
    pub fn init(&self, device: &Device) -> Result<AutoencoderTiny, ConfigError> {
        self.validate()?;
        let encoder = TinyLayers { layers: self.encoder_layers(device) };
        let decoder = TinyLayers { layers: self.decoder_layers(device) };
        Ok(AutoencoderTiny { encoder, decoder, scaling_factor: self.scaling_factor })
    }

    fn encoder_layers(&self, device: &Device) -> Vec<TinyLayer> {
        let width = self.encoder_block_out_channels[0];
        let mut layers = Vec::new();
        for (stage, &blocks) in self.num_encoder_blocks.iter().enumerate() {
            layers.push(TinyLayer::Conv(match stage {
                0 => conv([self.in_channels, width], 1, true, device),
                _ => conv([width, width], 2, false, device),
            }));
            layers.extend((0..blocks).map(|_| TinyLayer::Block(AutoencoderTinyBlock::new(width, device))));
        }
        layers.push(TinyLayer::Conv(conv([width, self.latent_channels], 1, true, device)));
        layers
    }

    fn decoder_layers(&self, device: &Device) -> Vec<TinyLayer> {
        let width = self.decoder_block_out_channels[0];
        let first = conv([self.latent_channels, width], 1, true, device);
        let mut layers = vec![TinyLayer::Conv(first), TinyLayer::Relu(Relu::new())];
        let last = self.num_decoder_blocks.len() - 1;
        for (stage, &blocks) in self.num_decoder_blocks.iter().enumerate() {
            layers.extend((0..blocks).map(|_| TinyLayer::Block(AutoencoderTinyBlock::new(width, device))));
            if stage < last {
                let double = Interpolate2dConfig::new().with_scale_factor(Some([2.0, 2.0]));
                layers.push(TinyLayer::Upsample(double.init()));
                layers.push(TinyLayer::Conv(conv([width, width], 1, false, device)));
            } else {
                layers.push(TinyLayer::Conv(conv([width, self.out_channels], 1, true, device)));
            }
        }
        layers
    }
}

impl AutoencoderTiny {
    /// The latents of an image.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` in -1 ..= 1 -> `[batch, latent_channels, height / f, width / f]`, float32
    pub fn encode(&self, image: Tensor<4>) -> Tensor<4> {
        self.encode_within(image, usize::MAX).expect("everything fits without a limit")
    }

    /// [`AutoencoderTiny::encode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn encode_within(&self, image: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        self.encode_extent(image.dims(), limit)?;
        Ok(self.encoder.run((image + 1.0) / 2.0, limit))
    }

    /// The tensor sizes of [`AutoencoderTiny::encode_within`] for an image `[batch, 3, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn encode_extent(&self, image: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.encoder.forward(Sizes::new(image, limit)).into_extent()
    }

    /// The image of latents, in about -1 ..= 1.
    ///
    /// # Shapes
    /// `[batch, latent_channels, height, width]` -> `[batch, 3, f * height, f * width]`, float32
    pub fn decode(&self, latents: Tensor<4>) -> Tensor<4> {
        self.decode_within(latents, usize::MAX).expect("everything fits without a limit")
    }

    /// [`AutoencoderTiny::decode`] in tensors of at most `limit` values; the result does not depend on the limit.
    ///
    /// # Errors
    /// Before anything is computed, if a tensor cannot be cut into parts that small.
    pub fn decode_within(&self, latents: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        self.decode_extent(latents.dims(), limit)?;
        let clamped = (latents / 3.0).tanh() * 3.0;
        Ok(self.decoder.run(clamped, limit) * 2.0 - 1.0)
    }

    /// The tensor sizes of [`AutoencoderTiny::decode_within`] for latents `[batch, latent_channels, height, width]`.
    ///
    /// # Errors
    /// Returns an error if a tensor cannot be cut into parts of at most `limit` values.
    pub fn decode_extent(&self, latents: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        self.decoder.forward(Sizes::new(latents, limit)).into_extent()
    }

    /// Latents for the diffusion model.
    pub fn scale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents * self.scaling_factor
    }

    /// The inverse of [`AutoencoderTiny::scale`].
    pub fn unscale(&self, latents: Tensor<4>) -> Tensor<4> {
        latents / self.scaling_factor
    }
}

impl TinyLayers {
    fn run(&self, x: Tensor<4>, limit: usize) -> Tensor<4> {
        let TinyLayer::Conv(first) = &self.layers[0] else { unreachable!("both halves begin with a convolution") };
        self.forward(Rows::new(x.cast(first.weight.dtype()), limit)).into_tensor().cast(DType::F32)
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }
}

impl TinyLayer {
    fn forward<M: FeatureMap>(&self, x: M) -> M {
        match self {
            Self::Conv(conv) => x.conv2d(conv),
            Self::Block(block) => block.forward(x),
            Self::Relu(_) => x.relu(),
            Self::Upsample(_) => x.upsample(),
        }
    }
}

impl AutoencoderTinyBlock {
    fn new(width: usize, device: &Device) -> Self {
        let layer = || conv([width, width], 1, true, device);
        Self { conv: (layer(), Relu::new(), layer(), Relu::new(), layer()) }
    }

    fn forward<M: FeatureMap>(&self, x: M) -> M {
        let (first, _, second, _, third) = &self.conv;
        let hidden = x.clone().conv2d(first).relu().conv2d(second).relu().conv2d(third);
        x.add(hidden).relu()
    }
}

fn conv(channels: [usize; 2], stride: usize, bias: bool, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [3, 3]).with_stride([stride; 2]).with_padding([1; 4]).with_bias(bias).init(device)
}
