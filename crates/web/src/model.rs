//! A model, and what it makes.

use std::sync::Arc;

use js_sys::{Function, Promise};
use pyrograph::{Checkpoint, Device, Location, Picture, Request, StableDiffusion, device_async};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::files::{ModelFile, ModelFiles};
use crate::request::{DeviceName, LoadRequest};

/// A checkpoint that is loaded to a device.
#[derive(Debug)]
#[wasm_bindgen]
pub struct Model {
    pipeline: StableDiffusion,
    device: Device,
}

#[wasm_bindgen]
impl Model {
    /// Loads a single file, or the files of a diffusers folder by their paths in it, one tensor at a time.
    ///
    /// # Errors
    /// When there is no such device, or a file is missing, broken, or of another kind of model.
    pub async fn load(files: Vec<ModelFile>, request: &str) -> Result<Self, JsError> {
        let request: LoadRequest = parse(request)?;
        let name = match request.device {
            DeviceName::Auto => "auto",
            DeviceName::Webgpu => "wgpu",
            DeviceName::Cpu => "cpu",
        };
        let device = device_async(name, request.limits.into()).await?;
        let files = ModelFiles::new(files);
        let root = files.root();
        let checkpoint = Checkpoint::open(Location::within(Arc::new(files), root))?;
        let options = request.options(&device);
        let pipeline = StableDiffusion::from_checkpoint(&checkpoint, &request.name, &device, options)?;
        Ok(Self { pipeline, device })
    }

    /// The adapter's name, or `cpu`.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        self.device.name().to_owned()
    }

    /// What the user should know about the checkpoint, a sentence each.
    #[wasm_bindgen(getter)]
    pub fn notes(&self) -> Vec<String> {
        self.pipeline.notes().iter().map(ToString::to_string).collect()
    }

    /// Makes an image. After each step `on_step(index, count, preview)` is called and its result awaited; `preview` is a PNG
    /// after each `preview_every` steps, never with 0. If the result resolves to `false`, the image is given up.
    ///
    /// # Errors
    /// When the request does not fit the model, the device fails, or `on_step` does.
    pub async fn generate(
        &self,
        request: &str,
        preview_every: usize,
        on_step: &Function,
    ) -> Result<Option<Image>, JsValue> {
        let request: Request = parse(request)?;
        let mut denoising = self.pipeline.denoise(&request).map_err(JsError::from)?;
        while let Some(step) = denoising.step().await {
            let step = step.map_err(JsError::from)?;
            let number = step.index + 1;
            let preview = if preview_every > 0 && number % preview_every == 0 && number < step.count {
                let pictures = denoising.images_async().await.map_err(JsError::from)?;
                js_sys::Uint8Array::from(png(&pictures[0])?.as_slice()).into()
            } else {
                JsValue::UNDEFINED
            };
            let answer = on_step.call3(&JsValue::NULL, &step.index.into(), &step.count.into(), &preview)?;
            if JsFuture::from(Promise::resolve(&answer)).await?.is_falsy() {
                return Ok(None);
            }
        }
        let picture = &denoising.images_async().await.map_err(JsError::from)?[0];
        Ok(Some(Image { png: png(picture)?, parameters: picture.parameters.clone() }))
    }
}

/// A finished picture.
#[derive(Debug)]
#[wasm_bindgen(getter_with_clone)]
pub struct Image {
    /// The file, with the request in it.
    pub png: Vec<u8>,
    /// The request, in the form of AUTOMATIC1111's web UI.
    pub parameters: String,
}

fn png(picture: &Picture) -> Result<Vec<u8>, JsError> {
    Ok(picture.to_png()?)
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, JsError> {
    serde_json::from_str(json).map_err(|error| JsError::new(&format!("request: {error}")))
}
