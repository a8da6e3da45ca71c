use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use burn::backend::DispatchDevice;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::CubeDevice;
use cubecl::wgpu::{WgpuDevice, WgpuDeviceKind};
use pyrograph_shaders::{Scalar, Stage};

/// What an adapter of wgpu can do beyond what burn asks it. The operations choose their shaders by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdapterCapabilities {
    /// It is a CPU in truth, such as lavapipe or WARP.
    pub software: bool,
}

static REGISTERED: RwLock<Option<HashMap<WgpuDevice, AdapterCapabilities>>> = RwLock::new(None);

impl AdapterCapabilities {
    /// Asks an adapter.
    pub fn of(adapter: &wgpu::Adapter) -> Self {
        Self { software: adapter.get_info().device_type == wgpu::DeviceType::Cpu }
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
        known.unwrap_or(Self { software: device.kind == WgpuDeviceKind::Cpu })
    }
}

/// What decides between the stages of an operation and their variants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    pub(super) scalar: Scalar,
    pub(super) form: Form,
}

/// The forms that a stage may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Shares tiles in workgroup memory.
    Tiled,
    /// Keeps everything in registers.
    Software,
}

/// The stages of an operation, one of each form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    pub(super) tiled: &'static Stage,
    pub(super) software: &'static Stage,
}

impl Forms {
    pub(super) fn get(self, form: Form) -> &'static Stage {
        match form {
            Form::Tiled => self.tiled,
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
    let scalar = match x.dtype() {
        DType::F32 => Scalar::F32,
        DType::F16 => Scalar::F16,
        _ => return None,
    };
    let form = if capabilities.software { Form::Software } else { Form::Tiled };
    Some(Adapter { scalar, form })
}
