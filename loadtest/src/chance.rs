//! Chance that can be had again: numbers that follow from a seed.
//!
//! Invariant: the same seed gives the same numbers every time.
//! Not here: secrets; this is SplitMix64 (Steele, Lea and Flood, 2014), which anybody can foresee.

/// A source of numbers.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The source that a seed stands for.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Even over all numbers.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Even between 0 and 1.
    pub fn share(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that does with this chance.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.share() < chance
    }

    /// Exponential with this mean: the time until the next of things that happen independently.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_they_are_even() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        let (mut sum, mut waits) = (0.0, 0.0);
        for _ in 0..10_000 {
            let share = one.share();
            assert_eq!(share.to_bits(), other.share().to_bits());
            sum += share;
            waits += Chance::new(one.number()).exponential(3.0);
            other.number();
        }
        assert!((sum / 10_000.0 - 0.5).abs() < 0.015, "{sum}");
        assert!((waits / 10_000.0 - 3.0).abs() < 0.15, "{waits}");
    }
}
