//! Small files, read whole.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::CheckpointError;

/// No configuration, index or vocabulary is larger.
const LARGEST: u64 = 64 << 20;

/// The first `length` bytes, or all where the file is shorter.
pub(crate) fn read_head(path: &Path, length: u64) -> Result<Vec<u8>, CheckpointError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(CheckpointError::io(path))?;
    file.take(length).read_to_end(&mut head).map_err(CheckpointError::io(path))?;
    Ok(head)
}

pub(crate) fn read_text(path: &Path) -> Result<String, CheckpointError> {
    let bytes = read_head(path, LARGEST + 1)?;
    let name = path.display().to_string();
    if bytes.len() as u64 > LARGEST {
        return Err(CheckpointError::format(&name, format!("larger than {} MiB, so no text file", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| CheckpointError::format(&name, "not UTF-8 text"))
}

/// A text file that need not be there.
pub(crate) fn read_text_if_any(path: &Path) -> Result<Option<String>, CheckpointError> {
    if path.exists() { read_text(path).map(Some) } else { Ok(None) }
}

/// A JSON object as Python writes it.
pub(crate) fn read_json(path: &Path) -> Result<Value, CheckpointError> {
    let name = path.display().to_string();
    let json: Value = serde_json::from_str(&without_non_finite(&read_text(path)?))
        .map_err(|error| CheckpointError::format(&name, format!("not JSON: {error}")))?;
    if json.is_object() { Ok(json) } else { Err(CheckpointError::format(&name, "a JSON object is expected, `{...}`")) }
}

/// Python writes `"lambda_min_clipped": -Infinity`, which is no JSON: outside of strings such words become `null`, which
/// stands for the default. (A JSON5 parser would read them, but none of the published ones bounds its recursion.)
fn without_non_finite(text: &str) -> String {
    let replaced = |part: &str| part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null");
    let escaped = text.replace("\\\\", "\u{0}").replace("\\\"", "\u{1}");
    let parts = escaped.split('"').enumerate();
    let parts = parts.map(|(i, part)| if i % 2 == 0 { replaced(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("\"").replace('\u{1}', "\\\"").replace('\u{0}', "\\\\")
}
