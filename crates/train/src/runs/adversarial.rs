//! `[adversarial]`, a discriminator beside an autoencoder.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::Setup;
use crate::bounds::{factor, multiple, within};
use crate::{Bounds, PatchDiscriminator, TrainError, Trainer};

/// `[adversarial]`: a [`PatchDiscriminator`] that is trained beside the autoencoder. It knows details no pixel-wise error
/// asks for, and invents some.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdversarialConfig {
    /// The factor of its opinion in the autoencoder's loss; 0, which turns it off.
    pub factor: f64,
    /// The step from which on it counts; 0.
    pub start: usize,
    /// Channels of its first convolution; 32.
    pub channels: usize,
    /// The number of times that it halves the size; 3.
    pub halvings: usize,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        Self { factor: 0.0, start: 0, channels: 32, halvings: 3 }
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

impl AdversarialConfig {
    /// The discriminator, unless its opinion has no weight.
    pub(crate) fn open(&self, setup: &Setup) -> Result<Option<Trainer<PatchDiscriminator>>, TrainError> {
        if self.factor <= 0.0 {
            return Ok(None);
        }
        // Of two pixels each way the last convolution leaves one.
        let most = setup.data.size.ilog2().saturating_sub(1) as usize;
        let expected = format!("1 to {most} for images of {} pixels", setup.data.size);
        within("adversarial.halvings", self.halvings, 1..=most, &expected)?;
        let discriminator = PatchDiscriminator::new(self.channels, self.halvings, &setup.autodiff()).materialize();
        Ok(Some(Trainer::new(discriminator, setup.trainer.clone())))
    }
}
