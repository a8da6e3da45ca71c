//! How a model is loaded, as JSON.

use pyrograph::{Limits, LoadOptions, PredictionType};
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
    prediction_type: Option<PredictionType>,
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

impl LoadRequest {
    pub(crate) fn options(&self, device: &pyrograph::Device) -> LoadOptions {
        let f16 = match self.dtype {
            Dtype::Auto => device.supports_f16(),
            Dtype::F32 => false,
            Dtype::F16 => true,
        };
        LoadOptions::default().with_f16(f16).with_prediction_type(self.prediction_type)
    }
}
