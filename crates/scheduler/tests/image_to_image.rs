//! Runs that begin within their schedule against huggingface diffusers, dumped by `tests/reference/scheduler_img2img.py`.

mod support;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use pyrograph_scheduler::{Algorithm, Generator, PredictionType, Scheduler, SchedulerConfig, SchedulerError};
use serde_json::Value;
use support::{Distance, Dump, SEED, SHAPE, VALUES, call, distance, values};

/// Of the samples.
const TOLERANCE: f64 = 1e-5;

/// How the pipeline begins and goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// From the noisy original.
    ImageToImage,
    /// As image to image, or at strength 1 from noise; each sample is blended with the noisy original.
    Inpaint,
    /// All steps lie within the strength.
    LatentConsistency,
}

struct Run {
    algorithm: Algorithm,
    steps: usize,
    config: SchedulerConfig,
    kind: Kind,
    strength: f64,
    /// What diffusers says, if it makes no sample: `empty` or an exception.
    problem: Option<String>,
    /// For messages.
    name: String,
}

impl Run {
    fn all(dump: &Dump) -> Vec<Self> {
        dump.runs().iter().map(|run| Self::from_index(run, dump)).collect()
    }

    fn from_index(run: &Value, dump: &Dump) -> Self {
        let (mut config, text) = dump.config(&run[2]);
        let strength = run[5].as_f64().expect("a strength");
        let kind = match run[4].as_str() {
            Some("img2img") => Kind::ImageToImage,
            Some("inpaint") => Kind::Inpaint,
            Some("lcm") => Kind::LatentConsistency,
            other => panic!("unknown kind {other:?}"),
        };
        config.eta = run[3].as_f64();
        config.strength = (kind == Kind::LatentConsistency).then_some(strength);
        let algorithm: Algorithm = run[0].as_str().and_then(|name| name.parse().ok()).expect("an algorithm");
        let steps = run[1].as_u64().expect("steps") as usize;
        let problem = run[6].as_str().map(str::to_owned);
        let name = format!("{algorithm}, {steps} steps, {kind:?} {strength}, {text}");
        Self { algorithm, steps, config, kind, strength, problem, name }
    }

    fn build(&self) -> Result<(Scheduler, usize), SchedulerError> {
        let scheduler = self.algorithm.build(&self.config, self.steps)?;
        let first = if self.kind == Kind::LatentConsistency { 0 } else { scheduler.first_step(self.strength)? };
        Ok((scheduler, first))
    }

    fn denoise(&self) -> Vec<f32> {
        let (mut scheduler, first) = self.build().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut generator = Generator::new(SEED);
        let original = Generator::new(8).randn_tensor(SHAPE, &Device::flex());
        let noise = generator.randn_tensor(SHAPE, &Device::flex());
        let from_noise = self.kind == Kind::Inpaint && self.strength == 1.0;
        let mut sample = match from_noise {
            true => noise.clone() * scheduler.init_noise_sigma(),
            false => scheduler.add_noise(original.clone(), noise.clone(), first),
        };
        let calls = scheduler.timesteps().len();
        for index in first..calls {
            sample = call(&mut scheduler, index, sample, &mut generator);
            if self.kind == Kind::Inpaint {
                let known = match index + 1 == calls {
                    true => original.clone(),
                    false => scheduler.add_noise(original.clone(), noise.clone(), index + 1),
                };
                sample = known * 0.25 + sample * 0.75;
            }
        }
        values(sample)
    }
}

/// The runs that diffusers makes, each with its row in the dump.
fn made(runs: &[Run]) -> impl Iterator<Item = (usize, &Run)> {
    runs.iter().filter(|run| run.problem.is_none()).enumerate()
}

/// Every run ends where diffusers' does, wherever it begins.
#[test]
fn final_samples_agree() {
    let dump = Dump::read("scheduler_img2img.safetensors");
    let mut worst: BTreeMap<String, Distance> = BTreeMap::new();
    let mut failures = Vec::new();
    for (row, run) in made(&Run::all(&dump)) {
        let found: Vec<f32> = run.denoise().into_iter().step_by(3).collect();
        let distance = distance(&found, dump.row("samples", row, VALUES / 3));
        let entry = worst.entry(run.algorithm.to_string()).or_default();
        *entry = entry.max(distance);
        if !distance.within(TOLERANCE) {
            failures.push(format!("{distance} {}", run.name));
        }
    }
    assert_eq!(worst.len(), Algorithm::ALL.len(), "an algorithm has no run: {worst:#?}");
    assert!(failures.is_empty(), "{} runs differ, worst {worst:#?}\n{}", failures.len(), failures.join("\n"));
}

/// At each call that is left: the timestep, what `add_noise` makes of original and noise, and the scale of the input. They do
/// not depend on what the network predicts.
#[test]
fn levels_of_all_calls_agree() {
    let dump = Dump::read("scheduler_img2img.safetensors");
    let mut calls = dump.values("calls").chunks_exact(4);
    let one = || Tensor::<4>::ones([1, 1, 1, 1], &Device::flex());
    for (row, run) in made(&Run::all(&dump)) {
        let (scheduler, first) = run.build().unwrap_or_else(|error| panic!("{}: {error}", run.name));
        let count = scheduler.timesteps().len() - first;
        assert_eq!(count as f32, dump.row("counts", row, 1)[0], "{}", run.name);
        if !matches!(run.config.prediction_type, None | Some(PredictionType::Epsilon)) {
            continue;
        }
        for (index, expected) in (first..).zip(calls.by_ref().take(count)) {
            let alpha = values(scheduler.add_noise(one(), one().zeros_like(), index))[0];
            let sigma = values(scheduler.add_noise(one().zeros_like(), one(), index))[0];
            let scale = values(scheduler.scale_model_input(one(), index))[0];
            assert!((scheduler.timesteps()[index] - f64::from(expected[0])).abs() < 2e-3, "{} at {index}", run.name);
            for (found, expected) in [alpha, sigma, scale].into_iter().zip(&expected[1..]) {
                let error = (found - expected).abs();
                assert!(error <= 2e-6 * expected.abs(), "{} at {index}: {found} instead of {expected}", run.name);
            }
        }
    }
    assert_eq!(calls.next(), None, "a call is missing");
}

/// Where diffusers returns no image, an error says which strength or number of steps would make one.
#[test]
fn strengths_that_make_no_step_are_refused() {
    let dump = Dump::read("scheduler_img2img.safetensors");
    let runs = Run::all(&dump);
    let mut refused = 0;
    for run in &runs {
        match (run.problem.as_deref(), run.kind) {
            (Some("empty"), _) => {
                let error = run.build().expect_err(&run.name);
                let SchedulerError::NoStep { strength, steps } = error else { panic!("{}: {error}", run.name) };
                assert_eq!((strength, steps), (run.strength, run.steps));
                refused += 1;
            }
            (Some(_), Kind::LatentConsistency) => {
                let error = run.build().expect_err(&run.name);
                assert!(matches!(error, SchedulerError::Steps { .. }), "{}: {error}", run.name);
            }
            // diffusers has no formula for networks that predict the sample in some classes; here every class has.
            (Some(_), _) => assert!(run.denoise().iter().all(|value| value.is_finite()), "{}", run.name),
            (None, _) => {}
        }
    }
    assert!(refused > Algorithm::ALL.len(), "{refused}");
}
