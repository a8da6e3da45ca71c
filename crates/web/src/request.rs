//! What is asked for, as JSON.

use pyrograph::{Limits, LoadOptions, PredictionType, TextToImage};
use serde::Deserialize;

/// How a model is loaded.
#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LoadRequest {
    /// What pictures say the model is called.
    pub(crate) name: String,
    pub(crate) device: DeviceName,
    pub(crate) limits: LimitsName,
    pub(crate) dtype: Dtype,
    prediction_type: Option<PredictionName>,
}

impl Default for LoadRequest {
    fn default() -> Self {
        Self {
            name: "model".to_owned(),
            device: DeviceName::Auto,
            limits: LimitsName::Adapter,
            dtype: Dtype::Auto,
            prediction_type: None,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeviceName {
    /// WebGPU where the browser has it on a graphics card, else the CPU.
    Auto,
    Webgpu,
    Cpu,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitsName {
    Adapter,
    WebgpuDefault,
}

impl From<LimitsName> for Limits {
    fn from(name: LimitsName) -> Self {
        match name {
            LimitsName::Adapter => Self::Adapter,
            LimitsName::WebgpuDefault => Self::WebGpuDefault,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    /// `f16` where the device has it.
    Auto,
    F32,
    F16,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PredictionName {
    Epsilon,
    VPrediction,
    Sample,
}

impl LoadRequest {
    pub(crate) fn options(&self, device: &pyrograph::Device) -> LoadOptions {
        let f16 = match self.dtype {
            Dtype::Auto => device.supports_f16(),
            Dtype::F32 => false,
            Dtype::F16 => true,
        };
        let prediction_type = self.prediction_type.map(|name| match name {
            PredictionName::Epsilon => PredictionType::Epsilon,
            PredictionName::VPrediction => PredictionType::VPrediction,
            PredictionName::Sample => PredictionType::Sample,
        });
        LoadOptions { f16, prediction_type }
    }
}

/// A picture to be made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GenerateRequest {
    prompt: String,
    #[serde(default)]
    negative_prompt: String,
    steps: Option<usize>,
    guidance_scale: Option<f64>,
    seed: u64,
    width: Option<usize>,
    height: Option<usize>,
    scheduler: Option<String>,
    karras: Option<bool>,
    #[serde(default)]
    clip_skip: usize,
    /// After how many steps a preview is wanted; 0 for none.
    #[serde(default)]
    pub(crate) preview_every: usize,
}

impl GenerateRequest {
    pub(crate) fn text_to_image(&self) -> Result<TextToImage, String> {
        let scheduler = self.scheduler.as_deref().map(str::parse).transpose();
        let defaults = TextToImage::new(self.prompt.clone());
        Ok(TextToImage {
            negative_prompt: self.negative_prompt.clone(),
            steps: self.steps.unwrap_or(defaults.steps),
            guidance_scale: self.guidance_scale.unwrap_or(defaults.guidance_scale),
            seed: self.seed,
            width: self.width,
            height: self.height,
            scheduler: scheduler.map_err(|error: pyrograph::SchedulerError| error.to_string())?,
            karras: self.karras,
            clip_skip: self.clip_skip,
            ..defaults
        })
    }
}
