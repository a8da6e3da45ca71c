use burn::nn::Initializer;

/// The distribution of PyTorch's `Linear` and `Conv2d` before training: uniform within `1 / sqrt(fan_in)`.
pub(crate) fn like_pytorch() -> Initializer {
    Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }
}
