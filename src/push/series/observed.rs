//! Observations for histograms and summaries: the buckets and quantiles that they are for are decided here, what they change by
//! the shard.

use std::sync::Arc;

use smallvec::smallvec;

use super::builder::{Builder, Refused, is_series, limit_key};
use super::{Handling, ResolvedName};
use crate::aggregate::ObservationRule;
use crate::exposition::decoded::Observation;
use crate::shard::batch::ObservationUpdate;

impl Builder<'_, '_> {
    /// An observation for a histogram or a summary; those of one series are handed on together.
    pub fn observation(
        &mut self,
        observation: &Observation,
        bounds: &[Arc<[f64]>],
        name: ResolvedName,
    ) -> Result<bool, Refused> {
        let context = self.context;
        let is_by_series = name.handling == Handling::BySeries;
        let (hash, labels) = match is_by_series {
            true => (self.written_hash(&observation.series, name)?, None),
            false => self.labels_and_hash(&observation.series, name)?,
        };
        let (shard, treatment) = self.destination(hash, name);
        let own_bounds = observation.bounds.and_then(|index| bounds.get(index as usize));
        let rule = self.observation_rule(name, treatment, own_bounds);
        let labels = labels.unwrap_or(&self.labels);
        let draft = &mut self.drafts[shard];
        let batch = &mut draft.batch;
        let next = batch.observations.len() as u32;
        let is_same = |at: u32| {
            let update = batch.observations.get(at as usize);
            update.is_some_and(|update| is_series(batch, update.series, name.family, labels))
        };
        let before = if is_by_series { None } else { self.seen.find_or_insert(hash, next, is_same) };
        let is_itself =
            |at: u32| batch.observations.get(at as usize).is_some_and(|update| batch.key(update.series) == labels);
        if before.is_some_and(|at| !is_itself(at)) {
            return Err(Refused::Repeated(labels.to_owned()));
        }
        if let Some(update) = before.and_then(|at| batch.observations.get_mut(at as usize)) {
            if update.rule == rule {
                update.observations.push(observation.value);
            } else {
                let series = update.series;
                batch.observations.push(ObservationUpdate { series, observations: smallvec![observation.value], rule });
            }
            return Ok(false);
        }
        limit_key(context, &mut self.key_bytes, &observation.series, labels)?;
        let series = batch.push_key(hash, name.family, treatment, labels);
        batch.observations.push(ObservationUpdate { series, observations: smallvec![observation.value], rule });
        draft.observation_places.push(observation.series.place);
        Ok(!is_by_series)
    }

    /// What an observation is taken into. Its own bounds win over those declared.
    fn observation_rule(&self, name: ResolvedName, treatment: u32, own_bounds: Option<&Arc<[f64]>>) -> ObservationRule {
        if name.kind.is_histogram() {
            return ObservationRule::Buckets(
                own_bounds.or_else(|| self.treatments.declared_bounds(name.family)).cloned(),
            );
        }
        let treatment = self.treatments.get(treatment);
        ObservationRule::Quantiles(treatment.and_then(|treatment| treatment.quantiles.clone()))
    }
}
