//! `[denoising]`, the objective of diffusion models.

use serde::{Deserialize, Serialize};

use crate::bounds::{not_negative, share};
use crate::{Bounds, TimestepSampler, TrainError, Weighting};

/// `[denoising]`: the objective of a diffusion model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenoisingConfig {
    /// The most that the signal-to-noise ratio counts ([`Weighting::MinSnr`]); 5. With 0 all timesteps count the same.
    pub min_snr_gamma: f64,
    /// How timesteps are drawn; `stratified`, or else `uniform`.
    pub timesteps: TimestepSampler,
    /// The share of captions that are left out, so that guidance has something to lead away from; 0.1.
    pub caption_dropout: f64,
}

impl Default for DenoisingConfig {
    fn default() -> Self {
        Self { min_snr_gamma: 5.0, timesteps: TimestepSampler::Stratified, caption_dropout: 0.1 }
    }
}

impl DenoisingConfig {
    pub(crate) fn weighting(&self) -> Weighting {
        if self.min_snr_gamma > 0.0 { Weighting::MinSnr(self.min_snr_gamma) } else { Weighting::Simple }
    }
}

impl Bounds for DenoisingConfig {
    fn check(&self) -> Result<(), TrainError> {
        not_negative("denoising.min_snr_gamma", self.min_snr_gamma)?;
        share("denoising.caption_dropout", self.caption_dropout)
    }
}
