//! One training step from the same weights and batch: PyTorch's losses and gradients, on the CPU and on wgpu.

#[path = "../../../tests/support/distance.rs"]
mod distance;
#[path = "../../../tests/support/skip.rs"]
mod skip;

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor, TensorData};
use pyrograph_autoencoder::{AutoencoderKlConfig, VectorQuantizer};
use pyrograph_checkpoint::{Part, View, Weights, load, open_weights};
use pyrograph_scheduler::{BetaSchedule, Diffusion, Generator, PredictionType, SchedulerConfig};
use pyrograph_train::{AutoencoderLoss, PatchDiscriminator, Weighting, contrastive_loss, denoising_loss};
use pyrograph_unet::UNet2dConditionConfig;
use serde::de::DeserializeOwned;

use distance::Distance;
use skip::no_adapter;

type Device = burn::tensor::Device;

/// Of losses and gradients.
const TOLERANCE: f64 = 1e-4;

fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name)
}

fn config<C: DeserializeOwned>(file: &str, case: &str) -> C {
    let text = std::fs::read_to_string(reference(file)).expect("the reference is committed");
    let cases: serde_json::Value = serde_json::from_str(&text).expect("the reference is JSON");
    C::deserialize(&cases[case]["config"]).expect("a configuration of diffusers")
}

/// The CPU and wgpu under autodiff; [`no_adapter`] is the rule.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::flex().autodiff()];
    match pyrograph::device("wgpu") {
        Ok(device) => devices.push(device.tensors().clone().autodiff()),
        Err(error) => no_adapter(error),
    }
    devices
}

/// A file of dumped tensors.
struct Dump(Arc<dyn Weights>);

impl Dump {
    fn open(name: &str) -> Self {
        Self(open_weights(&reference(name)).expect("the reference is committed"))
    }

    fn data(&self, name: &str) -> TensorData {
        self.0.read(name).unwrap_or_else(|error| panic!("{error}"))
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(name), device)
    }

    fn under(&self, prefix: &str) -> View {
        let prefix = prefix.to_owned();
        View::new(self.0.clone(), move |name| name.strip_prefix(&prefix).map(|name| (name.to_owned(), Part::Whole)))
    }
}

fn assert_close(what: &str, actual: TensorData, expected: TensorData) {
    let distance = Distance::between(actual, expected);
    assert!(distance.within(TOLERANCE), "{what}: {distance}");
}

/// Compares the gradients of all weights with those dumped under `case`, which are read as if they were a model's weights.
fn assert_gradients<M: Module>(case: &str, dump: &Dump, model: &M, mut expected: M, gradients: &Gradients) {
    let report =
        load(&mut expected, &dump.under(&format!("{case}/gradients/")), DType::F32).expect("there are all of them");
    assert!(report.unused.is_empty(), "{case}: {:?}", report.unused);
    let mut actual = Flat { gradients: Some(gradients), values: Vec::new() };
    model.visit(&mut actual);
    let mut wanted = Flat { gradients: None, values: Vec::new() };
    expected.visit(&mut wanted);
    let whole = |values: Vec<f32>| TensorData::from(values.as_slice());
    assert_close(&format!("{case}: gradients on {:?}", model.devices()), whole(actual.values), whole(wanted.values));
}

/// The values of all weights, or their gradients, in the module's order.
struct Flat<'a> {
    gradients: Option<&'a Gradients>,
    values: Vec<f32>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let weights = parameter.val();
        let values = match self.gradients {
            Some(gradients) => weights.grad(gradients).expect("every weight has a gradient"),
            None => weights.inner(),
        };
        self.values.extend(values.into_data().try_to_vec::<f32>().expect("float32"));
    }
}

#[test]
fn denoising_agrees_with_diffusers() {
    let (dump, weights) = (Dump::open("train.safetensors"), Dump::open("unet.safetensors"));
    let unet: UNet2dConditionConfig = config("unet.json", "sd1");
    for device in devices() {
        let mut model = unet.init(&device).expect("diffusers could build it too");
        load(&mut model, &weights.under("sd1/weights/"), DType::F32).expect("the weights fit");
        for (case, prediction, weighting) in [
            ("epsilon", PredictionType::Epsilon, Weighting::Simple),
            ("epsilon_min_snr", PredictionType::Epsilon, Weighting::MinSnr(5.0)),
            ("v_min_snr", PredictionType::VPrediction, Weighting::MinSnr(5.0)),
            ("sample", PredictionType::Sample, Weighting::Simple),
        ] {
            let settings = SchedulerConfig {
                beta_schedule: Some(BetaSchedule::ScaledLinear),
                beta_start: Some(0.00085),
                beta_end: Some(0.012),
                prediction_type: Some(prediction),
                ..SchedulerConfig::default()
            };
            let diffusion = Diffusion::new(&settings).expect("the betas leave a signal");
            let [original, noise] =
                ["original", "noise"].map(|name| dump.tensor(&format!("denoising/input/{name}"), &device));
            let text = dump.tensor("denoising/input/text", &device);
            let predict = |noisy, timesteps: &[f64]| model.forward(noisy, timesteps, text);
            let loss = denoising_loss(&diffusion, weighting, predict, original, noise, &[3, 400, 950]).mean();
            assert_close(case, loss.to_data(), dump.data(&format!("{case}/output/loss")));
            let expected = unet.init(&device).expect("as above");
            assert_gradients(case, &dump, &model, expected, &loss.backward());
        }
    }
}

#[test]
fn the_autoencoder_agrees_with_diffusers() {
    let (dump, weights) = (Dump::open("train.safetensors"), Dump::open("vae.safetensors"));
    let kl: AutoencoderKlConfig = config("vae.json", "kl");
    for device in devices() {
        let mut model = kl.init(&device).expect("diffusers could build it too");
        load(&mut model, &weights.under("kl/weights/"), DType::F32).expect("the weights fit");
        let [image, noise] = ["image", "noise"].map(|name| dump.tensor(&format!("autoencoder/input/{name}"), &device));
        let loss = AutoencoderLoss::default().forward(&model, image, noise);
        assert_close("autoencoder", loss.to_data(), dump.data("autoencoder/output/loss"));
        assert_gradients("autoencoder", &dump, &model, kl.init(&device).expect("as above"), &loss.backward());
    }
}

#[test]
fn the_discriminator_agrees_with_pytorch() {
    let dump = Dump::open("train.safetensors");
    for device in devices() {
        let mut model = PatchDiscriminator::new(8, 2, &device);
        load(&mut model, &dump.under("discriminator/weights/"), DType::F32).expect("the weights fit");
        let input = |name| dump.tensor(&format!("discriminator/input/{name}"), &device);
        let loss = model.loss(input("image"), input("decoded"));
        assert_close("discriminator", loss.to_data(), dump.data("discriminator/output/loss"));
        let expected = PatchDiscriminator::new(8, 2, &device);
        assert_gradients("discriminator", &dump, &model, expected, &loss.backward());
        let decoded: Tensor<4> = input("decoded").require_grad();
        let loss = model.generator_loss(decoded.clone());
        assert_close("generator", loss.to_data(), dump.data("generator/output/loss"));
        let gradient = decoded.grad(&loss.backward()).expect("the autoencoder hears of it");
        assert_close("generator: gradient", gradient.into_data(), dump.data("generator/gradients/decoded"));
    }
}

#[test]
fn the_codebook_agrees_with_diffusers() {
    let dump = Dump::open("train.safetensors");
    for device in devices() {
        let mut quantizer = VectorQuantizer::new(12, 3, 0.25, &device);
        quantizer.embedding.weight = Param::from_tensor(dump.tensor("vq/input/embedding", &device));
        let x: Tensor<4> = dump.tensor("vq/input/x", &device).require_grad();
        let quantized = quantizer.forward(x.clone());
        assert_close("codes", quantized.values.to_data(), dump.data("vq/output/values"));
        assert_close("indices", quantized.indices.to_data(), dump.data("vq/output/indices"));
        let direction = dump.tensor("vq/input/direction", &device);
        let loss = quantized.codebook_loss + quantized.commitment_loss + (quantized.values * direction).sum();
        assert_close("vq", loss.to_data(), dump.data("vq/output/loss"));
        let gradients = loss.backward();
        let of_x = x.grad(&gradients).expect("gradients pass straight through");
        assert_close("vq: gradient of x", of_x.into_data(), dump.data("vq/gradients/x"));
        let of_codes = quantizer.embedding.weight.val().grad(&gradients).expect("codes have gradients");
        assert_close("vq: gradient of codes", of_codes.into_data(), dump.data("vq/gradients/embedding"));
    }
}

#[test]
fn pairs_agree_with_transformers() {
    let dump = Dump::open("train.safetensors");
    for device in devices() {
        let [images, texts]: [Tensor<2>; 2] =
            ["images", "texts"].map(|name| dump.tensor(&format!("contrastive/input/{name}"), &device).require_grad());
        let scale: Tensor<1> = dump.tensor("contrastive/input/logit_scale", &device).require_grad();
        let loss = contrastive_loss(images.clone(), texts.clone(), scale.clone());
        assert_close("contrastive", loss.to_data(), dump.data("contrastive/output/loss"));
        let gradients = loss.backward();
        let of = |name: &str, gradient: Option<TensorData>| {
            let expected = dump.data(&format!("contrastive/gradients/{name}"));
            assert_close(name, gradient.expect("every input has a gradient"), expected);
        };
        of("images", images.grad(&gradients).map(Tensor::into_data));
        of("texts", texts.grad(&gradients).map(Tensor::into_data));
        of("logit_scale", scale.grad(&gradients).map(Tensor::into_data));
    }
}

#[test]
fn uniform_draws_are_torchs() {
    let values = Generator::new(5).rand(20);
    assert_close("rand", TensorData::from(values.as_slice()), Dump::open("train.safetensors").data("rand"));
}
