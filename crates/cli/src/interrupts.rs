//! Signals that ask a run to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::progress::print_line;

const ADVICE: &str = "finishing the step, then saving; interrupt again to stop at once";

/// A flag that is set by Ctrl-C, by a request to terminate, and when the terminal is closed. A second Ctrl-C or request
/// to terminate ends the program at once.
#[cfg(unix)]
pub(crate) fn watch() -> anyhow::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let before = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(signal, 128 + signal, before.clone())?;
        flag::register(signal, before)?;
    }
    let hangup = Some(SIGHUP).filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
    let seen = interrupted.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !seen.swap(true, Ordering::Relaxed) {
                print_line(ADVICE);
            }
        }
    });
    Ok(interrupted)
}

/// Whether the program was started with a signal ignored, as `nohup` does for the closing of the terminal.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// A flag that is set by Ctrl-C. A second Ctrl-C ends the program at once.
#[cfg(not(unix))]
pub(crate) fn watch() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let seen = interrupted.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        print_line(ADVICE);
    })?;
    Ok(interrupted)
}
