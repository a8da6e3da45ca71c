//! How generated images of scenes are judged. A scene is one object, or two side by side, on a plain background.
//!
//! The program `scenes` of this crate, with the feature `program`, makes such images with captions for training.

mod judge;
mod scores;

pub use judge::{Labels, SceneJudge, Verdict};
pub use scores::{Scores, Share};
