use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The exponential moving average of a model's weights, with which samples are made. It warms up, so that the first steps
/// count no more than they should: the decay is at most (1 + step) / (10 + step).
#[derive(Clone, Debug)]
pub struct Ema<M> {
    model: M,
    decay: f64,
    steps: usize,
}

impl<M: Module> Ema<M> {
    /// Begins with the model's weights, or goes on after `steps` with those of an average.
    pub fn new(model: M, decay: f64, steps: usize) -> Self {
        Self { model, decay, steps }
    }

    /// The model with the averaged weights.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Takes the weights after a training step into the average.
    #[must_use]
    pub fn update(self, trained: &M) -> Self {
        let decay = self.decay.min((1 + self.steps) as f64 / (10 + self.steps) as f64);
        let mut weights = Weights::default();
        trained.visit(&mut weights);
        let model = self.model.map(&mut Towards { weights: weights.0.into_iter(), share: 1.0 - decay });
        Self { model, steps: self.steps + 1, ..self }
    }
}

/// All weights of a module in its order, flat and without gradients.
#[derive(Default)]
struct Weights(Vec<Tensor<1>>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let weights = parameter.val().inner();
        let count = weights.shape().num_elements();
        self.0.push(weights.reshape([count]));
    }
}

/// Moves the weights of a module of the same structure by a share of the way to those.
struct Towards {
    weights: std::vec::IntoIter<Tensor<1>>,
    share: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let target = self.weights.next().expect("both modules have the same weights");
        parameter.map(|weights| {
            let weights = weights.inner();
            let target = target.reshape(weights.shape());
            weights.clone() + (target - weights) * self.share
        })
    }
}
