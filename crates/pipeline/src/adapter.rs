//! Adapters of wgpu. Only this module names graphics APIs.

use std::collections::HashMap;

use burn::tensor::DeviceKind;
use burn::tensor::wgpu::{WgpuBackend, WgpuSetup, wgpu};
use pyrograph_kernels::{AdapterCapabilities, experimental_features};

/// An adapter of wgpu.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The adapter's name, by which [`device()`](crate::device()) selects it.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// `vulkan`, `metal`, `dx12` or, in browsers, `webgpu`.
    pub api: String,
    /// The driver and its version.
    pub driver: String,
    /// The limits of the adapter.
    pub limits: wgpu::Limits,
    /// The optional features of the adapter.
    pub features: wgpu::Features,
    selector: DeviceKind,
    backend: WgpuBackend,
    instance: wgpu::Instance,
    adapter: wgpu::Adapter,
}

/// All adapters of Vulkan, Metal and DirectX 12, the most powerful first.
pub fn adapters() -> Vec<Adapter> {
    pollster::block_on(adapters_async())
}

/// [`adapters`] for threads that must not block. A browser has one adapter, through WebGPU, or none.
pub async fn adapters_async() -> Vec<Adapter> {
    let apis = [wgpu::Backends::METAL, wgpu::Backends::DX12, wgpu::Backends::VULKAN, wgpu::Backends::BROWSER_WEBGPU];
    let apis = apis.into_iter().filter(|api| wgpu::Instance::enabled_backend_features().contains(*api));
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY, // not OpenGL, which is not used
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
            // Browsers may hide the name.
            name: if info.name.is_empty() { api.to_owned() } else { info.name },
            limits: adapter.limits(),
            features: adapter.features(),
            selector,
            backend,
            instance: instance.clone(),
            adapter,
        })
    }

    /// burn's key of the adapter.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {:?}", self.backend, self.selector)
    }

    /// Opens the adapter as burn does, with all limits and features. burn allows this once.
    pub(crate) async fn open(&self) -> Result<(burn::tensor::Device, wgpu::Device), String> {
        let options =
            burn::tensor::Device::wgpu_options().device_kind(self.selector.clone()).graphics_api(self.backend);
        let (tensors, setup) = options.init_with_setup_async().await.map_err(|error| error.to_string())?;
        AdapterCapabilities::of(&setup.adapter).register(&tensors);
        Ok((tensors, setup.device))
    }

    /// Opens the adapter again, after its device was lost.
    pub(crate) async fn open_again(&self) -> Result<(burn::tensor::Device, wgpu::Device), String> {
        let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        let opened = self.request(self.features - unwanted, self.limits.clone()).await?;
        AdapterCapabilities::of(&self.adapter).register(&opened.0);
        Ok(opened)
    }

    /// Opens the adapter within `limits` and without matrix units. The other features stay, because burn asks the
    /// adapter and not the device for them.
    pub(crate) async fn open_within(
        &self,
        limits: wgpu::Limits,
    ) -> Result<(burn::tensor::Device, wgpu::Device), String> {
        let unwanted = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
        let opened = self.request(self.features - unwanted, limits).await?;
        let software = AdapterCapabilities::of(&self.adapter).software;
        AdapterCapabilities { software, ..AdapterCapabilities::default() }.register(&opened.0);
        Ok(opened)
    }

    async fn request(
        &self,
        features: wgpu::Features,
        limits: wgpu::Limits,
    ) -> Result<(burn::tensor::Device, wgpu::Device), String> {
        let descriptor = wgpu::DeviceDescriptor {
            required_features: features,
            required_limits: limits,
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            experimental_features: experimental_features(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = self.adapter.request_device(&descriptor).await.map_err(|error| error.to_string())?;
        let (instance, adapter) = (self.instance.clone(), self.adapter.clone());
        let backend = adapter.get_info().backend;
        let setup = WgpuSetup { backend, instance, adapter, device: device.clone(), queue };
        let tensors = burn::tensor::Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())?;
        Ok((tensors, device))
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
