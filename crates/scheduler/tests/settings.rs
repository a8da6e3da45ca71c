//! Configurations that are correct, wrong or incomplete, and the names of algorithms.

use pyrograph_scheduler::{Algorithm, SchedulerConfig, SchedulerError, SigmaSchedule, TimestepSpacing};

/// Names survive a round trip, and diffusers' classes are distinguished.
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
    let leading = Some(TimestepSpacing::Leading);
    let beyond = SchedulerConfig { timestep_spacing: leading, steps_offset: Some(1), ..SchedulerConfig::default() };
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
