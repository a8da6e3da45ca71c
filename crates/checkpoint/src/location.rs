//! Locations of files, on disk or elsewhere.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::kind::HEAD;
use crate::{CheckpointError, Kind};

/// A file that can be read at any position.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// Storage for files outside of the file system, such as in a browser.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// Returns an error if there is no file of this name, or it cannot be read.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>>;

    /// Whether there is such a file.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether there is such a folder.
    fn is_dir(&self, path: &Path) -> bool;

    /// The names of the files and folders in a folder, for messages. Empty if the storage cannot list them.
    fn list(&self, _folder: &Path) -> Vec<String> {
        Vec::new()
    }

    /// A text that identifies the file and its contents, such as its absolute path, size and time of modification;
    /// `None` if the storage has none.
    fn stamp(&self, _path: &Path) -> Option<String> {
        None
    }
}

/// A file or a folder: a path of the file system, or of another [`Storage`].
#[derive(Clone, Debug)]
pub struct Location {
    storage: Arc<dyn Storage>,
    path: PathBuf,
}

/// The file system.
#[derive(Debug)]
struct Disk;

impl Storage for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(File::open(path)?))
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    fn stamp(&self, path: &Path) -> Option<String> {
        let path = path.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        Some(format!("{} {} {:?}", path.display(), metadata.len(), metadata.modified().ok()?))
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Location {
    fn from(path: &P) -> Self {
        Self::within(Arc::new(Disk), path.as_ref())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Bytes of the first read; later reads are larger.
const BUFFER: u64 = 64 << 10;

/// Size limit of configurations, indices and vocabularies.
const LARGEST_TEXT: u64 = 64 << 20;

impl Location {
    /// A path in a storage other than the file system.
    pub fn within(storage: Arc<dyn Storage>, path: impl Into<PathBuf>) -> Self {
        Self { storage, path: path.into() }
    }

    /// The path within its storage.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder inside this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        Self { path: self.path.join(name), ..self.clone() }
    }

    pub(crate) fn with_file_name(&self, name: &str) -> Self {
        Self { path: self.path.with_file_name(name), ..self.clone() }
    }

    pub(crate) fn extension(&self) -> &str {
        self.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
    }

    /// Whether there is such a file.
    pub fn is_file(&self) -> bool {
        self.storage.is_file(&self.path)
    }

    /// Whether there is such a folder.
    pub fn is_dir(&self) -> bool {
        self.storage.is_dir(&self.path)
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.storage.list(&self.path)
    }

    /// The names of the files and folders beside this file.
    pub(crate) fn siblings(&self) -> Vec<String> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.storage.list(folder.unwrap_or(Path::new(".")))
    }

    pub(crate) fn stamp(&self) -> Option<String> {
        self.storage.stamp(&self.path)
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Source>, CheckpointError> {
        self.storage.open(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if self.has_unfinished() => self.of_kind(Kind::UnfinishedDownload),
            _ => CheckpointError::io(&self.path)(error),
        })
    }

    /// The first `length` bytes, or the whole file if it is shorter.
    pub(crate) fn read_head(&self, length: u64) -> Result<Vec<u8>, CheckpointError> {
        let mut head = Vec::with_capacity(length.min(BUFFER) as usize);
        self.open()?.take(length).read_to_end(&mut head).map_err(CheckpointError::io(&self.path))?;
        Ok(head)
    }

    pub(crate) fn read_text(&self) -> Result<String, CheckpointError> {
        let bytes = self.read_head(LARGEST_TEXT + 1)?;
        if bytes.len() as u64 > LARGEST_TEXT {
            return Err(self.wrong(format!("larger than {} MiB; a text file is expected", LARGEST_TEXT >> 20)));
        }
        match Kind::of_head(&bytes[..bytes.len().min(HEAD as usize)]) {
            Kind::Unknown => {}
            kind if !kind.is_text() => return Err(self.of_kind(kind)),
            _ => {}
        }
        let text = String::from_utf8(bytes).map_err(|_| self.wrong("not UTF-8 text"))?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)) // a byte order mark from editors on Windows
    }

    /// The text of an optional file.
    pub(crate) fn read_text_if_any(&self) -> Result<Option<String>, CheckpointError> {
        self.is_file().then(|| self.read_text()).transpose()
    }

    /// A JSON object as Python writes it, with `NaN` and `Infinity` read as `null`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or does not contain a JSON object.
    pub fn read_json(&self) -> Result<Value, CheckpointError> {
        let text = self.read_text()?;
        if text.trim().is_empty() {
            return Err(self.of_kind(Kind::Empty));
        }
        let json: Value = serde_json::from_str(&without_non_finite(&text))
            .map_err(|error| self.wrong(format!("not JSON: {error}")))?;
        if json.is_object() { Ok(json) } else { Err(self.wrong("a JSON object is expected, `{...}`")) }
    }

    /// The error that the file or folder is of another kind than expected.
    pub(crate) fn of_kind(&self, kind: Kind) -> CheckpointError {
        CheckpointError::Kind { file: self.to_string(), kind }
    }

    /// The error that the contents are wrong.
    pub(crate) fn wrong(&self, problem: impl ToString) -> CheckpointError {
        CheckpointError::format(&self.to_string(), problem)
    }
}

/// Python writes `"lambda_min_clipped": -Infinity`, which is not JSON. Outside of strings such words become `null`,
/// which stands for the default. (A JSON5 parser would read them, but no published one limits its recursion.)
fn without_non_finite(text: &str) -> String {
    let replaced = |part: &str| part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null");
    let escaped = text.replace("\\\\", "\u{0}").replace("\\\"", "\u{1}");
    let parts = escaped.split('"').enumerate();
    let parts = parts.map(|(i, part)| if i % 2 == 0 { replaced(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("\"").replace('\u{1}', "\\\"").replace('\u{0}', "\\\\")
}
