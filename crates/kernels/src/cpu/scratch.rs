use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that are free. They are kept because fresh memory costs more than many of the loops that fill it: the system
/// clears every page at its first touch.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A buffer for intermediate values, with arbitrary content to begin with; it goes back to the pool when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    buffer: Vec<f32>,
    len: usize,
}

impl Scratch {
    pub(super) fn new(len: usize) -> Self {
        let mut buffer = take(len);
        if buffer.len() < len {
            buffer = vec![0.0; len];
        }
        Self { buffer, len }
    }
}

/// The smallest free buffer that is large enough, else one that will be replaced.
fn take(len: usize) -> Vec<f32> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let fitting = (0..free.len()).filter(|&i| free[i].len() >= len).min_by_key(|&i| free[i].len());
    fitting.map(|i| free.swap_remove(i)).or_else(|| free.pop()).unwrap_or_default()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.buffer));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.buffer[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.len]
    }
}
