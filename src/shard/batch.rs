//! What one push brings to one shard, and which shard a series lives on.

use crate::aggregate::{NumberRule, ObservationRule};
use crate::model::family::FamilyUse;
use crate::model::labels::LabelHasher;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Exemplar, Histogram, Millis, Summary};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

/// Decides where series live: seeded at start, so that no pusher can aim at one shard or one table slot.
#[derive(Clone, Debug)]
pub struct Router {
    hasher: LabelHasher,
    shards: usize,
}

impl Router {
    /// Routes over `shards` shards, at least one.
    pub fn new(shards: usize) -> Self {
        Self { hasher: LabelHasher::new(), shards: shards.max(1) }
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The hasher of labels and of family names.
    pub fn hasher(&self) -> &LabelHasher {
        &self.hasher
    }

    /// The hash of a series from those of its family's name and of its canonical labels without `le` and `quantile`.
    #[inline]
    pub fn series_hash(&self, family: NonZeroU64, labels: NonZeroU64) -> u64 {
        // Folding the wide product mixes every bit of both into every bit of the result.
        let product = u128::from(family.get() ^ labels.get().rotate_left(32)) * 0x9E37_79B9_7F4A_7C15;
        (product >> 64) as u64 ^ product as u64
    }

    /// The shard of a series. Taken from the hash's middle bits: the tables use the lowest and the highest.
    #[inline]
    pub fn shard(&self, series_hash: u64) -> usize {
        let middle = (series_hash >> 16) as u32;
        ((u64::from(middle) * self.shards as u64) >> 32) as usize
    }
}

/// One push's updates for one shard: complete, checked, owning all it refers to.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The canonical label texts of the series below, one after the other.
    keys: Keys,
    /// Where the shard found the numbers when a batch like this came before. By index; none if none has.
    hints: Option<Arc<[AtomicU64]>>,
    /// Counters, gauges and untyped series.
    pub numbers: Vec<NumberUpdate>,
    /// What some of the counters came with.
    pub counters: Vec<CounterExtra>,
    /// Classic and native histograms.
    pub histograms: Vec<HistogramUpdate>,
    /// Summaries.
    pub summaries: Vec<SummaryUpdate>,
    /// Observations for histograms and summaries.
    pub observations: Vec<ObservationUpdate>,
    /// Which updates are parts of a series; mostly none is.
    pub parts: Option<Box<UpdateParts>>,
}

/// Label texts; those of pushes that are alike are shared by them.
#[derive(Clone, Debug, Default)]
struct Keys {
    own: String,
    shared: Option<Arc<str>>,
}

impl Keys {
    #[inline]
    fn text(&self) -> &str {
        self.shared.as_deref().unwrap_or(&self.own)
    }

    /// To be added to.
    #[inline]
    fn own(&mut self) -> &mut String {
        if let Some(shared) = self.shared.take() {
            self.own = shared.to_string();
        }
        &mut self.own
    }

    fn share(&mut self) {
        self.shared = Some(self.text().into());
        self.own = String::new();
    }
}

/// Where a shard found a series: its slot, and how many series had left the shard when one left that slot or one near it. The
/// count begins anew after 2^36, so a hint would have to lie unused for exactly as many removals to be taken for a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHint(u64);

impl SlotHint {
    const SLOT_BITS: u32 = 28;
    const NO_SLOT: u64 = (1 << Self::SLOT_BITS) - 1;

    /// A hint at a slot; of no use for slots of 2^28 and beyond.
    #[inline]
    pub fn new(slot: u32, generation: u64) -> Self {
        Self(generation << Self::SLOT_BITS | u64::from(slot).min(Self::NO_SLOT))
    }

    /// The slot, if there is a hint.
    #[inline]
    pub fn slot(self) -> Option<u32> {
        let slot = self.0 & Self::NO_SLOT;
        (slot != Self::NO_SLOT).then_some(slot as u32)
    }
}

/// Which of a source's series each update is, where several are shown as one: the hash of its labels as they were pushed, or 0
/// where they are those shown. By the index of the update; a list may end before them, and then the others are 0.
#[derive(Clone, Debug, Default)]
pub struct UpdateParts {
    /// Of [`Batch::numbers`].
    pub numbers: Vec<u64>,
    /// Of [`Batch::histograms`].
    pub histograms: Vec<u64>,
    /// Of [`Batch::summaries`].
    pub summaries: Vec<u64>,
}

impl UpdateParts {
    /// Notes the part of an update in its list.
    pub fn note(parts: &mut Vec<u64>, update: usize, part: u64) {
        if part != 0 {
            parts.resize(update, 0);
            parts.push(part);
        }
    }

    fn bytes(&self) -> usize {
        [&self.numbers, &self.histograms, &self.summaries].map(|parts| size_of_val(&parts[..])).iter().sum()
    }

    /// The part of an update by its list.
    #[inline]
    pub fn of(parts: &[u64], update: usize) -> u64 {
        parts.get(update).copied().unwrap_or(0)
    }
}

/// What the batches of one push refer to.
#[derive(Debug, Default)]
pub struct BatchContext {
    /// As registered.
    pub families: Vec<FamilyUse>,
    /// What is done with their series.
    pub rules: Vec<SeriesRule>,
    /// Aggregated families of which all that is stored goes first; indices into the families.
    pub replaced_families: Vec<u32>,
}

/// What is done with a pushed series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesRule {
    /// For numbers; other values have one rule each.
    pub numbers: NumberRule,
    /// How long the series stays when nothing is pushed to it any more; `None` for ever.
    pub lifetime: Option<Millis>,
}

/// Which series is meant.
#[derive(Clone, Copy, Debug)]
pub struct SeriesRef {
    /// [`Router::series_hash`].
    pub hash: u64,
    /// Where the label text begins among the batch's.
    pub key_start: u32,
    /// Where the label text ends.
    pub key_end: u32,
    /// Index into [`BatchContext::families`].
    pub family: u32,
    /// Index into [`BatchContext::rules`].
    pub rule: u32,
}

/// A number to merge.
#[derive(Clone, Copy, Debug)]
pub struct NumberUpdate {
    /// Which series.
    pub series: SeriesRef,
    /// The increment, or the value of a gauge.
    pub value: f64,
}

/// What a counter came with beyond its value.
#[derive(Clone, Debug)]
pub struct CounterExtra {
    /// Index into [`Batch::numbers`].
    pub number: u32,
    /// When counting began.
    pub created: Option<Timestamp>,
    /// An observation behind it.
    pub exemplar: Option<Exemplar>,
}

/// A histogram to merge.
#[derive(Clone, Debug)]
pub struct HistogramUpdate {
    /// Which series.
    pub series: SeriesRef,
    /// Classic buckets by ascending bound, each once.
    pub histogram: Histogram,
}

/// A summary to merge.
#[derive(Clone, Debug)]
pub struct SummaryUpdate {
    /// Which series.
    pub series: SeriesRef,
    /// Quantiles by ascending quantile, each once; none where summaries are merged.
    pub summary: Summary,
}

/// Observations that a series is to take in.
#[derive(Clone, Debug)]
pub struct ObservationUpdate {
    /// Which series.
    pub series: SeriesRef,
    /// In the order in which they came.
    pub observations: SmallVec<[f64; 2]>,
    /// What they are taken into.
    pub rule: ObservationRule,
}

impl ObservationUpdate {
    /// Memory held besides the update itself.
    fn bytes(&self) -> usize {
        let bounds = match &self.rule {
            ObservationRule::Buckets(Some(bounds)) => size_of_val(&bounds[..]),
            ObservationRule::Buckets(None) | ObservationRule::Quantiles(_) => 0,
        };
        size_of_val(&self.observations[..]) + bounds
    }
}

impl Batch {
    /// Number of series.
    pub fn len(&self) -> usize {
        self.numbers.len() + self.histograms.len() + self.summaries.len() + self.observations.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held, for admission; allocations rounded down to their contents.
    pub fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|update| update.histogram.bytes()).sum();
        let exemplars = self.counters.iter().filter_map(|extra| extra.exemplar.as_ref());
        self.keys.text().len()
            + size_of_val(&self.numbers[..])
            + size_of_val(&self.counters[..])
            + exemplars.map(|exemplar| exemplar.labels.len()).sum::<usize>()
            + size_of_val(&self.histograms[..])
            + size_of_val(&self.summaries[..])
            + self.summaries.iter().map(|update| update.summary.bytes()).sum::<usize>()
            + size_of_val(&self.observations[..])
            + self.observations.iter().map(ObservationUpdate::bytes).sum::<usize>()
            + histograms
            + self.parts.as_deref().map_or(0, UpdateParts::bytes)
    }

    /// The label text of a series of this batch.
    #[inline]
    pub fn key(&self, series: SeriesRef) -> &str {
        self.keys.text().get(series.key_start as usize..series.key_end as usize).unwrap_or_default()
    }

    /// Every series of the batch.
    pub fn series(&self) -> impl Iterator<Item = SeriesRef> {
        let numbers = self.numbers.iter().map(|update| update.series);
        let histograms = self.histograms.iter().map(|update| update.series);
        let observations = self.observations.iter().map(|update| update.series);
        numbers.chain(histograms).chain(self.summaries.iter().map(|update| update.series)).chain(observations)
    }

    /// Every series of the batch, to be changed.
    pub fn series_mut(&mut self) -> impl Iterator<Item = &mut SeriesRef> {
        let numbers = self.numbers.iter_mut().map(|update| &mut update.series);
        let histograms = self.histograms.iter_mut().map(|update| &mut update.series);
        let observations = self.observations.iter_mut().map(|update| &mut update.series);
        numbers.chain(histograms).chain(self.summaries.iter_mut().map(|update| &mut update.series)).chain(observations)
    }

    /// Every update's series, and which part of it the update is. Observations are never parts.
    pub fn series_with_parts(&self) -> impl Iterator<Item = (SeriesRef, u64)> {
        let list = |of: fn(&UpdateParts) -> &[u64]| self.parts.as_deref().map(of).unwrap_or_default();
        let parts = |parts, updates| (0..updates).map(move |update| UpdateParts::of(parts, update));
        let parts = parts(list(|parts| &parts.numbers), self.numbers.len())
            .chain(parts(list(|parts| &parts.histograms), self.histograms.len()))
            .chain(parts(list(|parts| &parts.summaries), self.summaries.len()))
            .chain(parts(&[], self.observations.len()));
        self.series().zip(parts)
    }

    /// Appends a label text and returns the reference to its series.
    #[inline]
    pub fn push_key(&mut self, hash: u64, family: u32, rule: u32, labels: &str) -> SeriesRef {
        let keys = self.keys.own();
        let key_start = keys.len() as u32;
        keys.push_str(labels);
        SeriesRef { hash, key_start, key_end: keys.len() as u32, family, rule }
    }

    /// Makes room for series and their label texts.
    pub fn reserve(&mut self, numbers: usize, key_bytes: usize) {
        self.numbers.reserve(numbers);
        self.keys.own().reserve(key_bytes);
    }

    /// From now on copies of the batch share its label texts, and what shards find out about its series.
    pub fn share(&mut self) {
        self.keys.share();
        self.hints = Some(self.numbers.iter().map(|_| AtomicU64::new(SlotHint::NO_SLOT)).collect());
    }

    /// Whether batches like this one have come before, or will.
    pub fn is_shared(&self) -> bool {
        self.hints.is_some()
    }

    /// Where the number was found before.
    #[inline]
    pub fn hint(&self, number: usize) -> Option<SlotHint> {
        // A hint is whole in itself, and checked by the shard.
        self.hints.as_ref()?.get(number).map(|hint| SlotHint(hint.load(Ordering::Relaxed)))
    }

    /// Notes where the number was found.
    pub fn note(&self, number: usize, hint: SlotHint) {
        if let Some(noted) = self.hints.as_ref().and_then(|hints| hints.get(number)) {
            noted.store(hint.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_spread_over_all_shards() {
        for shards in [1, 2, 3, 8] {
            let router = Router::new(shards);
            let family = router.hasher().hash(b"x");
            let mut counts = vec![0usize; shards];
            for series in 0..8000 {
                let hash = router.series_hash(family, router.hasher().hash(format!("a=\"{series}\"").as_bytes()));
                counts[router.shard(hash)] += 1;
            }
            assert!(counts.iter().all(|&count| count > 8000 / shards / 2), "{counts:?}");
        }
    }

    #[test]
    fn the_family_is_part_of_the_hash() {
        let router = Router::new(2);
        let [a, b, none, x] = ["a", "b", "", "x=\"1\""].map(|text| router.hasher().hash(text.as_bytes()));
        assert_ne!(router.series_hash(a, none), router.series_hash(b, none));
        assert_ne!(router.series_hash(a, none), router.series_hash(a, x));
        assert_eq!(router.series_hash(a, x), router.series_hash(a, x));
    }
}
