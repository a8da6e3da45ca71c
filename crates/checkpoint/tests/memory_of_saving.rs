//! Saving a module computes one tensor at a time.

use burn::module::Module;
use burn::tensor::{DType, Device};
use peak_alloc::PeakAlloc;
use pyrograph_checkpoint::save;
use pyrograph_kernels::{Conv2d, Conv2dConfig, Linear, LinearConfig};
use safetensors::SafeTensors;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

#[derive(Module, Debug)]
struct Network {
    convs: Vec<Conv2d>,
    linears: Vec<Linear>,
}

/// Elements of the largest parameter.
const LARGEST: usize = 256 * 128 * 9;

#[test]
fn saving_needs_two_tensors_beside_the_module() {
    let device = Device::flex();
    let conv = || Conv2dConfig::new([256, 128], [3, 3]).init(&device);
    let linear = || LinearConfig::new(512, 512).init(&device);
    let network = Network { convs: vec![conv(), conv(), conv(), conv()], linears: vec![linear(), linear()] };
    let folder = tempfile::tempdir().expect("a folder");
    save(&network, &folder.path().join("first"), "", DType::F32, &[])
        .expect("weights are made when they are first used");
    for dtype in [DType::F32, DType::F16] {
        let path = folder.path().join(format!("{dtype:?}.safetensors"));
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        save(&network, &path, "", dtype, &[]).expect("it can be written");
        let peak = MEMORY.peak_usage() - before;
        assert!(peak <= 2 * 4 * LARGEST + (64 << 10), "{peak} bytes for {} of the largest tensor", 4 * LARGEST);

        let bytes = std::fs::read(&path).expect("a file");
        let file = SafeTensors::deserialize(&bytes).expect("the format's own reader takes it");
        assert_eq!(file.len(), 4 * 2 + 2 * 2);
        assert_eq!(file.tensor("convs.3.weight").expect("a kernel").shape(), [128, 256, 3, 3]);
    }
}
