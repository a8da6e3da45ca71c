use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Scales all gradients of a model so that their Euclidean norm together is at most `max_norm`, unless that is 0, and answers
/// with the norm that they had: `torch.nn.utils.clip_grad_norm_`. burn's own clipping looks at each tensor alone.
pub fn clip_gradients<M: Module>(model: &M, gradients: GradientsParams, max_norm: f64) -> (GradientsParams, f64) {
    let mut squares = Squares { gradients: &gradients, sums: Vec::new() };
    model.visit(&mut squares);
    if squares.sums.is_empty() {
        return (gradients, 0.0);
    }
    let norm = Tensor::cat(squares.sums, 0).sum().sqrt();
    let norm = f64::from(norm.into_data().convert::<f32>().try_to_vec::<f32>().expect("a norm is one number")[0]);
    if max_norm <= 0.0 || norm <= max_norm {
        return (gradients, norm);
    }
    let mut scale = Scale { gradients, factor: max_norm / norm, scaled: GradientsParams::new() };
    model.visit(&mut scale);
    (scale.scaled, norm)
}

/// The sums of squares, one for each tensor, `[1]`.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        self.sums.extend(self.gradients.get::<D>(parameter.id).map(|gradient| gradient.square().sum()));
    }
}

struct Scale {
    gradients: GradientsParams,
    factor: f64,
    scaled: GradientsParams,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            self.scaled.register(parameter.id, gradient * self.factor);
        }
    }
}
