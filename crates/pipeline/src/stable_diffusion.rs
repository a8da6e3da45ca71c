//! The pipeline: a checkpoint's networks, and what they do together.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use pyrograph_checkpoint::{Checkpoint, load};
use pyrograph_scheduler::{Algorithm, Generator, PredictionType, SchedulerConfig};
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::autoencoder::Decoder;
use crate::denoising;
use crate::picture::{self, Pictures};
use crate::text::TextEncoder;
use crate::{Denoising, Device, Error, TextToImage};

/// Stable Diffusion 1 or 2, loaded to a device.
#[derive(Debug)]
pub struct StableDiffusion {
    pub(crate) unet: UNet2dConditionModel,
    text_encoder: TextEncoder,
    decoder: Decoder,
    scheduler: SchedulerConfig,
    sample_size: usize,
    in_channels: usize,
    device: Device,
    name: String,
    short_hash: Option<String>,
    unused: Vec<String>,
}

/// How a checkpoint is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Whether UNet and text encoder run in float16 instead of float32. The autoencoder always runs in float32.
    pub f16: bool,
    /// What the UNet predicts, for single files that do not say. Default: as the checkpoint says.
    pub prediction_type: Option<PredictionType>,
}

impl StableDiffusion {
    /// Loads a diffusers folder or a single `.safetensors` or `.ckpt` file to `device`, in float32.
    ///
    /// # Errors
    /// When the checkpoint cannot be read or describes something else than Stable Diffusion 1 or 2.
    pub fn from_path(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::from_path_with(path, device, LoadOptions::default())
    }

    /// Loads a checkpoint as [`StableDiffusion::from_path`] does, with options.
    ///
    /// # Errors
    /// As [`StableDiffusion::from_path`], and when float16 is asked for on a device that lacks it.
    pub fn from_path_with(path: impl AsRef<Path>, device: &Device, options: LoadOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let checkpoint = Checkpoint::open(path)?;
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self::from_checkpoint(&checkpoint, &name, device, options)
    }

    /// Loads a checkpoint that is opened already, and is called `name` in the text of its pictures.
    ///
    /// # Errors
    /// As [`StableDiffusion::from_path_with`].
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        name: &str,
        device: &Device,
        options: LoadOptions,
    ) -> Result<Self, Error> {
        if options.f16 && !device.supports_f16() {
            return Err(Error::request("--dtype", format!("{} cannot compute in f16; use f32", device.name())));
        }
        let dtype = if options.f16 { DType::F16 } else { DType::F32 };
        let unet_config: UNet2dConditionConfig = parse("unet", &checkpoint.unet.config)?;
        let wrong = |cause| Error::Config { component: "unet", cause };
        let mut unet = unet_config.init(device.tensors()).map_err(wrong)?;
        let mut unused = checkpoint.unused.clone();
        unused.extend(load(&mut unet, checkpoint.unet.weights.as_ref(), dtype)?.unused);
        let (text_encoder, report) = TextEncoder::load(checkpoint, dtype, device)?;
        unused.extend(report.unused);
        let (decoder, report) = Decoder::load(&checkpoint.vae, device.tensors())?;
        unused.extend(report.unused);
        let mut scheduler =
            SchedulerConfig::from_json(&checkpoint.scheduler_config.to_string())?.with_pipeline_defaults();
        scheduler.prediction_type = options.prediction_type.or(scheduler.prediction_type);
        let pipeline = Self {
            scheduler,
            sample_size: unet_config.sample_size.unwrap_or(64),
            in_channels: unet_config.in_channels,
            unet,
            text_encoder,
            decoder,
            device: device.clone(),
            name: name.to_owned(),
            short_hash: checkpoint.short_hash()?,
            unused,
        };
        pipeline.check_fit(&unet_config).map(|()| pipeline)
    }

    /// Makes the pictures of a request.
    ///
    /// # Errors
    /// When the request does not fit the model, or what comes out is not finite.
    pub fn generate(&self, request: &TextToImage) -> Result<Pictures, Error> {
        let mut denoising = self.denoise(request)?;
        denoising.try_for_each(|step| step.map(drop))?;
        Ok(self.decode(denoising.latents())?.with_parameters(&self.parameters(request)))
    }

    /// Sets out to make a picture; the steps are made by iterating.
    ///
    /// # Errors
    /// When the request does not fit the model.
    pub fn denoise(&self, request: &TextToImage) -> Result<Denoising<'_>, Error> {
        request.validate()?;
        let shape = self.latent_shape(request)?;
        let scheduler = self.algorithm(request)?.build(&self.scheduler_config(request), request.steps)?;
        let mut generator = Generator::new(request.seed);
        let noise = match &request.latents {
            None => generator.randn_tensor(shape, self.device.tensors()),
            Some(latents) if latents.shape().as_slice() == shape => {
                Tensor::from_data(latents.clone(), self.device.tensors())
            }
            Some(latents) => {
                let problem = format!("has the shape {:?}; this request needs {shape:?}", latents.shape().as_slice());
                return Err(Error::request("--latents", problem));
            }
        };
        Ok(Denoising {
            pipeline: self,
            latents: noise * scheduler.init_noise_sigma(),
            scheduler,
            generator,
            text: self.text_encoder.encode(request)?,
            guidance: request.is_guided().then_some((request.guidance_scale, request.guidance_rescale)),
            next: 0,
        })
    }

    /// The pictures of latents as [`Denoising::latents`] gives them, one after the other and in bands where a whole
    /// picture would be too large for the device.
    ///
    /// # Shapes
    /// `[batch, channels, height, width]`
    ///
    /// # Errors
    /// When latents or picture are not finite.
    pub fn decode(&self, latents: Tensor<4>) -> Result<Pictures, Error> {
        pollster::block_on(self.decode_async(latents))
    }

    /// [`decode`](Self::decode), where no thread may block.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub async fn decode_async(&self, latents: Tensor<4>) -> Result<Pictures, Error> {
        finite("denoising", denoising::ADVICE, latents.clone()).await?;
        let limit = self.device.largest_binding().map_or(usize::MAX, |bytes| (bytes / 4) as usize);
        let batch = latents.dims()[0];
        let mut images = Vec::with_capacity(batch);
        for latent in latents.chunk(batch, 0) {
            let image = self.decoder.decode(latent, limit); // [1, 3, height, width]
            let [_, _, height, width] = image.dims();
            let values = finite("the autoencoder", "the checkpoint's VAE may be broken", image).await?;
            images.push(picture::from_values(&values, width, height));
        }
        Ok(Pictures::new(images))
    }

    /// The end of the request's prompt and negative prompt that the text encoder cannot see, where they are too long.
    ///
    /// # Errors
    /// When the prompt cannot be tokenized.
    pub fn dropped(&self, request: &TextToImage) -> Result<Vec<String>, Error> {
        let prompts = [&request.prompt, &request.negative_prompt].into_iter();
        let dropped = prompts.map(|prompt| Ok(self.text_encoder.tokenizer.encode(prompt)?.dropped));
        dropped.filter_map(Result::transpose).collect()
    }

    /// Tensors of the checkpoint that no network uses, such as averaged weights.
    pub fn unused(&self) -> &[String] {
        &self.unused
    }

    /// The request in the form of AUTOMATIC1111's web UI, as it goes into a PNG's text.
    pub fn parameters(&self, request: &TextToImage) -> String {
        let [_, _, height, width] = self.latent_shape(request).unwrap_or_default();
        let factor = self.decoder.downsampling;
        let algorithm = request.scheduler.or_else(|| self.scheduler.algorithm().ok());
        let karras = request.karras.or(self.scheduler.use_karras_sigmas) == Some(true)
            && algorithm.is_some_and(Algorithm::knows_karras_sigmas);
        let pairs = [
            ("Steps", Some(request.steps.to_string())),
            ("Sampler", algorithm.map(|algorithm| algorithm.automatic1111_name().to_owned())),
            ("Schedule type", karras.then(|| "Karras".to_owned())),
            ("CFG scale", Some(format!("{:?}", request.guidance_scale))),
            ("Seed", Some(request.seed.to_string())),
            ("Size", Some(format!("{}x{}", width * factor, height * factor))),
            ("Model hash", self.short_hash.clone()),
            ("Model", Some(self.name.clone())),
            ("Clip skip", (request.clip_skip > 0).then(|| (request.clip_skip + 1).to_string())),
            ("RNG", Some("CPU".to_owned())),
            ("Version", Some(format!("pyrograph {}", env!("CARGO_PKG_VERSION")))),
        ];
        picture::parameters(&request.prompt, &request.negative_prompt, &pairs)
    }

    fn algorithm(&self, request: &TextToImage) -> Result<Algorithm, Error> {
        let algorithm = request.scheduler.map_or_else(|| self.scheduler.algorithm(), Ok)?;
        if request.karras == Some(true) && !algorithm.knows_karras_sigmas() {
            let known = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.knows_karras_sigmas());
            let known: Vec<String> = known.map(|algorithm| algorithm.to_string()).collect();
            let problem = format!("{algorithm} has no Karras sigmas; these have: {}", known.join(", "));
            return Err(Error::request("--karras", problem));
        }
        Ok(algorithm)
    }

    fn scheduler_config(&self, request: &TextToImage) -> SchedulerConfig {
        SchedulerConfig {
            use_karras_sigmas: request.karras.or(self.scheduler.use_karras_sigmas),
            prediction_type: request.prediction_type.or(self.scheduler.prediction_type),
            ..self.scheduler.clone()
        }
    }

    fn latent_shape(&self, request: &TextToImage) -> Result<[usize; 4], Error> {
        let side = |option, pixels: Option<usize>| {
            let factor = self.decoder.downsampling;
            let pixels = pixels.unwrap_or(self.sample_size * factor);
            let multiple = factor.max(8);
            match pixels {
                1..=16_384 if pixels.is_multiple_of(multiple) => Ok(pixels / factor),
                _ => Err(Error::request(option, format!("must be a multiple of {multiple} up to 16384, not {pixels}"))),
            }
        };
        Ok([
            request.batch_size,
            self.decoder.latent_channels,
            side("--height", request.height)?,
            side("--width", request.width)?,
        ])
    }

    fn check_fit(&self, unet: &UNet2dConditionConfig) -> Result<(), Error> {
        let check =
            |holds: bool, option, problem: String| if holds { Ok(()) } else { Err(Error::request(option, problem)) };
        let (channels, latent) = (self.in_channels, self.decoder.latent_channels);
        let problem =
            format!("the UNet wants {channels} channels and the autoencoder has {latent}: text alone cannot drive it");
        check(channels == latent, "--model", problem)?;
        let width = self.text_encoder.width;
        let problem = format!("the UNet does not fit a text encoder of width {width}");
        check(unet.cross_attention_dim.fits(unet.block_out_channels.len(), |dim| dim == width), "--model", problem)
    }
}

/// A component's configuration.
pub(crate) fn parse<T: DeserializeOwned>(component: &'static str, config: &Value) -> Result<T, Error> {
    T::deserialize(config).map_err(|cause| Error::Json { component, cause })
}

/// Reads a tensor back; an error if a value is not finite.
pub(crate) async fn finite(stage: &'static str, advice: &'static str, x: Tensor<4>) -> Result<Vec<f32>, Error> {
    let failed = |problem: String| Error::Execution { stage, problem };
    let data = x.cast(DType::F32).into_data_async().await.map_err(|error| failed(error.to_string()))?;
    let values = data.try_to_vec::<f32>().map_err(|error| failed(error.to_string()))?;
    if values.iter().all(|value| value.is_finite()) { Ok(values) } else { Err(Error::NotFinite { stage, advice }) }
}
