use std::collections::VecDeque;
use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::Noise;
use crate::level::Level;
use crate::prediction::Prediction;
use crate::schedule::Schedule;

/// The rule of one algorithm: how a sample moves from the level of a call to the next level. It keeps the state that a
/// run needs between calls.
pub(crate) trait Sampler: Debug + Send {
    /// # Shapes
    /// - the call's tensors and output: `[batch, channels, height, width]`
    fn step(&mut self, call: Call<'_>) -> Tensor<4>;
}

/// A call of the network and its result, for a [`Sampler`].
pub(crate) struct Call<'a> {
    pub(crate) schedule: &'a Schedule,
    pub(crate) prediction: Prediction,
    pub(crate) index: usize,
    pub(crate) sample: Tensor<4>,
    /// The network's output, in the sample's type.
    pub(crate) output: Tensor<4>,
    pub(crate) noise: &'a mut dyn Noise,
}

impl Call<'_> {
    pub(crate) fn timestep(&self) -> f64 {
        self.schedule.timesteps[self.index]
    }

    /// The level of the sample.
    pub(crate) fn level(&self) -> Level {
        self.schedule.levels[self.index]
    }

    /// The level of the next call's sample.
    pub(crate) fn next_level(&self) -> Level {
        self.schedule.levels[self.index + 1]
    }

    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.schedule.timesteps.len()
    }

    /// The denoised sample `x_0`, within the limit of the configuration.
    pub(crate) fn denoised(&self) -> Tensor<4> {
        self.prediction.denoised(self.output.clone(), self.sample.clone(), self.level())
    }

    /// The noise in the sample; the limit of the denoised sample does not affect it.
    pub(crate) fn epsilon(&self) -> Tensor<4> {
        self.prediction.epsilon(self.output.clone(), self.sample.clone(), self.level())
    }

    /// (x - alpha `x_0`) / sigma: the noise relative to the limited denoised sample. In the variance-exploding view
    /// this is dx/dsigma, the derivative of the probability flow.
    pub(crate) fn derivative(&self) -> Tensor<4> {
        let Level { alpha, sigma } = self.level();
        let signal = if alpha == 1.0 { self.denoised() } else { self.denoised() * alpha };
        (self.sample.clone() - signal) / sigma
    }

    /// Fresh standard normal noise, the next draw.
    pub(crate) fn noise(&mut self) -> Tensor<4> {
        self.noise.draw(self.sample.dims(), &self.sample.device())
    }
}

/// The tensors of the last calls for a multistep method, newest first.
#[derive(Debug)]
pub(crate) struct History {
    /// The highest order of the method, which is the number of calls to keep.
    order: usize,
    tensors: VecDeque<Tensor<4>>,
}

impl History {
    pub(crate) fn new(order: usize) -> Self {
        Self { order, tensors: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, tensor: Tensor<4>) {
        self.tensors.push_front(tensor);
        self.tensors.truncate(self.order);
    }

    pub(crate) fn len(&self) -> usize {
        self.tensors.len()
    }

    pub(crate) fn newest(&self) -> Option<&Tensor<4>> {
        self.tensors.front()
    }

    /// The newest tensors, each with a weight.
    pub(crate) fn weighted<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = (f64, Tensor<4>)> + 'a {
        weights.iter().copied().zip(self.tensors.iter().cloned())
    }

    /// The order of the step at `index`: the highest that the method and the calls so far allow. With
    /// `lower_order_final`, it is at most the number of remaining steps. A step between equal levels is of first order.
    pub(crate) fn order(&self, schedule: &Schedule, index: usize, lower_order_final: bool) -> usize {
        let bound = match schedule.timesteps.len() - index {
            _ if schedule.levels[index] == schedule.levels[index + 1] => 1,
            left if lower_order_final => left,
            _ => self.order,
        };
        bound.min(self.len())
    }
}
