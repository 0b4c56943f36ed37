//! Quantiles of observations in little memory.

use std::fmt;

use sketches_ddsketch::{Config, DDSketch};

/// A sketch of observations that can be merged with others (DDSketch: Masson, Rim and Lee, 2019). A quantile is within
/// [`Sketch::ERROR`] of the observation that has its rank, relative to it, as long as the greatest observation is less than
/// 10^8 times the least; beyond, the least ones are told less well.
#[derive(Clone)]
pub struct Sketch(DDSketch);

impl Sketch {
    /// How far a quantile may be off, as a part of its value.
    pub const ERROR: f64 = 0.01;
    /// Observations of at most this size, of either sign, are as good as 0.
    const LEAST: f64 = 1e-9;
    /// For each sign; 8 bytes each, taken 128 at a time.
    const MOST_BINS: u32 = 1024;

    /// One of no observations.
    #[allow(clippy::new_without_default, reason = "an empty sketch is made on purpose")]
    pub fn new() -> Self {
        Self(DDSketch::new(Config::new(Self::ERROR, Self::MOST_BINS, Self::LEAST)))
    }

    /// Takes an observation in. Infinite ones have no place among the others and are passed over.
    pub fn add(&mut self, observation: f64) {
        if observation.is_finite() {
            self.0.add(observation);
        }
    }

    /// Takes in what another has taken in.
    pub fn merge(&mut self, other: &Self) {
        // All are configured alike.
        let _ = self.0.merge(&other.0);
    }

    /// The observation at or below which this part of them lies, from 0 to 1; NaN if there is none.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.0.quantile(quantile).ok().flatten().unwrap_or(f64::NAN)
    }
}

impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_java_bytes() == other.0.to_java_bytes()
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, least, greatest) = (self.0.count(), self.0.min(), self.0.max());
        formatter.debug_struct("Sketch").field("count", &count).field("min", &least).field("max", &greatest).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_within_the_error(
            observations in prop::collection::vec(prop_oneof![1e-3f64..1e4, -1e4f64..-1e-3, Just(0.0)], 1..300),
            parts in 1usize..5,
            quantile in 0.0f64..=1.0,
        ) {
            let mut sketches = vec![Sketch::new(); parts];
            for (index, observation) in observations.iter().enumerate() {
                sketches[index % parts].add(*observation);
            }
            let mut merged = Sketch::new();
            sketches.iter().for_each(|sketch| merged.merge(sketch));
            let mut sorted = observations;
            sorted.sort_by(f64::total_cmp);
            let exact = sorted[(quantile * (sorted.len() - 1) as f64) as usize];
            let told = merged.quantile(quantile);
            let most = exact.abs() * Sketch::ERROR * 1.000_001 + Sketch::LEAST;
            prop_assert!((told - exact).abs() <= most, "{told} for {exact}");
        }
    }

    #[test]
    fn without_observations_there_is_no_quantile() {
        let mut sketch = Sketch::new();
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].into_iter().for_each(|other| sketch.add(other));
        assert!(sketch.quantile(0.5).is_nan());
        assert_eq!(sketch, Sketch::new());
        sketch.add(7.0);
        assert_eq!((sketch.quantile(0.0), sketch.quantile(1.0)), (7.0, 7.0));
        assert_ne!(sketch, Sketch::new());
    }

    #[test]
    fn a_wide_range_does_not_grow_for_ever() {
        let mut sketch = Sketch::new();
        for exponent in -300..300 {
            sketch.add(10f64.powi(exponent));
            sketch.add(-(10f64.powi(exponent)));
        }
        assert!(sketch.0.length() <= 2 * Sketch::MOST_BINS as usize);
        let told = sketch.quantile(0.999);
        assert!((told / 1e297 - 1.0).abs() < 2.0 * Sketch::ERROR, "{told}");
    }
}
