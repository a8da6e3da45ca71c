//! Whole runs against huggingface diffusers, dumped by tests/reference/scheduler.py.

mod support;

use std::collections::BTreeMap;

use burn::tensor::Device;
use pyrograph_scheduler::{Algorithm, Generator, Scheduler, SchedulerConfig};
use serde_json::Value;
use support::{Distance, Dump, SEED, SHAPE, VALUES, call, distance, values};

/// Of the samples.
const TOLERANCE: f64 = 1e-5;

struct Run {
    algorithm: Algorithm,
    steps: usize,
    config: SchedulerConfig,
    /// For messages.
    name: String,
}

impl Run {
    fn all(dump: &Dump) -> Vec<Self> {
        dump.runs().iter().map(|run| Self::from_index(run, dump)).collect()
    }

    fn from_index(run: &Value, dump: &Dump) -> Self {
        let (mut config, text) = dump.config(&run[2]);
        config.eta = run[3].as_f64();
        if run[4] == Value::Bool(true) {
            config = config.with_pipeline_defaults();
        }
        let algorithm: Algorithm = run[0].as_str().and_then(|name| name.parse().ok()).expect("an algorithm");
        let steps = run[1].as_u64().expect("steps") as usize;
        Self { algorithm, steps, config, name: format!("{algorithm}, {steps} steps, {text}") }
    }

    fn build(&self) -> Scheduler {
        let built = self.algorithm.build(&self.config, self.steps);
        built.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn denoise(mut scheduler: Scheduler) -> Vec<f32> {
    let mut generator = Generator::new(SEED);
    let mut sample = generator.randn_tensor(SHAPE, &Device::flex()) * scheduler.init_noise_sigma();
    for index in 0..scheduler.timesteps().len() {
        sample = call(&mut scheduler, index, sample, &mut generator);
    }
    values(sample)
}

/// Every run ends where diffusers' does.
#[test]
fn final_samples_agree() {
    let dump = Dump::read("scheduler.safetensors");
    let mut worst: BTreeMap<String, Distance> = BTreeMap::new();
    let mut failures = Vec::new();
    for (i, run) in Run::all(&dump).iter().enumerate() {
        let distance = distance(&denoise(run.build()), dump.row("samples", i, VALUES));
        let entry = worst.entry(run.algorithm.to_string()).or_default();
        *entry = entry.max(distance);
        if !distance.within(TOLERANCE) {
            failures.push(format!("{distance} {}", run.name));
        }
    }
    assert_eq!(worst.len(), Algorithm::ALL.len(), "an algorithm has no run: {worst:#?}");
    assert!(failures.is_empty(), "{} runs differ, worst {worst:#?}\n{}", failures.len(), failures.join("\n"));
}

/// The network is called at diffusers' timesteps, from a sample of the same size.
#[test]
fn timesteps_and_first_sigmas_agree() {
    let dump = Dump::read("scheduler.safetensors");
    let mut all = dump.values("timesteps").iter();
    for (i, run) in Run::all(&dump).iter().enumerate() {
        let (scheduler, name) = (run.build(), &run.name);
        let sigma = f64::from(dump.row("init_noise_sigmas", i, 1)[0]);
        assert!((scheduler.init_noise_sigma() / sigma - 1.0).abs() < 1e-6, "{name}");
        let count = dump.row("timestep_counts", i, 1)[0] as usize;
        let expected: Vec<f32> = all.by_ref().take(count).copied().collect();
        assert_eq!(scheduler.timesteps().len(), expected.len(), "{name}");
        for (found, expected) in scheduler.timesteps().iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < 2e-3, "{name}: timestep {found} instead of {expected}");
        }
    }
}

/// A sample noised in the middle of a run is diffusers'.
#[test]
fn noisy_samples_agree() {
    let dump = Dump::read("scheduler.safetensors");
    for (i, run) in Run::all(&dump).iter().enumerate() {
        let scheduler = run.build();
        let index = scheduler.timesteps().len() / 4 * 2;
        let [original, noise] = [8, 9].map(|seed| Generator::new(seed).randn_tensor(SHAPE, &Device::flex()));
        let found = values(scheduler.add_noise(original, noise, index));
        let distance = distance(&found[..4], dump.row("noisy", i, 4));
        assert!(distance.within(2e-6), "{distance} {}", run.name);
    }
}

/// Noise is torch's, over several draws from one generator, blocks and single values alike.
#[test]
fn noise_agrees_with_torch() {
    let dump = Dump::read("scheduler.safetensors");
    let mut expected = dump.values("noise").iter();
    for draw in dump.index["noise"].as_array().expect("draws") {
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
