//! CLIP ([Radford et al.](https://arxiv.org/abs/2103.00020)) for pyrograph: the BPE tokenizer and the two towers.
//!
//! [`Tokenizer`] converts a prompt to ids, and [`ClipTextModel`] converts ids to the hidden states that condition the
//! UNet. [`ClipVisionModel`] encodes images, and [`ClipModel`] computes how well images and texts match. None of them
//! reads files: the caller passes contents, and tensors by name.

mod added_token;
mod clip_config;
mod clip_model;
mod encoder;
mod encoder_config;
mod error;
mod restriction;
mod text_config;
mod text_model;
mod tokenizer;
mod tokenizer_config;
mod vision_config;
mod vision_model;
mod vocabulary;

pub use added_token::AddedToken;
pub use clip_config::ClipConfig;
pub use clip_model::{ClipModel, cosine_similarity};
pub use encoder_config::HiddenAct;
pub use error::Error;
pub use text_config::ClipTextConfig;
pub use text_model::{ClipTextModel, ClipTextOutput};
pub use tokenizer::{Encoding, Tokenizer};
pub use tokenizer_config::{TokenFiles, TokenizerConfig};
pub use vision_config::ClipVisionConfig;
pub use vision_model::ClipVisionModel;
pub use vocabulary::Vocabulary;
