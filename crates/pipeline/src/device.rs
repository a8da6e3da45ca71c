//! Where tensors live: a GPU through wgpu, or the CPU.

use std::collections::HashMap;

use async_lock::Mutex;
use burn::tensor::wgpu::{WgpuBackend, WgpuSetup, wgpu};
use burn::tensor::{DType, DeviceKind};
use pyrograph_kernels::AdapterCapabilities;

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
    /// `vulkan`, `metal`, `dx12` or, in browsers, `webgpu`.
    pub api: String,
    /// The driver and its version.
    pub driver: String,
    /// What the adapter allows.
    pub limits: wgpu::Limits,
    /// What the adapter can do beyond the minimum.
    pub features: wgpu::Features,
    selector: DeviceKind,
    backend: WgpuBackend,
    instance: wgpu::Instance,
    adapter: wgpu::Adapter,
}

/// How much of an adapter is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limits {
    /// All that the adapter allows.
    Adapter,
    /// What WebGPU guarantees in every browser: 128 MiB per binding, 256 MiB per buffer, 16 KiB of workgroup memory, 256
    /// invocations.
    WebGpuDefault,
}

/// The device of that name: `auto` (the best hardware adapter, else the CPU), `cpu`, `wgpu` (the best adapter, a software
/// one if there is no other), or a part of an adapter's name as [`adapters`] lists it.
///
/// With `PYROGRAPH_LIMITS=webgpu-default` in the environment the device is that of [`device_within`]
/// [`Limits::WebGpuDefault`].
///
/// # Errors
/// When no adapter has that name, wgpu cannot open it, or `PYROGRAPH_LIMITS` has another value.
pub fn device(name: &str) -> Result<Device, Error> {
    let limits = match std::env::var("PYROGRAPH_LIMITS") {
        Err(_) => Limits::Adapter,
        Ok(value) if value == "webgpu-default" => Limits::WebGpuDefault,
        Ok(value) => {
            let problem =
                format!("the environment's PYROGRAPH_LIMITS is {value:?}; it must be \"webgpu-default\" or absent");
            return Err(Error::Device { name: name.to_owned(), problem });
        }
    };
    device_within(name, limits)
}

/// The [`device`] of that name, kept within `limits`, so that what a browser does can be tried on any adapter.
///
/// # Errors
/// When no adapter has that name or wgpu cannot open it.
pub fn device_within(name: &str, limits: Limits) -> Result<Device, Error> {
    pollster::block_on(device_async(name, limits))
}

/// [`device_within`], where no thread may block.
///
/// # Errors
/// As [`device_within`].
pub async fn device_async(name: &str, limits: Limits) -> Result<Device, Error> {
    let adapter = match name {
        "cpu" => None,
        "auto" => adapters_async().await.into_iter().find(|adapter| adapter.kind != "software"),
        "wgpu" => Some(adapters_async().await.into_iter().next().ok_or_else(|| no_adapter(name, &[]))?),
        part => {
            let found = adapters_async().await;
            let matches = |adapter: &&Adapter| adapter.name.to_lowercase().contains(&part.to_lowercase());
            Some(found.iter().find(matches).cloned().ok_or_else(|| no_adapter(name, &found))?)
        }
    };
    match adapter {
        None => Ok(Device::cpu()),
        Some(adapter) => adapter.open(limits).await,
    }
}

/// All adapters that Vulkan, Metal or DirectX 12 offer, the most powerful first.
pub fn adapters() -> Vec<Adapter> {
    pollster::block_on(adapters_async())
}

/// [`adapters`], where no thread may block. A browser offers one, through WebGPU, or none.
pub async fn adapters_async() -> Vec<Adapter> {
    let apis = [wgpu::Backends::METAL, wgpu::Backends::DX12, wgpu::Backends::VULKAN, wgpu::Backends::BROWSER_WEBGPU];
    let apis = apis.into_iter().filter(|api| wgpu::Instance::enabled_backend_features().contains(*api));
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY, // without OpenGL, which would be started in vain
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut adapters = Vec::new();
    for api in apis {
        let mut seen: HashMap<&'static str, usize> = HashMap::new();
        for adapter in instance.enumerate_adapters(api).await {
            let index = seen.entry(kind(adapter.get_info().device_type)).or_default();
            adapters.extend(Adapter::new(&instance, adapter.clone(), *index));
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
    fn new(instance: &wgpu::Instance, adapter: wgpu::Adapter, index: usize) -> Option<Self> {
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
            wgpu::Backend::BrowserWebGpu => WgpuBackend::WebGpu,
            _ => WgpuBackend::Vulkan,
        };
        let api = info.backend.to_str();
        Some(Self {
            kind: kind(info.device_type),
            api: api.to_owned(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            // Browsers may keep the name to themselves.
            name: if info.name.is_empty() { api.to_owned() } else { info.name },
            limits: adapter.limits(),
            features: adapter.features(),
            selector,
            backend,
            instance: instance.clone(),
            adapter,
        })
    }

    /// Opens the adapter. burn lets an adapter be opened only once, so that open devices are kept.
    async fn open(self, limits: Limits) -> Result<Device, Error> {
        static OPEN: Mutex<Option<HashMap<String, Device>>> = Mutex::new(None);
        let key = format!("{:?} {:?} {limits:?}", self.backend, self.selector);
        let mut open = OPEN.lock().await;
        let open = open.get_or_insert_with(HashMap::new);
        if let Some(device) = open.get(&key) {
            return Ok(device.clone());
        }
        let device = match limits {
            Limits::Adapter => self.open_whole().await,
            Limits::WebGpuDefault => self.open_within(wgpu::Limits::default()).await,
        };
        let device = device.map_err(|problem| Error::Device { name: self.name, problem })?;
        open.insert(key, device.clone());
        Ok(device)
    }

    /// As burn opens it, with all limits and features.
    async fn open_whole(&self) -> Result<Device, String> {
        let options =
            burn::tensor::Device::wgpu_options().device_kind(self.selector.clone()).graphics_api(self.backend);
        let (tensors, setup) = options.init_with_setup_async().await.map_err(|error| error.to_string())?;
        AdapterCapabilities::of(&setup.adapter).register(&tensors);
        Ok(self.device(tensors, &self.limits))
    }

    /// Without matrix units. The other features stay, because burn asks the adapter for them and not the device.
    async fn open_within(&self, limits: wgpu::Limits) -> Result<Device, String> {
        let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
        let descriptor = wgpu::DeviceDescriptor {
            required_features: self.features - unwanted,
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = self.adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| error.to_string())?;
        let (instance, adapter) = (self.instance.clone(), self.adapter.clone());
        let setup = WgpuSetup { backend: adapter.get_info().backend, instance, adapter, device, queue };
        let tensors = burn::tensor::Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())?;
        let software = AdapterCapabilities::of(&self.adapter).software;
        AdapterCapabilities { software, ..AdapterCapabilities::default() }.register(&tensors);
        Ok(self.device(tensors, &limits))
    }

    fn device(&self, tensors: burn::tensor::Device, limits: &wgpu::Limits) -> Device {
        let largest_binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        Device { tensors, largest_binding: Some(largest_binding), name: self.name.clone() }
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
