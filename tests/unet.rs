//! Forward passes of `UNet2dConditionModel`.

use burn::tensor::DType;
use pyrograph::Device;
use pyrograph_checkpoint::load;
use pyrograph_unet::{UNet2dConditionConfig, UNet2dConditionModel};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Dump, assert_close, cpu, devices, json};

fn model(case: &str, config: &Value, dump: &Dump, device: &Device, dtype: DType) -> UNet2dConditionModel {
    let config = UNet2dConditionConfig::deserialize(&config["config"]).expect("a configuration of diffusers");
    let mut model = config.init(device.tensors()).expect("diffusers could build it too");
    let report = load(&mut model, &dump.weights(case), dtype).expect("the weights fit");
    assert!(report.unused.is_empty(), "{case}: {:?}", report.unused);
    model
}

fn compare(case: &str, config: &Value, dump: &Dump, device: &Device, dtype: DType, tolerance: f64) {
    let model = model(case, config, dump, device, dtype);
    let timesteps = config["timesteps"].as_array().expect("a list");
    for (index, timestep) in timesteps.iter().enumerate() {
        let sample = dump.tensor(&format!("{case}/input/sample.{index}"), device);
        let text = dump.tensor(&format!("{case}/input/encoder_hidden_states.{index}"), device);
        let output = model.forward(sample, &[timestep.as_f64().expect("a number")], text).into_data();
        let what = format!("{case} {index} on {}", device.name());
        assert_close(&what, output, dump.data(&format!("{case}/output/sample.{index}")), tolerance);
    }
}

#[test]
fn every_configuration_agrees_with_diffusers() {
    let (dump, cases) = (Dump::open("unet.safetensors"), json("unet.json"));
    for (case, config) in cases.as_object().expect("an object") {
        compare(case, config, &dump, &cpu(), DType::F32, 1e-4);
    }
}

#[test]
fn every_device_agrees_with_diffusers() {
    let (dump, cases) = (Dump::open("unet.safetensors"), json("unet.json"));
    for device in devices() {
        compare("sd1", &cases["sd1"], &dump, &device, DType::F32, 1e-4);
        compare("sd2", &cases["sd2"], &dump, &device, DType::F32, 1e-4);
        compare("sd1", &cases["sd1"], &dump, &device, DType::F16, 3e-2);
    }
}

#[test]
fn unsupported_settings_are_named() {
    let cases = json("unet.json");
    let broken = [
        ("attention_head_dim", Value::from(3)),
        ("block_out_channels", Value::from(vec![4, 7])),
        ("cross_attention_dim", Value::from(vec![5])),
        ("down_block_types", Value::from(vec!["AttnDownBlock2D", "DownBlock2D"])),
        ("layers_per_block", Value::from(0)),
        ("mid_block_type", Value::from("UNetMidBlock2DSimpleCrossAttn")),
        ("norm_num_groups", Value::from(0)),
    ];
    for (key, value) in broken {
        let mut config = cases["sd1"]["config"].clone();
        config[key] = value;
        let config = UNet2dConditionConfig::deserialize(&config).expect("the right types");
        let error = config.validate().expect_err(key);
        assert_eq!(error.key, key);
    }
}
