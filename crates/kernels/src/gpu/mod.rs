//! The operations in hand-written WGSL, on every device of wgpu. Accumulation is float32.
//!
//! Every function returns `None` for inputs that its stages do not cover: another backend, autodiff, some widths that are no
//! multiples of four. The caller then takes the [reference](crate::reference).

mod adapter;
mod addend;
mod attention;
mod conv2d;
mod dispatch;
mod group_norm;
mod launch;
mod layer_norm;
mod matmul;

pub use adapter::{AdapterCapabilities, MatrixUnits, experimental_features};
pub(crate) use attention::attention;
pub(crate) use conv2d::conv2d;
pub(crate) use group_norm::group_norm;
pub(crate) use layer_norm::layer_norm;
pub(crate) use matmul::{geglu, linear};
