use burn::tensor::{Device, Tensor, TensorData};

use crate::level::Level;
use crate::noise_schedule::{BetaDefaults, NoiseSchedule};
use crate::posterior::Posterior;
use crate::{PredictionType, SchedulerConfig, SchedulerError, VarianceType};

/// The diffusion process of training in closed form: adding noise at a timestep, the target of the model, and the bound
/// on its likelihood. Symbols are those of Ho et al. (<https://arxiv.org/abs/2006.11239>). Timesteps count from 0:
/// timestep t here is t + 1 there. Every sample of a batch has its own timestep.
///
/// ```
/// use burn::tensor::Device;
/// use pyrograph_scheduler::{Diffusion, Generator, SchedulerConfig};
///
/// let diffusion = Diffusion::new(&SchedulerConfig::default())?;
/// let mut generator = Generator::new(0);
/// let original = generator.randn_tensor([2, 3, 8, 8], &Device::flex());
/// let noise = generator.randn_tensor([2, 3, 8, 8], &Device::flex());
/// let noisy = diffusion.add_noise(original, noise, &[10, 900]);
/// # Ok::<(), pyrograph_scheduler::SchedulerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Diffusion {
    noise: NoiseSchedule,
    prediction: PredictionType,
    variance: VarianceType,
}

/// Independent normal distributions of the values of a batch.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `[batch, channels, height, width]`
    pub mean: Tensor<4>,
    /// One variance per sample of the batch.
    pub variance: Vec<f64>,
}

impl Diffusion {
    /// The process of a configuration, with DDPM's defaults.
    ///
    /// # Errors
    /// Returns an error if the betas leave no signal.
    pub fn new(config: &SchedulerConfig) -> Result<Self, SchedulerError> {
        Ok(Self {
            noise: NoiseSchedule::rescaled(config, BetaDefaults::DDPM)?,
            prediction: config.prediction_type.unwrap_or(PredictionType::Epsilon),
            variance: config.variance_type.unwrap_or(VarianceType::FixedSmall),
        })
    }

    /// The number of timesteps.
    pub fn steps(&self) -> usize {
        self.noise.train_steps()
    }

    /// alpha-bar / (1 - alpha-bar) of a timestep.
    pub fn signal_to_noise(&self, timestep: usize) -> f64 {
        let Level { alpha, sigma } = self.level(timestep);
        (alpha / sigma).powi(2)
    }

    /// A draw from `q(x_t | x_0)`, equation 4: `sqrt(alpha-bar) x_0 + sqrt(1 - alpha-bar) noise`.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub fn add_noise(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        self.sum(timesteps, original, |level| level.alpha, noise, |level| level.sigma)
    }

    /// The target of the model for [`add_noise`](Self::add_noise) with the same arguments.
    ///
    /// # Shapes
    /// - `original`, `noise` and output: `[batch, channels, height, width]`
    pub fn target(&self, original: Tensor<4>, noise: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        match self.prediction {
            PredictionType::Epsilon => noise,
            PredictionType::Sample => original,
            PredictionType::VPrediction => {
                self.sum(timesteps, noise, |level| level.alpha, original, |level| -level.sigma)
            }
        }
    }

    /// `x_0` according to the model's output.
    ///
    /// # Shapes
    /// - `output`, `noisy` and result: `[batch, channels, height, width]`
    pub fn denoised(&self, output: Tensor<4>, noisy: Tensor<4>, timesteps: &[usize]) -> Tensor<4> {
        match self.prediction {
            PredictionType::Sample => output,
            PredictionType::Epsilon => {
                self.sum(timesteps, noisy, |level| 1.0 / level.alpha, output, |level| -level.sigma / level.alpha)
            }
            PredictionType::VPrediction => {
                self.sum(timesteps, noisy, |level| level.alpha, output, |level| -level.sigma)
            }
        }
    }

    /// The factor for a timestep's squared error. With it, the error is that of `x_0` with the weight min(SNR, `gamma`)
    /// (Hang et al., <https://arxiv.org/abs/2303.09556>, section 3.4).
    pub fn min_snr_weight(&self, timestep: usize, gamma: f64) -> f64 {
        let snr = self.signal_to_noise(timestep);
        match self.prediction {
            PredictionType::Epsilon => snr.min(gamma) / snr,
            PredictionType::VPrediction => snr.min(gamma) / (snr + 1.0),
            PredictionType::Sample => snr.min(gamma),
        }
    }

    /// `q(x_(t-1) | x_t, x_0)`, equations 6 and 7. At timestep 0 it is `x_0` without variance.
    ///
    /// # Shapes
    /// - `original`, `noisy`: `[batch, channels, height, width]`
    pub fn posterior(&self, original: Tensor<4>, noisy: Tensor<4>, timesteps: &[usize]) -> Gaussian {
        let posteriors: Vec<Posterior> = timesteps.iter().map(|&timestep| self.posterior_of(timestep)).collect();
        let device = original.device();
        let of = |weight: fn(&Posterior) -> f64| column(&posteriors.iter().map(weight).collect::<Vec<_>>(), &device);
        let mean = original * of(|posterior| posterior.of_original) + noisy * of(|posterior| posterior.of_noisy);
        Gaussian { mean, variance: posteriors.iter().map(|posterior| posterior.beta_tilde).collect() }
    }

    /// `p(x_(t-1) | x_t)` according to the model's output: the posterior for the predicted `x_0`, with the variance
    /// sigma^2 = beta or beta-tilde of section 3.2. At timestep 0 the variance is that of timestep 1, because
    /// beta-tilde is 0 there.
    ///
    /// # Shapes
    /// - `output`, `noisy`: `[batch, channels, height, width]`
    pub fn reverse(&self, output: Tensor<4>, noisy: Tensor<4>, timesteps: &[usize]) -> Gaussian {
        let denoised = self.denoised(output, noisy.clone(), timesteps);
        let mean = self.posterior(denoised, noisy, timesteps).mean;
        let variance = timesteps.iter().map(|&timestep| match self.variance {
            VarianceType::FixedSmall | VarianceType::FixedSmallLog => self.posterior_of(timestep.max(1)).beta_tilde,
            VarianceType::FixedLarge | VarianceType::FixedLargeLog => self.posterior_of(timestep).beta,
        });
        Gaussian { mean, variance: variance.collect() }
    }

    /// The term of the variational bound for a timestep, equation 5, in bits per dimension for each sample. It is
    /// `L_(t-1)`, the divergence of the reverse step from the posterior. At timestep 0 it is the code length of `x_0`,
    /// whose values stand for 256 levels in `[-1, 1]` (equation 13).
    ///
    /// # Shapes
    /// - `output`, `original`, `noisy`: `[batch, channels, height, width]`; result: `[batch]`
    pub fn bound(&self, output: Tensor<4>, original: Tensor<4>, noisy: Tensor<4>, timesteps: &[usize]) -> Tensor<1> {
        let reverse = self.reverse(output, noisy.clone(), timesteps);
        let posterior = self.posterior(original.clone(), noisy, timesteps);
        let first: Vec<f64> = timesteps.iter().map(|&timestep| f64::from(u8::from(timestep == 0))).collect();
        let first = column(&first, &original.device());
        let divergence = posterior.divergence(&reverse);
        let code_length = reverse.code_length(original);
        let nats = code_length * first.clone() + divergence * (1.0 - first);
        mean_of_each(nats) / std::f64::consts::LN_2
    }

    /// `L_T` of each sample in bits per dimension: the divergence of `q(x_T | x_0)` from standard noise.
    ///
    /// # Shapes
    /// - `original`: `[batch, channels, height, width]`; result: `[batch]`
    pub fn prior_bound(&self, original: Tensor<4>) -> Tensor<1> {
        let level = self.level(self.steps() - 1);
        let batch = original.dims()[0];
        let last = Gaussian { mean: original * level.alpha, variance: vec![level.sigma.powi(2); batch] };
        let noise = Gaussian { mean: last.mean.zeros_like(), variance: vec![1.0; batch] };
        mean_of_each(last.divergence(&noise)) / std::f64::consts::LN_2
    }

    fn level(&self, timestep: usize) -> Level {
        self.noise.level(timestep as f64)
    }

    fn posterior_of(&self, timestep: usize) -> Posterior {
        let before = timestep.checked_sub(1).map_or(Level::CLEAN, |before| self.level(before));
        Posterior::between(self.level(timestep), before)
    }

    /// a(level) x + b(level) y, with the levels of the timesteps.
    fn sum(
        &self,
        timesteps: &[usize],
        x: Tensor<4>,
        a: impl Fn(Level) -> f64,
        y: Tensor<4>,
        b: impl Fn(Level) -> f64,
    ) -> Tensor<4> {
        let weights = |f: &dyn Fn(Level) -> f64| {
            let weights: Vec<f64> = timesteps.iter().map(|&timestep| f(self.level(timestep))).collect();
            column(&weights, &x.device())
        };
        let (a, b) = (weights(&a), weights(&b));
        x * a + y * b
    }
}

impl Gaussian {
    /// The Kullback-Leibler divergence `KL(self || other)` of each value in nats; 0 where `self` has no variance.
    fn divergence(&self, other: &Self) -> Tensor<4> {
        let pairs = self.variance.iter().zip(&other.variance);
        let (constant, scale): (Vec<f64>, Vec<f64>) = pairs
            .map(|(&own, &theirs)| match own {
                0.0 => (0.0, 0.0),
                own => (0.5 * (own / theirs - 1.0 - (own / theirs).ln()), 0.5 / theirs),
            })
            .unzip();
        let device = self.mean.device();
        let distance = self.mean.clone() - other.mean.clone();
        distance.square() * column(&scale, &device) + column(&constant, &device)
    }

    /// The negative logarithm of the probability of `x` in nats. Each value stands for one of 256 intervals of `[-1,
    /// 1]`; the outermost intervals extend to infinity.
    fn code_length(&self, x: Tensor<4>) -> Tensor<4> {
        let device = x.device();
        let inverse: Vec<f64> = self.variance.iter().map(|variance| variance.sqrt().recip()).collect();
        let inverse = column(&inverse, &device);
        let below = |edge: Tensor<4>| {
            let z = (edge - self.mean.clone()) * inverse.clone();
            ((z * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5
        };
        let half = 1.0 / 255.0;
        let upper = below(x.clone() + half).mask_fill(x.clone().greater_elem(0.999), 1.0);
        let lower = below(x.clone() - half).mask_fill(x.lower_elem(-0.999), 0.0);
        -(upper - lower).clamp_min(1e-12).log()
    }
}

/// A factor for each sample of a batch, `[batch, 1, 1, 1]`.
fn column(factors: &[f64], device: &Device) -> Tensor<4> {
    let factors: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    let batch = factors.len();
    Tensor::from_data(TensorData::new(factors, [batch, 1, 1, 1]), device)
}

/// `[batch, channels, height, width]` -> `[batch]`
fn mean_of_each(x: Tensor<4>) -> Tensor<1> {
    let batch = x.dims()[0];
    x.reshape([batch as i32, -1]).mean_dim(1).reshape([batch])
}
