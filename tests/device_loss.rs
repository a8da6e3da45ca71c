//! A device that goes away in the middle of a run: a binary of its own, because the tests of others share the device.

#[path = "support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};

use pyrograph::{Device, Error, Limits, Request, StableDiffusion};

fn device() -> Option<Device> {
    match pyrograph::device_within("wgpu", Limits::WebGpuDefault) {
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
    let Some(lost) = device() else { return };
    let load = |device: &Device| StableDiffusion::from_path(tiny(), device).expect("a model");
    let request = Request::text("a lighthouse").with_steps(3).with_seed(1).with_size(16, 16);
    let model = load(&lost);
    let expected = model.generate(&request).expect("an image")[0].image.clone();

    let mut denoising = model.denoise(&request).expect("a sound request");
    denoising.next().expect("a step").expect("the device works");
    lost.destroy();
    let error = denoising.next().expect("another step").expect_err("the device is gone");
    assert!(matches!(error, Error::DeviceLost { stage: "denoising", .. }), "{error:?}");
    assert!(lost.is_lost());
    let error = model.generate(&request).expect_err("nothing can be made on it");
    assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");

    let opened = device().expect("the adapter is still there");
    assert!(!opened.is_lost());
    assert_eq!(load(&opened).generate(&request).expect("an image")[0].image, expected);
}
