//! Temporary files that take the name of their target.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::disk::{self, Writer, folder_of};
use crate::faults;

/// A file with a temporary name in the folder of its target. It is removed unless it takes the target's name.
pub(crate) struct Temporary {
    writer: BufWriter<Writer>,
    renamed: bool,
}

/// Prefix and suffix of the names. They identify the files that killed programs leave behind.
const PREFIX: &str = ".pyrograph-";
const SUFFIX: &str = ".part";

pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

impl Temporary {
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        faults::operation()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // the umask removes bits
        let (file, path) = builder.tempfile_in(folder_of(target))?.keep().map_err(|error| error.error)?;
        Ok(Self { writer: BufWriter::new(Writer { file, path }), renamed: false })
    }

    pub(crate) fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    /// Waits until the bytes are on the disk, then takes the target's name.
    pub(crate) fn persist(mut self, target: &Path) -> io::Result<()> {
        self.writer.flush()?;
        if let Ok(replaced) = fs::metadata(target) {
            keep_attributes(&self.writer.get_ref().file, &replaced)?;
        }
        self.writer.get_ref().sync()?;
        disk::rename(&self.writer.get_ref().path, target)?;
        self.renamed = true;
        disk::sync_folder(&folder_of(target))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = disk::remove_file(&self.writer.get_ref().path); // an earlier error is more informative
        }
    }
}

/// Gives a file the permissions of the file that it replaces, and its owner where this is allowed.
fn keep_attributes(file: &File, replaced: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let _ = fchown(file, Some(replaced.uid()), Some(replaced.gid())); // only root may change the owner
    }
    file.set_permissions(replaced.permissions())
}
