use serde_json::{Value, json};

use crate::{Note, Weights};

/// The prediction type of a UNet, as far as a single file shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prediction {
    /// It predicts the velocity instead of the noise.
    velocity: bool,
    /// Its noise schedule ends in pure noise (Lin et al., <https://arxiv.org/abs/2305.08891>).
    zero_snr: bool,
    version_2: bool,
    /// Whether the file does not state it.
    assumed: bool,
}

/// The step at which Stable Diffusion 2 base, which predicts the noise, was published.
const BASE_STEP: &str = "875000";

impl Prediction {
    /// Markers that training programs leave take precedence: empty tensors `v_pred` and `ztsnr`, or the metadata of
    /// <https://github.com/Stability-AI/ModelSpec>. Without them, the rule of diffusers' single-file reader applies.
    pub(crate) fn of(weights: &dyn Weights, version_2: bool, in_channels: usize) -> Self {
        let step = weights.note("global_step");
        let (velocity, assumed) = match weights.note("modelspec.prediction_type") {
            _ if weights.info("v_pred").is_some() => (true, false),
            Some(prediction) if prediction.starts_with('v') => (true, false),
            Some("epsilon") => (false, false),
            _ if version_2 && in_channels == 4 => (step != Some(BASE_STEP), step.is_none()),
            _ => (false, false),
        };
        Self { velocity, zero_snr: weights.info("ztsnr").is_some(), version_2, assumed }
    }

    /// The note for an assumed prediction: Stable Diffusion 2 predicts the velocity, its base model the noise.
    pub(crate) fn note(self) -> Option<Note> {
        self.assumed.then_some(Note::AssumedPrediction { prediction_type: self.name() })
    }

    fn name(self) -> &'static str {
        if self.velocity { "v_prediction" } else { "epsilon" }
    }

    /// Height and width of the latents in training.
    pub(crate) fn sample_size(self) -> usize {
        if self.version_2 && self.velocity { 96 } else { 64 }
    }

    /// The contents of this file in the published folders of the version.
    pub(crate) fn scheduler_config(self) -> Value {
        let mut config = json!({
            "_class_name": if self.version_2 { "DDIMScheduler" } else { "PNDMScheduler" },
            "num_train_timesteps": 1000,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "trained_betas": null,
            "prediction_type": self.name(),
            "set_alpha_to_one": false,
            "skip_prk_steps": true,
            "steps_offset": 1,
            "clip_sample": false,
        });
        if self.zero_snr {
            config["rescale_betas_zero_snr"] = json!(true);
        }
        config
    }
}
