//! The request for an image.

mod json;

use std::fmt::Display;
use std::hash::{BuildHasher, Hasher, RandomState};

use burn::tensor::TensorData;
use pyrograph_checkpoint::Defaults;
use pyrograph_scheduler::{Algorithm, PredictionType};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A request for one or several images of one prompt. As JSON it is a flat object with the names of the fields in camel
/// case (`negativePrompt`, `guidanceScale`, `batchSize`), as in the npm package. Unknown names are refused.
///
/// ```
/// use pyrograph::Request;
///
/// let request = Request::text("a lighthouse at dusk").with_steps(25).with_seed(42);
/// let same: Request = serde_json::from_str(r#"{"prompt": "a lighthouse at dusk", "steps": 25, "seed": 42}"#)?;
/// assert_eq!(request, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "json::Fields", into = "json::Fields")]
#[non_exhaustive]
pub struct Request {
    /// The prompt.
    pub prompt: String,
    /// The negative prompt: what the image should not show. It has no effect if guidance is off. Default: empty.
    pub negative_prompt: String,
    /// The start and the size of the image. Default: a blank canvas.
    pub canvas: Canvas,
    /// The settings of the sampler.
    pub sampling: Sampling,
    /// The settings of guidance.
    pub guidance: Guidance,
    /// Seed of the noise, as in `torch.Generator("cpu")`, which uses the lowest 32 bits. Image `k` of a batch has the
    /// seed `seed + k`. Default: random.
    pub seed: u64,
    /// Number of images. Default: 1.
    pub batch_size: usize,
    /// Number of last blocks of the text encoder to skip. Default: 0.
    pub clip_skip: usize,
    /// Standard normal noise `[batch_size, channels, height / f, width / f]` to start from, instead of the seed's
    /// noise. It is not part of the JSON.
    pub noise: Option<TensorData>,
}

/// The start of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Canvas {
    /// Only noise.
    Blank {
        /// Width of the image in pixels. Default: the width in the model's training.
        width: Option<usize>,
        /// Height of the image in pixels. Default: the height in the model's training.
        height: Option<usize>,
    },
}

/// The settings of the sampler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sampling {
    /// Denoising steps. Default: the model's own ([`StableDiffusion::defaults`](crate::StableDiffusion::defaults)),
    /// else 50 as in diffusers.
    pub steps: Option<usize>,
    /// The sampler. Default: the model's own.
    pub scheduler: Option<Algorithm>,
    /// Whether noise levels are spaced as in Karras et al. 2022 (<https://arxiv.org/abs/2206.00364>). Default: the model's.
    pub karras: Option<bool>,
    /// The prediction type of the UNet. Default: the model's.
    pub prediction_type: Option<PredictionType>,
}

/// The settings of guidance.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Guidance {
    /// Weight of the prompt against the negative prompt (classifier-free guidance, <https://arxiv.org/abs/2207.12598>).
    /// Default: the model's own, else 7.5 as in diffusers. At 1 or less, guidance is off and a step needs half the
    /// work.
    pub scale: Option<f64>,
    /// How far the standard deviation is moved back to that without guidance, 0 to 1
    /// (<https://arxiv.org/abs/2305.08891>, section 3.4). Default: 0.
    pub rescale: f64,
}

impl Sampling {
    pub(crate) fn steps(&self) -> usize {
        self.steps.unwrap_or(50)
    }
}

impl Guidance {
    pub(crate) fn scale(&self) -> f64 {
        self.scale.unwrap_or(7.5)
    }

    /// Whether the negative prompt is used, which doubles the work.
    pub(crate) fn is_on(&self) -> bool {
        self.scale() > 1.0
    }
}

impl Request {
    /// A request for one image of a prompt. All other fields have their defaults.
    pub fn text(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            canvas: Canvas::Blank { width: None, height: None },
            sampling: Sampling::default(),
            guidance: Guidance::default(),
            seed: random_seed(),
            batch_size: 1,
            clip_skip: 0,
            noise: None,
        }
    }

    /// Sets [`Request::negative_prompt`].
    #[must_use]
    pub fn with_negative_prompt(self, negative_prompt: impl Into<String>) -> Self {
        Self { negative_prompt: negative_prompt.into(), ..self }
    }

    /// Sets width and height in pixels; `None` is the size in the model's training.
    #[must_use]
    pub fn with_size(self, width: impl Into<Option<usize>>, height: impl Into<Option<usize>>) -> Self {
        Self { canvas: Canvas::Blank { width: width.into(), height: height.into() }, ..self }
    }

    /// Sets [`Sampling::steps`](field@Sampling::steps).
    #[must_use]
    pub fn with_steps(mut self, steps: impl Into<Option<usize>>) -> Self {
        self.sampling.steps = steps.into();
        self
    }

    /// Sets [`Sampling::scheduler`].
    #[must_use]
    pub fn with_scheduler(mut self, scheduler: impl Into<Option<Algorithm>>) -> Self {
        self.sampling.scheduler = scheduler.into();
        self
    }

    /// Sets [`Sampling::karras`].
    #[must_use]
    pub fn with_karras(mut self, karras: impl Into<Option<bool>>) -> Self {
        self.sampling.karras = karras.into();
        self
    }

    /// Sets [`Sampling::prediction_type`].
    #[must_use]
    pub fn with_prediction_type(mut self, prediction_type: impl Into<Option<PredictionType>>) -> Self {
        self.sampling.prediction_type = prediction_type.into();
        self
    }

    /// Sets [`Guidance::scale`](field@Guidance::scale).
    #[must_use]
    pub fn with_guidance_scale(mut self, scale: impl Into<Option<f64>>) -> Self {
        self.guidance.scale = scale.into();
        self
    }

    /// Sets [`Guidance::rescale`].
    #[must_use]
    pub fn with_guidance_rescale(mut self, rescale: f64) -> Self {
        self.guidance.rescale = rescale;
        self
    }

    /// Sets [`Request::seed`].
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets [`Request::batch_size`].
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// Sets [`Request::clip_skip`].
    #[must_use]
    pub fn with_clip_skip(self, clip_skip: usize) -> Self {
        Self { clip_skip, ..self }
    }

    /// Sets [`Request::noise`].
    #[must_use]
    pub fn with_noise(self, noise: impl Into<Option<TensorData>>) -> Self {
        Self { noise: noise.into(), ..self }
    }

    /// The same request, with the model's defaults in place of missing settings.
    pub(crate) fn or_defaults(mut self, defaults: Defaults) -> Self {
        self.sampling.steps = self.sampling.steps.or(defaults.steps);
        self.guidance.scale = self.guidance.scale.or(defaults.guidance_scale);
        self
    }

    /// The seed of image `index` of the batch. The addition wraps around, because torch uses the lowest 32 bits.
    #[must_use]
    pub fn seed_of_image(&self, index: usize) -> u64 {
        self.seed.wrapping_add(index as u64)
    }

    /// Checks the fields that can be checked without a model.
    ///
    /// # Errors
    /// [`Error::Request`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        fn check(holds: bool, field: &'static str, value: impl Display, expected: &str) -> Result<(), Error> {
            if holds { Ok(()) } else { Err(Error::request(field, format!("{value} is not {expected}"))) }
        }
        let steps = self.sampling.steps();
        check((1..=10_000).contains(&steps), "steps", steps, "1 to 10000")?;
        check((1..=256).contains(&self.batch_size), "batch_size", self.batch_size, "1 to 256")?;
        let Guidance { rescale, .. } = self.guidance;
        let scale = self.guidance.scale();
        check(scale.is_finite(), "guidance_scale", scale, "a finite number")?;
        check((0.0..=1.0).contains(&rescale), "guidance_rescale", rescale, "0 to 1")
    }
}

/// The largest width and height in pixels.
const LARGEST_SIDE: usize = 16_384;

/// Checks a width or height in pixels.
///
/// # Errors
/// Returns an error with the nearest valid sizes if it is zero, too large, or not a multiple of `multiple`.
pub(crate) fn check_side(field: &'static str, pixels: usize, multiple: usize) -> Result<(), Error> {
    let below = pixels.min(LARGEST_SIDE) / multiple * multiple;
    let problem = match below {
        0 => format!("{pixels} is too small; use {multiple} or more"),
        _ if pixels > LARGEST_SIDE => format!("{pixels} is too large; use {below} or less"),
        _ if pixels == below => return Ok(()),
        _ if below + multiple > LARGEST_SIDE => format!("{pixels} is not a multiple of {multiple}; use {below}"),
        _ => format!("{pixels} is not a multiple of {multiple}; use {below} or {}", below + multiple),
    };
    Err(Error::request(field, problem))
}

/// A random seed of 32 bits. The hash keys of the standard library provide the operating system's randomness.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_size_names_the_nearest_valid_ones() {
        for (pixels, expected) in [
            (0, "0 is too small; use 64 or more"),
            (63, "63 is too small; use 64 or more"),
            (500, "500 is not a multiple of 64; use 448 or 512"),
            (16_385, "16385 is too large; use 16384 or less"),
            (usize::MAX, "18446744073709551615 is too large; use 16384 or less"),
        ] {
            let error = check_side("width", pixels, 64).expect_err("it is wrong");
            assert_eq!(error.to_string(), format!("width: {expected}"));
        }
        for pixels in [64, 512, 16_384] {
            check_side("width", pixels, 64).expect("it is right");
        }
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        for (request, expected) in [
            (Request::text("").with_steps(0), "steps: 0 is not 1 to 10000"),
            (Request::text("").with_batch_size(257), "batch_size: 257 is not 1 to 256"),
            (Request::text("").with_guidance_scale(f64::NAN), "guidance_scale: NaN is not a finite number"),
            (Request::text("").with_guidance_rescale(1.5), "guidance_rescale: 1.5 is not 0 to 1"),
        ] {
            assert_eq!(request.validate().expect_err("it is wrong").to_string(), expected);
        }
        Request::text("").validate().expect("the defaults are right");
    }
}
