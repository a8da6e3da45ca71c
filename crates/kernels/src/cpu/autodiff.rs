//! How an operation of this module gets a gradient under burn's autodiff: it runs on the values of its inputs, and
//! its result is recorded with the [`Gradient`] that answers when the backward pass arrives there.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Shape, Tensor, TensorData};

use super::values::Values;

type Tracked = FloatTensor<Autodiff<Flex>>;

/// The gradients of an operation with respect to its `N` inputs, with the values that it keeps of the forward pass.
pub(super) trait Gradient<const N: usize>: Clone + Debug + Send + 'static {
    /// From the gradient of the output, which may be a view: the gradients of the inputs that are `wanted`, in row-major
    /// order. The others are not computed.
    fn gradients(self, output: Values, wanted: [bool; N]) -> [Option<Vec<f32>>; N];
}

/// An input of an operation if it lives on the CPU backend under autodiff, whether or not its gradient is required.
pub(super) fn track<const D: usize>(x: &Tensor<D>) -> Option<Tracked> {
    let plain = || x.clone().try_into_primitive::<Autodiff<Flex, NoCheckpointing>>();
    let balanced = || x.clone().try_into_primitive::<Autodiff<Flex, BalancedCheckpointing>>();
    plain().or_else(|_| balanced()).ok()
}

/// The inputs of an operation as autodiff sees them, `None` for those that it does not.
pub(super) struct Inputs<const N: usize>([Option<Tracked>; N]);

impl<const N: usize> Inputs<N> {
    /// `None` for cases that are left to burn: a float type that is narrower than the gradients' own, and a first input
    /// outside of autodiff with others inside.
    pub(super) fn new(inputs: [Option<Tracked>; N]) -> Option<Self> {
        let narrow = inputs.iter().flatten().any(|input| input.primitive().dtype() != DType::F32);
        let mixed = inputs[0].is_none() && inputs.iter().any(Option::is_some);
        (!narrow && !mixed).then_some(Self(inputs))
    }

    /// The result `y` of the operation, recorded with its gradient where an input requires one.
    pub(super) fn record<const D: usize, G: Gradient<N>>(
        self,
        y: Tensor<D>,
        gradient: impl FnOnce() -> G,
    ) -> Tensor<D> {
        let Some(y_tracked) = track(&y) else { return y };
        let value = y_tracked.into_primitive();
        let shapes = self.0.each_ref().map(|input| match input {
            Some(input) => input.primitive().layout().shape().clone(),
            None => Shape::new([0]),
        });
        // An input that autodiff does not see stands in the graph as a constant.
        let nodes = self.0.map(|input| input.unwrap_or_else(|| Tracked::new(value.clone())).node());
        let recorded = match Step(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((gradient(), shapes), value),
            OpsKind::UnTracked(step) => step.finish(value),
        };
        match y.try_into_primitive::<Autodiff<Flex, NoCheckpointing>>() {
            Ok(_) => Tensor::from_primitive::<Autodiff<Flex, NoCheckpointing>>(recorded),
            Err(_) => Tensor::from_primitive::<Autodiff<Flex, BalancedCheckpointing>>(recorded),
        }
    }
}

/// The place of an operation in autodiff's graph.
#[derive(Debug)]
struct Step<G>(PhantomData<G>);

impl<const N: usize, G: Gradient<N>> Backward<Flex, N> for Step<G> {
    type State = (G, [Shape; N]);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = Values::new(gradients.consume::<Flex>(&ops.node));
        let (gradient, shapes) = ops.state;
        let inputs = gradient.gradients(output, ops.parents.each_ref().map(Option::is_some));
        for ((node, shape), values) in ops.parents.into_iter().zip(shapes).zip(inputs) {
            if let (Some(node), Some(values)) = (node, values) {
                let tensor = FloatTensor::<Flex>::from_data(TensorData::new(values, shape));
                gradients.register::<Flex>(node.id, tensor);
            }
        }
    }
}
