//! Configurations that are right, wrong or silent, and properties of every sampler.

use burn::tensor::{Device, Tensor};
use pyrograph_scheduler::{
    Algorithm, Generator, PredictionType, Scheduler, SchedulerConfig, SchedulerError, TimestepSpacing,
};

const SHAPE: [usize; 4] = [1, 2, 3, 3];
const SPACINGS: [TimestepSpacing; 3] = [TimestepSpacing::Leading, TimestepSpacing::Trailing, TimestepSpacing::Linspace];

fn latent() -> SchedulerConfig {
    let text = r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1,
        "clip_sample": false, "skip_prk_steps": true}"#;
    SchedulerConfig::from_json(text).expect("a valid configuration")
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("float32 values")
}

/// A run with a model that knows the picture: it says what noise, velocity or picture is in the sample.
fn run_with_known_picture(scheduler: &mut Scheduler, kind: PredictionType) -> Vec<f32> {
    let device = Device::flex();
    let picture = Generator::new(1).randn_tensor(SHAPE, &device);
    let zeros = picture.zeros_like();
    let mut generator = Generator::new(2);
    let mut sample = generator.randn_tensor(SHAPE, &device) * scheduler.init_noise_sigma();
    for index in 0..scheduler.timesteps().len() {
        // add_noise is linear: it tells alpha and sigma of the level.
        let alpha = f64::from(values(scheduler.add_noise(zeros.clone() + 1.0, zeros.clone(), index))[0]);
        let sigma = f64::from(values(scheduler.add_noise(zeros.clone(), zeros.clone() + 1.0, index))[0]);
        let epsilon = (sample.clone() - picture.clone() * alpha) / sigma;
        let output = match kind {
            PredictionType::Epsilon => epsilon,
            PredictionType::Sample => picture.clone(),
            PredictionType::VPrediction => (epsilon * alpha - picture.clone() * sigma) / alpha.hypot(sigma),
        };
        sample = scheduler.step(output, index, sample, &mut generator);
    }
    values(sample)
}

/// What the model predicts makes no difference: a model that knows the picture leads to it, whatever it is asked for.
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
                let mut scheduler = algorithm.build(&config, 8).expect("eight steps are possible");
                run_with_known_picture(&mut scheduler, kind)
            });
            let runs: Vec<_> = runs.collect();
            for other in &runs[1..] {
                let largest = runs[0].iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest < 2e-4, "{algorithm}, karras {karras}: {largest}");
            }
        }
    }
}

/// Samplers that end at zero noise end at the picture that their model knows.
#[test]
fn known_picture_is_reached() {
    use Algorithm as A;
    let picture = values(Generator::new(1).randn_tensor(SHAPE, &Device::flex()));
    let at_zero =
        [A::Lms, A::Euler, A::EulerAncestral, A::Heun, A::DpmSolverPlusPlus, A::DpmSolverPlusPlusSde, A::UniPc];
    for algorithm in at_zero.into_iter().chain([A::Kdpm2, A::Kdpm2Ancestral]) {
        for steps in [1, 2, 7, 20] {
            let mut scheduler = algorithm.build(&latent(), steps).expect("few steps are possible");
            let found = run_with_known_picture(&mut scheduler, PredictionType::Epsilon);
            let largest = found.iter().zip(&picture).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < 2e-4, "{algorithm}, {steps} steps: {largest}");
        }
    }
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
                let mut scheduler = algorithm.build(&config, steps).unwrap_or_else(|error| panic!("{name}: {error}"));
                let sample = run_with_known_picture(&mut scheduler, PredictionType::Epsilon);
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
        (r#"{"use_beta_sigmas": true}"#, "use_beta_sigmas"),
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
