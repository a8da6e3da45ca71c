//! What a test does that needs a GPU adapter where there is none: one rule for all crates.

use std::fmt::Display;
use std::io::Write as _;

/// Leaves out the part of a test that needs an adapter, and says so.
///
/// # Panics
/// Unless the environment has `PYROGRAPH_NO_GPU=1`.
pub(crate) fn no_adapter(error: impl Display) {
    assert!(
        std::env::var_os("PYROGRAPH_NO_GPU").is_some_and(|value| value == "1"),
        "no GPU adapter: {error}; install a Vulkan driver (lavapipe needs no GPU) or set PYROGRAPH_NO_GPU=1"
    );
    not_tested("wgpu, because of PYROGRAPH_NO_GPU=1");
}

/// Writes a line to standard error past the test harness, which shows the output of failed tests only.
pub(crate) fn not_tested(what: impl Display) {
    let thread = std::thread::current(); // the harness names it after the test
    let test = thread.name().unwrap_or("a test");
    writeln!(std::io::stderr(), "NOT TESTED: {what} ({test})").expect("standard error is open");
}
