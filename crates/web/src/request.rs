//! Options for loading a model, as JSON.

use pyrograph::{Device, Limits, LoadOptions, PredictionType};
use serde::Deserialize;
use wasm_bindgen::JsError;

/// Options for loading a model.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LoadRequest {
    pub(crate) device: DeviceName,
    pub(crate) limits: LimitsName,
    dtype: Dtype,
    prediction_type: Option<PredictionType>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DeviceName {
    /// WebGPU where the browser has it on a graphics card, else the CPU.
    #[default]
    Auto,
    Webgpu,
    Cpu,
}

impl DeviceName {
    /// The name for [`pyrograph::device_async`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Webgpu => "wgpu",
            Self::Cpu => "cpu",
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitsName {
    #[default]
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

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtype {
    /// `f16` where the device supports it.
    #[default]
    Auto,
    F32,
    F16,
}

impl LoadRequest {
    /// The options for a device.
    ///
    /// # Errors
    /// Returns an error if float16 is requested on a device that does not support it. Nothing is downloaded then.
    pub(crate) fn options(&self, device: &Device) -> Result<LoadOptions, JsError> {
        let f16 = match self.dtype {
            Dtype::Auto => device.supports_f16(),
            Dtype::F32 => false,
            Dtype::F16 if device.supports_f16() => true,
            Dtype::F16 => {
                let device = device.name();
                return Err(JsError::new(&format!("dtype: {device} cannot compute in f16; use `f32` or `auto`")));
            }
        };
        Ok(LoadOptions::default().with_f16(f16).with_prediction_type(self.prediction_type))
    }
}
