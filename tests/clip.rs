//! Forward passes of the text tower on every device; `crates/clip/tests` tests its settings on the CPU.

use burn::tensor::{DType, FloatDType};
use pyrograph_checkpoint::load;
use pyrograph_clip::ClipTextConfig;

use crate::support::{Dump, assert_close, devices, json};

#[test]
fn every_device_agrees_with_transformers() {
    let (dump, cases) = (Dump::open("clip.safetensors"), json("clip.json"));
    for device in devices() {
        for (case, dtype, tolerance) in
            [("sd1", DType::F32, 1e-4), ("sd2", DType::F32, 1e-4), ("sd1", DType::F16, 3e-2)]
        {
            let settings = &cases[case];
            let config = ClipTextConfig::from_json(&settings["config"].to_string()).expect("a configuration");
            let mut model = config.init(device.tensors());
            let report = load(&mut model, &dump.weights(case), dtype).expect("the weights fit");
            assert!(report.unused.is_empty(), "{case}: {:?}", report.unused);
            let ids: Vec<Vec<u32>> = serde_json::from_value(settings["ids"].clone()).expect("token ids");
            let output = model.forward(&ids, 0);
            let what = format!("{case} in {dtype:?} on {}", device.name());
            let hidden = output.last_hidden_state.cast(FloatDType::F32).into_data();
            assert_close(&what, hidden, dump.data(&format!("{case}/last_hidden_state/0")), tolerance);
            let pooled = output.pooled_output.cast(FloatDType::F32).into_data();
            assert_close(&what, pooled, dump.data(&format!("{case}/pooled_output")), tolerance);
        }
    }
}
