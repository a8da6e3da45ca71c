//! The operations on the CPU backend, where burn's own forms take about twice PyTorch's time.
//!
//! Every function returns `None` for what it does not cover: another backend, autodiff, float64, an exotic layer. The
//! caller then takes the [reference](crate::reference). Arithmetic is float32; float16 and bfloat16 tensors are
//! widened on the way in and narrowed on the way out. Multiplications are left to the `gemm` crate, which chooses the
//! instruction set at run time; the loops around it are bound by memory.

mod attention;
mod conv2d;
mod gemm;
mod im2col;
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
pub(crate) use linear::{geglu, linear};
pub(crate) use norm::group_norm;
