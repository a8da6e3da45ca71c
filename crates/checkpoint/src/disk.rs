//! File system operations that outputs depend on. Tests can make each of them fail ([`faults`]).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::faults;

/// Creates a folder and its parents.
///
/// # Errors
/// Returns an error if the system refuses.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = folder_of(path);
    create_folder(&parent)?;
    faults::operation()?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }?;
    sync_folder(&parent)
}

/// Renames a file or folder. An existing file of the new name is replaced.
///
/// # Errors
/// Returns an error if the system refuses.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    faults::operation()?;
    #[expect(clippy::disallowed_methods, reason = "this is where files are renamed")]
    fs::rename(from, to)?;
    faults::renamed(from, to);
    Ok(())
}

/// Swaps the names of two folders in one operation.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when the system or the file system has no such operation.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    faults::operation()?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {}
            exchanged => return exchanged.map_err(io::Error::from),
        }
    }
    let _ = (one, other);
    Err(ErrorKind::Unsupported.into())
}

/// Removes a file.
///
/// # Errors
/// Returns an error if the system refuses.
pub fn remove_file(path: &Path) -> io::Result<()> {
    faults::operation()?;
    fs::remove_file(path)
}

/// Removes a folder with its contents.
///
/// # Errors
/// Returns an error if the system refuses. Part of the contents may be removed by then.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { remove_folder(&entry.path()) } else { remove_file(&entry.path()) }?;
    }
    faults::operation()?;
    fs::remove_dir(path)
}

/// Creates the file `path` by calling `write`. This counts as one operation; the file is not synced.
///
/// # Errors
/// The errors of `write`.
pub fn write_with(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    faults::operation()?;
    write(path)?;
    faults::written(path);
    Ok(())
}

/// Waits until the names in a folder are on the disk, on systems that support it.
///
/// # Errors
/// Returns an error if the disk refuses.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    faults::operation()?;
    // Windows cannot open folders, a folder may be writable but not readable, and some network file systems cannot sync
    // folders.
    let Ok(folder) = File::open(path) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Waits until a folder and all its contents are on the disk.
///
/// # Errors
/// Returns an error if the disk refuses.
pub fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            faults::operation()?;
            File::options().write(true).open(entry.path())?.sync_all()?;
            faults::synced(&entry.path());
        }
    }
    sync_folder(path)
}

/// The parent folder of a file; `.` for a bare name.
pub fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// A file that is written and synced.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Writer {
    pub(crate) fn sync(&self) -> io::Result<()> {
        faults::operation()?;
        self.file.sync_all()?;
        faults::synced(&self.path);
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = faults::operation() {
            let _ = self.file.write(&bytes[..bytes.len() / 2]); // as after a full disk or a kill
            return Err(error);
        }
        faults::written(&self.path);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
