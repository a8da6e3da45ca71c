//! Times the operations for the shapes of Stable Diffusion 1.5, on the CPU or with `WGPU` in the environment on wgpu.
//!
//! Reads rows of `shapes.csv` from standard input and answers each with its least milliseconds, so that
//! `bench_torch.py` can take both programs through the same rows in alternation. With `ONE_CORE` in the environment it
//! works on one thread and reports that thread's processor time, for machines that are in use; with `PLAIN` it times
//! the references.

#![expect(clippy::print_stdout, reason = "the output is the point of a benchmark")]

use std::io::{BufRead, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use burn::nn::conv::Conv2dConfig;
use burn::nn::{GroupNormConfig, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, DeviceKind, Distribution, Tensor};
use pyrograph_kernels::{
    LayerNorm, Mask, attention, conv2d, geglu, group_norm, group_norm_silu, layer_norm, linear, reference,
};

/// How long one shape is measured, and how many times at least.
const BUDGET: Duration = Duration::from_millis(400);
const LEAST_RUNS: usize = 3;

fn main() {
    if one_core() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        pool.build_global().expect("this thread becomes the pool");
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("rows are UTF-8");
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        println!("{line},{:.3}", measure(&line));
        std::io::stdout().flush().expect("standard output is open");
    }
}

fn measure(row: &str) -> f64 {
    let fields: Vec<&str> = row.split(',').collect();
    let dims: Vec<usize> = fields[3..].iter().map(|field| field.parse().expect("dimensions are integers")).collect();
    let plain = std::env::var_os("PLAIN").is_some();
    let mut operation = operation(fields[1], &dims, plain);
    milliseconds(&mut operation)
}

fn milliseconds(operation: &mut dyn FnMut()) -> f64 {
    operation();
    device().sync().expect("the device works");
    let start = Instant::now();
    let mut least = Duration::MAX;
    let mut runs = 0;
    while runs < LEAST_RUNS || start.elapsed() < BUDGET {
        let begin = clock();
        operation();
        device().sync().expect("the device works");
        least = least.min(clock() - begin);
        runs += 1;
    }
    least.as_secs_f64() * 1e3
}

/// The CPU, or on wgpu a software adapter (`WGPU=cpu`) or the one of its choice.
fn device() -> &'static Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let Some(name) = std::env::var_os("WGPU") else { return Device::flex() };
        let kind = if name == "cpu" { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
        Device::wgpu_options().device_kind(kind).init().expect("there is an adapter")
    });
    &DEVICE
}

fn one_core() -> bool {
    std::env::var_os("ONE_CORE").is_some()
}

/// The time since the start, or the time that this thread has spent on the processor.
fn clock() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    if one_core() {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread its time");
        let nanoseconds = times.split(' ').next().and_then(|time| time.parse().ok()).expect("the first number");
        return Duration::from_nanos(nanoseconds);
    }
    START.elapsed()
}

fn operation(name: &str, dims: &[usize], plain: bool) -> Box<dyn FnMut()> {
    match (name, dims) {
        ("conv2d", &[batch, channels_in, height, width, channels_out, kernel, stride]) => {
            let pad = kernel / 2;
            let conv = Conv2dConfig::new([channels_in, channels_out], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                .init(device());
            let x = random([batch, channels_in, height, width]);
            let f = if plain { reference::conv2d } else { conv2d };
            Box::new(move || drop(f(x.clone(), &conv)))
        }
        ("linear" | "geglu", &[tokens, d_input, d_output]) => {
            let layer = LinearConfig::new(d_input, d_output).init(device());
            let x = random([1, tokens, d_input]);
            let f = match (name, plain) {
                ("linear", true) => reference::linear,
                ("linear", false) => linear,
                (_, true) => reference::geglu,
                (_, false) => geglu,
            };
            Box::new(move || drop(f(x.clone(), &layer)))
        }
        ("attention", &[batch, heads, tokens, keys, head_dim]) => {
            // As a transformer block has them: projections of [batch, tokens, heads * head_dim], split into heads.
            let split = |x: Tensor<3>, tokens| x.reshape([batch, tokens, heads, head_dim]).swap_dims(1, 2);
            let q = split(random([batch, tokens, heads * head_dim]), tokens);
            let k = split(random([batch, keys, heads * head_dim]), keys);
            let v = split(random([batch, keys, heads * head_dim]), keys);
            let f = if plain { reference::attention } else { attention };
            Box::new(move || {
                let heads_apart = f(q.clone(), k.clone(), v.clone(), Mask::None);
                drop(heads_apart.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim]));
            })
        }
        ("group_norm" | "group_norm_silu", &[batch, channels, height, width]) => {
            let norm = GroupNormConfig::new(32, channels).init(device());
            let x = random([batch, channels, height, width]);
            let f = match (name, plain) {
                ("group_norm", true) => reference::group_norm,
                ("group_norm", false) => group_norm,
                (_, true) => reference::group_norm_silu,
                (_, false) => group_norm_silu,
            };
            Box::new(move || drop(f(x.clone(), &norm)))
        }
        ("layer_norm", &[batch, tokens, width]) => {
            let norm = LayerNorm::new(width, 1e-5, device());
            let x = random([batch, tokens, width]);
            let f = if plain { reference::layer_norm } else { layer_norm };
            Box::new(move || drop(f(x.clone(), &norm)))
        }
        _ => panic!("no operation {name} with {} dimensions", dims.len()),
    }
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device())
}
