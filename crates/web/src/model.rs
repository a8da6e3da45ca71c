//! A model and its images.

use js_sys::{Function, Promise};
use pyrograph::{Device, GeneratedImage, LoadOptions, Request, StableDiffusion, device_async};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::error::model_error;
use crate::files::OpenCheckpoint;
use crate::request::LoadRequest;

/// A device, with the options for loading a model to it.
#[derive(Debug)]
#[wasm_bindgen]
pub struct Loader {
    device: Device,
    options: LoadOptions,
}

#[wasm_bindgen]
impl Loader {
    /// Starts the device, before any file is fetched.
    ///
    /// # Errors
    /// Returns an error if the request is wrong, or there is no such device.
    pub async fn start(request: &str) -> Result<Self, JsError> {
        let request: LoadRequest = parse(request)?;
        let device = device_async(request.device.name(), request.limits.into()).await?;
        Ok(Self { options: request.options(&device)?, device })
    }

    /// Loads a checkpoint one tensor at a time. The parameters of its images call the model `name`.
    ///
    /// # Errors
    /// Returns an error if a configuration or a tensor is wrong (a `ModelError`), or the device fails.
    pub fn load(self, checkpoint: OpenCheckpoint, name: &str) -> Result<Model, JsValue> {
        let Self { device, options } = self;
        let pipeline = StableDiffusion::from_checkpoint(&checkpoint.0, name, &device, options).map_err(model_error)?;
        Ok(Model { pipeline, device })
    }
}

/// A checkpoint on a device.
#[derive(Debug)]
#[wasm_bindgen]
pub struct Model {
    pipeline: StableDiffusion,
    device: Device,
}

#[wasm_bindgen]
impl Model {
    /// The adapter's name, or `cpu`.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        self.device.name().to_owned()
    }

    /// Notes about the checkpoint, one sentence each.
    #[wasm_bindgen(getter)]
    pub fn notes(&self) -> Vec<String> {
        self.pipeline.notes().iter().map(ToString::to_string).collect()
    }

    /// Generates the images of a request. After each step, `on_step(index, count, preview)` is called and its result is
    /// awaited. `preview` is a PNG of the first image after every `preview_every` steps, and never given for 0. If the
    /// result resolves to `false`, the request is cancelled and there are no images.
    ///
    /// # Errors
    /// Returns an error if the request does not fit the model, the device fails, or `on_step` fails.
    pub async fn generate(
        &self,
        request: &str,
        preview_every: usize,
        on_step: &Function,
    ) -> Result<Vec<Image>, JsValue> {
        let request: Request = parse(request)?;
        let mut denoising = self.pipeline.denoise(&request).map_err(JsError::from)?;
        while let Some(step) = denoising.step().await {
            let step = step.map_err(JsError::from)?;
            let number = step.index + 1;
            let preview = if preview_every > 0 && number % preview_every == 0 && number < step.count {
                let images = denoising.images_async().await.map_err(JsError::from)?;
                js_sys::Uint8Array::from(png(&images[0])?.as_slice()).into()
            } else {
                JsValue::UNDEFINED
            };
            let answer = on_step.call3(&JsValue::NULL, &step.index.into(), &step.count.into(), &preview)?;
            if JsFuture::from(Promise::resolve(&answer)).await?.is_falsy() {
                return Ok(Vec::new());
            }
        }
        let images = denoising.images_async().await.map_err(JsError::from)?;
        let image = |image: &GeneratedImage| Ok(Image { png: png(image)?, parameters: image.parameters.clone() });
        images.iter().map(image).collect()
    }
}

/// A finished image.
#[derive(Debug)]
#[wasm_bindgen(getter_with_clone)]
pub struct Image {
    /// The PNG file, which stores the request.
    pub png: Vec<u8>,
    /// The request, in the format of AUTOMATIC1111's web UI.
    pub parameters: String,
}

fn png(image: &GeneratedImage) -> Result<Vec<u8>, JsError> {
    Ok(image.to_png()?)
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, JsError> {
    serde_json::from_str(json).map_err(|error| JsError::new(&format!("request: {error}")))
}
