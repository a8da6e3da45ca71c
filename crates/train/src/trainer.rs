mod files;

use std::ops::Range;

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use pyrograph_scheduler::Generator;
use serde::{Deserialize, Serialize};

use crate::bounds::{not_negative, positive, within};
use crate::seeds::mix;
use crate::{Bounds, Ema, TrainError, clip_gradients};

/// The settings of the optimiser. Every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerConfig {
    /// Optimiser steps of the whole run; 10,000.
    pub steps: usize,
    /// The highest learning rate of `AdamW` (<https://arxiv.org/abs/1711.05101>); 0.0001.
    pub learning_rate: f64,
    /// Steps over which it rises from 0; then it falls to 0 along half a cosine. 100.
    pub warmup_steps: usize,
    /// 0.01.
    pub weight_decay: f32,
    /// The largest Euclidean norm of all gradients together; 1, as in latent diffusion. 0 turns it off.
    pub max_grad_norm: f64,
    /// Batches whose gradients are added up for a step; 1.
    pub gradient_accumulation: usize,
    /// The decay of the averaged weights; 0.999.
    pub ema_decay: f64,
    /// All random numbers follow from it; 0.
    pub seed: u64,
    /// Whether activations are computed anew for gradients where that is cheap, instead of being kept: less memory, more
    /// time. false.
    pub gradient_checkpointing: bool,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            steps: 10_000,
            learning_rate: 1e-4,
            warmup_steps: 100,
            weight_decay: 0.01,
            max_grad_norm: 1.0,
            gradient_accumulation: 1,
            ema_decay: 0.999,
            seed: 0,
            gradient_checkpointing: false,
        }
    }
}

impl Bounds for TrainerConfig {
    fn check(&self) -> Result<(), TrainError> {
        positive("trainer.steps", self.steps)?;
        not_negative("trainer.learning_rate", self.learning_rate)?;
        not_negative("trainer.weight_decay", f64::from(self.weight_decay))?;
        not_negative("trainer.max_grad_norm", self.max_grad_norm)?;
        within("trainer.gradient_accumulation", self.gradient_accumulation, 1..=1 << 16, "1 to 65536")?;
        within("trainer.ema_decay", self.ema_decay, 0.0..1.0, "a number from 0 on and below 1")
    }
}

impl TrainerConfig {
    /// The device with autodiff.
    pub fn device(&self, device: &pyrograph::Device) -> Device {
        let device = device.tensors().clone().autodiff();
        if self.gradient_checkpointing { device.gradient_checkpointing() } else { device }
    }

    /// Random numbers for the data of a batch, others than those that its loss gets.
    pub(crate) fn generator_of_data(&self, batch: usize) -> Generator {
        Generator::new(mix(!self.seed, batch as u64))
    }

    /// The learning rate of a step, counted from 0.
    pub fn learning_rate(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup_steps).max(1);
        let done = ((step - self.warmup_steps) as f64 / rest as f64).min(1.0);
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }
}

/// A model in training. The caller owns the loop:
///
/// ```text
/// while !trainer.finished() {
///     let loss = trainer.step(|model, generator| ...)?;
/// }
/// ```
///
/// The random numbers of a step depend on the seed and the step alone, so that a run that goes on from a checkpoint takes the
/// same steps as one that was never stopped.
#[derive(Clone)]
pub struct Trainer<M> {
    config: TrainerConfig,
    model: M,
    ema: Ema<M>,
    optimizer: ModuleOptimizer,
    step: usize,
}

impl<M: Module> Trainer<M> {
    /// Begins with the weights of `model`, which lives on a device with autodiff.
    pub fn new(model: M, config: TrainerConfig) -> Self {
        let ema = Ema::new(model.clone().valid(), config.ema_decay, 0);
        let optimizer = AdamWConfig::new().with_weight_decay(config.weight_decay).with_epsilon(1e-8).init();
        Self { config, model, ema, optimizer, step: 0 }
    }

    /// The model as it is trained.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model with averaged weights, without autodiff: the one to make samples with.
    pub fn averaged(&self) -> &M {
        self.ema.model()
    }

    /// Steps that have been taken.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// Whether all steps of the configuration have been taken.
    pub fn finished(&self) -> bool {
        self.step >= self.config.steps
    }

    /// The numbers of the batches of the next step, of which there are as many as are accumulated.
    pub(crate) fn batches(&self) -> Range<usize> {
        let batches = self.config.gradient_accumulation.max(1);
        self.step * batches..(self.step + 1) * batches
    }

    /// Takes a step along the gradient of the mean of what `loss` returns for each accumulated batch; answers with that mean.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when the loss or a gradient is NaN or infinite; the model is as it was before.
    pub fn step(&mut self, mut loss: impl FnMut(&M, &mut Generator) -> Tensor<1>) -> Result<f64, TrainError> {
        let mut gradients = GradientsAccumulator::new();
        let mut sum = 0.0;
        for batch in self.batches() {
            let mut generator = Generator::new(mix(self.config.seed, batch as u64));
            let loss = loss(&self.model, &mut generator) / self.batches().len() as f64;
            sum += f64::from(loss.to_data().convert::<f32>().try_to_vec::<f32>().expect("a loss is one number")[0]);
            gradients.accumulate(&self.model, GradientsParams::from_grads(loss.backward(), &self.model));
        }
        let (gradients, norm) = clip_gradients(&self.model, gradients.grads(), self.config.max_grad_norm);
        if !(sum.is_finite() && norm.is_finite()) {
            return Err(TrainError::NotFinite { step: self.step, loss: sum });
        }
        let rate = self.config.learning_rate(self.step);
        self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        self.ema = self.ema.clone().update(&self.model);
        self.step += 1;
        Ok(sum)
    }

    /// Changes the model between steps by other means than gradients.
    pub(crate) fn change(&mut self, change: impl FnOnce(M) -> M) {
        self.model = change(self.model.clone());
    }
}

impl<M> std::fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("config", &self.config).field("step", &self.step).finish_non_exhaustive()
    }
}
