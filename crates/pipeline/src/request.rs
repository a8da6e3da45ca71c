//! What is asked for.

use std::hash::{BuildHasher, Hasher, RandomState};

use burn::tensor::TensorData;
use pyrograph_scheduler::{Algorithm, PredictionType};

use crate::Error;

/// A picture to be made from a text. Only the prompt is required.
#[derive(Debug, Clone)]
pub struct TextToImage {
    /// What is to be seen.
    pub prompt: String,
    /// What is to be avoided; without effect at a guidance scale of 1 or less. Default: empty.
    pub negative_prompt: String,
    /// Denoising steps. Default: 50, as in diffusers.
    pub steps: usize,
    /// Weight of the prompt against the negative prompt (classifier-free guidance, <https://arxiv.org/abs/2207.12598>).
    /// Default: 7.5, as in diffusers; 1 and less is without guidance and twice as fast.
    pub guidance_scale: f64,
    /// Pulls the contrast that guidance adds back, 0 to 1 (<https://arxiv.org/abs/2305.08891>, section 3.4). Default: 0.
    pub guidance_rescale: f64,
    /// Seed of the noise: that of `torch.Generator("cpu")`, of which the lowest 32 bits count. Default: a random one.
    pub seed: u64,
    /// Width of the picture in pixels. Default: the width the model was trained on.
    pub width: Option<usize>,
    /// Height of the picture in pixels. Default: the height the model was trained on.
    pub height: Option<usize>,
    /// Pictures to make at once, of the same prompt. Default: 1.
    pub batch_size: usize,
    /// The sampler. Default: the model's own.
    pub scheduler: Option<Algorithm>,
    /// Whether to space the noise levels as Karras et al. do (<https://arxiv.org/abs/2206.00364>). Default: as the model
    /// says.
    pub karras: Option<bool>,
    /// What the UNet predicts. Default: as the model says.
    pub prediction_type: Option<PredictionType>,
    /// Blocks of the text encoder to leave out at its end. Default: 0.
    pub clip_skip: usize,
    /// Standard normal noise `[batch_size, channels, height / f, width / f]` to start from instead of the seed's.
    pub latents: Option<TensorData>,
}

impl TextToImage {
    /// A request for one picture with everything else at its default.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            steps: 50,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            seed: random_seed(),
            width: None,
            height: None,
            batch_size: 1,
            scheduler: None,
            karras: None,
            prediction_type: None,
            clip_skip: 0,
            latents: None,
        }
    }

    /// Sets [`TextToImage::negative_prompt`].
    #[must_use]
    pub fn with_negative_prompt(self, negative_prompt: impl Into<String>) -> Self {
        Self { negative_prompt: negative_prompt.into(), ..self }
    }

    /// Sets [`TextToImage::steps`].
    #[must_use]
    pub fn with_steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Sets [`TextToImage::guidance_scale`].
    #[must_use]
    pub fn with_guidance_scale(self, guidance_scale: f64) -> Self {
        Self { guidance_scale, ..self }
    }

    /// Sets [`TextToImage::seed`].
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets width and height in pixels.
    #[must_use]
    pub fn with_size(self, width: usize, height: usize) -> Self {
        Self { width: Some(width), height: Some(height), ..self }
    }

    /// Sets [`TextToImage::scheduler`].
    #[must_use]
    pub fn with_scheduler(self, scheduler: Algorithm) -> Self {
        Self { scheduler: Some(scheduler), ..self }
    }

    /// Whether guidance runs, which doubles the work.
    pub fn is_guided(&self) -> bool {
        self.guidance_scale > 1.0
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let check =
            |holds: bool, option, problem: &str| if holds { Ok(()) } else { Err(Error::request(option, problem)) };
        check(self.steps > 0, "--steps", "must be at least 1")?;
        check(self.steps <= 10_000, "--steps", "must be at most 10000")?;
        check((1..=256).contains(&self.batch_size), "--batch-size", "must be 1 to 256")?;
        check(self.guidance_scale.is_finite(), "--guidance-scale", "must be a finite number")?;
        check((0.0..=1.0).contains(&self.guidance_rescale), "guidance_rescale", "must be 0 to 1")
    }
}

/// A seed of 32 bits from the operating system's randomness, by way of the standard library's hash keys.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0xffff_ffff
}
