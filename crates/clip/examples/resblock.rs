//! Compares the text tower with a real OpenCLIP block. The argument is a file that `tests/reference/clip.py --resblock`
//! writes.

use std::error::Error;

use burn::store::{FloatCastAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use pyrograph_clip::{ClipTextConfig, HiddenAct};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: resblock FILE.safetensors")?;
    let config = ClipTextConfig {
        vocab_size: 2,
        hidden_size: 1024,
        intermediate_size: 4096,
        num_hidden_layers: 1,
        num_attention_heads: 16,
        hidden_act: HiddenAct::Gelu,
        ..ClipTextConfig::default()
    };
    let device = Device::flex();
    let bytes = std::fs::read(&path)?;
    let file = safetensors::SafeTensors::deserialize(&bytes)?;
    let y: Vec<f32> = file.tensor("y")?.data().as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let y = Tensor::<3>::from_data(TensorData::new(y, [1, 77, 1024]), &device);
    for dtype in [DType::F32, DType::F16] {
        let mut store = SafetensorsStore::from_file(&path)
            .with_key_remapping("^weights.", "")
            .with_from_adapter(FloatCastAdapter::to(dtype));
        let mut model = config.init(&device);
        model.load_from(&mut store)?;
        let output = model.forward(&[vec![0; 77]], 0).last_hidden_state.cast(FloatDType::F32);
        let error = (output - y.clone()).square().sum() / y.clone().square().sum();
        eprintln!("{dtype:?} weights: relative L2 {:.2e}", error.sqrt().into_scalar::<f32>());
    }
    Ok(())
}
