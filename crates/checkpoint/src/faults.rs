//! Injection of faults into file system operations. With it, tests enumerate every failure ("How `SQLite` Is Tested",
//! sections 3 and 4).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The way an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails, as on a full disk; later operations succeed.
    Error,
    /// The machine stops: a write is half done, later operations do nothing, and the contents of files that were not
    /// synced are lost.
    Crash,
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

struct Plan {
    fault: Fault,
    /// Operations before the failing one.
    left: usize,
    failed: bool,
    unsynced: BTreeSet<PathBuf>,
}

/// Runs `work` while operation number `operation` (from 0) of this thread fails. Returns the result of `work`, and
/// whether that operation was reached.
pub fn inject<T>(fault: Fault, operation: usize, work: impl FnOnce() -> T) -> (T, bool) {
    PLAN.set(Some(Plan { fault, left: operation, failed: false, unsynced: BTreeSet::new() }));
    let result = work();
    let failed = PLAN.take().is_some_and(|plan| plan.failed);
    (result, failed)
}

/// Counts an operation. After an error, the operation must not be done.
pub(crate) fn operation() -> io::Result<()> {
    let injected = || Err(io::Error::other("injected fault"));
    PLAN.with_borrow_mut(|plan| match plan {
        Some(plan) if plan.failed && plan.fault == Fault::Crash => injected(),
        Some(plan) if !plan.failed && plan.left == 0 => {
            plan.fail();
            injected()
        }
        Some(plan) => {
            plan.left = plan.left.saturating_sub(1);
            Ok(())
        }
        None => Ok(()),
    })
}

pub(crate) fn written(path: &Path) {
    with_unsynced(|unsynced| {
        unsynced.insert(path.to_owned());
    });
}

pub(crate) fn synced(path: &Path) {
    with_unsynced(|unsynced| {
        unsynced.remove(path);
    });
}

/// Also handles files that move together with their folder.
pub(crate) fn renamed(from: &Path, to: &Path) {
    let moved = |path: PathBuf| match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path,
    };
    with_unsynced(|unsynced| *unsynced = std::mem::take(unsynced).into_iter().map(moved).collect());
}

fn with_unsynced(change: impl FnOnce(&mut BTreeSet<PathBuf>)) {
    PLAN.with_borrow_mut(|plan| {
        if let Some(plan) = plan {
            change(&mut plan.unsynced);
        }
    });
}

impl Plan {
    fn fail(&mut self) {
        self.failed = true;
        if self.fault == Fault::Crash {
            for path in &self.unsynced {
                let _ = File::options().write(true).truncate(true).open(path); // it may be removed already
            }
        }
    }
}
