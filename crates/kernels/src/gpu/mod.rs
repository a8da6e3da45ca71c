//! The operations in hand-written WGSL, on every device of wgpu. Accumulation is float32.
//!
//! Every function returns `None` for what its stages do not cover: another backend, autodiff, widths that are no multiples
//! of four, an exotic layer. The caller then takes the [reference](crate::reference).

mod attention;
mod conv2d;
mod group_norm;
mod launch;
mod matmul;

pub(crate) use attention::attention;
pub(crate) use conv2d::conv2d;
pub(crate) use group_norm::group_norm;
pub(crate) use matmul::linear;

use burn::backend::DispatchDevice;
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeDevice;
use cubecl::wgpu::WgpuDeviceKind;
use pyrograph_shaders::Scalar;

/// What decides between the stages of an operation and their variants.
struct Adapter {
    scalar: Scalar,
    /// Whether it is a CPU in truth.
    software: bool,
}

/// Where `x` lives, if that takes WGSL and is outside autodiff. burn's features `vulkan` and `metal` bring compilers that
/// do not.
fn adapter<const D: usize>(x: &Tensor<D>) -> Option<Adapter> {
    let device = x.device();
    let DispatchDevice::Cube(cube) = device.as_dispatch() else { return None };
    if device.is_autodiff() || cube.client().name() != "wgpu<wgsl>" {
        return None;
    }
    let scalar = match x.dtype() {
        DType::F32 => Scalar::F32,
        DType::F16 => Scalar::F16,
        _ => return None,
    };
    Some(Adapter { scalar, software: matches!(cube, CubeDevice::Wgpu(wgpu) if wgpu.kind == WgpuDeviceKind::Cpu) })
}
