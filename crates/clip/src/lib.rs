//! CLIP ([Radford et al.](https://arxiv.org/abs/2103.00020)) for pyrograph: the BPE tokenizer.
//!
//! [`Tokenizer`] turns a prompt into ids. It reads no file: it is given contents.

mod error;
mod tokenizer;
mod tokenizer_config;
mod vocabulary;

pub use error::Error;
pub use tokenizer::{Encoding, Tokenizer};
pub use tokenizer_config::TokenizerConfig;
