//! Dumps by diffusers, and the toy model they were made with.

#[path = "../../../../tests/support/distance.rs"]
mod distance;

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use pyrograph_scheduler::{Generator, Scheduler, SchedulerConfig};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

pub(crate) use distance::Distance;

pub(crate) const SHAPE: [usize; 4] = [2, 2, 3, 3];
pub(crate) const VALUES: usize = 36;
/// The seed of a run's noise in the scripts.
pub(crate) const SEED: u64 = 7;

/// A dumped file: its index and its tensors.
pub(crate) struct Dump {
    pub(crate) index: Value,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Dump {
    pub(crate) fn read(name: &str) -> Self {
        let path = format!("{}/../../tests/reference/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let index = metadata.metadata().as_ref().and_then(|metadata| metadata.get("index")).expect("an index");
        let index = serde_json::from_str(index).expect("the index is JSON");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let number = |dtype, bytes| match dtype {
            Dtype::I32 => i32::from_le_bytes(bytes) as f32,
            _ => f32::from_le_bytes(bytes),
        };
        let words =
            |data: &[u8], dtype| data.chunks_exact(4).map(|b| number(dtype, [b[0], b[1], b[2], b[3]])).collect();
        let tensors = file.iter().map(|(name, view)| (name.to_owned(), words(view.data(), view.dtype())));
        Self { index, tensors: tensors.collect() }
    }

    pub(crate) fn values(&self, tensor: &str) -> &[f32] {
        &self.tensors[tensor]
    }

    pub(crate) fn row(&self, tensor: &str, index: usize, width: usize) -> &[f32] {
        &self.tensors[tensor][index * width..(index + 1) * width]
    }

    pub(crate) fn runs(&self) -> &[Value] {
        self.index["runs"].as_array().expect("runs")
    }

    /// The configuration with this position in the index, and its text.
    pub(crate) fn config(&self, position: &Value) -> (SchedulerConfig, &str) {
        let position = position.as_u64().expect("position of a configuration") as usize;
        let text = self.index["configs"][position].as_str().expect("text of a configuration");
        (SchedulerConfig::from_json(text).expect(text), text)
    }
}

/// The scripts' model: the same operations in the same order.
fn toy_model(sample: Tensor<4>, timestep: f64) -> Tensor<4> {
    let image: Vec<f32> = (0..VALUES).map(|i| (0.06 * ((i * 7 % 11) as f64 - 5.0)) as f32).collect();
    let image = Tensor::from_data(TensorData::new(image, SHAPE), &sample.device());
    let weight = 0.25 + 0.0005 * timestep;
    image + sample.clone() / (sample.abs() + 1.0) * weight
}

/// One call of the scripts' model and the step that follows it.
pub(crate) fn call(scheduler: &mut Scheduler, index: usize, sample: Tensor<4>, generator: &mut Generator) -> Tensor<4> {
    let input = scheduler.scale_model_input(sample.clone(), index);
    let output = toy_model(input, scheduler.timesteps()[index]);
    scheduler.step(output, index, sample, generator)
}

pub(crate) fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("float32 values")
}

/// How far two samples are from each other.
pub(crate) fn distance(found: &[f32], expected: &[f32]) -> Distance {
    Distance::between(found.into(), expected.into())
}

impl Distance {
    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { relative: self.relative.max(other.relative), largest: self.largest.max(other.largest) }
    }
}
