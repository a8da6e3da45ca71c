//! The folder of a run: one process writes to it, and there is always a whole checkpoint in it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use pyrograph_checkpoint::{Output, OutputError, disk};

use crate::folder::recover_folder;
use crate::{Cause, TrainError};

/// The folder that a run writes to, locked against other runs as long as this value lives.
///
/// A checkpoint is a folder of its own, `checkpoints/000123` after 123 steps. Only once it is whole and on the disk does the file
/// `checkpoints/latest` name it, and only then is the older one removed. A run that is killed at any moment can therefore be
/// resumed from its last checkpoint or the one before; what it left unfinished is removed when the folder is opened again.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

const LOCK: &str = ".lock";
const CHECKPOINTS: &str = "checkpoints";
const LATEST: &str = "latest";
const SAMPLES: &str = "samples";
const MODEL: &str = "model";

impl RunFolder {
    /// Makes the folder unless it is there, locks it, and removes what a killed run left unfinished.
    ///
    /// # Errors
    /// [`TrainError::Locked`] while another run writes to the folder, [`TrainError::Output`] when it cannot be written.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let failed = |cause: io::Error| TrainError::Output(OutputError::Io { path: path.to_owned(), cause });
        disk::create_folder(path).map_err(failed)?;
        let file = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(file).map_err(failed)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(TrainError::Locked { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => return Err(failed(error)),
            _ => {}
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.remove_leftovers().map_err(failed)?;
        Ok(folder)
    }

    /// The folder itself, for `losses.csv` and its plot.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for grids of samples.
    pub fn samples(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    /// The folder for the model that comes out.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The checkpoint to resume from.
    ///
    /// # Errors
    /// Returns an error if `latest` cannot be read or names no checkpoint.
    pub fn latest(&self) -> Result<Option<PathBuf>, TrainError> {
        let pointer = self.path.join(CHECKPOINTS).join(LATEST);
        let name = match fs::read_to_string(&pointer) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            name => name.map_err(TrainError::checkpoint(&pointer))?,
        };
        let checkpoint = pointer.with_file_name(name.trim());
        if is_checkpoint(name.trim()) && checkpoint.is_dir() {
            return Ok(Some(checkpoint));
        }
        Err(TrainError::checkpoint(&pointer)(Cause::NoCheckpoint { name: name.trim().to_owned() }))
    }

    /// Makes a checkpoint of the files that `fill` writes to the folder it is given, and removes the older one.
    ///
    /// # Errors
    /// Returns an error if the checkpoint cannot be written; the older one is as it was.
    pub fn save(&self, step: usize, fill: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
        let checkpoint = self.unused_name(step);
        let failed = TrainError::checkpoint::<io::Error>(&checkpoint);
        disk::create_folder(&checkpoint).map_err(&failed)?;
        let written = fill(&checkpoint).and_then(|()| {
            disk::sync_tree(&checkpoint).map_err(&failed)?;
            let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
            Ok(Output::save(checkpoint.with_file_name(LATEST), format!("{name}\n"))?)
        });
        if let Ok(kept) = self.latest()
            && (written.is_ok() || kept.as_ref() != Some(&checkpoint))
        {
            let _ = self.remove_checkpoints_but(kept.as_deref()); // what stays is removed when the folder is opened again
        }
        written
    }

    /// A checkpoint of the same step may be there, of a run with another configuration.
    fn unused_name(&self, step: usize) -> PathBuf {
        let folder = self.path.join(CHECKPOINTS);
        let again = (2..).map(|attempt| folder.join(format!("{step:06}-{attempt}")));
        let mut names = std::iter::once(folder.join(format!("{step:06}"))).chain(again);
        names.find(|name| !name.exists()).expect("there is no end of names")
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for folder in [self.path.clone(), self.path.join(CHECKPOINTS), self.samples()] {
            Output::remove_leftovers(&folder)?;
        }
        recover_folder(&self.model())?;
        // Without knowing which one counts, all stay.
        self.latest().map_or(Ok(()), |latest| self.remove_checkpoints_but(latest.as_deref()))
    }

    fn remove_checkpoints_but(&self, kept: Option<&Path>) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(self.path.join(CHECKPOINTS)) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let is_other = kept != Some(entry.path().as_path());
            if is_other && is_checkpoint(&entry.file_name().to_string_lossy()) && entry.file_type()?.is_dir() {
                disk::remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Digits, or digits, a dash and digits: everything else in the folder belongs to the user.
fn is_checkpoint(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (step, attempt) = name.split_once('-').unwrap_or((name, "2"));
    step.len() >= 6 && is_number(step) && is_number(attempt)
}
