use burn::nn::Initializer;
use burn::tensor::Device;
use pyrograph_kernels::{Linear, LinearConfig};
use serde::{Deserialize, Serialize};

use crate::encoder_config::{field_error, in_range};
use crate::error::parse;
use crate::{ClipModel, ClipTextConfig, ClipVisionConfig, Error};

const FILE: &str = "config.json";

/// The sizes of a CLIP model with both towers: `config.json` of transformers.
///
/// Missing fields have the defaults of transformers' `CLIPConfig`; fields that are not listed are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct ClipConfig {
    /// The text tower.
    pub text_config: ClipTextConfig,
    /// The image tower.
    pub vision_config: ClipVisionConfig,
    /// Width of the embedding space of texts and images. Default 512.
    pub projection_dim: usize,
    /// Logarithm of the initial factor of the similarities in training. Default 2.6592, the logarithm of 1 / 0.07.
    pub logit_scale_init_value: f64,
}

impl Default for ClipConfig {
    fn default() -> Self {
        Self {
            text_config: ClipTextConfig::default(),
            vision_config: ClipVisionConfig::default(),
            projection_dim: 512,
            logit_scale_init_value: 2.6592,
        }
    }
}

impl ClipConfig {
    /// Reads and validates the contents of `config.json`.
    ///
    /// # Errors
    /// Returns an error if it is not JSON, a field has the wrong type, or [`Self::validate`] returns an error.
    pub fn from_json(config_json: &str) -> Result<Self, Error> {
        let config: Self = parse(FILE, config_json)?;
        config.validate()?;
        Ok(config)
    }

    /// Checks that a model of these sizes can be built.
    ///
    /// # Errors
    /// Names the first field that is out of range, and its range.
    pub fn validate(&self) -> Result<(), Error> {
        self.text_config.validate_in("config.json, text_config")?;
        self.vision_config.validate()?;
        in_range(FILE, "projection_dim", self.projection_dim, 1..=1 << 16)?;
        if !self.logit_scale_init_value.is_finite() {
            let expected = "a finite number is expected".to_owned();
            return Err(field_error(FILE, "logit_scale_init_value", self.logit_scale_init_value, expected));
        }
        Ok(())
    }

    /// A model with random parameters. They are computed when they are first used, so loading a model does not compute
    /// them.
    pub fn init(&self, device: &Device) -> ClipModel {
        let scale = Initializer::Constant { value: self.logit_scale_init_value };
        ClipModel {
            text_model: self.text_config.init(device),
            vision_model: self.vision_config.init(device),
            text_projection: self.init_projection(self.text_config.hidden_size, device),
            visual_projection: self.init_projection(self.vision_config.hidden_size, device),
            logit_scale: scale.init([1], device),
        }
    }

    fn init_projection(&self, width: usize, device: &Device) -> Linear {
        let keeps_length = Initializer::Normal { mean: 0.0, std: (width as f64).powf(-0.5) };
        LinearConfig::new(width, self.projection_dim).with_bias(false).with_initializer(keeps_length).init(device)
    }
}
