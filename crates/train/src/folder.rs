//! Folders that are there whole or not at all.

use std::path::Path;

use crate::TrainError;

/// Makes a folder with what `fill` writes to the path it is given. It appears under its name only once it is whole; one that
/// was there is replaced, and stays where something fails.
pub(crate) fn replace_folder(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let failed = |error: std::io::Error| TrainError::checkpoint(folder, error);
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).map_err(failed)?;
    fill(new.path())?;
    readable_by_all(new.path()).map_err(failed)?;
    // An older folder steps aside until the new one is in its place.
    let old = tempfile::Builder::new().prefix(".old-").tempdir_in(parent).map_err(failed)?;
    let aside = old.path().join("old");
    if folder.exists() {
        std::fs::rename(folder, &aside).map_err(failed)?;
    }
    let renamed = std::fs::rename(new.path(), folder);
    if renamed.is_err() && aside.exists() {
        let _ = std::fs::rename(&aside, folder); // the first error says more
    }
    renamed.map_err(failed)
}

/// Temporary folders are private; this one has the permissions of other new folders.
fn readable_by_all(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    let _ = folder;
    Ok(())
}
