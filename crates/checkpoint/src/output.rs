//! Files that are written whole or not at all.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Stdout, Write, stdout};
use std::path::{Path, PathBuf};

use crate::disk::{self, folder_of};
use crate::temporary::{Temporary, is_temporary};

/// A file that appears under its name whole or not at all.
///
/// ```
/// use std::io::Write;
/// use pyrograph_checkpoint::Output;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("losses.csv");
/// let mut output = Output::create(&path)?; // fails now if the file could not be written after minutes of work
/// writeln!(output, "step,loss")?;
/// output.commit()?; // on the disk; without it nothing is left
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The bytes go to a temporary file in the same folder, which is renamed at the end. The file has the permissions that
/// the umask gives, or those of the file that it replaces. If the name is a symbolic link, the link stays and its
/// target is replaced. Devices, pipes and the standard output are written directly.
pub struct Output {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    /// The temporary file is created by the first write; a program that is killed earlier leaves no file.
    File {
        target: PathBuf,
        temporary: Option<Temporary>,
    },
    Stream(BufWriter<File>),
    Standard(BufWriter<Stdout>),
}

/// The reason why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The name is that of a folder.
    #[error("{}: is a folder; name a file", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The file would be in a folder that does not exist.
    #[error("{}: there is no folder {}", path.display(), folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The missing folder.
        folder: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: cannot be written: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
}

impl Output {
    /// Prepares to write a file, and checks at once that this is possible.
    ///
    /// # Errors
    /// Returns an error if the name is that of a folder, the folder of the file does not exist, or no file can be
    /// created in it.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, OutputError> {
        let path = path.as_ref().to_owned();
        match Sink::open(&path) {
            Ok(sink) => Ok(Self { path, sink }),
            Err(cause) => Err(OutputError::new(&path, cause)),
        }
    }

    /// The standard output.
    pub fn standard() -> Self {
        Self { path: "standard output".into(), sink: Sink::Standard(BufWriter::new(stdout())) }
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written. An existing file is unchanged then.
    pub fn save(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<(), OutputError> {
        Self::create(path)?.write_with(|output| output.write_all(contents.as_ref()))
    }

    /// Calls `write` to write the contents, and commits.
    ///
    /// # Errors
    /// Returns an error if `write` fails or the file cannot be written. An existing file is unchanged then.
    pub fn write_with(mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<(), OutputError> {
        match write(&mut self) {
            Ok(()) => self.commit(),
            Err(cause) => Err(OutputError::new(&self.path, cause)),
        }
    }

    /// Waits until all bytes are on the disk, then gives the file its name.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written. An existing file is unchanged then.
    pub fn commit(mut self) -> Result<(), OutputError> {
        self.finish().map_err(|cause| OutputError::new(&self.path, cause))
    }

    /// The path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the bytes are written directly, to a device, a pipe or the standard output. Its name has no meaning for
    /// the format then.
    pub fn is_stream(&self) -> bool {
        !matches!(self.sink, Sink::File { .. })
    }

    /// Whether both would write the same file.
    pub fn is_same_file(&self, other: &Self) -> bool {
        match (&self.sink, &other.sink) {
            (Sink::File { target, .. }, Sink::File { target: other, .. }) => target == other,
            _ => false,
        }
    }

    /// Removes the temporary files of killed programs from a folder that no running program writes to.
    ///
    /// # Errors
    /// Returns an error if one cannot be removed.
    pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            if is_temporary(&entry.file_name().to_string_lossy()) {
                disk::remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        let Sink::File { target, temporary } = &mut self.sink else { return Ok(()) };
        match temporary.take() {
            Some(temporary) => temporary.persist(target),
            None => Temporary::beside(target)?.persist(target), // an empty file
        }
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        Ok(match &mut self.sink {
            Sink::File { temporary: Some(temporary), .. } => temporary.writer(),
            Sink::File { target, temporary } => temporary.insert(Temporary::beside(target)?).writer(),
            Sink::Stream(stream) => stream,
            Sink::Standard(stream) => stream,
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::File { temporary: None, .. } => Ok(()),
            _ => self.writer()?.flush(),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OutputError {
    fn new(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            ErrorKind::IsADirectory => Self::Folder { path },
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::NoFolder { folder: folder_of(&path), path },
            _ => Self::Io { path, cause },
        }
    }
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        if cfg!(unix) && path == Path::new("/dev/stdout") {
            return Ok(Self::Standard(BufWriter::new(stdout()))); // keeps the append mode of a shell's `>>`
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => {
                File::options().write(true).open(path)?; // a file may be read-only in a writable folder
                Self::file(fs::canonicalize(path)?)
            }
            Ok(_) => Ok(Self::Stream(BufWriter::new(File::options().write(true).open(path)?))),
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
                Ok(absent) => Self::open(&folder_of(path).join(absent)),
                Err(_) => Self::file(fs::canonicalize(folder_of(path))?.join(new_name(path)?)),
            },
            Err(error) => Err(error),
        }
    }

    /// Creates a file in the target's folder to check that this is possible; permission bits do not tell.
    fn file(target: PathBuf) -> io::Result<Self> {
        drop(Temporary::beside(&target)?);
        Ok(Self::File { target, temporary: None })
    }
}

/// The last part of a path, unless the path is that of a folder.
fn new_name(path: &Path) -> io::Result<&std::ffi::OsStr> {
    let is_folder = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    path.file_name().filter(|_| !is_folder).ok_or(ErrorKind::IsADirectory.into())
}
