//! Progress bars with the remaining time.

use std::fmt::Display;
use std::io::{Write, stderr};
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

/// A spinner for work of unknown length.
pub(crate) fn waiting(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A bar over the steps of training, of which an earlier run made `done`.
pub(crate) fn training(total: usize, done: usize) -> ProgressBar {
    let template = "{wide_bar} {pos}/{len} {msg} [{elapsed} < {eta}]";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total as u64).with_style(style).with_position(done as u64);
    bar.reset_eta();
    bar
}

/// A bar over the images of a data set while they are checked; their number is not known yet.
pub(crate) fn checking() -> ProgressBar {
    let style = ProgressStyle::with_template("checking images {wide_bar} {pos}/{len} [{elapsed} < {eta}]");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar over images that are generated and judged.
pub(crate) fn images(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} [{elapsed} < {eta}]");
    ProgressBar::new(count as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Prints a line to standard error, whose terminal may be closed.
pub(crate) fn print_line(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
