//! CLIP ([Radford et al.](https://arxiv.org/abs/2103.00020)) for pyrograph: the BPE tokenizer and the text tower.
//!
//! [`Tokenizer`] turns a prompt into ids, [`ClipTextModel`] turns ids into the hidden states that condition the UNet.
//! Neither reads a file: they are given contents, and tensors by name.

mod encoder;
mod error;
mod text_config;
mod text_model;
mod tokenizer;
mod tokenizer_config;
mod vocabulary;

pub use error::Error;
pub use text_config::{ClipTextConfig, HiddenAct};
pub use text_model::{ClipTextModel, ClipTextOutput};
pub use tokenizer::{Encoding, Tokenizer};
pub use tokenizer_config::TokenizerConfig;
