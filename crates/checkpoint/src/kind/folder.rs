//! Kinds of folders.

use super::Kind;
use crate::{CheckpointError, Location};

/// The folder with the files of a model. This is `folder` itself, or the snapshot inside it if `folder` is the cache of
/// one model of the Hugging Face hub, `models--<owner>--<name>`.
/// <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>
///
/// # Errors
/// Returns an error if `refs/main` names no snapshot, and there is not exactly one.
pub(crate) fn model_folder(folder: Location) -> Result<Location, CheckpointError> {
    let snapshots = folder.join("snapshots");
    if !snapshots.is_dir() || folder.join("model_index.json").is_file() || folder.join("config.json").is_file() {
        return Ok(folder);
    }
    if let Some(commit) = folder.join("refs").join("main").read_text_if_any()? {
        let snapshot = snapshots.join(commit.trim());
        if is_plain(commit.trim()) && snapshot.is_dir() {
            return Ok(snapshot);
        }
    }
    let commits: Vec<String> = snapshots.list().into_iter().filter(|name| snapshots.join(name).is_dir()).collect();
    match commits.as_slice() {
        [commit] => Ok(snapshots.join(commit)),
        _ => Err(folder.of_kind(Kind::HubCache(commits))),
    }
}

/// Whether a name is a plain file name, without a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', ':']) && name != "." && name != ".."
}

/// The kind of a folder without `model_index.json`.
pub(crate) fn without_model(folder: &Location) -> Kind {
    let names = folder.list();
    let find = |is: &dyn Fn(&str) -> bool| names.iter().find(|name| is(name)).cloned();
    if let Some(model) = find(&|name| name.starts_with("models--")) {
        return Kind::HubCacheRoot(model);
    }
    if let Some(inner) = find(&|name| folder.join(name).join("model_index.json").is_file()) {
        return Kind::OuterFolder(inner);
    }
    if folder.join("config.json").is_file() {
        return Kind::NetworkFolder;
    }
    if let Some(file) = find(&|name| ["safetensors", "ckpt"].iter().any(|extension| has_extension(name, extension))) {
        return Kind::FolderOfFile(file);
    }
    foreign(&names).unwrap_or(Kind::Folder)
}

/// The kind of a network's folder without weights, if it is known.
pub(crate) fn without_weights(folder: &Location) -> Option<Kind> {
    foreign(&folder.list())
}

/// Suffixes of files with weights that cannot be read.
static FOREIGN: [(&str, Kind); 4] =
    [("msgpack", Kind::Flax), ("h5", Kind::Hdf5), ("onnx", Kind::Onnx), ("gguf", Kind::Gguf)];

fn foreign(names: &[String]) -> Option<Kind> {
    let has = |extension: &str| names.iter().any(|name| has_extension(name, extension));
    if UNFINISHED.iter().any(|extension| has(extension)) {
        return Some(Kind::UnfinishedDownload);
    }
    FOREIGN.iter().find(|(extension, _)| has(extension)).map(|(_, kind)| kind.clone())
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// Suffixes that download programs append to unfinished files.
const UNFINISHED: [&str; 6] = ["part", "partial", "incomplete", "crdownload", "download", "aria2"];

impl Location {
    /// Whether the name is that of an unfinished download.
    pub(crate) fn is_unfinished(&self) -> bool {
        UNFINISHED.iter().any(|extension| self.extension().eq_ignore_ascii_case(extension))
    }

    /// Whether an unfinished download of this path exists.
    pub(crate) fn has_unfinished(&self) -> bool {
        let Some(name) = self.path().file_name().and_then(|name| name.to_str()) else { return false };
        self.siblings()
            .iter()
            .filter_map(|other| other.strip_prefix(name)?.strip_prefix('.'))
            .any(|rest| UNFINISHED.contains(&rest))
    }
}
