//! Runs against huggingface diffusers, dumped by tests/reference/scheduler.py.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use pyrograph_scheduler::{Algorithm, Generator, Scheduler, SchedulerConfig};
use safetensors::SafeTensors;
use serde_json::Value;

const SHAPE: [usize; 4] = [2, 2, 3, 3];
const VALUES: usize = 36;
/// The seed of a run's noise in the script.
const SEED: u64 = 7;
/// Relative L2 distance of the samples.
const TOLERANCE: f64 = 1e-5;

/// The dumped file: its index and its tensors.
struct Reference {
    index: Value,
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Reference {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/scheduler.safetensors");
        let bytes = std::fs::read(path).expect("tests/reference/scheduler.safetensors is committed");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let index = metadata.metadata().as_ref().and_then(|metadata| metadata.get("index")).expect("an index");
        let index = serde_json::from_str(index).expect("the index is JSON");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let tensors = file.iter().filter(|(name, _)| *name != "timestep_counts");
        let mut tensors: BTreeMap<_, Vec<f32>> =
            tensors.map(|(name, view)| (name.to_owned(), values(view.data()))).collect();
        let counts = file.tensor("timestep_counts").expect("timestep counts");
        let counts = counts.data().chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32);
        tensors.insert("timestep_counts".to_owned(), counts.collect());
        Self { index, tensors }
    }

    fn row(&self, tensor: &str, index: usize, width: usize) -> &[f32] {
        &self.tensors[tensor][index * width..(index + 1) * width]
    }

    fn runs(&self) -> Vec<Run> {
        let configs: Vec<&str> =
            self.index["configs"].as_array().expect("configs").iter().filter_map(Value::as_str).collect();
        let runs = self.index["runs"].as_array().expect("runs").iter();
        runs.map(|run| Run::from_index(run, &configs)).collect()
    }
}

struct Run {
    algorithm: Algorithm,
    steps: usize,
    text: String,
    config: SchedulerConfig,
}

impl Run {
    fn from_index(run: &Value, configs: &[&str]) -> Self {
        let text = configs[run[2].as_u64().expect("index of a configuration") as usize];
        let mut config = SchedulerConfig::from_json(text).expect(text);
        config.eta = run[3].as_f64();
        if run[4] == Value::Bool(true) {
            config = config.with_pipeline_defaults();
        }
        let algorithm = run[0].as_str().and_then(|name| name.parse().ok()).expect("an algorithm");
        Self { algorithm, steps: run[1].as_u64().expect("steps") as usize, text: text.to_owned(), config }
    }

    fn build(&self) -> Box<dyn Scheduler + Send> {
        let built = self.algorithm.build(&self.config, self.steps);
        built.unwrap_or_else(|error| panic!("{}, {} steps, {}: {error}", self.algorithm, self.steps, self.text))
    }
}

/// The script's model: the same operations in the same order.
fn toy_model(sample: Tensor<4>, timestep: f64) -> Tensor<4> {
    let picture: Vec<f32> = (0..VALUES).map(|i| (0.06 * ((i * 7 % 11) as f64 - 5.0)) as f32).collect();
    let picture = Tensor::from_data(TensorData::new(picture, SHAPE), &sample.device());
    let weight = 0.25 + 0.0005 * timestep;
    picture + sample.clone() / (sample.abs() + 1.0) * weight
}

fn denoise(scheduler: &mut dyn Scheduler) -> Vec<f32> {
    let mut generator = Generator::new(SEED);
    let mut sample = generator.randn_tensor(SHAPE, &Device::flex()) * scheduler.init_noise_sigma();
    for (index, timestep) in scheduler.timesteps().to_vec().into_iter().enumerate() {
        let output = toy_model(scheduler.scale_model_input(sample.clone(), index), timestep);
        sample = scheduler.step(output, index, sample, &mut generator);
    }
    values(sample)
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("float32 values")
}

/// |a - b| / |b|; infinite if a value is not finite.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let distance = (difference / expected.iter().map(|&b| square(b)).sum::<f64>()).sqrt();
    if distance.is_finite() && found.len() == expected.len() { distance } else { f64::INFINITY }
}

/// Every run ends where diffusers' does.
#[test]
fn final_samples_agree() {
    let reference = Reference::read();
    let mut worst: BTreeMap<String, f64> = BTreeMap::new();
    let mut failures = Vec::new();
    for (i, run) in reference.runs().iter().enumerate() {
        let found = denoise(run.build().as_mut());
        let distance = distance(&found, reference.row("samples", i, VALUES));
        let entry = worst.entry(run.algorithm.to_string()).or_default();
        *entry = entry.max(distance);
        if distance > TOLERANCE {
            failures.push(format!("{distance:.1e} {} {} {}", run.algorithm, run.steps, run.text));
        }
    }
    assert_eq!(worst.len(), Algorithm::ALL.len(), "an algorithm has no run: {worst:?}");
    assert!(failures.is_empty(), "{} runs differ, worst {worst:?}\n{}", failures.len(), failures.join("\n"));
}

/// The model is called at diffusers' timesteps, from a sample of the same size.
#[test]
fn timesteps_and_first_sigmas_agree() {
    let reference = Reference::read();
    let mut all = reference.tensors["timesteps"].iter();
    for (i, run) in reference.runs().iter().enumerate() {
        let scheduler = run.build();
        let name = format!("{} {} {}", run.algorithm, run.steps, run.text);
        let sigma = f64::from(reference.row("init_noise_sigmas", i, 1)[0]);
        assert!((scheduler.init_noise_sigma() / sigma - 1.0).abs() < 1e-6, "{name}");
        let expected: Vec<f32> =
            all.by_ref().take(reference.row("timestep_counts", i, 1)[0] as usize).copied().collect();
        assert_eq!(scheduler.timesteps().len(), expected.len(), "{name}");
        for (found, expected) in scheduler.timesteps().iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < 2e-3, "{name}: timestep {found} instead of {expected}");
        }
    }
}

/// A sample noised in the middle of a run is diffusers'.
#[test]
fn noisy_samples_agree() {
    let reference = Reference::read();
    for (i, run) in reference.runs().iter().enumerate() {
        let scheduler = run.build();
        let index = scheduler.timesteps().len() / 4 * 2;
        let [original, noise] = [8, 9].map(|seed| Generator::new(seed).randn_tensor(SHAPE, &Device::flex()));
        let found = values(scheduler.add_noise(original, noise, index));
        let distance = distance(&found[..4], reference.row("noisy", i, 4));
        assert!(distance < 2e-6, "{distance:.1e} {} {} {}", run.algorithm, run.steps, run.text);
    }
}

/// Noise is torch's, over several draws from one generator, blocks and single values alike.
#[test]
fn noise_agrees_with_torch() {
    let reference = Reference::read();
    let mut expected = reference.tensors["noise"].iter();
    for draw in reference.index["noise"].as_array().expect("draws") {
        let mut generator = Generator::new(draw[0].as_u64().expect("a seed"));
        for count in draw[1].as_array().expect("counts") {
            let found = generator.randn(count.as_u64().expect("a count") as usize);
            let ends = if found.len() <= 40 { found } else { [&found[..20], &found[found.len() - 20..]].concat() };
            for (i, found) in ends.into_iter().enumerate() {
                let expected = expected.next().expect("as many values as were drawn");
                assert!((found - expected).abs() < 1e-6, "{draw}, value {i}: {found} instead of {expected}");
            }
        }
    }
    assert_eq!(expected.next(), None, "a draw is missing");
}
