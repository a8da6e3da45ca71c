use burn::tensor::{Int, Tensor};
use pyrograph_autoencoder::{VectorQuantizer, map_to_rows};
use pyrograph_scheduler::Generator;

/// Learns the codes of a [`VectorQuantizer`] as running means of the vectors that choose them (van den Oord et al.,
/// <https://arxiv.org/abs/1711.00937>, appendix A.1), instead of by gradients.
#[derive(Clone, Debug)]
pub struct CodebookMeans {
    /// The running mean of how often each code was chosen: `[codes]`, without autodiff.
    pub counts: Tensor<1>,
    decay: f64,
}

/// A code that is taken less often than this by a batch is put elsewhere.
const DEAD: f64 = 0.01;

impl CodebookMeans {
    /// Means over about `1 / (1 - decay)` batches.
    pub fn new(quantizer: &VectorQuantizer, decay: f64) -> Self {
        let codes = quantizer.embedding.weight.val().inner();
        Self { counts: Tensor::ones([codes.dims()[0]], &codes.device()), decay }
    }

    /// Moves every code towards the mean of the vectors that chose it, and puts codes that hardly any vector chooses on
    /// vectors drawn from the batch; then [`codebook_loss`](pyrograph_autoencoder::Quantized::codebook_loss) is not needed.
    ///
    /// # Shapes
    /// - `x`: the input of [`VectorQuantizer::forward`], `indices`: its result
    #[must_use]
    pub fn update(
        &mut self,
        mut quantizer: VectorQuantizer,
        x: Tensor<4>,
        indices: Tensor<1, Int>,
        generator: &mut Generator,
    ) -> VectorQuantizer {
        let (decay, autodiff) = (self.decay, quantizer.embedding.weight.val().device().is_autodiff());
        let (vectors, codes) = (map_to_rows(x).inner(), quantizer.embedding.weight.val().inner());
        let [number, width] = codes.dims();
        let chosen: Tensor<2> = indices.inner().one_hot(number).float(); // [vectors, codes]
        let found = chosen.clone().sum_dim(0).reshape([number]);
        let sums = chosen.transpose().matmul(vectors.clone()); // [codes, width]
        let next = self.counts.clone() * decay + found * (1.0 - decay);
        let column = |x: Tensor<1>| x.reshape([number, 1]);
        let before = codes * column(self.counts.clone() * decay);
        let moved = (before + sums * (1.0 - decay)) / column(next.clone()).clamp_min(1e-12);
        let drawn = generator.rand(number).into_iter().map(|draw| (draw * vectors.dims()[0] as f32) as i32);
        let drawn: Vec<i32> = drawn.collect();
        let drawn = vectors.select(0, Tensor::from_ints(drawn.as_slice(), &next.device()));
        let dead = column(next.clone()).lower_elem(DEAD).expand([number, width]);
        let codes = moved.mask_where(dead, drawn);
        let codes = if autodiff { codes.autodiff() } else { codes };
        quantizer.embedding.weight = quantizer.embedding.weight.map(|_| codes.clone());
        self.counts = next.clone().mask_fill(next.lower_elem(DEAD), 1.0);
        quantizer
    }
}
