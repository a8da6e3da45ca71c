//! The operations on the CPU backend, where burn's own forms take about twice PyTorch's time.
//!
//! Every function returns `None` for inputs that it does not cover: another backend, float64. The caller then takes the
//! [reference](crate::reference). Under autodiff an operation records its own gradient. Arithmetic is float32; float16 and bfloat16 tensors are
//! widened on the way in and narrowed on the way out. Multiplications are left to the `gemm` crate, which chooses the
//! instruction set at run time; the loops around it are bound by memory.

mod attention;
mod autodiff;
mod conv2d;
mod gate;
mod gemm;
mod im2col;
mod layer_norm;
mod linear;
mod math;
mod norm;
mod pointwise;
mod scratch;
mod values;
mod vectorized;
mod winograd;

pub(crate) use attention::attention;
pub(crate) use conv2d::conv2d;
pub(crate) use gate::gate;
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::{geglu, linear};
pub(crate) use norm::group_norm;
