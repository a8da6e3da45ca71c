//! What the tests share: where the reference lies, which devices there are, how far two tensors are apart.

mod distance;
pub(crate) mod skip;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Tensor, TensorData};
use pyrograph::Device;
use pyrograph_checkpoint::{Part, View, Weights, open_weights};
use pyrograph_kernels::AdapterCapabilities;
use serde_json::Value;

use distance::Distance;
use skip::no_adapter;

/// A file of `tests/reference`.
pub(crate) fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

/// The model that is shipped.
pub(crate) fn shipped_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("assets/spark")
}

/// A JSON file of `tests/reference`.
pub(crate) fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(reference(name)).expect("the reference is committed");
    serde_json::from_str(&text).expect("the reference is JSON")
}

/// The CPU.
pub(crate) fn cpu() -> Device {
    pyrograph::device("cpu").expect("the CPU is always there")
}

/// The CPU, and wgpu, for which [`no_adapter`] is the rule.
pub(crate) fn devices() -> Vec<Device> {
    let mut devices = vec![cpu()];
    match pyrograph::device("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) => no_adapter(error),
    }
    devices
}

/// An adapter that refuses buffers of more than `bytes`, which tells of every tensor that is too large; [`no_adapter`] is the
/// rule.
pub(crate) fn device_with_bindings_of(bytes: u64) -> Option<burn::tensor::Device> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let Some(adapter) = adapters.into_iter().next() else {
        no_adapter("wgpu finds none");
        return None;
    };
    let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() - unwanted,
        required_limits: wgpu::Limits { max_storage_buffer_binding_size: bytes, ..wgpu::Limits::default() },
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("less than it can do");
    let software = AdapterCapabilities::of(&adapter).software;
    let setup = WgpuSetup { backend: adapter.get_info().backend, instance, adapter, device, queue };
    let device = burn::tensor::Device::wgpu_options().setup(setup).init().expect("the device is new");
    AdapterCapabilities { software, ..AdapterCapabilities::default() }.register(&device);
    Some(device)
}

/// Dumped tensors, `<case>/<name>`.
pub(crate) struct Dump(Arc<dyn Weights>);

impl Dump {
    pub(crate) fn open(name: &str) -> Self {
        Self(open_weights(&reference(name)).expect("the reference is committed"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.info(name).is_some()
    }

    pub(crate) fn data(&self, name: &str) -> TensorData {
        self.0.read(name).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.data(name), device.tensors())
    }

    /// The weights of a case.
    pub(crate) fn weights(&self, case: &str) -> View {
        let prefix = format!("{case}/weights/");
        View::new(self.0.clone(), |name| name.strip_prefix(&prefix).map(|name| (name.to_owned(), Part::Whole)))
    }
}

/// Asserts that relative L2 and max-abs are within `tolerance`, see [`Distance`].
pub(crate) fn assert_close(what: &str, actual: TensorData, expected: TensorData, tolerance: f64) {
    assert_eq!(actual.shape(), expected.shape(), "{what}: shapes");
    let distance = Distance::between(actual, expected);
    assert!(distance.within(tolerance), "{what}: {distance} of {tolerance:e}");
}

#[test]
fn one_wrong_value_of_many_is_not_close() {
    let expected = vec![1.0_f32; 1 << 20];
    for (wrong, relative_is_small) in [(1.05, true), (f32::NAN, false)] {
        let mut actual = expected.clone();
        actual[7] = wrong;
        let distance = Distance::between(actual.as_slice().into(), expected.as_slice().into());
        assert_eq!(distance.relative <= 1e-4, relative_is_small, "{distance}");
        assert!(!distance.within(1e-4), "{distance}");
    }
}
