use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use burn::backend::DispatchDevice;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::CubeDevice;
use cubecl::wgpu::{WgpuDevice, WgpuDeviceKind};
use pyrograph_shaders::{Constant, Scalar, Stage, value};

/// What an adapter of wgpu can do beyond what burn asks it. The operations choose their shaders by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterCapabilities {
    /// It is a CPU in truth, such as lavapipe or WARP.
    pub software: bool,
    /// Its units that multiply matrices, if float32 may be their input.
    pub matrix_f32: Option<MatrixUnits>,
    /// Its units that multiply matrices, if float16 may be their input, and float32 their sum.
    pub matrix_f16: Option<MatrixUnits>,
    /// How many workgroups keep all of it busy; where there would be fewer, their tiles are made smaller.
    pub workgroups: usize,
}

impl Default for AdapterCapabilities {
    fn default() -> Self {
        Self { software: false, matrix_f32: None, matrix_f16: None, workgroups: 256 }
    }
}

/// The size of the matrices that an adapter multiplies at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixUnits {
    /// 8 x 8.
    Eight,
    /// 16 x 16.
    Sixteen,
}

/// Leave to ask for features that wgpu calls experimental: cooperative matrices.
#[expect(unsafe_code, reason = "wgpu marks the request as unsafe")]
pub fn experimental_features() -> wgpu::ExperimentalFeatures {
    // SAFETY: burn asks for the same. The shaders that use matrix units are validated by naga like all others, and tested.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

static REGISTERED: RwLock<Option<HashMap<WgpuDevice, AdapterCapabilities>>> = RwLock::new(None);

impl AdapterCapabilities {
    /// Asks an adapter.
    pub fn of(adapter: &wgpu::Adapter) -> Self {
        let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
        let info = adapter.get_info();
        // The shaders give a subgroup room for what one of 64 invocations has to do.
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

    /// Lets the operations know what the adapter of `device` can do. Of a device that nobody registers they only know
    /// whether it was asked for as a CPU.
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

/// What decides between the stages of an operation and their variants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    pub(super) scalar: Scalar,
    pub(super) form: Form,
    workgroups: usize,
}

impl Adapter {
    /// The variant with the largest tiles that keeps the adapter busy with so many rows and columns, else the smallest.
    pub(super) fn tiles(
        self,
        variants: impl Iterator<Item = &'static [Constant]>,
        [rows, columns]: [usize; 2],
    ) -> Option<&'static [Constant]> {
        let mut smallest = None;
        for constants in variants {
            smallest = Some(constants);
            let tiles = rows.div_ceil(value(constants, "TILE_M")) * columns.div_ceil(value(constants, "TILE_N"));
            if tiles >= self.workgroups {
                break;
            }
        }
        smallest
    }
}

/// The forms that a stage may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Shares tiles in workgroup memory.
    Tiled,
    /// Multiplies on matrix units.
    Matrix(MatrixUnits),
    /// Keeps everything in registers.
    Software,
}

/// The stages of an operation, one of each form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    pub(super) tiled: &'static Stage,
    pub(super) matrix_8: &'static Stage,
    pub(super) matrix_16: &'static Stage,
    pub(super) software: &'static Stage,
}

impl Forms {
    pub(super) fn get(self, form: Form) -> &'static Stage {
        match form {
            Form::Tiled => self.tiled,
            Form::Matrix(MatrixUnits::Eight) => self.matrix_8,
            Form::Matrix(MatrixUnits::Sixteen) => self.matrix_16,
            Form::Software => self.software,
        }
    }
}

/// Where `x` lives, if that takes WGSL and is outside autodiff. burn's features `vulkan` and `metal` bring compilers that
/// do not.
pub(super) fn adapter<const D: usize>(x: &Tensor<D>) -> Option<Adapter> {
    let device = x.device();
    let DispatchDevice::Cube(cube) = device.as_dispatch() else { return None };
    if device.is_autodiff() || cube.client().name() != "wgpu<wgsl>" {
        return None;
    }
    let CubeDevice::Wgpu(wgpu) = cube else { return None };
    let capabilities = AdapterCapabilities::registered(wgpu);
    let (scalar, units) = match x.dtype() {
        DType::F32 => (Scalar::F32, capabilities.matrix_f32),
        DType::F16 => (Scalar::F16, capabilities.matrix_f16),
        _ => return None,
    };
    let form = if capabilities.software { Form::Software } else { units.map_or(Form::Tiled, Form::Matrix) };
    Some(Adapter { scalar, form, workgroups: capabilities.workgroups })
}
