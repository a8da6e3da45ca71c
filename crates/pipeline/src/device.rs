//! Devices for tensors: a GPU through wgpu, or the CPU.

use std::collections::HashMap;

use async_lock::Mutex;
use burn::tensor::DType;
use burn::tensor::wgpu::wgpu;

use crate::readback::{lost, probably_lost};
use crate::{Adapter, Error, adapters_async};

/// A device that models can be loaded to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Device {
    tensors: burn::tensor::Device,
    name: String,
    largest_binding: Option<u64>,
    wgpu: Option<wgpu::Device>,
}

/// The limits that a device gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limits {
    /// All limits of the adapter.
    Adapter,
    /// The limits that WebGPU guarantees in every browser: 128 MiB per binding, 256 MiB per buffer, 16 KiB of workgroup
    /// memory, 256 invocations.
    WebGpuDefault,
}

/// Opens a device by name: `auto` (the best hardware adapter, else the CPU), `cpu`, `wgpu` (the best adapter, also a
/// software adapter), or a part of an adapter's name in [`adapters`](crate::adapters).
///
/// With the environment variable `PYROGRAPH_LIMITS=webgpu-default`, the limits are [`Limits::WebGpuDefault`] as in
/// [`device_within`].
///
/// # Errors
/// Returns an error if no adapter has this name, wgpu cannot open it, or `PYROGRAPH_LIMITS` has another value.
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

/// Opens a [`device`] within `limits`, for example to test the limits of browsers on any adapter.
///
/// # Errors
/// Returns an error if no adapter has this name, or wgpu cannot open it.
pub fn device_within(name: &str, limits: Limits) -> Result<Device, Error> {
    pollster::block_on(device_async(name, limits))
}

/// [`device_within`] for threads that must not block.
///
/// # Errors
/// The errors of [`device_within`].
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
        Some(adapter) => open(adapter, limits).await,
    }
}

impl Device {
    fn cpu() -> Self {
        Self { tensors: burn::tensor::Device::flex(), name: "cpu".into(), largest_binding: None, wgpu: None }
    }

    /// The device for burn's tensors.
    pub fn tensors(&self) -> &burn::tensor::Device {
        &self.tensors
    }

    /// The adapter's name, or `cpu`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The largest binding of a shader in bytes, which limits the size of a tensor; `None` if only memory limits it.
    pub fn largest_binding(&self) -> Option<u64> {
        self.largest_binding
    }

    /// Whether the device supports float16.
    pub fn supports_f16(&self) -> bool {
        self.tensors.supports_dtype(DType::F16)
    }

    /// Whether the device was lost: the driver was reset, the card was removed, or [`destroy`](Self::destroy) was
    /// called. Its tensors are lost then. Open the device again and load the model again.
    ///
    /// Waits for the device. In browsers, where no thread may wait, it returns `false`.
    pub fn is_lost(&self) -> bool {
        self.wgpu.is_some() && lost(&self.tensors).is_some()
    }

    /// Frees the adapter's memory. All tensors on the device are lost. It has no effect on the CPU.
    ///
    /// Waits until the device is lost; in browsers it does not wait.
    pub fn destroy(&self) {
        if let Some(device) = &self.wgpu {
            device.destroy();
            probably_lost(&self.tensors);
        }
    }
}

/// Opens an adapter. Open devices are kept, because burn opens each adapter only once; a lost device is opened again.
async fn open(adapter: Adapter, limits: Limits) -> Result<Device, Error> {
    static OPEN: Mutex<Option<HashMap<String, Device>>> = Mutex::new(None);
    let key = format!("{} {limits:?}", adapter.key());
    let mut open = OPEN.lock().await;
    let open = open.get_or_insert_with(HashMap::new);
    let known = open.get(&key);
    if let Some(device) = known.filter(|device| !device.is_lost()) {
        return Ok(device.clone());
    }
    let opened = match limits {
        Limits::Adapter if known.is_none() => adapter.open().await,
        Limits::Adapter => adapter.open_again().await,
        Limits::WebGpuDefault => adapter.open_within(wgpu::Limits::default()).await,
    };
    let (tensors, wgpu) = opened.map_err(|problem| Error::Device { name: adapter.name.clone(), problem })?;
    let limits = wgpu.limits();
    let largest_binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
    let device = Device { tensors, name: adapter.name, largest_binding: Some(largest_binding), wgpu: Some(wgpu) };
    open.insert(key, device.clone());
    Ok(device)
}

fn no_adapter(name: &str, found: &[Adapter]) -> Error {
    let names: Vec<&str> = found.iter().map(|adapter| adapter.name.as_str()).collect();
    let problem = match names.as_slice() {
        [] => "wgpu finds no adapter; install a Vulkan, Metal or DirectX 12 driver, or use `cpu`".to_owned(),
        names => format!("must be auto, cpu, wgpu or a part of an adapter's name: {}", names.join(", ")),
    };
    Error::Device { name: name.to_owned(), problem }
}
