//! The side of `bench_torch.py` that is ours: answers rows of `shapes.csv` on standard input with least milliseconds, so that
//! the two programs go through the same rows in alternation.
//!
//! On the CPU, or with `WGPU` in the environment on wgpu. With `ONE_CORE` it works on one thread and reports that thread's
//! processor time, for machines that are in use.

#![expect(clippy::print_stdout, reason = "the output is the point of a benchmark")]
#![expect(unreachable_pub, dead_code, reason = "benchmarks share a module and not all of it")]

mod support;

use std::io::{BufRead, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use burn::tensor::{Device, FloatDType};
use support::{Contender, Row};

/// How long one shape is measured, and how many times at least.
const BUDGET: Duration = Duration::from_millis(400);
const LEAST_RUNS: usize = 3;

fn main() {
    if one_core() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        pool.build_global().expect("this thread becomes the pool");
    }
    let device = match std::env::var_os("WGPU") {
        Some(_) => support::wgpu_device().expect("there is an adapter").0,
        None => Device::flex(),
    };
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("rows are UTF-8");
        let Some(row) = Row::parse(&line) else { continue };
        let mut function = row.function(Contender::Pyrograph, &device, FloatDType::F32);
        println!("{line},{:.3}", milliseconds(&mut function, &device));
        std::io::stdout().flush().expect("standard output is open");
    }
}

fn milliseconds(function: &mut dyn FnMut(), device: &Device) -> f64 {
    function();
    device.sync().expect("the device works");
    let start = Instant::now();
    let mut least = Duration::MAX;
    let mut runs = 0;
    while runs < LEAST_RUNS || start.elapsed() < BUDGET {
        let begin = clock();
        function();
        device.sync().expect("the device works");
        least = least.min(clock() - begin);
        runs += 1;
    }
    least.as_secs_f64() * 1e3
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
