//! The values of the largest tensor that an operation takes or makes, its weights among them.
//!
//! On a GPU every tensor must fit the device's largest binding. A model is split by these before it runs; they are upper
//! bounds over all forms of an operation and its [`reference`](crate::reference).

use pyrograph_shaders::attention::WIDEST_HEAD;

/// [`conv2d`](crate::conv2d), with an addend or without.
///
/// # Shapes
/// - `input`: `[batch, channels_in, height, width]`, after the enlargement of [`upsample_conv2d`](crate::upsample_conv2d)
/// - `weight`: `[channels_out, channels_in, kernel, kernel]`
/// - `size_out`: `[height_out, width_out]`
pub fn conv2d(input: [usize; 4], weight: [usize; 4], size_out: [usize; 2]) -> u64 {
    let [batch, channels_in, height, width] = input;
    let channels_out = weight[0];
    if weight[2..] == [1, 1] {
        // A product of matrices, whose depth and columns may be widened.
        let columns = product(&size_out).max(product(&[height, width])).next_multiple_of(GROUP as u64);
        let depth = channels_in.next_multiple_of(GROUP);
        let channels = depth.max(channels_out);
        return (product(&[batch, channels]) * columns).max(product(&[channels_out, depth]));
    }
    let output = product(&[batch, channels_out]) * product(&size_out);
    product(&input).max(output).max(product(&weight))
}

/// [`linear`](crate::linear) of `rows` rows, with an addend or without; [`geglu`](crate::geglu) too, whose `d_output` is
/// that of its projection.
pub fn linear(rows: usize, [d_input, d_output]: [usize; 2]) -> u64 {
    let [d_input, d_output] = [d_input, d_output].map(|width| width.next_multiple_of(GROUP));
    product(&[rows, d_input.max(d_output)]).max(product(&[d_input, d_output]))
}

/// [`attention`](crate::attention).
///
/// # Shapes
/// `q`: `[batch, heads, tokens, head_dim]`, to `keys` keys
pub fn attention(q: [usize; 4], keys: usize) -> u64 {
    let [batch, heads, tokens, head_dim] = q;
    let width = head_dim.next_multiple_of(GROUP);
    let vectors = product(&[batch, heads, tokens.max(keys), width]);
    // The reference has all scores in one tensor.
    if width > WIDEST_HEAD || tokens > MOST_QUERIES {
        vectors.max(product(&[batch, heads, tokens, keys]))
    } else {
        vectors
    }
}

/// Queries that every form of attention has workgroups for: the smallest tile has eight.
const MOST_QUERIES: usize = 8 * 65_535;

/// Values in a vector of the stages, which read widths that are multiples of this.
const GROUP: usize = 4;

/// In 64 bits, which the sizes of a browser are not.
fn product(sizes: &[usize]) -> u64 {
    sizes.iter().map(|&size| size as u64).product()
}
