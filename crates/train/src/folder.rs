//! Folders that are there whole or not at all.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use pyrograph_checkpoint::disk;

use crate::TrainError;

type Exchange = fn(&Path, &Path) -> io::Result<()>;

/// Makes a folder with the files that `fill` writes to the path it is given. It appears under its name only once it is whole and
/// on the disk; one that was there is replaced, and stays where something fails. A folder is not for two writers at once.
pub(crate) fn replace_folder(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    replace_folder_by(disk::exchange, folder, fill)
}

/// The same with another way to exchange two folders.
fn replace_folder_by(
    exchange: Exchange,
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let failed = TrainError::checkpoint::<io::Error>(folder);
    let folder = &fs::canonicalize(folder).unwrap_or(folder.to_owned()); // a symbolic link stays
    recover_folder(folder).map_err(&failed)?;
    let [new, _] = beside(folder).map_err(&failed)?;
    disk::create_folder(&new).map_err(&failed)?;
    let replaced = fill(&new).and_then(|()| put_in_place(exchange, &new, folder).map_err(failed));
    let _ = recover_folder(folder); // removes the older one; an error before says more
    replaced
}

/// Completes a [`replace_folder`] that was interrupted: a folder that had stepped aside comes back if there is no new one.
pub(crate) fn recover_folder(folder: &Path) -> io::Result<()> {
    let [new, old] = beside(folder)?;
    if old.is_dir() && !folder.exists() {
        disk::rename(&old, folder)?;
    }
    for leftover in [new, old] {
        if leftover.is_dir() {
            disk::remove_folder(&leftover)?;
        }
    }
    Ok(())
}

/// Where the file system cannot exchange two names, there is a moment without the folder, from which [`recover_folder`] leads
/// back to the older one.
fn put_in_place(exchange: Exchange, new: &Path, folder: &Path) -> io::Result<()> {
    let [_, old] = beside(folder)?;
    disk::sync_tree(new)?;
    if folder.exists() {
        match exchange(new, folder) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                disk::rename(folder, &old)?;
                disk::rename(new, folder)?;
            }
            exchanged => exchanged?,
        }
    } else {
        disk::rename(new, folder)?;
    }
    disk::sync_folder(&disk::folder_of(folder))
}

/// The names of a new and an old version beside a folder.
fn beside(folder: &Path) -> io::Result<[PathBuf; 2]> {
    let name = folder.file_name().ok_or(ErrorKind::InvalidInput)?;
    let hidden =
        |version: &str| folder.with_file_name([OsStr::new("."), name, OsStr::new(version)].join(OsStr::new("")));
    Ok([hidden(".new"), hidden(".old")])
}

#[cfg(test)]
mod tests {
    use pyrograph_checkpoint::Output;
    use pyrograph_checkpoint::faults::{Fault, inject};

    use super::*;

    const FILES: [&str; 2] = ["config.json", "unet/weights"];

    fn fill(folder: &Path, text: &str) -> Result<(), TrainError> {
        disk::create_folder(&folder.join("unet")).map_err(TrainError::checkpoint(folder))?;
        Ok(FILES.iter().try_for_each(|file| Output::save(folder.join(file), text))?)
    }

    /// The text of all files, if they are whole and of one version.
    fn contents(folder: &Path) -> Option<String> {
        let read = |file| fs::read_to_string(folder.join(file)).ok();
        let [one, other] = FILES.map(read);
        one.filter(|one| other.as_ref() == Some(one))
    }

    fn try_all_faults(exchange: Exchange) {
        for fault in [Fault::Error, Fault::Crash] {
            for operation in 0.. {
                let place = tempfile::tempdir().expect("a folder");
                let model = place.path().join("model");
                replace_folder_by(exchange, &model, |new| fill(new, "old")).expect("nothing fails");
                let replace = || replace_folder_by(exchange, &model, |new| fill(new, "new"));
                let (replaced, failed) = inject(fault, operation, replace);
                recover_folder(&model).expect("nothing fails");
                let found = contents(&model).expect("it is whole");
                let expected: &[&str] = if replaced.is_ok() { &["new"] } else { &["old", "new"] };
                assert!(expected.contains(&found.as_str()), "{fault:?} at {operation}: {found}");
                replace_folder_by(exchange, &model, |new| fill(new, "newest")).expect("nothing fails");
                assert_eq!(contents(&model).as_deref(), Some("newest"));
                assert_eq!(fs::read_dir(&place).expect("a folder").count(), 1, "{fault:?} at {operation}");
                if !failed {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_folder_is_whole_whichever_operation_fails() {
        try_all_faults(disk::exchange);
    }

    #[test]
    fn a_folder_is_whole_where_no_names_can_be_exchanged() {
        try_all_faults(|_, _| Err(ErrorKind::Unsupported.into()));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_a_link_points_at_is_replaced() {
        let place = tempfile::tempdir().expect("a folder");
        let [real, link] = ["real", "link"].map(|name| place.path().join(name));
        replace_folder(&real, |new| fill(new, "old")).expect("nothing fails");
        std::os::unix::fs::symlink("real", &link).expect("a link");
        replace_folder(&link, |new| fill(new, "new")).expect("nothing fails");
        assert_eq!(contents(&real).as_deref(), Some("new"));
        assert!(link.is_symlink());
    }
}
