//! Forward passes of the autoencoders, whole and in bands.

use burn::tensor::DType;
use pyrograph::Device;
use pyrograph_autoencoder::{AutoencoderKl, AutoencoderKlConfig, AutoencoderTinyConfig};
use pyrograph_checkpoint::load;
use serde::Deserialize;

use crate::support::{Dump, assert_close, devices, json};

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
    let moments = model.encode(dump.tensor(&format!("{case}/input/image"), device), limit);
    check("mean", moments.mean.clone());
    check("logvar", moments.log_variance.clone());
    check("mode", moments.mode());
    check("sample", moments.sample(dump.tensor(&format!("{case}/input/noise"), device)));
    let latents = dump.tensor(&format!("{case}/output/latents"), device);
    check("latents", model.scale(model.unscale(latents.clone())));
    check("decoded", model.decode(model.unscale(latents), limit));
}

#[test]
fn kl_agrees_with_diffusers() {
    let dump = Dump::open("vae.safetensors");
    for case in ["kl", "kl_odd", "kl_shift", "kl_no_attention"] {
        compare(case, &dump, &devices()[0], WHOLE);
    }
    for device in devices() {
        compare("kl", &dump, &device, WHOLE);
    }
}

#[test]
fn bands_agree_with_the_whole() {
    let dump = Dump::open("vae.safetensors");
    for case in ["kl", "kl_odd", "kl_shift", "kl_no_attention"] {
        for limit in [1, 150, 700, 2_000] {
            compare(case, &dump, &devices()[0], limit);
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
        for limit in [WHOLE, 100] {
            let latents = model.encode(dump.tensor("tiny/input/image", &device), limit);
            assert_close("tiny latents", latents.into_data(), dump.data("tiny/output/latents"), 1e-4);
            let decoded = model.decode(dump.tensor("tiny/input/latents", &device), limit);
            assert_close("tiny decoded", decoded.into_data(), dump.data("tiny/output/decoded"), 1e-4);
        }
    }
}
