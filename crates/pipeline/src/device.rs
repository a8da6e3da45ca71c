//! Where tensors live: a GPU through wgpu, or the CPU.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::wgpu::{WgpuBackend, wgpu};
use burn::tensor::{DType, DeviceKind};

use crate::Error;

/// A device that models can be loaded to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Device {
    tensors: burn::tensor::Device,
    name: String,
    largest_binding: Option<u64>,
}

/// An adapter that wgpu sees.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The adapter's own name, by which [`device`] finds it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// The driver and its version.
    pub driver: String,
    /// What the adapter allows.
    pub limits: wgpu::Limits,
    /// What the adapter can do beyond the minimum.
    pub features: wgpu::Features,
    selector: DeviceKind,
    backend: WgpuBackend,
}

/// The device of that name: `auto` (the best hardware adapter, else the CPU), `cpu`, `wgpu` (the best adapter, a software
/// one if there is no other), or a part of an adapter's name as [`adapters`] lists it.
///
/// # Errors
/// When no adapter has that name or wgpu cannot open it.
pub fn device(name: &str) -> Result<Device, Error> {
    let adapter = match name {
        "cpu" => None,
        "auto" => adapters().into_iter().find(|adapter| adapter.kind != "software"),
        "wgpu" => Some(adapters().into_iter().next().ok_or_else(|| no_adapter(name, &[]))?),
        part => {
            let found = adapters();
            let matches = |adapter: &&Adapter| adapter.name.to_lowercase().contains(&part.to_lowercase());
            Some(found.iter().find(matches).cloned().ok_or_else(|| no_adapter(name, &found))?)
        }
    };
    adapter.map_or_else(|| Ok(Device::cpu()), |adapter| adapter.open())
}

/// All adapters that Vulkan, Metal or DirectX 12 offer, the most powerful first.
pub fn adapters() -> Vec<Adapter> {
    let apis = [wgpu::Backends::METAL, wgpu::Backends::DX12, wgpu::Backends::VULKAN];
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY, // without OpenGL, which would be started in vain
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = Vec::new();
    for api in apis {
        let mut seen: HashMap<&'static str, usize> = HashMap::new();
        for adapter in pollster::block_on(instance.enumerate_adapters(api)) {
            let index = seen.entry(kind(adapter.get_info().device_type)).or_default();
            adapters.extend(Adapter::new(&adapter, *index));
            *index += 1;
        }
    }
    let rank = |kind| ["discrete", "integrated", "virtual", "other", "software"].iter().position(|k| *k == kind);
    adapters.sort_by_key(|adapter| rank(adapter.kind));
    adapters
}

impl Device {
    fn cpu() -> Self {
        Self { tensors: burn::tensor::Device::flex(), name: "cpu".into(), largest_binding: None }
    }

    /// The device as burn knows it.
    pub fn tensors(&self) -> &burn::tensor::Device {
        &self.tensors
    }

    /// The adapter's name, or `cpu`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The largest tensor in bytes that a shader can be given; `None` where memory is the only bound.
    pub fn largest_binding(&self) -> Option<u64> {
        self.largest_binding
    }

    /// Whether tensors can be float16.
    pub fn supports_f16(&self) -> bool {
        self.tensors.supports_dtype(DType::F16)
    }
}

impl Adapter {
    fn new(adapter: &wgpu::Adapter, index: usize) -> Option<Self> {
        let info = adapter.get_info();
        let selector = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(index),
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(index),
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(index),
            // burn can only select the first adapter of these kinds.
            wgpu::DeviceType::Cpu if index == 0 => DeviceKind::Cpu,
            wgpu::DeviceType::Other if index == 0 => DeviceKind::DefaultDevice,
            _ => return None,
        };
        let backend = match info.backend {
            wgpu::Backend::Metal => WgpuBackend::Metal,
            wgpu::Backend::Dx12 => WgpuBackend::Dx12,
            _ => WgpuBackend::Vulkan,
        };
        Some(Self {
            kind: kind(info.device_type),
            api: info.backend.to_str().to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            name: info.name,
            limits: adapter.limits(),
            features: adapter.features(),
            selector,
            backend,
        })
    }

    /// Opens the adapter. burn lets an adapter be opened only once, so that open devices are kept.
    fn open(self) -> Result<Device, Error> {
        static OPEN: Mutex<Option<HashMap<String, Device>>> = Mutex::new(None);
        let key = format!("{:?} {:?}", self.backend, self.selector);
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_with(HashMap::new);
        if let Some(device) = open.get(&key) {
            return Ok(device.clone());
        }
        let options = burn::tensor::Device::wgpu_options().device_kind(self.selector).graphics_api(self.backend);
        let failed = |error| Error::Device { name: self.name.clone(), problem: format!("{error}") };
        let device = Device {
            tensors: options.init().map_err(failed)?,
            largest_binding: Some(self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)),
            name: self.name,
        };
        open.insert(key, device.clone());
        Ok(device)
    }
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

fn no_adapter(name: &str, found: &[Adapter]) -> Error {
    let names: Vec<&str> = found.iter().map(|adapter| adapter.name.as_str()).collect();
    let problem = match names.as_slice() {
        [] => "wgpu finds no adapter; install a Vulkan, Metal or DirectX 12 driver, or use `cpu`".to_owned(),
        names => format!("must be auto, cpu, wgpu or a part of an adapter's name: {}", names.join(", ")),
    };
    Error::Device { name: name.to_owned(), problem }
}
