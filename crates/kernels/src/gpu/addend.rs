use burn::tensor::Tensor;
use pyrograph_shaders::Steps;

use super::dispatch::narrow;

/// A tensor that a stage adds to its result `[batch, rows, columns]`.
#[derive(Clone, Debug)]
pub(super) struct Addend {
    pub(super) tensor: Tensor<1>,
    pub(super) steps: Steps,
}

impl Addend {
    /// Of the result's own shape.
    pub(super) fn same<const D: usize>(tensor: &Tensor<D>, [_, rows, columns]: [usize; 3]) -> Self {
        Self { tensor: flat(tensor), steps: steps([rows * columns, columns, 1]) }
    }

    /// `[batch or 1, channels, height, width]`, or `[batch or 1, channels, 1, 1]`; `None` if it has another shape.
    pub(super) fn of_maps(tensor: &Tensor<4>, result: [usize; 4]) -> Option<Self> {
        let [batch, channels, height, width] = tensor.dims();
        let [batches, rows, ..] = result;
        let everywhere = [height, width] == [1, 1];
        if channels != rows || ![1, batches].contains(&batch) || !(everywhere || [height, width] == result[2..]) {
            return None;
        }
        let pixels = height * width;
        let per_batch = if batch == 1 { 0 } else { channels * pixels };
        Some(Self { tensor: flat(tensor), steps: steps([per_batch, pixels, usize::from(!everywhere)]) })
    }
}

fn steps([batch, row, column]: [usize; 3]) -> Steps {
    Steps { batch: narrow(batch), row: narrow(row), column: narrow(column) }
}

fn flat<const D: usize>(tensor: &Tensor<D>) -> Tensor<1> {
    tensor.clone().reshape([tensor.shape().num_elements()])
}
