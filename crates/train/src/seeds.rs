/// A seed for each step of each run: `SplitMix64` (Steele et al. 2014, <https://doi.org/10.1145/2660193.2660195>).
pub(crate) fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_mul(0xd134_2543_de82_ef95);
    z = z.wrapping_add(step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
