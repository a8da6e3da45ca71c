//! The networks of a checkpoint on a device.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use pyrograph_checkpoint::{Checkpoint, Defaults, Location, Note, SingleFile, load};
use pyrograph_scheduler::{Algorithm, Generators, PredictionType, SigmaSchedule};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};

use crate::conditioning::Conditioning;
use crate::decode::Decoder;
use crate::denoising::Parts;
use crate::infotext::{Details, Infotext};
use crate::memory::{self, AvailableMemory, Calls};
use crate::readback::catch_panics;
use crate::request::check_side;
use crate::sampler::Sampler;
use crate::start::Start;
use crate::text::TextEncoder;
use crate::{Canvas, Denoising, Device, Error, GeneratedImages, Request};

/// Stable Diffusion 1 or 2 on a device.
#[derive(Debug)]
pub struct StableDiffusion {
    unet: Arc<UNet2dConditionModel>,
    text_encoder: TextEncoder,
    decoder: Arc<Decoder>,
    sampler: Sampler,
    unet_config: UNet2dConditionConfig,
    dtype: DType,
    low_memory: bool,
    device: Device,
    name: String,
    file: Option<SingleFile>,
    unused: Vec<String>,
    notes: Vec<Note>,
    defaults: Defaults,
}

/// Options for loading a checkpoint.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Whether UNet and text encoder run in float16 instead of float32. The autoencoder always runs in float32.
    pub f16: bool,
    /// The prediction type of the UNet, for single files that do not state it. Default: that of the checkpoint.
    pub prediction_type: Option<PredictionType>,
    /// Whether the UNet computes one sample at a time: first that of the negative prompt, then that of the prompt,
    /// image by image. This is slower, with the same images. Default: only where the device requires it.
    pub low_memory: bool,
}

impl LoadOptions {
    /// Sets [`LoadOptions::f16`].
    #[must_use]
    pub fn with_f16(self, f16: bool) -> Self {
        Self { f16, ..self }
    }

    /// Sets [`LoadOptions::prediction_type`].
    #[must_use]
    pub fn with_prediction_type(self, prediction_type: impl Into<Option<PredictionType>>) -> Self {
        Self { prediction_type: prediction_type.into(), ..self }
    }

    /// Sets [`LoadOptions::low_memory`].
    #[must_use]
    pub fn with_low_memory(self, low_memory: bool) -> Self {
        Self { low_memory, ..self }
    }
}

impl StableDiffusion {
    /// Loads a diffusers folder or a single `.safetensors` or `.ckpt` file to `device`, in float32.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be read, or is not Stable Diffusion 1 or 2.
    pub fn from_path(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::open(path.as_ref(), device, LoadOptions::default())
    }

    /// Loads a checkpoint like [`StableDiffusion::from_path`], from any storage and with options.
    ///
    /// # Errors
    /// The errors of [`StableDiffusion::from_path`], and when float16 is requested on a device that does not support it.
    pub fn open(location: impl Into<Location>, device: &Device, options: LoadOptions) -> Result<Self, Error> {
        let location = location.into();
        let checkpoint = Checkpoint::open(location.clone())?;
        let name = location.path().file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::from_checkpoint(&checkpoint, &name, device, options)
    }

    /// Loads a checkpoint that is already open. The parameters of its images call it `name`.
    ///
    /// # Errors
    /// The errors of [`StableDiffusion::open`].
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        name: &str,
        device: &Device,
        options: LoadOptions,
    ) -> Result<Self, Error> {
        catch_panics("loading", || Self::load(checkpoint, name, device, options))?
    }

    fn load(checkpoint: &Checkpoint, name: &str, device: &Device, options: LoadOptions) -> Result<Self, Error> {
        if options.f16 && !device.supports_f16() {
            return Err(Error::request("f16", format!("{} cannot compute in float16; use float32", device.name())));
        }
        let dtype = if options.f16 { DType::F16 } else { DType::F32 };
        memory::check_weights(checkpoint, dtype, device)?;
        let (unet_config, unet_notes): (UNet2dConditionConfig, _) = checkpoint.unet.read_config("unet")?;
        let wrong = |cause| Error::Config { component: "unet", cause };
        let mut unet = unet_config.init(device.tensors()).map_err(wrong)?;
        let unet_report = load(&mut unet, checkpoint.unet.weights.as_ref(), dtype)?;
        let (text_encoder, text_report, text_notes) = TextEncoder::load(checkpoint, dtype, device)?;
        let (decoder, vae_report, vae_notes) = Decoder::load(&checkpoint.vae, device)?;
        let (sampler, sampler_notes) = Sampler::new(&checkpoint.scheduler_config, options.prediction_type)?;
        let reports = [unet_report, text_report, vae_report].into_iter().flat_map(|report| report.unused);
        let own_notes = checkpoint.notes.iter().filter(|note| match note {
            Note::AssumedPrediction { .. } => options.prediction_type.is_none(),
            _ => true,
        });
        let pipeline = Self {
            sampler,
            unet_config,
            dtype,
            low_memory: options.low_memory,
            unet: Arc::new(unet),
            text_encoder,
            decoder: Arc::new(decoder),
            device: device.clone(),
            name: name.to_owned(),
            file: checkpoint.file().cloned(),
            unused: checkpoint.unused.iter().cloned().chain(reports).collect(),
            defaults: checkpoint.defaults,
            notes: own_notes.cloned().chain([unet_notes, text_notes, vae_notes, sampler_notes].concat()).collect(),
        };
        pipeline.check_fit().map(|()| pipeline)
    }

    /// Generates the images of a request.
    ///
    /// # Errors
    /// Returns an error if the request does not fit the model, the device fails, or a result is not finite.
    pub fn generate(&self, request: &Request) -> Result<GeneratedImages, Error> {
        let mut denoising = self.denoise(request)?;
        denoising.try_for_each(|step| step.map(drop))?;
        denoising.images()
    }

    /// Prepares the denoising of a request. Iterate over the result to make the steps.
    ///
    /// # Errors
    /// Returns an error if the request does not fit the model or the device.
    pub fn denoise(&self, request: &Request) -> Result<Denoising, Error> {
        let request = &request.clone().or_defaults(self.defaults);
        request.validate()?;
        let shape = self.latent_shape(request)?;
        let samples_at_once = self.samples_at_once(request, shape)?;
        let algorithm = self.sampler.algorithm(request)?;
        let scheduler = self.sampler.build(algorithm, request)?;
        let mut noise = Generators::new((0..request.batch_size).map(|image| request.seed_of_image(image)));
        let start = Start::new(request, shape, &scheduler, &mut noise, &self.device)?;
        let parts = Parts {
            unet: self.unet.clone(),
            decoder: self.decoder.clone(),
            scheduler,
            noise,
            conditioning: catch_panics("the text encoder", || Conditioning::new(request, &self.text_encoder))??,
            guidance_rescale: request.guidance.rescale,
            samples_at_once,
            infotext: Infotext { request: request.clone(), details: self.details(request, algorithm, shape)? },
        };
        Ok(Denoising::new(parts, start))
    }

    /// An estimate of the bytes that a request needs beside the weights: those of the UNet or of the decoder, whichever
    /// are more.
    ///
    /// # Errors
    /// Returns an error if the request does not fit the model or the device.
    pub fn memory(&self, request: &Request) -> Result<u64, Error> {
        let request = &request.clone().or_defaults(self.defaults);
        request.validate()?;
        let latents = self.latent_shape(request)?;
        let decoder = self.decoder_memory(latents, AvailableMemory::of(&self.device))?;
        Ok(decoder.max(self.calls(latents).activations(self.samples_at_once(request, latents)?)))
    }

    /// The largest number of samples per call of the UNet.
    fn samples_at_once(&self, request: &Request, latents: [usize; 4]) -> Result<usize, Error> {
        let available = AvailableMemory::of(&self.device);
        self.decoder_memory(latents, available)?;
        let samples = if request.guidance.is_on() { 2 * latents[0] } else { latents[0] };
        self.calls(latents).samples_at_once(if self.low_memory { 1 } else { samples }, available)
    }

    fn calls(&self, [_, _, height, width]: [usize; 4]) -> Calls<'_> {
        let text_tokens = self.text_encoder.tokens;
        Calls { config: &self.unet_config, size: [height, width], text_tokens, dtype: self.dtype }
    }

    /// Images are decoded one by one.
    fn decoder_memory(
        &self,
        [_, channels, height, width]: [usize; 4],
        available: AvailableMemory,
    ) -> Result<u64, Error> {
        memory::check_decoder(&self.decoder, [1, channels, height, width], available)
    }

    /// Decodes latents in the form of [`Denoising::latents`] image by image, and in bands where a whole image would be
    /// too large for the device.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`
    ///
    /// # Errors
    /// Returns an error if the device fails, or latents or images are not finite.
    pub fn decode(&self, latents: Tensor<4>) -> Result<GeneratedImages, Error> {
        pollster::block_on(self.decode_async(latents))
    }

    /// [`decode`](Self::decode) for threads that must not block.
    ///
    /// # Errors
    /// The errors of [`decode`](Self::decode).
    pub async fn decode_async(&self, latents: Tensor<4>) -> Result<GeneratedImages, Error> {
        let images = self.decoder.images(latents).await?;
        Ok(GeneratedImages::new(images.into_iter().map(|image| (image, String::new())).collect()))
    }

    /// The ends of the request's prompt and negative prompt that are too long for the text encoder.
    ///
    /// # Errors
    /// Returns an error if the prompt cannot be tokenized.
    pub fn dropped(&self, request: &Request) -> Result<Vec<String>, Error> {
        let prompts = [&request.prompt, &request.negative_prompt].into_iter();
        prompts.filter_map(|prompt| self.text_encoder.dropped(prompt).transpose()).collect()
    }

    /// The model's default settings for a request.
    pub fn defaults(&self) -> Defaults {
        self.defaults
    }

    /// Notes about the checkpoint: the vocabulary used, and settings that are ignored or assumed.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Tensors of the checkpoint that no network uses, such as averaged weights.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    fn details(
        &self,
        request: &Request,
        algorithm: Algorithm,
        [_, _, height, width]: [usize; 4],
    ) -> Result<Details, Error> {
        let schedule = self.sampler.schedule(algorithm, request)?;
        Ok(Details {
            sampler: algorithm.automatic1111_name(),
            schedule: schedule.map(SigmaSchedule::automatic1111_name),
            size: [width, height].map(|side| side * self.decoder.downsampling),
            model: self.name.clone(),
            file: self.file.clone(),
        })
    }

    fn latent_shape(&self, request: &Request) -> Result<[usize; 4], Error> {
        let Canvas::Blank { width, height } = request.canvas;
        let [default_height, default_width] = self.unet_config.default_size();
        let side = |field, pixels: Option<usize>, default: usize| {
            let factor = self.decoder.downsampling;
            let pixels = pixels.unwrap_or(default * factor);
            let multiple = factor.max(8);
            check_side(field, pixels, multiple).map(|()| pixels / factor)
        };
        let (height, width) = (side("height", height, default_height)?, side("width", width, default_width)?);
        Ok([request.batch_size, self.decoder.latent_channels, height, width])
    }

    fn check_fit(&self) -> Result<(), Error> {
        let unet = &self.unet_config;
        let check = |holds: bool, problem: String| {
            if holds { Ok(()) } else { Err(Error::Misfit { part: "unet", problem }) }
        };
        let (channels, latent) = (unet.in_channels, self.decoder.latent_channels);
        let problem =
            format!("takes {channels} channels, but the autoencoder has {latent}; only text to image is supported");
        check(channels == latent, problem)?;
        let width = self.text_encoder.width;
        let problem = format!("its `cross_attention_dim` must be {width}, the width of the text encoder");
        check(unet.cross_attention_dim.fits(unet.block_out_channels.len(), |dim| dim == width), problem)
    }
}
