//! The start of a request's denoising.

use burn::tensor::Tensor;
use pyrograph_scheduler::{Noise, Scheduler};

use crate::{Device, Error, Request};

/// The state before the first step.
#[derive(Debug)]
pub(crate) struct Start {
    /// `[batch, channels, height / f, width / f]`, at the noise level of the first step.
    pub(crate) latents: Tensor<4>,
    /// The position of the first step in the scheduler's timesteps.
    pub(crate) first_step: usize,
}

impl Start {
    /// Noise for a blank canvas: that of the request, else that of the generators.
    ///
    /// # Errors
    /// Returns an error if the request's noise has another shape.
    pub(crate) fn new(
        request: &Request,
        shape: [usize; 4],
        scheduler: &Scheduler,
        generators: &mut dyn Noise,
        device: &Device,
    ) -> Result<Self, Error> {
        let noise = match &request.noise {
            None => generators.draw(shape, device.tensors()),
            Some(noise) if noise.shape().as_slice() == shape => Tensor::from_data(noise.clone(), device.tensors()),
            Some(noise) => {
                let problem = format!("has the shape {:?}; this request needs {shape:?}", noise.shape().as_slice());
                return Err(Error::request("noise", problem));
            }
        };
        Ok(Self { latents: noise * scheduler.init_noise_sigma(), first_step: 0 })
    }
}
