//! Classifier-free guidance.

use burn::tensor::Tensor;

/// A prediction and its weight.
pub(crate) type Weighted = (f64, Tensor<4>);

/// Combines the predictions of all branches. The result leads away from the first, that of the negative prompt, and
/// towards each of the others by its weight: `p0 + w1 (p1 - p0) + ..` (Ho and Salimans 2022,
/// <https://arxiv.org/abs/2207.12598>; with several prompts Liu et al. 2022, <https://arxiv.org/abs/2206.01714>). Then
/// `rescale` moves the standard deviation of each image towards that of the last prediction (Lin et al. 2023,
/// <https://arxiv.org/abs/2305.08891>, equations 15 and 16). A single branch is the result itself.
///
/// # Shapes
/// `[batch, channels, height, width]` for every prediction and the result
///
/// # Panics
/// Without any prediction.
pub(crate) fn combine(predictions: &[Weighted], rescale: f64) -> Tensor<4> {
    let ((_, negative), prompts) = predictions.split_first().expect("there is a branch");
    let Some((_, prompt)) = prompts.last() else { return negative.clone() };
    let towards = prompts.iter().map(|(weight, prediction)| (prediction.clone() - negative.clone()) * *weight);
    let guided = towards.fold(negative.clone(), |sum, difference| sum + difference);
    if rescale == 0.0 {
        return guided;
    }
    let rescaled = guided.clone() * (deviation(prompt.clone()) / deviation(guided.clone()));
    rescaled * rescale + guided * (1.0 - rescale)
}

/// The standard deviation of each image of the batch.
///
/// # Shapes
/// `[batch, channels, height, width]` -> `[batch, 1, 1, 1]`
fn deviation(x: Tensor<4>) -> Tensor<4> {
    let variance: Tensor<2> = x.flatten::<2>(1, 3).var(1); // [batch, 1]
    variance.sqrt().unsqueeze_dims(&[2, 3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random() -> Tensor<4> {
        Tensor::random([2, 3, 4, 5], Distribution::Normal(0.5, 2.0), &Device::flex())
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("float32")
    }

    fn assert_close(actual: Tensor<4>, expected: Tensor<4>) {
        for (actual, expected) in values(actual).into_iter().zip(values(expected)) {
            assert!((actual - expected).abs() < 1e-5 * expected.abs().max(1.0), "{actual} instead of {expected}");
        }
    }

    #[test]
    fn the_sum_of_the_weights_is_one() {
        let (negative, prompt) = (random(), random());
        let expected = prompt.clone() * 7.5 - negative.clone() * 6.5;
        assert_close(combine(&[(0.0, negative), (7.5, prompt)], 0.0), expected);
    }

    #[test]
    fn two_prompts_add_up() {
        let [negative, first, second] = [random(), random(), random()];
        let expected = first.clone() * 2.0 + second.clone() * 3.0 - negative.clone() * 4.0;
        assert_close(combine(&[(0.0, negative), (2.0, first), (3.0, second)], 0.0), expected);
    }

    #[test]
    fn a_branch_alone_is_the_result() {
        let prompt = random();
        assert_eq!(values(combine(&[(1.0, prompt.clone())], 0.7)), values(prompt));
    }

    /// With a full rescale, the deviation is that of the prompt's prediction, for every weight.
    #[test]
    fn a_full_rescale_has_the_deviation_of_the_prompt() {
        let (negative, prompt) = (random(), random());
        let guided = combine(&[(0.0, negative), (9.0, prompt.clone())], 1.0);
        let [actual, expected] = [guided, prompt].map(|x| values(deviation(x)));
        for (actual, expected) in actual.into_iter().zip(expected) {
            assert!((actual / expected - 1.0).abs() < 1e-5, "{actual} instead of {expected}");
        }
    }

    #[test]
    fn half_a_rescale_lies_in_the_middle() {
        let (negative, prompt) = (random(), random());
        let with = |rescale| combine(&[(0.0, negative.clone()), (5.0, prompt.clone())], rescale);
        assert_close(with(0.5), (with(0.0) + with(1.0)) * 0.5);
    }
}
