//! A device that goes away in the middle of a run: a binary of its own, because the tests of others share the device.

#[path = "support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::thread;

use pyrograph::{Device, Error, Limits, Request, StableDiffusion};

/// Each test needs limits of its own, because devices of the same limits are shared.
fn device(limits: Limits) -> Option<Device> {
    match pyrograph::device_within("wgpu", limits) {
        Ok(device) => Some(device),
        Err(error) => {
            skip::no_adapter(error);
            None
        }
    }
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tiny-sd1")
}

#[test]
fn a_lost_device_is_an_error_and_can_be_opened_again() {
    let Some(lost) = device(Limits::WebGpuDefault) else { return };
    let load = |device: &Device| StableDiffusion::from_path(tiny(), device).expect("a model");
    let request = Request::text("a lighthouse").with_steps(3).with_seed(1).with_size(16, 16);
    let model = load(&lost);
    let expected = model.generate(&request).expect("an image")[0].image.clone();

    let mut denoising = model.denoise(&request).expect("a sound request");
    denoising.next().expect("a step").expect("the device works");
    lost.destroy();
    assert!(lost.is_lost());
    let error = denoising.next().expect("another step").expect_err("the device is gone");
    assert!(matches!(error, Error::DeviceLost { stage: "denoising", .. }), "{error:?}");
    let error = model.generate(&request).expect_err("nothing can be made on it");
    assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");

    let opened = device(Limits::WebGpuDefault).expect("the adapter is still there");
    assert!(!opened.is_lost());
    assert_eq!(load(&opened).generate(&request).expect("an image")[0].image, expected);
}

#[test]
fn a_device_lost_by_another_thread_is_the_same_error() {
    for _ in 0..5 {
        let Some(lost) = device(Limits::Adapter) else { return };
        let model = StableDiffusion::from_path(tiny(), &lost).expect("a model");
        let request = Request::text("a lighthouse").with_steps(500).with_size(16, 16);
        let mut denoising = model.denoise(&request).expect("a sound request");
        denoising.next().expect("a step").expect("the device works");
        let rest = thread::spawn(move || denoising.find_map(Result::err));
        lost.destroy();
        let error = rest.join().expect("no panic").expect("the device was lost long before the last step");
        assert!(matches!(error, Error::DeviceLost { stage: "denoising", .. }), "{error:?}");
    }
}
