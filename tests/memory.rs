//! The memory that a request needs, compared with the estimate made before it starts.

use std::path::Path;

use peak_alloc::PeakAlloc;
use pyrograph::{Request, StableDiffusion};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The estimate counts the tensors of a GPU without epilogues; it is therefore above the memory that the CPU needs.
#[test]
fn the_estimate_is_above_what_a_request_takes_and_below_three_times_as_much() {
    let device = pyrograph::device("cpu").expect("the CPU is always there");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/spark");
    let pipeline = StableDiffusion::from_path(model, &device).expect("the shipped model");
    for (width, height, batch_size) in [(512, 512, 1), (384, 256, 4), (512, 768, 1)] {
        let request = Request::text("a red apple").with_steps(1).with_batch_size(batch_size);
        let request = request.with_size(width, height);
        let estimate = pipeline.memory(&request).expect("it fits");
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        pipeline.generate(&request).expect("the device works");
        let taken = (ALLOCATOR.peak_usage() - before) as u64;
        let what = format!("{batch_size} of {width} x {height}: {taken} bytes, estimated {estimate}");
        eprintln!("{what}");
        assert!(taken < estimate && estimate < 3 * taken, "{what}");
    }
}
