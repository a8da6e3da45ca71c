//! Progress with time left.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the denoising steps.
pub(crate) fn steps(count: usize) -> ProgressBar {
    let template = "{msg} {wide_bar} {pos}/{len} [{elapsed} < {eta}]";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(count as u64).with_style(style).with_message("denoising");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A sign of life for work whose length is unknown.
pub(crate) fn waiting(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
