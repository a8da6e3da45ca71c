//! The rows of `shapes.csv` as functions to be timed.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::module::{attention as burn_attention, layer_norm as burn_layer_norm};
use burn::tensor::wgpu::{WgpuInitError, WgpuSetup};
use burn::tensor::{Device, DeviceKind, Distribution, FloatDType, Tensor};
use pyrograph_kernels as kernels;
use pyrograph_kernels::{
    AdapterCapabilities, Conv2d, Conv2dConfig, GroupNorm, GroupNormConfig, LayerNorm, LinearConfig, Mask, reference,
};

/// Whose operation is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Pyrograph,
    /// burn's own operation.
    Burn,
    /// The function of `reference`, where that is not burn's.
    Reference,
}

/// A device of wgpu whose capabilities the operations know: a software adapter with `WGPU=cpu` in the environment, else the
/// one of wgpu's choice.
pub fn wgpu_device() -> Result<(Device, WgpuSetup), WgpuInitError> {
    let software = std::env::var("WGPU").is_ok_and(|value| value == "cpu");
    let kind = if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
    let (device, setup) = Device::wgpu_options().device_kind(kind).init_with_setup()?;
    AdapterCapabilities::of(&setup.adapter).register(&device);
    Ok((device, setup))
}

/// A row of `shapes.csv`.
#[derive(Clone, Debug)]
pub struct Row {
    pub model: String,
    pub operation: String,
    pub count: usize,
    pub dims: Vec<usize>,
}

impl Row {
    /// `None` for a comment.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let [model, operation, ..] = fields[..] else { return None };
        let number = |field: &str| field.parse().expect("counts and dimensions are integers");
        (!line.starts_with('#')).then(|| Self {
            model: model.to_owned(),
            operation: operation.to_owned(),
            count: number(fields[2]),
            dims: fields[3..].iter().map(|field| number(field)).collect(),
        })
    }

    /// Whose functions there are.
    pub fn contenders(&self) -> &'static [Contender] {
        match self.operation.as_str() {
            "attention" | "group_norm" | "group_norm_silu" | "layer_norm" => {
                &[Contender::Pyrograph, Contender::Burn, Contender::Reference]
            }
            _ => &[Contender::Pyrograph, Contender::Burn],
        }
    }

    /// Its dimensions, as a name.
    pub fn shape(&self) -> String {
        self.dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
    }

    /// The operation, to be timed.
    pub fn function(&self, whose: Contender, device: &Device, dtype: FloatDType) -> Box<dyn FnMut()> {
        let random = Random { device: device.clone(), dtype };
        let dims = self.dims.as_slice();
        match (self.operation.as_str(), dims) {
            ("conv2d", &[batch, channels_in, height, width, channels_out, kernel, stride]) => {
                let conv = random.conv2d([channels_in, channels_out], kernel, stride);
                let x = random.tensor([batch, channels_in, height, width]);
                let f = if whose == Contender::Pyrograph { kernels::conv2d } else { reference::conv2d };
                Box::new(move || drop(f(x.clone(), &conv)))
            }
            ("conv2d_add", &[batch, channels_in, height, width, channels_out]) => {
                let conv = random.conv2d([channels_in, channels_out], 3, 1);
                let x = random.tensor([batch, channels_in, height, width]);
                let addend = random.tensor([batch, channels_out, height, width]);
                let f = if whose == Contender::Pyrograph { kernels::conv2d_add } else { reference::conv2d_add };
                Box::new(move || drop(f(x.clone(), &conv, addend.clone())))
            }
            ("upsample_conv2d", &[batch, channels_in, height, width, channels_out]) => {
                let conv = random.conv2d([channels_in, channels_out], 3, 1);
                let x = random.tensor([batch, channels_in, height / 2, width / 2]);
                let f =
                    if whose == Contender::Pyrograph { kernels::upsample_conv2d } else { reference::upsample_conv2d };
                Box::new(move || drop(f(x.clone(), [height, width], &conv)))
            }
            ("linear" | "geglu", &[tokens, d_input, d_output]) => {
                let layer = random.cast(LinearConfig::new(d_input, d_output).init(device));
                let x = random.tensor([1, tokens, d_input]);
                let f = match (self.operation.as_str(), whose) {
                    ("linear", Contender::Pyrograph) => kernels::linear,
                    ("linear", _) => reference::linear,
                    (_, Contender::Pyrograph) => kernels::geglu,
                    (_, _) => reference::geglu,
                };
                Box::new(move || drop(f(x.clone(), &layer)))
            }
            ("linear_add", &[tokens, d_input, d_output]) => {
                let layer = random.cast(LinearConfig::new(d_input, d_output).init(device));
                let (x, addend) = (random.tensor([1, tokens, d_input]), random.tensor([1, tokens, d_output]));
                let f = if whose == Contender::Pyrograph { kernels::linear_add } else { reference::linear_add };
                Box::new(move || drop(f(x.clone(), &layer, addend.clone())))
            }
            ("attention", &[batch, heads, tokens, keys, head_dim]) => {
                // As a transformer block has them: projections of [batch, tokens, heads * head_dim], split into heads.
                let split = |tokens| {
                    let x: Tensor<3> = random.tensor([batch, tokens, heads * head_dim]);
                    x.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2)
                };
                let (q, k, v) = (split(tokens), split(keys), split(keys));
                let f = match whose {
                    Contender::Pyrograph => kernels::attention,
                    Contender::Burn => |q, k, v, _| burn_attention(q, k, v, None, None, Default::default()),
                    Contender::Reference => reference::attention,
                };
                Box::new(move || {
                    let heads_apart = f(q.clone(), k.clone(), v.clone(), Mask::None);
                    drop(heads_apart.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim]));
                })
            }
            ("group_norm" | "group_norm_silu", &[batch, channels, height, width]) => {
                let norm = random.cast(GroupNormConfig::new(32, channels).init(device));
                let x: Tensor<4> = random.tensor([batch, channels, height, width]);
                let silu = self.operation == "group_norm_silu";
                let f = match (whose, silu) {
                    (Contender::Pyrograph, false) => kernels::group_norm,
                    (Contender::Pyrograph, true) => kernels::group_norm_silu,
                    (Contender::Burn, false) => burn_group_norm,
                    (Contender::Burn, true) => |x, norm: &GroupNorm| reference::silu(burn_group_norm(x, norm)),
                    (Contender::Reference, false) => reference::group_norm,
                    (Contender::Reference, true) => reference::group_norm_silu,
                };
                Box::new(move || drop(f(x.clone(), &norm)))
            }
            ("layer_norm", &[batch, tokens, width]) => {
                let norm = random.cast(LayerNorm::new(width, 1e-5, device));
                let x = random.tensor([batch, tokens, width]);
                let f = match whose {
                    Contender::Pyrograph => kernels::layer_norm,
                    Contender::Burn => {
                        |x, norm: &LayerNorm| burn_layer_norm(x, norm.weight.val(), Some(norm.bias.val()), norm.epsilon)
                    }
                    Contender::Reference => reference::layer_norm,
                };
                Box::new(move || drop(f(x.clone(), &norm)))
            }
            (name, _) => panic!("no operation {name} with {} dimensions", dims.len()),
        }
    }
}

fn burn_group_norm(x: Tensor<4>, norm: &GroupNorm) -> Tensor<4> {
    let mut layer =
        burn::nn::GroupNormConfig::new(norm.groups, x.dims()[1]).with_epsilon(norm.epsilon).init(&x.device());
    layer.gamma = Some(norm.weight.clone());
    layer.beta = Some(norm.bias.clone());
    layer.forward(x)
}

/// Random tensors and layers.
struct Random {
    device: Device,
    dtype: FloatDType,
}

impl Random {
    fn tensor<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        let x: Tensor<D> = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &self.device);
        x.cast(self.dtype)
    }

    fn conv2d(&self, channels: [usize; 2], kernel: usize, stride: usize) -> Conv2d {
        let pad = kernel / 2;
        let config = Conv2dConfig::new(channels, [kernel; 2]).with_stride([stride; 2]);
        self.cast(config.with_padding([pad; 4]).init(&self.device))
    }

    fn cast<M: Module>(&self, module: M) -> M {
        module.map(&mut Cast(self.dtype))
    }
}

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|tensor| tensor.cast(self.0))
    }
}
