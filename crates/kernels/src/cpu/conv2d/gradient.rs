use rayon::prelude::*;

use super::input_gradient::input_gradient;
use super::weight_gradient::weight_gradient;
use crate::cpu::autodiff::Gradient;
use crate::cpu::math;
use crate::cpu::values::Values;
use crate::geometry::Geometry;

/// The gradient of a convolution with respect to its input, its weight and its bias.
#[derive(Clone, Debug)]
pub(super) struct Conv2dGradient {
    pub(super) geometry: Geometry,
    pub(super) x: Values,
    pub(super) weight: Values,
}

impl Gradient<3> for Conv2dGradient {
    fn gradients(self, output: Values, [x, weight, bias]: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let (geometry, output) = (&self.geometry, output.into_contiguous());
        [
            x.then(|| input_gradient(geometry, &self.weight, &output)),
            weight.then(|| weight_gradient(geometry, &self.x, &output)),
            bias.then(|| bias_gradient(geometry, &output)),
        ]
    }
}

/// The sum of every channel of `output`, `[batch, channels_out, height, width]`, over images and pixels.
fn bias_gradient(geometry: &Geometry, output: &[f32]) -> Vec<f32> {
    let Geometry { batch, channels_out, .. } = *geometry;
    let area = geometry.area_out();
    let sum = |channel| {
        let planes = (0..batch).map(|image| &output[(image * channels_out + channel) * area..][..area]);
        planes.map(|plane| f64::from(math::sum(plane, |value| value))).sum::<f64>() as f32
    };
    (0..channels_out).into_par_iter().map(sum).collect()
}
