//! Checkpoints whose files are fetched one by one, from a server that cannot list them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use crate::{CheckpointError, Location, Source, Storage};

/// A model whose files are looked up one by one. The caller fetches them.
///
/// The readers that open models on disk run over the files found so far. When they need a file that has not been looked
/// up, [`attempt`](Self::attempt) returns its name. The caller looks it up, answers with [`found`](Self::found) or
/// [`absent`](Self::absent), and calls `attempt` again. There is no second list of the files of a model, and nothing
/// here waits, so any way of fetching works.
#[derive(Debug)]
pub struct OnDemand {
    root: PathBuf,
    lookups: Arc<Lookups>,
}

/// The result of [`OnDemand::attempt`].
#[derive(Debug)]
pub enum Attempt<T> {
    /// This file must be looked up first: its path in the folder, or an empty path for a model that is a single file.
    Needs(PathBuf),
    /// All files were found, and this is the result.
    Done(T),
}

impl OnDemand {
    /// A model in a folder. Error messages call it `name`.
    pub fn folder(name: impl Into<PathBuf>) -> Self {
        let root = name.into();
        Self { lookups: Arc::new(Lookups::new(Some(root.clone()))), root }
    }

    /// A model in a single file. Error messages call it `name`.
    pub fn file(name: impl Into<PathBuf>) -> Self {
        Self { lookups: Arc::new(Lookups::new(None)), root: name.into() }
    }

    /// Answers that the file exists. `open` may be called any number of times.
    pub fn found(&self, path: &Path, open: impl Fn() -> io::Result<Box<dyn Source>> + Send + Sync + 'static) {
        self.lookups.answer(self.path(path), Some(Arc::new(open)));
    }

    /// Answers that the file does not exist.
    pub fn absent(&self, path: &Path) {
        self.lookups.answer(self.path(path), None);
    }

    /// Opens the model with the files that were looked up so far: `attempt(Checkpoint::open)`.
    ///
    /// # Errors
    /// As `open`, after every file that it needs has been looked up.
    pub fn attempt<T>(
        &self,
        open: impl FnOnce(Location) -> Result<T, CheckpointError>,
    ) -> Result<Attempt<T>, CheckpointError> {
        let result = open(Location::within(self.lookups.clone(), &self.root));
        match self.lookups.take_unknown() {
            Some(path) => Ok(Attempt::Needs(path.strip_prefix(&self.root).unwrap_or(&path).to_owned())),
            None => result.map(Attempt::Done),
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

type OpenFile = Arc<dyn Fn() -> io::Result<Box<dyn Source>> + Send + Sync>;

/// The files that were looked up, and the first one that was not.
struct Lookups {
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<PathBuf, Option<OpenFile>>,
    unknown: Option<PathBuf>,
}

impl Lookups {
    fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, path: PathBuf, file: Option<OpenFile>) {
        self.state().answers.insert(path, file);
    }

    fn take_unknown(&self) -> Option<PathBuf> {
        self.state().unknown.take()
    }

    /// The file, if it was looked up and found.
    fn look_up(&self, path: &Path) -> Option<OpenFile> {
        let mut state = self.state();
        match state.answers.get(path) {
            Some(answer) => answer.clone(),
            None => {
                state.unknown.get_or_insert_with(|| path.to_owned());
                None
            }
        }
    }
}

impl Storage for Lookups {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        let open =
            self.look_up(path).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file"))?;
        open()
    }

    fn is_file(&self, path: &Path) -> bool {
        !self.is_dir(path) && self.look_up(path).is_some()
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.folder.as_deref() == Some(path)
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.state().answers.keys()).finish()
    }
}
