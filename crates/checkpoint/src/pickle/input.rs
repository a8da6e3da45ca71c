//! The bytes of a pickle.

use std::io::{self, BufRead, Read};

use super::PickleError;

/// Size limit of a pickle in bytes. The pickles of checkpoints contain names and shapes and have at most some
/// megabytes.
pub(super) const LONGEST: u64 = 64 << 20;

/// Reads a pickle and counts its bytes. Memory grows with the bytes that were read, not with the lengths that the file
/// states.
pub(super) struct Input<'a, R> {
    reader: &'a mut R,
    /// Bytes read so far.
    pub(super) length: u64,
    /// The bytes of the last text.
    text: Vec<u8>,
}

impl<'a, R: BufRead> Input<'a, R> {
    pub(super) fn new(reader: &'a mut R) -> Self {
        Self { reader, length: 0, text: Vec::new() }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.count(N as u64)?;
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Bytes after their little-endian count, which has `count_bytes` bytes.
    pub(super) fn counted(&mut self, count_bytes: usize) -> Result<&[u8], PickleError> {
        let length = self.announced(count_bytes)?;
        self.text.clear();
        self.reader.take(length).read_to_end(&mut self.text)?;
        if self.text.len() as u64 == length { Ok(&self.text) } else { Err(PickleError::Truncated) }
    }

    /// Like [`counted`](Self::counted), for bytes that are not needed.
    pub(super) fn skip_counted(&mut self, count_bytes: usize) -> Result<(), PickleError> {
        let length = self.announced(count_bytes)?;
        let skipped = io::copy(&mut self.reader.take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(PickleError::Truncated) }
    }

    /// The bytes up to the end of the line.
    pub(super) fn line(&mut self) -> Result<&[u8], PickleError> {
        self.text.clear();
        self.reader.take(1024).read_until(b'\n', &mut self.text)?;
        self.count(self.text.len() as u64)?;
        self.text.strip_suffix(b"\n").ok_or(PickleError::Expected("a name that ends"))
    }

    fn announced(&mut self, count_bytes: usize) -> Result<u64, PickleError> {
        let mut count = [0; 8];
        self.count(count_bytes as u64)?;
        self.reader.read_exact(&mut count[..count_bytes])?;
        let length = u64::from_le_bytes(count);
        self.count(length)?;
        Ok(length)
    }

    fn count(&mut self, bytes: u64) -> Result<(), PickleError> {
        self.length = self.length.saturating_add(bytes);
        if self.length <= LONGEST { Ok(()) } else { Err(PickleError::TooLong { length: bytes, limit: LONGEST }) }
    }
}
