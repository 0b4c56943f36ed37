//! Puts a push's samples into series, splits the series by shard, and refuses what a series cannot be.

mod builder;
mod merged;
mod numbers;
mod observed;
mod parts;

use super::families::{FamilyPlan, Handling, ResolvedName, cannot_be_added};
use super::seen::SeenSeries;
use super::treatment::Treatments;
use super::{PushError, fault};
use crate::exposition::decoded::{Decoded, Places, Sample, SampleExtra, SeriesText, WholeHistogram, WholeSummary};
use crate::exposition::error::{DecodeError, Limits, Place};
use crate::model::door::Door;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{GroupLabels, has_quoted_names};
use crate::shard::batch::{Batch, Router, SeriesRef};
use builder::{Builder, Refused};
use parts::{finish_histograms, finish_summaries};

/// What is the same for all samples of a push.
pub(super) struct Context<'a> {
    pub text: &'a str,
    pub door: Door,
    pub group: &'a GroupLabels,
    pub limits: &'a Limits,
    pub router: &'a Router,
    pub places: Places,
    /// Whether a series may come several times.
    pub may_repeat: bool,
}

impl Context<'_> {
    fn place(&self, series: &SeriesText) -> Place {
        self.places.at(series.place)
    }

    /// Whether the series' labels can be taken as they stand.
    #[inline]
    fn are_final(&self, series: &SeriesText) -> bool {
        series.canonical_hash.is_some() && self.group.is_empty()
    }
}

/// Splits the samples into one batch a shard. Also returns how many samples were discarded.
pub(super) fn assemble(
    context: &Context<'_>,
    decoded: &mut Decoded,
    plan: &mut FamilyPlan,
    treatments: &mut Treatments<'_>,
    seen: &mut SeenSeries,
) -> Result<(Vec<Batch>, u64), PushError> {
    seen.start(decoded.parts());
    let builder = Builder::new(context, decoded.samples.len(), treatments, seen);
    let mut assembly = Assembly { builder, plan, discarded: 0 };
    assembly.samples(&decoded.samples, &mut decoded.extras)?;
    for WholeHistogram { series, histogram } in decoded.histograms.drain(..) {
        assembly.whole(&series, 0.0, |builder, name| builder.whole_histogram(&series, name, histogram))?;
    }
    for WholeSummary { series, summary } in decoded.summaries.drain(..) {
        let count = summary.count.unwrap_or(0.0);
        assembly.whole(&series, count, |builder, name| builder.whole_summary(&series, name, summary))?;
    }
    for observation in &decoded.observations {
        let count = 1.0;
        assembly.whole(&observation.series, count, |builder, name| {
            builder.observation(observation, &decoded.bounds, name)
        })?;
    }
    let Assembly { builder, plan, discarded } = assembly;
    let dropped = builder.dropped;
    let mut drafts = builder.finish();
    for draft in &mut drafts {
        let name = |series: SeriesRef| plan.families[series.family as usize].wanted.name();
        finish_histograms(draft, context.places, name)?;
        finish_summaries(draft);
    }
    let drafts = merged::merge(context, treatments, &mut plan.families, drafts)?;
    Ok((drafts.into_iter().map(|draft| draft.batch).collect(), discarded + dropped))
}

/// The batches, and what becomes of the families meanwhile.
struct Assembly<'a, 'r, 'p> {
    builder: Builder<'a, 'r>,
    plan: &'p mut FamilyPlan,
    discarded: u64,
}

impl<'r> Assembly<'_, 'r, '_> {
    fn samples(&mut self, samples: &[Sample], extras: &mut Vec<SampleExtra>) -> Result<(), PushError> {
        let mut extras = extras.drain(..);
        let mut next = extras.next();
        for (index, sample) in samples.iter().enumerate() {
            let name = self.plan.names[sample.series.name as usize];
            if next.as_ref().is_some_and(|extra| extra.sample as usize == index) {
                let extra = std::mem::replace(&mut next, extras.next());
                self.part_with_extra(sample, name, extra)?;
            } else {
                self.part(sample, name)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn part(&mut self, sample: &Sample, name: ResolvedName) -> Result<(), PushError> {
        if name.handling != Handling::Plain {
            return self.unusual_part(sample, name);
        }
        self.add(&sample.series, name.role, |builder, name| match (name.role, name.kind) {
            (SampleRole::Number, _) => builder.number::<false>(sample, name),
            (_, kind) if kind.is_histogram() => builder.histogram_part(sample, name),
            _ => builder.summary_part(sample, name),
        })
    }

    /// A part of a series with which more is done than to send it on.
    #[cold]
    fn unusual_part(&mut self, sample: &Sample, name: ResolvedName) -> Result<(), PushError> {
        match name.handling {
            Handling::PassedOver => {
                self.discarded += 1;
                return Ok(());
            }
            Handling::Discarded => return self.discard(&sample.series, name, sample.value),
            Handling::Plain | Handling::State | Handling::BySeries => {}
        }
        if name.kind == MetricKind::StateSet {
            let family = self.plan.families[name.family as usize].wanted.name();
            self.builder.check_state(&sample.series, family)?;
        }
        self.add(&sample.series, name.role, |builder, name| match (name.role, name.handling) {
            (SampleRole::Number, Handling::BySeries) => builder.number::<true>(sample, name),
            (SampleRole::Number, _) => builder.number::<false>(sample, name),
            _ if name.kind.is_histogram() => builder.histogram_part(sample, name),
            _ => builder.summary_part(sample, name),
        })
    }

    /// A histogram or a summary that came as one.
    fn whole(
        &mut self,
        series: &SeriesText,
        count: f64,
        added: impl FnOnce(&mut Builder<'_, 'r>, ResolvedName) -> Result<bool, Refused>,
    ) -> Result<(), PushError> {
        let name = self.plan.names[series.name as usize];
        match name.handling {
            Handling::PassedOver => {
                self.discarded += 1;
                Ok(())
            }
            Handling::Discarded => self.discard(series, name, count),
            Handling::Plain | Handling::State | Handling::BySeries => self.add(series, SampleRole::Count, added),
        }
    }

    #[cold]
    fn part_with_extra(
        &mut self,
        sample: &Sample,
        name: ResolvedName,
        extra: Option<SampleExtra>,
    ) -> Result<(), PushError> {
        let Some(extra) = extra.filter(|_| is_kept(name)) else { return self.part(sample, name) };
        if let (SampleRole::Created, Some(created)) = (name.role, extra.created) {
            return self.add(&sample.series, name.role, |builder, name| builder.created(sample, name, created));
        }
        self.part(sample, name)?;
        self.builder.extra(name, extra);
        Ok(())
    }

    /// Adds a part of a series; `added` tells whether the series is new in the push.
    #[inline]
    fn add(
        &mut self,
        series: &SeriesText,
        role: SampleRole,
        added: impl FnOnce(&mut Builder<'_, 'r>, ResolvedName) -> Result<bool, Refused>,
    ) -> Result<(), PushError> {
        let name = self.plan.names[series.name as usize];
        let added = added(&mut self.builder, name);
        let family = &mut self.plan.families[name.family as usize];
        match added {
            Ok(is_new_series) => {
                family.series += usize::from(is_new_series);
                family.has_quoted_labels |=
                    !self.builder.context.are_final(series) && has_quoted_names(&self.builder.labels);
                Ok(())
            }
            Err(Refused::Fault(error)) => Err(error),
            Err(Refused::CannotBeAdded) => {
                Err(cannot_be_added(self.builder.context.place(series), family.wanted.name()))
            }
            Err(Refused::Repeated(labels)) => {
                let place = self.builder.context.place(series);
                let name = format!("{}{}", family.wanted.name(), suffix(name.kind, role));
                Err(PushError::DuplicateSeries(repeated(place, &name, &labels)))
            }
        }
    }

    /// Checks a part of a series that is not kept as if it were.
    fn discard(&mut self, series: &SeriesText, name: ResolvedName, value: f64) -> Result<(), PushError> {
        let family = self.plan.families[name.family as usize].wanted.name();
        self.builder.check_discarded(series, name, value, family)?;
        self.discarded += 1;
        Ok(())
    }
}

/// Whether more is done with the samples than to check them.
fn is_kept(name: ResolvedName) -> bool {
    !matches!(name.handling, Handling::Discarded | Handling::PassedOver)
}

/// What the sample's name has behind that of its family.
fn suffix(kind: MetricKind, role: SampleRole) -> &'static str {
    let samples = kind.samples().iter().chain(kind.openmetrics_samples());
    samples.filter(|(_, of)| *of == role).map(|(suffix, _)| *suffix).next().unwrap_or_default()
}

fn repeated(place: Place, name: &str, labels: &str) -> DecodeError {
    let series = if labels.is_empty() { name.to_owned() } else { format!("{name}{{{labels}}}") };
    fault(place, "each series once in a push", format!("{series} again"))
}
