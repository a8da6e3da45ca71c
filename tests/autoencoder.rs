//! Forward passes of the autoencoders, whole and in bands.

use burn::tensor::DType;
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig, AutoencoderTinyConfig};
use pyrograph_checkpoint::load;
use serde::Deserialize;

use crate::support::{Dump, assert_close, cpu, devices, json};

/// No limit.
const WHOLE: usize = usize::MAX;

fn kl(case: &str, dump: &Dump, device: &Device) -> AutoencoderKl {
    let config =
        AutoencoderKlConfig::deserialize(&json("vae.json")[case]["config"]).expect("a configuration of diffusers");
    let mut model = config.init(device.tensors()).expect("diffusers could build it too");
    let report = load(&mut model, &dump.weights(case), DType::F32).expect("the weights fit");
    assert!(report.unused.is_empty(), "{case}: {:?}", report.unused);
    model
}

fn compare(case: &str, dump: &Dump, device: &Device, limit: usize) {
    let model = kl(case, dump, device);
    let check = |name: &str, actual: burn::tensor::Tensor<4>| {
        let what = format!("{case} {name} on {} with {limit} values", device.name());
        assert_close(&what, actual.into_data(), dump.data(&format!("{case}/output/{name}")), 1e-4);
    };
    let image = dump.tensor(&format!("{case}/input/image"), device);
    let moments = model.encode_within(image, limit).expect("not below the smallest limit");
    check("mean", moments.mean.clone());
    check("logvar", moments.log_variance.clone());
    check("mode", moments.mode());
    check("sample", moments.sample(dump.tensor(&format!("{case}/input/noise"), device)));
    let latents = dump.tensor(&format!("{case}/output/latents"), device);
    check("latents", model.scale(model.unscale(latents.clone())));
    let decoded = model.decode_within(model.unscale(latents), limit).expect("not below the smallest limit");
    check("decoded", decoded);
}

/// The smallest limit that the case can be encoded and decoded within.
fn smallest_limit(case: &str, dump: &Dump, device: &Device) -> usize {
    let model = kl(case, dump, device);
    let shape = |name: &str| dump.tensor::<4>(&format!("{case}/{name}"), device).dims();
    let (image, latents) = (shape("input/image"), shape("output/latents"));
    let fits =
        |&limit: &usize| model.encode_extent(image, limit).is_ok() && model.decode_extent(latents, limit).is_ok();
    (1..).find(fits).expect("some limit is large enough")
}

#[test]
fn kl_agrees_with_diffusers() {
    let dump = Dump::open("vae.safetensors");
    for case in ["kl", "kl_odd", "kl_shift", "kl_no_attention"] {
        compare(case, &dump, &cpu(), WHOLE);
    }
    for device in devices() {
        compare("kl", &dump, &device, WHOLE);
    }
}

#[test]
fn bands_agree_with_the_whole() {
    let dump = Dump::open("vae.safetensors");
    for case in ["kl", "kl_odd", "kl_shift", "kl_no_attention"] {
        let smallest = smallest_limit(case, &dump, &cpu());
        for limit in [smallest, smallest + 500, 2 * smallest] {
            compare(case, &dump, &cpu(), limit);
        }
    }
}

#[test]
fn tiny_agrees_with_diffusers() {
    let dump = Dump::open("vae.safetensors");
    let config =
        AutoencoderTinyConfig::deserialize(&json("vae.json")["tiny"]["config"]).expect("a configuration of diffusers");
    for device in devices() {
        let mut model = config.init(device.tensors()).expect("diffusers could build it too");
        let report = load(&mut model, &dump.weights("tiny"), DType::F32).expect("the weights fit");
        assert!(report.unused.is_empty(), "{:?}", report.unused);
        let image = dump.tensor::<4>("tiny/input/image", &device);
        let latents = dump.tensor::<4>("tiny/input/latents", &device);
        let fits = |&limit: &usize| {
            model.encode_extent(image.dims(), limit).is_ok() && model.decode_extent(latents.dims(), limit).is_ok()
        };
        for limit in [WHOLE, (1..).find(fits).expect("some limit is large enough")] {
            let encoded = model.encode_within(image.clone(), limit).expect("it fits");
            assert_close("tiny latents", encoded.into_data(), dump.data("tiny/output/latents"), 1e-4);
            let decoded = model.decode_within(latents.clone(), limit).expect("it fits");
            assert_close("tiny decoded", decoded.into_data(), dump.data("tiny/output/decoded"), 1e-4);
        }
    }
}
