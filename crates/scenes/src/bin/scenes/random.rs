//! Random numbers that are the same on every machine.

use rand_mt::Mt;

/// MT19937. Its paper defines its numbers, unlike those of a library's default generator. Every image has its own
/// generator, so the result does not depend on the thread that draws it.
pub(crate) struct Random(Mt);

impl Random {
    /// The numbers of `stream` under `seed`.
    pub(crate) fn new(seed: u32, stream: u32) -> Self {
        Self(Mt::new_with_key([seed, stream]))
    }

    /// An integer below `end`. `end` is far below 2^32, so the bias of the multiplication does not matter.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.0.next_u32()) * end as u64) >> 32) as usize
    }

    /// A number from `low` up to `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32;
        low + (high - low) * unit
    }

    /// True or false with equal probability.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Shuffles `items` with the algorithm of Fisher and Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_and_stream_decide_the_numbers() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [(); 8].map(|()| random.below(1000))
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
        assert_ne!(numbers(1, 2), numbers(2, 1));
    }

    #[test]
    fn numbers_fill_their_range() {
        let mut random = Random::new(0, 0);
        let mut seen = [false; 7];
        for _ in 0..200 {
            seen[random.below(7)] = true;
            let number = random.between(-1.0, 2.0);
            assert!((-1.0..=2.0).contains(&number));
        }
        assert_eq!(seen, [true; 7]);
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(3, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
