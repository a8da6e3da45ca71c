//! Configurations that are right, wrong or silent, and properties of every sampler.

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

/// Signal and noise in the sample at a call: the denoised sample is linear in sample and output.
fn level(scheduler: &Scheduler, index: usize) -> (f64, f64) {
    let constant = |value: f32| Tensor::<4>::full(SHAPE, value, &Device::flex());
    let denoised = |output, sample| f64::from(values(scheduler.denoised(constant(output), index, constant(sample)))[0]);
    let alpha = 1.0 / denoised(0.0, 1.0);
    (alpha, -denoised(1.0, 0.0) * alpha)
}

/// A run from the call `first` on with a network that knows the image: it says what noise, velocity or image is in the
/// sample.
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

/// What the network predicts makes no difference: a network that knows the image leads to it, whatever it is asked for.
/// PNDM combines raw outputs of different timesteps, so that its velocities do not stand for its noises.
#[test]
fn predictions_are_interchangeable() {
    for algorithm in Algorithm::ALL {
        let kinds = [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample];
        let kinds = &kinds[..if algorithm == Algorithm::Pndm { 1 } else { 3 }];
        for karras in [false, algorithm.knows_karras_sigmas()] {
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

/// Samplers that end at zero noise end at the image that their network knows, wherever the run begins. LMS is tested from
/// the start only: diffusers leaves coefficients out in a run that begins later.
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

/// Noise falls from step to step, no call has more than the one before, and after the last call `add_noise` leaves the
/// original to within the last level. What was noised for a step is denoised with the same noise.
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
                // The smallest level of training, 0.0292, times the largest noise. DEIS stays at the last sigma of a schedule, which
                // is the largest level if there is only one.
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
    // 50 * 0.58 is 28.999..., which is cut.
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

/// No number of steps panics, and what is built has finite, ordered noise levels to run on.
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

/// Names go there and back, and diffusers' classes are told apart.
#[test]
fn algorithms_are_found_by_name_and_class() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse::<Algorithm>().expect("its own name"), algorithm);
        let kind = (algorithm == Algorithm::DpmSolverPlusPlusSde).then_some("sde-dpmsolver++");
        assert_eq!(Algorithm::from_class_name(algorithm.class_name(), kind).expect("its own class"), algorithm);
    }
    for algorithm in Algorithm::ALL {
        let name = algorithm.automatic1111_name();
        assert_eq!(name.parse::<Algorithm>().expect(name), algorithm);
        for schedule in SigmaSchedule::ALL {
            let name = format!("{name} {}", schedule.automatic1111_name());
            let found = Algorithm::from_name_with_schedule(&name).expect(&name);
            assert_eq!(found, (algorithm, Some(schedule)), "{name}");
            assert_eq!(schedule.to_string().parse::<SigmaSchedule>().expect("its own name"), schedule);
        }
    }
    let found = Algorithm::from_name_with_schedule("DPM++ 2M SDE Karras").expect("a name with a schedule");
    assert_eq!(found, (Algorithm::DpmSolverPlusPlusSde, Some(SigmaSchedule::Karras)));
    assert_eq!(Algorithm::from_name_with_schedule("euler").expect("our name"), (Algorithm::Euler, None));
    for name in ["Karras", "DPM++ 2MKarras", "DPM++ 2M karras", "DPM++ SDE Karras", "Euler Simple", ""] {
        let error = Algorithm::from_name_with_schedule(name).expect_err(name);
        assert!(matches!(&error, SchedulerError::UnknownAlgorithm(unknown) if unknown == name), "{error}");
    }
    let error = "log".parse::<SigmaSchedule>().expect_err("not a schedule");
    assert!(matches!(&error, SchedulerError::UnknownSchedule(name) if name == "log"), "{error}");
    let unknown = "plms".parse::<Algorithm>().expect_err("not a name here").to_string();
    assert!(unknown.contains("plms") && unknown.contains("dpm-solver++-sde, unipc"), "{unknown}");
    let class = Algorithm::from_class_name("FlowMatchEulerDiscreteScheduler", None).expect_err("no such class");
    assert!(class.to_string().contains("FlowMatchEulerDiscreteScheduler"), "{class}");
    let kind = Algorithm::from_class_name("DPMSolverMultistepScheduler", Some("dpmsolver")).expect_err("not supported");
    assert!(kind.to_string().contains("`algorithm_type` = dpmsolver;"), "{kind}");
}

/// Wrong settings are errors that name the key.
#[test]
fn wrong_settings_are_named() {
    let cases = [
        (r#"{"num_train_timesteps": 0}"#, "num_train_timesteps"),
        (r#"{"num_train_timesteps": 1000000000000}"#, "num_train_timesteps"),
        (r#"{"num_train_timesteps": -5}"#, "-5"),
        (r#"{"beta_start": 0.0}"#, "beta_start"),
        (r#"{"beta_end": 1.0}"#, "beta_end"),
        (r#"{"beta_end": "0.012"}"#, "0.012"),
        (r#"{"beta_schedule": "sigmoid"}"#, "squaredcos_cap_v2"),
        (r#"{"prediction_type": "flow_prediction"}"#, "v_prediction"),
        (r#"{"timestep_spacing": "log"}"#, "trailing"),
        (r#"{"steps_offset": 1000}"#, "steps_offset"),
        (r#"{"variance_type": "learned_range"}"#, "fixed_small_log"),
        (r#"{"solver_order": 4}"#, "solver_order"),
        (r#"{"trained_betas": [0.1, 0.2]}"#, "trained_betas"),
        (r#"{"trained_betas": [0.1, 2.0], "num_train_timesteps": 2}"#, "trained_betas"),
        (r#"{"dynamic_thresholding_ratio": 1.5}"#, "dynamic_thresholding_ratio"),
        (r#"{"eta": -1.0}"#, "eta"),
        (r#"{"use_beta_sigmas": true, "use_karras_sigmas": true}"#, "`use_beta_sigmas` is true too"),
        (r#"{"timestep_type": "continuous"}"#, "timestep_type"),
        (r#"{"beta_start": 0.1, "#, "line 1"),
        ("[]", "invalid"),
        ("", "EOF"),
    ];
    for (text, named) in cases {
        let error = SchedulerConfig::from_json(text).expect_err(text).to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
    let nothing_left = SchedulerConfig { beta_start: Some(0.5), beta_end: Some(0.9), ..SchedulerConfig::default() };
    let error = Algorithm::Euler.build(&nothing_left, 10).expect_err("alpha-bar vanishes");
    assert!(error.to_string().contains("no signal"), "{error}");
    let beyond = SchedulerConfig { timestep_spacing: Some(TimestepSpacing::Leading), ..latent() };
    let error = Algorithm::Ddim.build(&beyond, 1000).expect_err("timestep 1000 does not exist");
    assert!(error.to_string().contains("timestep 1000"), "{error}");
    let error = Algorithm::Pndm.build(&SchedulerConfig::default(), 3).expect_err("Runge-Kutta needs four");
    assert!(error.to_string().contains("4 to 1000"), "{error}");
}

#[test]
fn null_stands_for_the_default() {
    let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "_diffusers_version": "0.42.1", "lambda_min_clipped": null,
        "note": "not looked at", "variance_type": null, "use_karras_sigmas": true, "trained_betas": null}"#;
    let config = SchedulerConfig::from_json(text).expect("a configuration");
    assert_eq!((config.lambda_min_clipped, config.use_karras_sigmas), (None, Some(true)));
    assert_eq!(config.algorithm().expect("a class"), Algorithm::DpmSolverPlusPlus);
    assert!(SchedulerConfig::default().algorithm().is_err());
}
