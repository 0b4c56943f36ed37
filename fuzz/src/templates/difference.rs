//! What an assembled push is to shards and register, and where two of them differ.

use std::fmt::Debug;

use catchment::push::{Assembled, PlannedFamily};
use catchment::registry::Wanted;
use catchment::shard::batch::Batch;

/// What two assembled pushes differ in, if they do.
pub(super) fn difference(apart: &Assembled, filled: &Assembled) -> Option<String> {
    let families = |push: &Assembled| -> Vec<_> { push.families.iter().map(family).collect() };
    let counts = |push: &Assembled| {
        (
            push.samples,
            push.discarded_samples,
            push.ignored_timestamps,
            push.replaced_families.clone(),
            push.releases.len(),
        )
    };
    let batches = apart.batches.iter().zip(&filled.batches);
    differs("families", &families(apart), &families(filled))
        .or_else(|| differs("rules", &apart.rules, &filled.rules))
        .or_else(|| differs("counts", &counts(apart), &counts(filled)))
        .or_else(|| differs("shards", &apart.batches.len(), &filled.batches.len()))
        .or_else(|| batches.fold(None, |found, (apart, filled)| found.or_else(|| batch_difference(apart, filled))))
}

fn differs<T: PartialEq + Debug>(what: &str, apart: &T, filled: &T) -> Option<String> {
    (apart != filled).then(|| format!("{what}: expected {apart:?}, got {filled:?}"))
}

/// All of a family that shards and register are given; known ones by their number. Help counts only as far as it is new.
fn family(planned: &PlannedFamily) -> impl PartialEq + Debug + use<> {
    let PlannedFamily { wanted, help, unit, series, has_quoted_labels, max_series } = planned;
    let known = wanted.family();
    let help = help.clone().filter(|_| known.is_none_or(|family| family.help().is_none()));
    let unit = unit.clone().filter(|_| known.is_none_or(|family| family.unit().is_none()));
    let is_known = matches!(wanted, Wanted::Known(_));
    let id = known.map(|family| family.id);
    (wanted.name().to_owned(), wanted.kind(), is_known, id, (help, unit, *series, *has_quoted_labels, *max_series))
}

fn batch_difference(apart: &Batch, filled: &Batch) -> Option<String> {
    let series = |batch: &Batch| -> Vec<_> {
        batch.series().map(|series| (series.hash, batch.key(series).to_owned(), series.family, series.rule)).collect()
    };
    let numbers = |batch: &Batch| -> Vec<u64> { batch.numbers.iter().map(|update| update.value.to_bits()).collect() };
    let others = |batch: &Batch| {
        let histograms: Vec<_> = batch.histograms.iter().map(|update| &update.histogram).collect();
        let summaries: Vec<_> = batch.summaries.iter().map(|update| &update.summary).collect();
        format!("{:?} {histograms:?} {summaries:?} {:?}", batch.counters, batch.parts)
    };
    differs("series", &series(apart), &series(filled))
        .or_else(|| differs("numbers, by bits", &numbers(apart), &numbers(filled)))
        .or_else(|| differs("values", &others(apart), &others(filled)))
}
