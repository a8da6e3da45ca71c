//! Checkpoints whose files are fetched one by one, from a server that has no list of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use crate::{CheckpointError, Location, Source, Storage};

/// A model that is looked up file by file, by whoever can fetch files.
///
/// The readers that open models on disk run over the files found so far. As soon as they look for a file that nobody has looked up,
/// [`attempt`](Self::attempt) names it, and is called again once [`found`](Self::found) or [`absent`](Self::absent) has answered. So there is
/// no second list of the files that belong to a model, and fetching works wherever it has to: here nothing waits.
#[derive(Debug)]
pub struct OnDemand {
    root: PathBuf,
    lookups: Arc<Lookups>,
}

/// How far [`OnDemand::attempt`] got.
#[derive(Debug)]
pub enum Attempt<T> {
    /// This file must be looked up first: its path in the folder, or nothing for a model that is a file itself.
    Needs(PathBuf),
    /// All files are there.
    Done(T),
}

impl OnDemand {
    /// A folder, which error messages call `name`.
    pub fn folder(name: impl Into<PathBuf>) -> Self {
        let root = name.into();
        Self { lookups: Arc::new(Lookups::new(Some(root.clone()))), root }
    }

    /// A single file, which error messages call `name`.
    pub fn file(name: impl Into<PathBuf>) -> Self {
        Self { lookups: Arc::new(Lookups::new(None)), root: name.into() }
    }

    /// There is such a file; `open` may be called any number of times.
    pub fn found(&self, path: &Path, open: impl Fn() -> io::Result<Box<dyn Source>> + Send + Sync + 'static) {
        self.lookups.answer(self.path(path), Some(Arc::new(open)));
    }

    /// There is no such file.
    pub fn absent(&self, path: &Path) {
        self.lookups.answer(self.path(path), None);
    }

    /// Opens the model with what has been looked up so far: `attempt(Checkpoint::open)`.
    ///
    /// # Errors
    /// As `open`, once every file that it looks for has been looked up.
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

/// The files that have been looked up, and the first one that has not.
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
