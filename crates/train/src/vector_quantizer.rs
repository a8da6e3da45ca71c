use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Int, Tensor};
use pyrograph_scheduler::Generator;

/// A codebook: every vector is replaced by the nearest of its codes (van den Oord et al.,
/// <https://arxiv.org/abs/1711.00937>). Its codes are learnt by gradients, or by [`update`](Self::update) as running means.
#[derive(Module, Debug)]
pub struct VectorQuantizer {
    /// `[codes, width]`
    pub embedding: Param<Tensor<2>>,
    /// How often each code was taken, a running mean: `[codes]`
    pub counts: Param<Tensor<1>>,
    commitment: f64,
}

/// Vectors after quantisation.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The codes, `[batch, width, height, width of the map]`; gradients pass to the input as if nothing had happened.
    pub values: Tensor<4>,
    /// Their numbers, `[batch * height * width]`.
    pub indices: Tensor<1, Int>,
    /// The squared distance that pulls codes to vectors, `[1]`.
    pub codebook_loss: Tensor<1>,
    /// The squared distance, times its factor, that pulls vectors to codes, `[1]`.
    pub commitment_loss: Tensor<1>,
}

impl VectorQuantizer {
    /// So many codes of that width, uniform in +- 1 / codes; 0.25 is the commitment's usual factor.
    pub fn new(codes: usize, width: usize, commitment: f64, device: &Device) -> Self {
        let edge = 1.0 / codes as f64;
        let embedding = Tensor::random([codes, width], Distribution::Uniform(-edge, edge), device);
        Self {
            embedding: Param::from_tensor(embedding),
            counts: Param::from_tensor(Tensor::ones([codes], device)).set_require_grad(false),
            commitment,
        }
    }

    /// Replaces every vector of a map.
    ///
    /// # Shapes
    /// `[batch, width, height, width of the map]`
    pub fn forward(&self, x: Tensor<4>) -> Quantized {
        let [batch, width, map_height, map_width] = x.dims();
        let vectors = rows(x.clone()); // [vectors, width]
        let codes = self.embedding.val();
        let distances = codes.clone().square().sum_dim(1).transpose() - vectors.matmul(codes.clone().transpose()) * 2.0;
        let indices = distances.detach().argmin(1).reshape([batch * map_height * map_width]);
        let quantized = codes.select(0, indices.clone()); // [vectors, width]
        let quantized = quantized.reshape([batch, map_height, map_width, width]).permute([0, 3, 1, 2]);
        Quantized {
            codebook_loss: (quantized.clone() - x.clone().detach()).square().mean(),
            commitment_loss: (quantized.clone().detach() - x.clone()).square().mean() * self.commitment,
            values: x.clone() + (quantized - x).detach(),
            indices,
        }
    }

    /// Moves every code towards the mean of the vectors that chose it (appendix A.1 of the paper), and puts codes that
    /// hardly any vector chooses on vectors drawn from the batch. Then [`Quantized::codebook_loss`] is not needed. With a
    /// `decay` of 0 it begins with a first batch.
    ///
    /// # Shapes
    /// - `x`: the input of [`forward`](Self::forward), `indices`: its result
    #[must_use]
    pub fn update(mut self, x: Tensor<4>, indices: Tensor<1, Int>, decay: f64, generator: &mut Generator) -> Self {
        let autodiff = self.embedding.val().device().is_autodiff();
        let vectors = rows(x).inner();
        let (counts, codes) = (self.counts.val().inner(), self.embedding.val().inner());
        let [number, width] = codes.dims();
        let chosen: Tensor<2> = indices.inner().one_hot(number).float(); // [vectors, codes]
        let found = chosen.clone().sum_dim(0).reshape([number]);
        let sums = chosen.transpose().matmul(vectors.clone()); // [codes, width]
        let next = counts.clone() * decay + found * (1.0 - decay);
        let share = |x: Tensor<1>| x.reshape([number, 1]);
        let moved = (codes * share(counts * decay) + sums * (1.0 - decay)) / share(next.clone()).clamp_min(1e-12);
        let drawn = generator.rand(number).into_iter().map(|draw| (draw * vectors.dims()[0] as f32) as i32);
        let drawn: Vec<i32> = drawn.collect();
        let drawn = vectors.select(0, Tensor::from_ints(drawn.as_slice(), &next.device()));
        let dead = share(next.clone()).lower_elem(0.01).expand([number, width]);
        let codes = moved.mask_where(dead, drawn);
        let counts = next.clone().mask_fill(next.lower_elem(0.01), 1.0);
        let (codes, counts) = if autodiff { (codes.autodiff(), counts.autodiff()) } else { (codes, counts) };
        self.embedding = self.embedding.map(|_| codes.clone());
        self.counts = self.counts.map(|_| counts.clone());
        self
    }

    /// How many codes are in use, by the perplexity of the choices: from 1 to all of them.
    pub fn usage(&self, indices: Tensor<1, Int>) -> Tensor<1> {
        let number = self.embedding.dims()[0];
        let chosen: Tensor<2> = indices.one_hot(number).float();
        let shares = chosen.mean_dim(0).reshape([number]);
        (-(shares.clone() * (shares + 1e-10).log()).sum()).exp()
    }
}

/// `[batch, width, height, width of the map]` -> `[vectors, width]`
fn rows(x: Tensor<4>) -> Tensor<2> {
    let [batch, width, map_height, map_width] = x.dims();
    x.permute([0, 2, 3, 1]).reshape([batch * map_height * map_width, width])
}
