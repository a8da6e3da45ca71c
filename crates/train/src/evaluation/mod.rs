//! Measures of the quality of models.

mod models;
mod reconstruction;

pub use models::{bits_per_dimension, reconstruction};
pub use reconstruction::{peak_signal_to_noise, structural_similarity};
