//! Properties of every sampler, wherever its run begins.

use burn::tensor::{Device, Tensor};
use pyrograph_scheduler::{
    Algorithm, Generator, PredictionType, Scheduler, SchedulerConfig, SchedulerError, SigmaSchedule, TimestepSpacing,
};

const SHAPE: [usize; 4] = [1, 2, 3, 3];
const SPACINGS: [TimestepSpacing; 3] = [TimestepSpacing::Leading, TimestepSpacing::Trailing, TimestepSpacing::Linspace];
const SCHEDULES: [Option<SigmaSchedule>; 4] =
    [None, Some(SigmaSchedule::Karras), Some(SigmaSchedule::Exponential), Some(SigmaSchedule::Beta)];

fn latent() -> SchedulerConfig {
    let text = r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
        "clip_sample": false, "skip_prk_steps": true}"#;
    SchedulerConfig::from_json(text).expect("a valid configuration")
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("float32 values")
}

/// The factors of signal and noise in the sample of a call: the denoised sample is linear in sample and output.
fn level(scheduler: &Scheduler, index: usize) -> (f64, f64) {
    let constant = |value: f32| Tensor::<4>::full(SHAPE, value, &Device::flex());
    let denoised = |output, sample| f64::from(values(scheduler.denoised(constant(output), index, constant(sample)))[0]);
    let alpha = 1.0 / denoised(0.0, 1.0);
    (alpha, -denoised(1.0, 0.0) * alpha)
}

/// A run from the call `first` with a network that knows the image: it predicts exactly the noise, velocity or image in
/// the sample.
fn run_with_known_image(algorithm: Algorithm, config: &SchedulerConfig, steps: usize, first: usize) -> Vec<f32> {
    let device = Device::flex();
    let image = Generator::new(1).randn_tensor(SHAPE, &device);
    let mut generator = Generator::new(2);
    let mut scheduler = algorithm.build(config, steps).unwrap_or_else(|error| panic!("{error}"));
    let epsilon = SchedulerConfig { prediction_type: Some(PredictionType::Epsilon), ..config.clone() };
    let levels = algorithm.build(&epsilon, steps).expect("the same settings");
    let noise = generator.randn_tensor(SHAPE, &device);
    let mut sample = match first {
        0 => noise * scheduler.init_noise_sigma(),
        _ => scheduler.add_noise(image.clone(), noise, first),
    };
    for index in first..scheduler.timesteps().len() {
        let (alpha, sigma) = level(&levels, index);
        let epsilon = (sample.clone() - image.clone() * alpha) / sigma;
        let output = match config.prediction_type {
            Some(PredictionType::Sample) => image.clone(),
            Some(PredictionType::VPrediction) => (epsilon * alpha - image.clone() * sigma) / alpha.hypot(sigma),
            _ => epsilon,
        };
        sample = scheduler.step(output, index, sample, &mut generator);
    }
    values(sample)
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The prediction type makes no difference: a network that knows the image leads to it with every type. PNDM combines
/// raw outputs of different timesteps; its velocities are therefore not equivalent to its noises.
#[test]
fn predictions_are_interchangeable() {
    for algorithm in Algorithm::ALL {
        let kinds = [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample];
        let kinds = &kinds[..if algorithm == Algorithm::Pndm { 1 } else { 3 }];
        for karras in [false, algorithm.supports_karras_sigmas()] {
            let runs = kinds.iter().map(|&kind| {
                let mut config = latent();
                (config.prediction_type, config.use_karras_sigmas) = (Some(kind), Some(karras));
                run_with_known_image(algorithm, &config, 8, 0)
            });
            let runs: Vec<_> = runs.collect();
            for other in &runs[1..] {
                let largest = largest_difference(&runs[0], other);
                assert!(largest < 2e-4, "{algorithm}, karras {karras}: {largest}");
            }
        }
    }
}

/// Samplers that end at zero noise end at the image that their network knows, wherever the run begins. LMS is tested
/// only from the start, because diffusers omits coefficients in a run that begins later.
#[test]
fn known_image_is_reached_from_every_first_step() {
    use Algorithm as A;
    let image = values(Generator::new(1).randn_tensor(SHAPE, &Device::flex()));
    let at_zero = [A::Euler, A::EulerAncestral, A::Heun, A::DpmSolverPlusPlus, A::DpmSolverPlusPlusSde, A::UniPc];
    for algorithm in at_zero.into_iter().chain([A::Lms, A::Kdpm2, A::Kdpm2Ancestral]) {
        for (steps, karras) in [1, 2, 7, 20].into_iter().flat_map(|steps| [(steps, false), (steps, true)]) {
            let config = SchedulerConfig { use_karras_sigmas: Some(karras), ..latent() };
            let scheduler = algorithm.build(&config, steps).expect("few steps are possible");
            for kept in if algorithm == A::Lms { steps..=steps } else { 1..=steps } {
                let first = scheduler.first_step((kept as f64 + 0.01) / steps as f64).unwrap_or(0);
                assert_eq!(first, (steps - kept) * scheduler.order());
                let found = run_with_known_image(algorithm, &config, steps, first);
                let largest = largest_difference(&found, &image);
                assert!(largest < 2e-4, "{algorithm}, {steps} steps from call {first}, karras {karras}: {largest}");
            }
        }
    }
}

/// Noise falls from step to step, no call has more noise than the one before, and after the last call `add_noise`
/// returns the original with an error of at most the last level. An original with noise for a step is restored by
/// denoising it with the same noise.
#[test]
fn levels_fall_to_the_original() {
    let [original, noise] = [3, 4].map(|seed| Generator::new(seed).randn_tensor(SHAPE, &Device::flex()));
    for algorithm in Algorithm::ALL {
        for (spacing, schedule) in
            SPACINGS.into_iter().flat_map(|spacing| SCHEDULES.map(|schedule| (spacing, schedule)))
        {
            for steps in [1, 2, 4, 9, 25, 50] {
                let config =
                    SchedulerConfig { timestep_spacing: Some(spacing), ..latent().with_sigma_schedule(schedule) };
                let name = format!("{algorithm} {spacing:?}, {schedule:?}, {steps} steps");
                let scheduler = algorithm.build(&config, steps).unwrap_or_else(|error| panic!("{name}: {error}"));
                let calls = scheduler.timesteps().len();
                let ratios: Vec<f64> = (0..calls).map(|index| level(&scheduler, index)).map(|(a, s)| s / a).collect();
                // The ancestral midpoint lies between a level and one below the next.
                let rises = algorithm == Algorithm::Kdpm2Ancestral;
                assert!(rises || ratios.is_sorted_by(|a, b| a >= b), "{name}: {ratios:?}");
                let whole: Vec<f64> = ratios.iter().copied().step_by(scheduler.order()).collect();
                assert!(algorithm == Algorithm::Pndm || whole.is_sorted_by(|a, b| a > b), "{name}: {ratios:?}");
                for index in (0..calls).step_by(scheduler.order()) {
                    let noisy = scheduler.add_noise(original.clone(), noise.clone(), index);
                    let denoised = values(scheduler.denoised(noise.clone(), index, noisy));
                    let largest = largest_difference(&denoised, &values(original.clone()));
                    assert!(f64::from(largest) < 1e-5 * (1.0 + ratios[index]), "{name} at {index}: {largest}");
                }
                let last = values(scheduler.add_noise(original.clone(), noise.clone(), calls));
                let largest = f64::from(largest_difference(&last, &values(original.clone())));
                // The smallest level of training, 0.0292, times the largest noise. DEIS stays at the last sigma of a
                // schedule; with a single step, this is the largest level.
                let stays = algorithm == Algorithm::Deis && schedule.is_some() && steps == 1;
                assert!(stays || largest < 0.03 * 3.5, "{name}: {largest}");
            }
        }
    }
}

/// A strength is a share of the steps, and a run begins with the first call of a step.
#[test]
fn first_steps_are_the_last_ones_of_the_run() {
    let scheduler = Algorithm::Heun.build(&latent(), 50).expect("fifty steps are possible");
    // 50 * 0.58 is 28.999..., which is rounded down.
    assert_eq!(scheduler.first_step(0.58).expect("28 steps"), 44);
    assert_eq!((scheduler.first_step(1.0).expect("all"), scheduler.first_step(0.02).expect("one")), (0, 98));
    for strength in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
        let error = scheduler.first_step(strength).expect_err("no share");
        assert!(matches!(error, SchedulerError::Strength { .. }), "{error}");
    }
    let error = scheduler.first_step(0.015).expect_err("less than a step");
    assert!(matches!(error, SchedulerError::NoStep { steps: 50, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "strength: 0.015 of 50 steps is less than one step; use 0.02 or more, or at least 67 steps"
    );
    let pndm = Algorithm::Pndm.build(&latent(), 50).expect("fifty steps are possible");
    assert_eq!(pndm.timesteps().len() - pndm.first_step(0.5).expect("half"), 26);
}

#[test]
#[should_panic(expected = "a run begins with the first call of a step")]
fn a_run_does_not_begin_between_the_calls_of_a_step() {
    let mut scheduler = Algorithm::Heun.build(&latent(), 4).expect("four steps are possible");
    let sample = Tensor::<4>::zeros(SHAPE, &Device::flex());
    let _ = scheduler.step(sample.clone(), 3, sample, &mut Generator::new(0));
}

/// No number of steps panics, and every scheduler that is built has finite, ordered noise levels.
#[test]
fn every_number_of_steps_is_built_or_refused() {
    for algorithm in Algorithm::ALL {
        for (spacing, karras) in SPACINGS.into_iter().flat_map(|spacing| [(spacing, false), (spacing, true)]) {
            let mut config = latent();
            (config.timestep_spacing, config.use_karras_sigmas) = (Some(spacing), Some(karras));
            let name = format!("{algorithm} {spacing:?} karras {karras}");
            for steps in 1..=30 {
                let sample = run_with_known_image(algorithm, &config, steps, 0);
                assert!(sample.iter().all(|value| value.is_finite()), "{name} {steps}");
            }
            for steps in [0, 1001, usize::MAX] {
                let error = algorithm.build(&config, steps).expect_err("out of range");
                assert!(matches!(error, SchedulerError::Steps { .. }), "{name} {steps}: {error}");
                assert!(error.to_string().starts_with(&format!("{algorithm} cannot make {steps} steps")), "{error}");
            }
            for steps in (31..=1000).step_by(17).chain([998, 999, 1000]) {
                let Ok(scheduler) = algorithm.build(&config, steps) else { continue };
                assert!(scheduler.timesteps().iter().all(|&t| (0.0..=1000.0).contains(&t)), "{name} {steps}");
                assert!(scheduler.timesteps().len() >= steps, "{name} {steps}");
            }
        }
    }
}

/// A run can be owned by a job that moves between threads.
#[test]
fn a_run_owns_what_it_needs() {
    let scheduler = Algorithm::UniPc.build(&latent(), 4).expect("four steps are possible");
    let calls = std::thread::spawn(move || scheduler.timesteps().len()).join().expect("no panic");
    assert_eq!(calls, 4);
}
