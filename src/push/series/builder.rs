//! What is built up while samples are put into series: a batch for each shard, and one for series that are looked at one by
//! one before their shard is known.

use std::collections::HashSet;

use super::{Context, Handling, PushError, ResolvedName, SeenSeries, Treatments, fault};
use crate::exposition::decoded::{NumberChange, SeriesText};
use crate::exposition::error::Place;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{Labels, are_one_when_escaped, write_canonical, write_kept};
use crate::push::mode::Mode;
use crate::shard::batch::{Batch, SeriesRef};

/// Why a sample was not added.
pub(super) enum Refused {
    Fault(PushError),
    /// The labels of a series that has this sample already.
    Repeated(String),
    /// What the series shows is what was set, to which nothing can be added.
    CannotBeAdded,
}

impl From<PushError> for Refused {
    fn from(error: PushError) -> Self {
        Self::Fault(error)
    }
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub batch: Batch,
    /// Where each of its histograms began.
    pub histogram_places: Vec<u32>,
    /// Where its other series began; only for those that are looked at one by one.
    pub number_places: Vec<u32>,
    pub summary_places: Vec<u32>,
    pub observation_places: Vec<u32>,
}

pub(super) struct Builder<'a, 'r> {
    pub context: &'a Context<'a>,
    pub treatments: &'a mut Treatments<'r>,
    pub seen: &'a mut SeenSeries,
    /// Scratch for label text that is not written canonically.
    pub labels: String,
    /// Scratch for the scratch.
    spare: String,
    /// What the series asks for whose labels are in the scratch.
    pub mode: Option<Mode>,
    /// One for each shard, and the last for series that are looked at one by one.
    pub drafts: Vec<Draft>,
    /// Where the last sample went.
    pub last: Option<LastPart>,
    /// Label texts of all batches, in bytes.
    pub key_bytes: usize,
    /// The parts of series that are not kept as such, by series hash: only that none comes twice is of interest. Two series with
    /// one 64-bit hash are as good as impossible, and refused at the worst.
    pub parts: HashSet<(u64, u64), ahash::RandomState>,
    /// Samples that a rule drops.
    pub dropped: u64,
}

/// A number, or a bucket of a histogram, in a draft.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastPart {
    pub draft: usize,
    /// Index into the batch's numbers or histograms.
    pub index: usize,
    /// The bucket's.
    pub bound: Option<f64>,
}

impl<'a, 'r> Builder<'a, 'r> {
    pub fn new(
        context: &'a Context<'a>,
        samples: usize,
        treatments: &'a mut Treatments<'r>,
        seen: &'a mut SeenSeries,
    ) -> Self {
        let shards = context.router.shards();
        let mut drafts: Vec<Draft> = (0..=shards).map(|_| Draft::default()).collect();
        for Draft { batch, .. } in &mut drafts[..shards] {
            // A little over its fair share, so that most batches grow once.
            batch.reserve(samples / shards + samples / shards / 8, context.text.len() / shards);
        }
        Self {
            context,
            treatments,
            seen,
            labels: String::new(),
            spare: String::new(),
            mode: None,
            drafts,
            last: None,
            key_bytes: 0,
            parts: HashSet::default(),
            dropped: 0,
        }
    }

    pub fn finish(self) -> Vec<Draft> {
        self.drafts
    }

    /// The draft that a series belongs to, and the index of its treatment. Its labels are in the scratch if they are of interest.
    pub fn destination(&mut self, hash: u64, name: ResolvedName) -> (usize, u32) {
        if name.handling != Handling::BySeries {
            return (self.context.router.shard(hash), name.treatment);
        }
        let treatment = match name.change {
            NumberChange::ByRule => self.treatments.choose(name.family, &self.labels, self.mode),
            // Refused before, if it cannot be.
            change => self.treatments.changed(name.family, &self.labels, self.mode, change).unwrap_or(name.family),
        };
        if self.treatments.get(treatment).is_some_and(|treatment| treatment.drops) {
            self.dropped += 1;
        }
        (self.context.router.shards(), treatment)
    }

    /// Writes a series' labels to the scratch, less its mode; returns the value of the label `left_out`, as written.
    pub fn write_series(
        &mut self,
        series: &SeriesText,
        name: ResolvedName,
        left_out: Option<&str>,
    ) -> Result<Option<&'a str>, PushError> {
        let left_out = self.write_labels(series, left_out)?;
        if matches!(name.handling, Handling::BySeries | Handling::Discarded) {
            self.take_mode(series, name.kind)?;
        }
        Ok(left_out)
    }

    /// Takes the mode out of the labels in the scratch.
    fn take_mode(&mut self, series: &SeriesText, kind: MetricKind) -> Result<(), PushError> {
        self.mode = None;
        let Some(mode_label) = self.treatments.mode_label() else { return Ok(()) };
        let Some(label) = Labels::new(&self.labels).find(|label| label.plain_name() == mode_label) else {
            return Ok(());
        };
        self.mode = Mode::parse(label.value).filter(|mode| mode.suits(kind));
        if self.mode.is_none() {
            let expected = format!("{mode_label} of a {} to be {}", kind.name(), Mode::words(kind));
            let got = format!("\"{}\"", label.value);
            return Err(PushError::InvalidSample(fault(self.context.place(series), expected, got)));
        }
        self.spare.clear();
        write_kept(&mut self.spare, &self.labels, |label| label.plain_name() != mode_label);
        std::mem::swap(&mut self.labels, &mut self.spare);
        Ok(())
    }

    /// The hash of the series whose labels are in the scratch.
    pub fn hash(&self, name: ResolvedName) -> u64 {
        let router = self.context.router;
        router.series_hash(name.family_hash, router.hasher().hash_labels(&self.labels))
    }

    /// Writes canonical label text to the scratch; returns the value of the label `left_out`, as written.
    pub fn write_labels(&mut self, series: &SeriesText, left_out: Option<&str>) -> Result<Option<&'a str>, PushError> {
        self.labels.clear();
        let context = self.context;
        let text = series.labels.of(context.text);
        write_canonical(&mut self.labels, text, context.group, left_out, context.limits.labels)
            .map_err(|refused| PushError::Malformed(fault(context.place(series), refused.expected(), refused.got())))
    }
}

/// Tells the parts of one series apart. No quantile has the bits of the others: they are NaN.
pub(super) fn part_of(role: SampleRole, quantile: Option<f64>) -> u64 {
    match quantile {
        Some(quantile) => (quantile + 0.0).to_bits(),
        None if role == SampleRole::Sum => u64::MAX,
        None if role == SampleRole::Created => u64::MAX - 1,
        None => u64::MAX - 2,
    }
}

/// Counts a new series' label text, unless it or all of them together are too long.
#[inline(always)]
pub(super) fn limit_key(
    context: &Context<'_>,
    key_bytes: &mut usize,
    series: &SeriesText,
    labels: &str,
) -> Result<(), PushError> {
    let limits = context.limits;
    *key_bytes += labels.len();
    if labels.len() > limits.series_length {
        Err(too_long("the labels of a series", limits.series_length, context.place(series)))
    } else if *key_bytes > limits.push_length {
        Err(too_long("the labels of a push", limits.push_length, context.place(series)))
    } else {
        Ok(())
    }
}

#[cold]
fn too_long(what: &str, limit: usize, place: Place) -> PushError {
    let expected = format!("{what} of at most {limit} bytes with the labels of the path");
    PushError::Malformed(fault(place, expected, "more"))
}

/// Not so for NaN.
pub(super) fn is_at_least_zero(value: f64) -> bool {
    value >= 0.0
}

/// Whether it is the same series, for readers that know legacy names only at the least.
pub(super) fn is_series(batch: &Batch, series: SeriesRef, family: u32, labels: &str) -> bool {
    let key = batch.key(series);
    series.family == family && (key == labels || are_one_when_escaped(key, labels))
}
