//! Times every operation for every shape of Stable Diffusion 1.5 at 512x512 pixels and of its decoder, beside burn's own
//! operation and the `reference`, in float32 and, where the adapter has it, float16.
//!
//! `cargo bench -p pyrograph-kernels --bench operations [-- FILTER]`. In the environment: `WGPU=cpu` for a software adapter,
//! and `SHRINK=N` for images that are N times smaller in both directions. The table that follows criterion's output has
//! the least times, and their ratios to the adapter's measured peak and to burn's time.

#![expect(clippy::print_stdout, reason = "the output is the point of a benchmark")]
#![expect(unreachable_pub, reason = "a module of a benchmark has no public interface")]

mod peak;
mod support;

use std::cell::Cell;
use std::time::{Duration, Instant};

use burn::tensor::{DType, Device, FloatDType};
use criterion::{BenchmarkId, Criterion, Throughput};
use peak::Peak;
use support::{Contender, Row};

fn main() {
    let (device, setup) = match support::wgpu_device() {
        Ok(opened) => opened,
        Err(error) => return println!("there is nothing to measure without an adapter: {error}"),
    };
    let shrink = std::env::var("SHRINK").map_or(1, |value| value.parse().expect("SHRINK is a number"));
    let peak = Peak::measure(&setup);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut lines = Vec::new();
    for row in include_str!("shapes.csv").lines().filter_map(Row::parse) {
        let row = row.shrunk(shrink);
        for dtype in [FloatDType::F32, FloatDType::F16] {
            if device.supports_dtype(DType::from(dtype)) {
                lines.extend(measure(&mut criterion, &row, &device, dtype, peak));
            }
        }
    }
    criterion.final_summary();
    println!(
        "\n{}: {:.0} GFLOP/s, {:.1} GB/s",
        setup.adapter.get_info().name,
        peak.flops * 1e-9,
        peak.bandwidth * 1e-9
    );
    println!(
        "| model | operation | shape | times | type | ms | rate | of the peak | of burn's time | of the reference's |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
}

/// A line of the table, unless the filter leaves the row out.
fn measure(criterion: &mut Criterion, row: &Row, device: &Device, dtype: FloatDType, peak: Peak) -> Option<String> {
    let work = row.work(dtype);
    let mut group = criterion.benchmark_group(format!("{} {} {dtype:?}", row.model, row.operation));
    group.throughput(match work {
        Work::Operations(count) => Throughput::Elements(count),
        Work::Bytes(count) => Throughput::Bytes(count),
    });
    let [ours, burn, reference] = [Contender::Pyrograph, Contender::Burn, Contender::Reference].map(|whose| {
        let least = Cell::new(Duration::MAX);
        if row.contenders().contains(&whose) {
            group.bench_function(BenchmarkId::new(format!("{whose:?}").to_lowercase(), row.shape()), |bencher| {
                let mut function = row.function(whose, device, dtype);
                let mut run = |times: u64| {
                    let start = Instant::now();
                    (0..times).for_each(|_| function());
                    device.sync().expect("the device works");
                    start.elapsed()
                };
                run(1); // compiles the shaders
                bencher.iter_custom(|times| {
                    let elapsed = run(times);
                    least.set(least.get().min(elapsed / times as u32));
                    elapsed
                });
            });
        }
        (least.get() < Duration::MAX).then(|| least.get().as_secs_f64())
    });
    group.finish();
    let seconds = ours?;
    let (rate, of_peak) = match work {
        Work::Operations(count) => (format!("{:.1} GFLOP/s", count as f64 / seconds * 1e-9), count as f64 / peak.flops),
        Work::Bytes(count) => (format!("{:.1} GB/s", count as f64 / seconds * 1e-9), count as f64 / peak.bandwidth),
    };
    let ratio = |theirs: Option<f64>| theirs.map_or_else(String::new, |theirs| format!("{:.2}", seconds / theirs));
    Some(format!(
        "| {} | {} | {} | {} | {dtype:?} | {:.3} | {rate} | {:.0} % | {} | {} |",
        row.model,
        row.operation,
        row.shape(),
        row.count,
        seconds * 1e3,
        100.0 * of_peak / seconds,
        ratio(burn),
        ratio(reference),
    ))
}

/// The bound of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Floating-point operations.
    Operations(u64),
    /// Bytes that are read or written at least once.
    Bytes(u64),
}

impl Row {
    /// The least work of the operation.
    fn work(&self, dtype: FloatDType) -> Work {
        let operations = |factors: &[usize]| Work::Operations(2 * factors.iter().product::<usize>() as u64);
        match (self.operation.as_str(), self.dims.as_slice()) {
            ("conv2d", &[batch, channels_in, height, width, channels_out, kernel, stride]) => {
                let pixels = height.div_ceil(stride) * width.div_ceil(stride);
                operations(&[batch, channels_in, channels_out, kernel * kernel, pixels])
            }
            ("conv2d_add" | "upsample_conv2d", &[batch, channels_in, height, width, channels_out]) => {
                operations(&[batch, channels_in, channels_out, 9, height * width])
            }
            ("attention", &[batch, heads, tokens, keys, head_dim]) => {
                operations(&[2, batch, heads, tokens, keys, head_dim])
            }
            ("linear" | "linear_add" | "geglu", dims) => operations(dims),
            (_, dims) => Work::Bytes((2 * dims.iter().product::<usize>() * DType::from(dtype).size()) as u64),
        }
    }

    /// For an image that is so many times smaller in both directions.
    fn shrunk(mut self, by: usize) -> Self {
        let tokens = |size: usize| if size.is_multiple_of(by * by) { size / (by * by) } else { size }; // those of the text stay
        match (self.operation.as_str(), self.dims.as_mut_slice()) {
            ("attention", [_, _, queries, keys, _]) => (*queries, *keys) = (tokens(*queries), tokens(*keys)),
            ("linear" | "linear_add" | "geglu", [rows, ..]) => *rows = tokens(*rows),
            ("layer_norm", [_, rows, _]) => *rows = tokens(*rows),
            (_, [_, _, height, width, ..]) => (*height, *width) = (*height / by, *width / by),
            (name, dims) => panic!("no operation {name} with {} dimensions", dims.len()),
        }
        self
    }
}
