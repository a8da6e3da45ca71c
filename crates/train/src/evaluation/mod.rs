//! How good models are, in numbers.

mod models;
mod reconstruction;
mod scenes;

pub use models::{bits_per_dimension, reconstruction};
pub use reconstruction::{peak_signal_to_noise, structural_similarity};
pub use scenes::{SceneJudge, Verdict};
