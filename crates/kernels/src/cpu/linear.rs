mod gradient;

use burn::tensor::Tensor;

use super::autodiff::{Inputs, track};
use super::gate::gate_in_parallel;
use super::gemm::{Matrix, MatrixMut, Previous, gemm_on_all_threads};
use super::scratch::Scratch;
use super::values::{Values, tensor};
use crate::Linear;

/// Tokens of each thread whose projection, twice the width, is kept until it is gated.
const TOKENS: usize = 256;

/// Tokens that the gradient of the bias adds up at a time.
const GROUP: usize = 64;

/// See [`crate::linear`].
pub(crate) fn linear<const D: usize>(x: &Tensor<D>, layer: &Linear) -> Option<Tensor<D>> {
    let bias = layer.bias.as_ref().and_then(|bias| track(&bias.val()));
    let inputs = Inputs::new([track(x), track(&layer.weight.val()), bias])?;
    let operands = Operands::new(x, layer)?;
    let mut shape = x.dims();
    shape[D - 1] = operands.d_output;
    let mut y = vec![0.0; shape.iter().product()];
    operands.project(&operands.x, &mut y);
    Some(inputs.record(tensor(y, shape, x), || gradient::LinearGradient(operands)))
}

/// See [`crate::geglu`]. Under autodiff the projection, which its gradient needs, is not thrown away: there it is left to
/// [`linear`] and [`gate`](super::gate).
pub(crate) fn geglu(x: &Tensor<3>, proj: &Linear) -> Option<Tensor<3>> {
    if track(x).is_some() {
        return None;
    }
    let operands = Operands::new(x, proj)?;
    let ([batch, tokens, d_input], width) = (x.dims(), operands.d_output / 2);
    let mut y = vec![0.0; batch * tokens * width];
    let block = TOKENS * rayon::current_num_threads();
    y.chunks_mut(block * width).zip(operands.x.chunks(block * d_input)).for_each(|(y, x)| {
        let mut projected = Scratch::new(2 * y.len()); // [tokens, 2 width]
        operands.project(x, &mut projected);
        gate_in_parallel(&projected, width, y);
    });
    Some(tensor(y, [batch, tokens, width], x))
}

#[derive(Clone, Debug)]
struct Operands {
    x: Values,
    weight: Values,
    /// Of the weight `[d_output, d_input]`, which may be a view.
    strides: [usize; 2],
    bias: Option<Values>,
    d_input: usize,
    d_output: usize,
}

impl Operands {
    fn new<const D: usize>(x: &Tensor<D>, layer: &Linear) -> Option<Self> {
        let weight = layer.weight.val();
        let [d_output, d_input] = weight.dims();
        if x.shape().num_elements() == 0 || x.dims()[D - 1] != d_input || d_output == 0 {
            return None;
        }
        let bias = match &layer.bias {
            Some(bias) => Some(Values::contiguous(&bias.val())?),
            None => None,
        };
        let weight = Values::strided(&weight)?;
        let strides = weight.strides()?;
        Some(Self { x: Values::contiguous(x)?, weight, strides, bias, d_input, d_output })
    }

    /// `y = x W^T + b` of some tokens, on all threads.
    fn project(&self, x: &[f32], y: &mut [f32]) {
        let Self { d_input, d_output, .. } = *self;
        let tokens = y.len() / d_output;
        let previous = match &self.bias {
            Some(bias) => {
                y.chunks_exact_mut(d_output).for_each(|y| y.copy_from_slice(&bias[..d_output]));
                Previous::Add
            }
            None => Previous::Replace,
        };
        let x = Matrix::new(x, [tokens, d_input], [d_input, 1]);
        let [row, column] = self.strides;
        let weight = Matrix::new(&self.weight, [d_input, d_output], [column, row]);
        gemm_on_all_threads(MatrixMut::new(y, [tokens, d_output], d_output), x, weight, previous);
    }
}
