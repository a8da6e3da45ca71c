//! The encoded prompts of a request.

use burn::tensor::Tensor;

use crate::text::TextEncoder;
use crate::{Error, Request};

/// The conditions of each call of the UNet. If there are several branches, the first is that of the negative prompt,
/// from which guidance leads away.
#[derive(Debug)]
pub(crate) struct Conditioning {
    pub(crate) branches: Vec<Branch>,
}

/// One of the predictions of every step.
#[derive(Debug)]
pub(crate) struct Branch {
    /// The weight of its prediction against that of the first branch.
    pub(crate) weight: f64,
    pub(crate) context: Context,
}

/// The inputs of the UNet besides latents and timestep.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The hidden states of the prompt's tokens: `[batch, tokens, width]`.
    pub(crate) text: Tensor<3>,
}

impl Conditioning {
    /// The prompt for each image of the batch, preceded by the negative prompt if guidance is on.
    pub(crate) fn new(request: &Request, encoder: &TextEncoder) -> Result<Self, Error> {
        let branch = |prompt: &str, clip_skip, weight| -> Result<Branch, Error> {
            let text = encoder.encode(prompt, clip_skip)?.repeat_dim(0, request.batch_size);
            Ok(Branch { weight, context: Context { text } })
        };
        let prompt = branch(&request.prompt, request.clip_skip, request.guidance.scale())?;
        if !request.guidance.is_on() {
            return Ok(Self { branches: vec![prompt] });
        }
        // diffusers skips blocks for the prompt only.
        Ok(Self { branches: vec![branch(&request.negative_prompt, 0, 0.0)?, prompt] })
    }
}
