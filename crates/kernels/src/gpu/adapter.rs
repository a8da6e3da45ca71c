use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use burn::backend::DispatchDevice;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::CubeDevice;
use cubecl::wgpu::{WgpuDevice, WgpuDeviceKind};
pub use pyrograph_shaders::MatrixUnits;
use pyrograph_shaders::Tiles;

/// The capabilities of an adapter of wgpu that the operations choose their shaders by, beyond those that burn knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterCapabilities {
    /// The adapter is a CPU, such as lavapipe or WARP.
    pub software: bool,
    /// Its matrix units for float32.
    pub matrix_f32: Option<MatrixUnits>,
    /// Its matrix units for float16, with sums in float32.
    pub matrix_f16: Option<MatrixUnits>,
    /// The number of workgroups that keeps all of it busy; where there would be fewer, smaller tiles are chosen.
    pub workgroups: usize,
}

impl Default for AdapterCapabilities {
    fn default() -> Self {
        Self { software: false, matrix_f32: None, matrix_f16: None, workgroups: 256 }
    }
}

/// The permission to use features that wgpu calls experimental: cooperative matrices.
#[expect(unsafe_code, reason = "wgpu marks the request as unsafe")]
pub fn experimental_features() -> wgpu::ExperimentalFeatures {
    // SAFETY: burn asks for the same. The shaders that use matrix units are validated by naga like all others, and tested.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

static REGISTERED: RwLock<Option<HashMap<WgpuDevice, AdapterCapabilities>>> = RwLock::new(None);

impl AdapterCapabilities {
    /// The capabilities of `adapter`.
    pub fn of(adapter: &wgpu::Adapter) -> Self {
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
        let info = adapter.get_info();
        // The shaders have registers for a subgroup of 64 invocations at most.
        let usable = adapter.features().contains(needed) && info.subgroup_max_size <= 64;
        let properties = if usable { adapter.cooperative_matrix_properties() } else { Vec::new() };
        let units = |scalar| {
            let has = |size| {
                properties.iter().any(|matrix| {
                    [matrix.m_size, matrix.n_size, matrix.k_size] == [size; 3]
                        && matrix.ab_type == scalar
                        && matrix.cr_type == wgpu::CooperativeScalarType::F32
                })
            };
            if has(16) { Some(MatrixUnits::Sixteen) } else { has(8).then_some(MatrixUnits::Eight) }
        };
        Self {
            software: info.device_type == wgpu::DeviceType::Cpu,
            matrix_f32: units(wgpu::CooperativeScalarType::F32),
            matrix_f16: units(wgpu::CooperativeScalarType::F16),
            workgroups: if info.device_type == wgpu::DeviceType::IntegratedGpu { 64 } else { 256 },
        }
    }

    /// Makes these the capabilities of `device` for all operations. Without this call they assume the default, and `software` for a
    /// device that was asked for as a CPU.
    pub fn register(self, device: &Device) {
        if let DispatchDevice::Cube(CubeDevice::Wgpu(device)) = device.as_dispatch() {
            let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
            registered.get_or_insert_default().insert(device.clone(), self);
        }
    }

    fn registered(device: &WgpuDevice) -> Self {
        let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
        let known = registered.as_ref().and_then(|devices| devices.get(device)).copied();
        known.unwrap_or(Self { software: device.kind == WgpuDeviceKind::Cpu, ..Self::default() })
    }
}

/// The properties of an adapter that the choice of a stage depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    pub(super) form: Form,
    workgroups: usize,
}

impl Adapter {
    /// The largest tiles that keep the adapter busy with so many rows and columns, else the smallest.
    pub(super) fn tiles(self, [rows, columns]: [usize; 2]) -> Tiles {
        let count = |tiles: &Tiles| rows.div_ceil(tiles.side()) * columns.div_ceil(tiles.side());
        Tiles::ALL.into_iter().find(|tiles| count(tiles) >= self.workgroups).unwrap_or(Tiles::Small)
    }
}

/// The fastest form of sums of products on an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In registers, on tiles in workgroup memory.
    Tiled,
    /// On matrix units.
    Matrix(MatrixUnits),
    /// In registers alone.
    Software,
}

/// The adapter of `x`, if it takes WGSL and `x` is outside autodiff. burn's features `vulkan` and `metal` bring compilers that take
/// no WGSL.
pub(super) fn adapter<const D: usize>(x: &Tensor<D>) -> Option<Adapter> {
    let device = x.device();
    let DispatchDevice::Cube(cube) = device.as_dispatch() else { return None };
    if device.is_autodiff() || cube.client().name() != "wgpu<wgsl>" {
        return None;
    }
    let CubeDevice::Wgpu(wgpu) = cube else { return None };
    let capabilities = AdapterCapabilities::registered(wgpu);
    let units = match x.dtype() {
        DType::F32 => capabilities.matrix_f32,
        DType::F16 => capabilities.matrix_f16,
        _ => return None,
    };
    let form = if capabilities.software { Form::Software } else { units.map_or(Form::Tiled, Form::Matrix) };
    Some(Adapter { form, workgroups: capabilities.workgroups })
}
