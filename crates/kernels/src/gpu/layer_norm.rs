use burn::tensor::Tensor;
use pyrograph_shaders::Epilogue;
use pyrograph_shaders::layer_norm::STAGE;

use super::adapter::{Adapter, Form, adapter};
use super::dispatch::Tile;
use super::launch::Launch;
use crate::LayerNorm;

/// Tokens whose width is a multiple of four.
pub(crate) fn layer_norm(x: &Tensor<3>, norm: &LayerNorm) -> Option<Tensor<3>> {
    let Adapter { scalar, form, .. } = adapter(x)?;
    let beta = norm.beta.as_ref()?.val();
    let [batch, tokens, width] = x.dims();
    if width % 4 != 0 {
        return None;
    }
    let rows = batch * tokens;
    let launch = Launch {
        stage: &STAGE,
        constants: STAGE.variants[usize::from(form == Form::Software)],
        epilogue: Epilogue::Plain,
        workgroups: Tile { rows: 1, columns: 1 }.across([1, rows])?,
        sizes: vec![rows, width, (norm.epsilon as f32).to_bits() as usize],
        shape: x.shape(),
        scalar,
    };
    Some(launch.on_three(x.clone(), norm.gamma.val(), beta, None))
}
