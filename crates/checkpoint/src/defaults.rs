use serde::Deserialize;

/// The model's default settings for a request: the table `pyrograph` in `model_index.json`, which diffusers ignores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Defaults {
    /// Denoising steps.
    pub steps: Option<usize>,
    /// Weight of the prompt against the negative prompt.
    pub guidance_scale: Option<f64>,
}
