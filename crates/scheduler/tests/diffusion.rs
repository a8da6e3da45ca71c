//! The closed forms of the diffusion process, compared with sums over steps, numerical integrals and random draws.

use burn::tensor::{Device, Tensor};
use pyrograph_scheduler::{
    BetaSchedule, Diffusion, Gaussian, Generator, PredictionType, SchedulerConfig, VarianceType,
};

const PREDICTIONS: [PredictionType; 3] = [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample];

fn config() -> SchedulerConfig {
    SchedulerConfig {
        num_train_timesteps: Some(50),
        beta_start: Some(0.001),
        beta_end: Some(0.2),
        beta_schedule: Some(BetaSchedule::Linear),
        ..SchedulerConfig::default()
    }
}

fn diffusion(prediction_type: PredictionType) -> Diffusion {
    Diffusion::new(&SchedulerConfig { prediction_type: Some(prediction_type), ..config() })
        .expect("the betas are small")
}

fn beta(timestep: usize) -> f64 {
    0.001 + (0.2 - 0.001) * timestep as f64 / 49.0
}

fn values(values: &[f32]) -> Tensor<4> {
    Tensor::<1>::from_floats(values, &Device::flex()).reshape([values.len(), 1, 1, 1])
}

fn read<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().try_to_vec::<f32>().expect("the tensor is float32").into_iter().map(f64::from).collect()
}

fn close(actual: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (actual - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1e-3), "{what}: {actual} instead of {expected}");
}

fn density(x: f64, mean: f64, variance: f64) -> f64 {
    (-(x - mean).powi(2) / (2.0 * variance)).exp() / (std::f64::consts::TAU * variance).sqrt()
}

/// Midpoints of `[-12, 12]` and their distance.
fn grid() -> (impl Iterator<Item = f64> + Clone, f64) {
    let step = 1e-4;
    ((0..240_000).map(move |i| -12.0 + (f64::from(i) + 0.5) * step), step)
}

#[test]
fn noise_in_one_step_is_noise_step_by_step() {
    let diffusion = diffusion(PredictionType::Epsilon);
    let (mut mean, mut variance) = (1.0, 0.0);
    for timestep in 0..diffusion.steps() {
        mean *= (1.0 - beta(timestep)).sqrt();
        variance = (1.0 - beta(timestep)) * variance + beta(timestep);
        let of = |original, noise| read(diffusion.add_noise(values(&[original]), values(&[noise]), &[timestep]))[0];
        close(of(1.0, 0.0), mean, 1e-5, "the signal");
        close(of(0.0, 1.0), variance.sqrt(), 1e-5, "the noise");
        close(diffusion.signal_to_noise(timestep), mean.powi(2) / variance, 1e-4, "their ratio");
    }
}

#[test]
fn the_posterior_is_bayes_rule() {
    let diffusion = diffusion(PredictionType::Epsilon);
    for (timestep, original, noisy) in [(1, 0.5, 0.4), (7, -0.8, 0.3), (30, 0.9, -1.5), (49, -1.0, 0.2)] {
        let posterior = diffusion.posterior(values(&[original]), values(&[noisy]), &[timestep]);
        let kept: f64 = (0..timestep).map(|timestep| 1.0 - beta(timestep)).product();
        let (original, noisy) = (f64::from(original), f64::from(noisy));
        let (points, step) = grid();
        let joint = |x: f64| {
            density(x, kept.sqrt() * original, 1.0 - kept)
                * density(noisy, (1.0 - beta(timestep)).sqrt() * x, beta(timestep))
        };
        let total: f64 = points.clone().map(joint).sum::<f64>() * step;
        let mean = points.clone().map(|x| x * joint(x)).sum::<f64>() * step / total;
        let variance = points.map(|x| (x - mean).powi(2) * joint(x)).sum::<f64>() * step / total;
        close(read(posterior.mean)[0], mean, 1e-4, "the mean");
        close(posterior.variance[0], variance, 1e-3, "the variance");
    }
}

#[test]
fn predictions_lead_back_to_the_original() {
    let (original, noise) = (values(&[0.3, -0.9, 0.7]), values(&[1.2, 0.1, -2.0]));
    let timesteps = [0, 20, 49];
    for prediction in PREDICTIONS {
        let diffusion = diffusion(prediction);
        let noisy = diffusion.add_noise(original.clone(), noise.clone(), &timesteps);
        let target = diffusion.target(original.clone(), noise.clone(), &timesteps);
        for (actual, expected) in read(diffusion.denoised(target, noisy, &timesteps)).iter().zip(read(original.clone()))
        {
            close(*actual, expected, 1e-4, "x_0");
        }
    }
}

/// With its weight, an error of the prediction is min(SNR, gamma) times the error of `x_0`, for every prediction type.
#[test]
fn weights_are_those_of_the_original() {
    for prediction in PREDICTIONS {
        let diffusion = diffusion(prediction);
        for timestep in [0, 3, 25, 49] {
            let (noisy, output) = (values(&[0.4]), values(&[0.6]));
            let denoised = |output| read(diffusion.denoised(output, noisy.clone(), &[timestep]))[0];
            let error = denoised(output.clone() + 0.1) - denoised(output);
            let expected = diffusion.signal_to_noise(timestep).min(5.0) * error.powi(2);
            close(diffusion.min_snr_weight(timestep, 5.0) * 0.01, expected, 2e-3, "the weighted error");
        }
    }
}

/// The probabilities in the first term sum to one over all 256 levels.
#[test]
fn code_lengths_are_probabilities() {
    let diffusion = diffusion(PredictionType::Sample);
    let levels: Vec<f32> = (0..256).map(|level| level as f32 / 127.5 - 1.0).collect();
    let (noisy, output) = (values(&[0.2; 256]), values(&[0.1; 256]));
    let bits = read(diffusion.bound(output, values(&levels), noisy, &[0; 256]));
    close(bits.iter().map(|bits| (-bits).exp2()).sum(), 1.0, 1e-3, "their sum");
}

/// The divergences sum to the bound from which they were derived, `E[-log p(x_0..T) / q(x_1..T | x_0)]`, equation 3,
/// which is estimated from whole paths.
#[test]
fn terms_sum_to_the_bound() {
    const PATHS: usize = 20_000;
    let settings = SchedulerConfig {
        num_train_timesteps: Some(4),
        trained_betas: Some(vec![0.1, 0.3, 0.5, 0.7]),
        variance_type: Some(VarianceType::FixedLarge),
        prediction_type: Some(PredictionType::Sample),
        ..SchedulerConfig::default()
    };
    let betas = [0.1, 0.3, 0.5, 0.7_f64];
    let diffusion = Diffusion::new(&settings).expect("the betas leave a signal");
    let model = |noisy: Tensor<4>| noisy * 0.5; // of x_0
    let device = Device::flex();
    let mut generator = Generator::new(3);
    let mut randn = || generator.randn_tensor([PATHS, 1, 1, 1], &device);
    let original = values(&[102.0 / 127.5 - 1.0; PATHS]);

    let mut terms = read(diffusion.prior_bound(original.clone()));
    for timestep in 0..4 {
        let noisy = diffusion.add_noise(original.clone(), randn(), &[timestep; PATHS]);
        let bound = diffusion.bound(model(noisy.clone()), original.clone(), noisy, &[timestep; PATHS]);
        terms.iter_mut().zip(read(bound)).for_each(|(sum, term)| *sum += term);
    }

    let log_density = |x: Tensor<4>, Gaussian { mean, variance }: &Gaussian| {
        let distance = (x - mean.clone()).square() / (2.0 * variance[0]);
        read(distance).into_iter().map(|d| -d - 0.5 * (std::f64::consts::TAU * variance[0]).ln()).collect::<Vec<_>>()
    };
    let mut paths = vec![0.0; PATHS]; // nats
    let mut add = |sign: f64, logs: Vec<f64>| paths.iter_mut().zip(logs).for_each(|(sum, log)| *sum += sign * log);
    let mut x = original.clone();
    for (timestep, beta) in betas.into_iter().enumerate() {
        let forward = Gaussian { mean: x.clone() * (1.0 - beta).sqrt(), variance: vec![beta] };
        let next = forward.mean.clone() + randn() * beta.sqrt();
        add(1.0, log_density(next.clone(), &forward));
        let output = model(next.clone());
        if timestep == 0 {
            let bits = diffusion.bound(output, original.clone(), next.clone(), &[0; PATHS]);
            add(1.0, read(bits).into_iter().map(|bits| bits * std::f64::consts::LN_2).collect());
        } else {
            add(-1.0, log_density(x, &diffusion.reverse(output, next.clone(), &[timestep; PATHS])));
        }
        x = next;
    }
    let standard = Gaussian { mean: x.zeros_like(), variance: vec![1.0] };
    add(-1.0, log_density(x, &standard));

    let mean = |values: &[f64]| values.iter().sum::<f64>() / PATHS as f64;
    let (terms, paths) = (mean(&terms), mean(&paths) / std::f64::consts::LN_2);
    close(terms, paths, 0.02, "the sum of the terms in bits");
}
