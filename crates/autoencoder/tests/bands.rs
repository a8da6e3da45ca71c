//! Autoencoders in bands: the same result as whole, and no tensor beyond the limit.

#[path = "../../../tests/support/distance.rs"]
mod distance;

use burn::tensor::{Device, Distribution, Tensor};
use proptest::prelude::*;
use pyrograph_autoencoder::{
    AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig, DoesNotFit, Extent, VqModel,
    VqModelConfig,
};
use serde::Deserialize;
use serde_json::json;

use distance::Distance;

/// An encoder or a decoder.
#[derive(Clone, Copy, Debug)]
enum Half {
    KlEncoder,
    KlDecoder,
    VqEncoder,
    VqDecoder,
    TinyEncoder,
    TinyDecoder,
}

const HALVES: [Half; 6] =
    [Half::KlEncoder, Half::KlDecoder, Half::VqEncoder, Half::VqDecoder, Half::TinyEncoder, Half::TinyDecoder];

/// An autoencoder of each kind, with random weights.
struct Models {
    kl: AutoencoderKl,
    vq: VqModel,
    tiny: AutoencoderTiny,
    downsampling: usize,
}

impl Models {
    /// With so many channels in each block.
    fn new(channels: &[usize], attention: bool, device: &Device) -> Self {
        let blocks = channels.len();
        let config = json!({
            "block_out_channels": channels,
            "down_block_types": vec!["DownEncoderBlock2D"; blocks],
            "up_block_types": vec!["UpDecoderBlock2D"; blocks],
            "latent_channels": 4,
            "norm_num_groups": 2,
            "mid_block_add_attention": attention,
            "num_vq_embeddings": 8,
        });
        let kl = AutoencoderKlConfig::deserialize(&config).expect("a configuration").init(device).expect("a network");
        let vq = VqModelConfig::deserialize(&config).expect("a configuration").init(device).expect("a network");
        let tiny = AutoencoderTinyConfig {
            encoder_block_out_channels: vec![channels[0]; blocks],
            decoder_block_out_channels: vec![channels[0]; blocks],
            num_encoder_blocks: vec![1; blocks],
            num_decoder_blocks: vec![1; blocks],
            ..AutoencoderTinyConfig::default()
        };
        Self { kl, vq, tiny: tiny.init(device).expect("a network"), downsampling: 1 << (blocks - 1) }
    }

    fn extent(&self, half: Half, shape: [usize; 4], limit: usize) -> Result<Extent, DoesNotFit> {
        match half {
            Half::KlEncoder => self.kl.encode_extent(shape, limit),
            Half::KlDecoder => self.kl.decode_extent(shape, limit),
            Half::VqEncoder => self.vq.encode_extent(shape, limit),
            Half::VqDecoder => self.vq.decode_extent(shape, limit),
            Half::TinyEncoder => self.tiny.encode_extent(shape, limit),
            Half::TinyDecoder => self.tiny.decode_extent(shape, limit),
        }
    }

    fn run(&self, half: Half, x: Tensor<4>, limit: usize) -> Result<Tensor<4>, DoesNotFit> {
        match half {
            Half::KlEncoder => self.kl.encode_within(x, limit).map(|moments| moments.mean),
            Half::KlDecoder => self.kl.decode_within(x, limit),
            Half::VqEncoder => self.vq.encode_within(x, limit),
            Half::VqDecoder => self.vq.decode_within(x, limit),
            Half::TinyEncoder => self.tiny.encode_within(x, limit),
            Half::TinyDecoder => self.tiny.decode_within(x, limit),
        }
    }

    /// The input of a half for images of that size.
    fn shape(&self, half: Half, batch: usize, [height, width]: [usize; 2]) -> [usize; 4] {
        match half {
            Half::KlEncoder | Half::VqEncoder | Half::TinyEncoder => [batch, 3, height, width],
            _ => [batch, 4, height / self.downsampling, width / self.downsampling],
        }
    }

    /// The smallest limit within which a half can run.
    fn smallest_limit(&self, half: Half, shape: [usize; 4]) -> usize {
        let (mut refused, mut allowed) = (0, 1 << 40);
        while allowed - refused > 1 {
            let middle = usize::midpoint(refused, allowed);
            *(if self.extent(half, shape, middle).is_ok() { &mut allowed } else { &mut refused }) = middle;
        }
        allowed
    }
}

/// Values in +- 1 that are the same on every device.
fn random(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// From the smallest limit that is accepted to none at all; below the smallest there is an error and no panic.
    #[test]
    fn bands_agree_with_the_whole(
        batch in 1..3usize,
        channels in proptest::collection::vec((1..7usize).prop_map(|half| 2 * half), 1..4),
        latent_size in [2..7usize, 2..7usize],
        attention: bool,
        part in 0.0..1.0f64,
    ) {
        let models = Models::new(&channels, attention, &Device::flex());
        for half in HALVES {
            let shape = models.shape(half, batch, latent_size.map(|pixels| pixels * models.downsampling));
            let x = random(shape);
            let whole = models.run(half, x.clone(), usize::MAX).expect("without a limit");
            let largest = models.extent(half, shape, usize::MAX).expect("without a limit").largest_tensor as usize;
            let smallest = models.smallest_limit(half, shape);
            for limit in [smallest, smallest + ((largest - smallest) as f64 * part) as usize, largest] {
                let extent = models.extent(half, shape, limit).expect("not below the smallest");
                prop_assert!(extent.largest_tensor <= limit as u64, "{half:?}: {extent:?} within {limit}");
                let banded = models.run(half, x.clone(), limit).expect("not below the smallest");
                prop_assert_eq!(banded.dims(), whole.dims());
                let distance = Distance::between(banded.into_data(), whole.clone().into_data());
                prop_assert!(distance.within(1e-4), "{half:?} {shape:?} within {limit}: {distance}");
            }
            let refused = models.run(half, x, smallest - 1).expect_err("below the smallest");
            prop_assert!(refused.needed() >= smallest as u64, "{half:?}: {refused} below {smallest}");
        }
    }
}
