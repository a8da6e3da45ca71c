// The left half of the columns is multiplied with the exact GELU of the right half (https://arxiv.org/abs/2002.05202).
const GATED = 1u;

fn added(at: u32) -> f32 {
    return 0.0;
}

// x Phi(x), with the error function of Abramowitz and Stegun, 7.1.26, which errs by less than 1.5e-7.
fn gate(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * exp(-z * z);
    return 0.5 * (x + abs(x) * (1.0 - tail));
}
