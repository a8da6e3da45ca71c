//! The numbers of a run's file that make sense.

use std::fmt::Display;
use std::ops::RangeBounds;

use super::{
    AdversarialConfig, AutoencoderTaskConfig, ClipTaskConfig, DataConfig, DdpmTaskConfig, DenoisingConfig,
    LatentTaskConfig, OutputConfig, RunConfig, SamplesConfig, VqTaskConfig,
};
use crate::{AutoencoderLoss, TrainError, TrainerConfig};

/// Tables whose numbers can be checked before anything is opened.
pub trait Bounds {
    /// Checks every number.
    ///
    /// # Errors
    /// [`TrainError::OutOfBounds`] with the key of the run's file.
    fn check(&self) -> Result<(), TrainError>;
}

/// Finite, and not below zero.
const NOT_NEGATIVE: std::ops::RangeInclusive<f64> = 0.0..=f64::MAX;
const SHARE: std::ops::RangeInclusive<f64> = 0.0..=1.0;
/// Of images that are trained with, in pixels.
const LARGEST_SIZE: u32 = 8192;
/// Values of a tensor: indices on devices have 32 bits with a sign.
const LARGEST_TENSOR: u64 = i32::MAX as u64;

pub(crate) fn within<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    bounds: impl RangeBounds<T>,
    expected: &str,
) -> Result<(), TrainError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(TrainError::OutOfBounds { key, value: value.to_string(), expected: expected.to_owned() })
}

fn not_negative(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, NOT_NEGATIVE, "a number from 0 on")
}

fn share(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, SHARE, "a number from 0 to 1")
}

/// Of a term of the loss, which larger ones would make infinite.
fn factor(key: &'static str, value: f64) -> Result<(), TrainError> {
    within(key, value, 0.0..=1e6, "a number from 0 to 1000000")
}

fn positive(key: &'static str, value: usize) -> Result<(), TrainError> {
    within(key, value, 1.., "a number from 1 on")
}

/// Width and height of images.
pub(crate) fn size(key: &'static str, value: u32) -> Result<(), TrainError> {
    within(key, value, 1..=LARGEST_SIZE, &format!("1 to {LARGEST_SIZE} pixels"))
}

/// Says that a number has to be a multiple of another.
pub(crate) fn multiple(key: &'static str, value: usize, of: usize) -> Result<(), TrainError> {
    if value.is_multiple_of(of) {
        return Ok(());
    }
    let lower = value / of * of;
    let near = if lower > 0 { format!("{lower} or {}", lower + of) } else { of.to_string() };
    let expected = format!("a multiple of {of}, such as {near},");
    Err(TrainError::OutOfBounds { key, value: value.to_string(), expected })
}

impl<C: Bounds> Bounds for RunConfig<C> {
    fn check(&self) -> Result<(), TrainError> {
        self.data.check()?;
        self.output.check()?;
        self.trainer.check()?;
        self.task.check()
    }
}

impl Bounds for DataConfig {
    fn check(&self) -> Result<(), TrainError> {
        size("data.size", self.size)?;
        let most = (LARGEST_TENSOR / (3 * u64::from(self.size).pow(2))) as usize;
        let expected = format!("1 to {most} for images of {} pixels", self.size);
        within("data.batch_size", self.batch_size, 1..=most, &expected)?;
        share("data.caption_tag_dropout", self.caption_tag_dropout)
    }
}

impl Bounds for OutputConfig {
    fn check(&self) -> Result<(), TrainError> {
        positive("output.save_every", self.save_every)?;
        positive("output.sample_every", self.sample_every)
    }
}

impl Bounds for TrainerConfig {
    fn check(&self) -> Result<(), TrainError> {
        positive("trainer.steps", self.steps)?;
        not_negative("trainer.learning_rate", self.learning_rate)?;
        not_negative("trainer.weight_decay", f64::from(self.weight_decay))?;
        not_negative("trainer.max_grad_norm", self.max_grad_norm)?;
        within("trainer.gradient_accumulation", self.gradient_accumulation, 1..=1 << 16, "1 to 65536")?;
        within("trainer.ema_decay", self.ema_decay, 0.0..1.0, "a number from 0 on and below 1")
    }
}

impl Bounds for DenoisingConfig {
    fn check(&self) -> Result<(), TrainError> {
        not_negative("denoising.min_snr_gamma", self.min_snr_gamma)?;
        share("denoising.caption_dropout", self.caption_dropout)
    }
}

impl Bounds for AutoencoderLoss {
    fn check(&self) -> Result<(), TrainError> {
        factor("loss.absolute", self.absolute)?;
        factor("loss.square", self.square)?;
        factor("loss.edge", self.edge)?;
        factor("loss.kl", self.kl)
    }
}

impl Bounds for AdversarialConfig {
    fn check(&self) -> Result<(), TrainError> {
        factor("adversarial.factor", self.factor)?;
        within("adversarial.channels", self.channels, 8..=4096, "a multiple of 8, up to 4096")?;
        multiple("adversarial.channels", self.channels, 8)?;
        within("adversarial.halvings", self.halvings, 1..=8, "1 to 8")
    }
}

impl Bounds for SamplesConfig {
    fn check(&self) -> Result<(), TrainError> {
        within("samples.steps", self.steps, 1..=10_000, "1 to 10000")?;
        within("samples.guidance_scale", self.guidance_scale, f64::MIN..=f64::MAX, "a finite number")
    }
}

impl Bounds for AutoencoderTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.loss.check()?;
        self.adversarial.check()
    }
}

impl Bounds for VqTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.loss.check()?;
        within("codebook_decay", self.codebook_decay, 0.0..1.0, "a number from 0 on and below 1")
    }
}

impl Bounds for DdpmTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.denoising.check()
    }
}

impl Bounds for LatentTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.denoising.check()?;
        self.samples.check()
    }
}

impl Bounds for ClipTaskConfig {
    fn check(&self) -> Result<(), TrainError> {
        Ok(()) // no numbers but those of the model
    }
}
