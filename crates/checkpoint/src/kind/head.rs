//! Detection of kinds from the first bytes.

use super::Kind;

/// The number of bytes that detection needs.
pub(crate) const HEAD: u64 = 512;

/// Offset, signature and kind.
static SIGNATURES: [(usize, &[u8], Kind); 24] = [
    (0, b"PK\x03\x04", Kind::Zip),
    (0, b"PK\x05\x06", Kind::Zip),
    (0, b"GGUF", Kind::Gguf),
    (0, b"lmgg", Kind::Gguf),
    (0, b"tjgg", Kind::Gguf),
    (0, b"fmgg", Kind::Gguf),
    (0, b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
    (0, b"\x93NUMPY", Kind::NumPy),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::Archive("7z")),
    (0, b"Rar!\x1a\x07", Kind::Archive("RAR")),
    (0, b"\x1f\x8b", Kind::Archive("gzip")),
    (0, b"\xfd7zXZ\0", Kind::Archive("xz")),
    (0, b"\x28\xb5\x2f\xfd", Kind::Archive("Zstandard")),
    (0, b"\x04\x22\x4d\x18", Kind::Archive("LZ4")),
    (0, b"BZh", Kind::Archive("bzip2")),
    (257, b"ustar", Kind::Archive("tar")),
    (0, b"\x89PNG\r\n\x1a\n", Kind::Document("PNG image")),
    (0, b"\xff\xd8\xff", Kind::Document("JPEG image")),
    (0, b"GIF8", Kind::Document("GIF image")),
    (8, b"WEBP", Kind::Document("WebP image")),
    (0, b"%PDF-", Kind::Document("PDF")),
    (0, b"version https://git-lfs", Kind::LfsPointer),
    (0, b"version https://hawser", Kind::LfsPointer),
    (0, b"# xet version", Kind::LfsPointer),
];

/// The first words, in lower case, of documents that servers send instead of files.
const PAGES: [&str; 8] = ["<!doctype", "<html", "<head", "<body", "<?xml", "<error", "<!--", "<script"];

impl Kind {
    /// The kind of a file that begins with these bytes. `head` is [`HEAD`] bytes long, or the whole file.
    pub(crate) fn of_head(head: &[u8]) -> Self {
        if head.is_empty() {
            return Self::Empty;
        }
        if is_safetensors(head) {
            return Self::Safetensors;
        }
        let has = |(position, signature, _): &&(usize, &[u8], Self)| {
            head.get(*position..).is_some_and(|bytes| bytes.starts_with(signature))
        };
        match SIGNATURES.iter().find(has) {
            Some((_, _, kind)) => kind.clone(),
            None if matches!(head, [0x80, 2..=5, ..]) => Self::Pickle,
            None if is_onnx(head) => Self::Onnx,
            None if is_message_pack(head) => Self::Flax,
            None => of_text(head).unwrap_or(Self::Unknown),
        }
    }

    /// Whether the file can be read as text: as JSON, a vocabulary or similar.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Empty | Self::Json(_) | Self::Text(_))
    }
}

/// A length below 4 GiB, then the beginning of a JSON object.
fn is_safetensors(head: &[u8]) -> bool {
    head.get(4..9) == Some(b"\0\0\0\0{")
}

/// The version of the format and the name of the program that wrote it, in protocol buffers.
fn is_onnx(head: &[u8]) -> bool {
    let [0x08, 1..=32, 0x12, length @ 1..=64, name @ ..] = head else { return false };
    name.iter().take(usize::from(*length)).all(u8::is_ascii_graphic)
}

/// A MessagePack map whose first key is a string.
fn is_message_pack(head: &[u8]) -> bool {
    let after_map = match head {
        [0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..] | [0xdf, _, _, _, _, rest @ ..] => rest,
        _ => return false,
    };
    match after_map {
        [length @ 0xa1..=0xbf, key @ ..] => key.iter().take(usize::from(length & 0x1f)).all(u8::is_ascii_graphic),
        _ => false,
    }
}

/// The kind of a text; `None` for other bytes.
fn of_text(head: &[u8]) -> Option<Kind> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.contains(|char: char| char.is_control() && !char.is_whitespace()) {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.get(..16).unwrap_or(text).to_ascii_lowercase();
    let beginning: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    Some(match text.as_bytes().first() {
        _ if PAGES.iter().any(|page| lower.starts_with(page)) => Kind::WebPage,
        Some(b'{' | b'[') => Kind::Json(beginning),
        _ => Kind::Text(beginning),
    })
}
