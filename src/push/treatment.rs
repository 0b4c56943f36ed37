//! How the series of a push are treated: how their numbers are merged, how long they stay, which labels they keep. The door
//! says so, the rules of the configuration, and modes that series ask for. Mostly that is one treatment a family; only where a
//! rule or a mode depends on labels does each series have one of its own.

use std::collections::HashMap;
use std::sync::Arc;

use super::mode::Mode;
use super::{PushRules, SummaryPolicy};
use crate::aggregate::NumberRule;
use crate::exposition::decoded::NumberChange;
use crate::model::door::Door;
use crate::model::family::MetricKind;
use crate::model::value::{GaugePolicy, Millis, QuantileRule};
use crate::rules::{Candidates, LabelFilter, Rule};
use crate::shard::batch::SeriesRule;

/// What is done with series.
#[derive(Clone, Debug)]
pub(super) struct Treatment<'r> {
    /// For the shards.
    pub rule: SeriesRule,
    /// Checked, not kept.
    pub drops: bool,
    /// Which labels stay, if not all.
    pub labels: Option<&'r LabelFilter>,
    /// What summaries of observations show beside sum and count.
    pub quantiles: Option<QuantileRule>,
    /// How numbers of a group are merged that are one series without the labels that go.
    pub together: GaugePolicy,
}

/// A family of the push.
#[derive(Debug)]
struct TreatedFamily<'r> {
    kind: MetricKind,
    candidates: Candidates<'r>,
    is_by_series: bool,
    /// Of a summary, as far as they are declared.
    quantiles: Option<Arc<[f64]>>,
    /// Of a histogram, alike.
    bounds: Option<Arc<[f64]>>,
    /// The least of the rules that its series have met.
    max_series: Option<usize>,
}

/// The treatments of a push's series.
#[derive(Debug)]
pub(super) struct Treatments<'r> {
    settings: &'r PushRules,
    door: Door,
    /// Asked for by the push.
    lifetime: Option<Millis>,
    /// The label that holds modes, if the push has it at all. Plain.
    mode_label: Option<&'r str>,
    /// By the plan's index.
    families: Vec<TreatedFamily<'r>>,
    /// Those of the families, by the plan's index; then those of single series.
    treatments: Vec<Treatment<'r>>,
    /// The latter, by family, position of the rule, and mode.
    chosen: HashMap<(u32, Option<usize>, Option<Mode>), u32, ahash::RandomState>,
    /// Families that the push replaces whole, by the plan's index.
    replaced: Vec<u32>,
}

impl<'r> Treatments<'r> {
    /// None yet. A `mode_label` that the push has nowhere need not be given.
    pub fn new(settings: &'r PushRules, door: Door, lifetime: Option<Millis>, mode_label: Option<&'r str>) -> Self {
        Self {
            settings,
            door,
            lifetime,
            mode_label,
            families: Vec::new(),
            treatments: Vec::new(),
            chosen: HashMap::default(),
            replaced: Vec::new(),
        }
    }

    /// Adds the family of the next index.
    pub fn add_family(&mut self, name: &str, kind: MetricKind) {
        let candidates = self.settings.rules.candidates(name);
        let depends_on_labels = candidates.depends_on_labels();
        let rule = if depends_on_labels { None } else { candidates.choose("") };
        let declared = self.settings.declarations.as_ref().and_then(|declarations| declarations.get(name));
        let declared = declared.filter(|declared| declared.kind == kind);
        let quantiles = declared.and_then(|declared| declared.quantiles.clone());
        let bounds = declared.and_then(|declared| declared.bounds.clone());
        let treatment = self.treatment(kind, rule, None, quantiles.as_ref());
        let is_by_series =
            depends_on_labels || self.mode_label.is_some() || treatment.drops || treatment.labels.is_some();
        let max_series = rule.and_then(|rule| rule.max_series);
        self.families.push(TreatedFamily { kind, candidates, is_by_series, quantiles, bounds, max_series });
        self.treatments.push(treatment);
    }

    /// Whether each series of the family is to be looked at. If not, the family's index is that of their treatment.
    pub fn are_by_series(&self, family: u32) -> bool {
        self.families.get(family as usize).is_some_and(|family| family.is_by_series)
    }

    /// Whether a family of which no series is kept was dropped by rules, and not by the policy of summaries.
    pub fn is_dropped_by_rules(&self, family: u32) -> bool {
        let is_discarded = self.kind(family) == Some(MetricKind::Summary) && !self.keep_summaries();
        self.are_by_series(family) && !is_discarded
    }

    /// Whether summaries are more than checked.
    pub fn keep_summaries(&self) -> bool {
        self.settings.summaries == SummaryPolicy::SumCount || self.door == Door::Replace
    }

    /// What a family is.
    pub fn kind(&self, family: u32) -> Option<MetricKind> {
        self.families.get(family as usize).map(|family| family.kind)
    }

    /// The bucket bounds that are declared for a histogram.
    pub fn declared_bounds(&self, family: u32) -> Option<&Arc<[f64]>> {
        self.families.get(family as usize)?.bounds.as_ref()
    }

    /// The label that series have for their modes.
    pub fn mode_label(&self) -> Option<&'r str> {
        self.mode_label
    }

    /// The index of a series' treatment. `labels` is its canonical label text, without its mode.
    pub fn choose(&mut self, family: u32, labels: &str, mode: Option<Mode>) -> u32 {
        let Some(of) = self.families.get_mut(family as usize) else { return family };
        let position = of.candidates.position(labels);
        if let Some(index) = self.chosen.get(&(family, position, mode)) {
            return *index;
        }
        let rule = position.and_then(|position| self.settings.rules.get(position));
        of.max_series = of.max_series.into_iter().chain(rule.and_then(|rule| rule.max_series)).min();
        let kind = of.kind;
        let quantiles = of.quantiles.clone();
        let treatment = self.treatment(kind, rule, mode, quantiles.as_ref());
        if mode == Some(Mode::ReplaceFamily) && !treatment.drops && !self.replaced.contains(&family) {
            self.replaced.push(family);
        }
        let index = self.treatments.len() as u32;
        self.treatments.push(treatment);
        self.chosen.insert((family, position, mode), index);
        index
    }

    /// The treatment of an index that [`Self::choose`] told.
    pub fn get(&self, index: u32) -> Option<&Treatment<'r>> {
        self.treatments.get(index as usize)
    }

    /// The index of the treatment of a series whose samples ask for this change of its number; `None` if it cannot be: nothing is
    /// added to what was set lately. `labels` and `mode` as for [`Self::choose`].
    pub fn changed(&mut self, family: u32, labels: &str, mode: Option<Mode>, change: NumberChange) -> Option<u32> {
        let usual = self.choose(family, labels, mode);
        match (change, self.get(usual)?.rule.numbers) {
            (NumberChange::Add, NumberRule::Last) if mode.is_none() => {
                Some(self.choose(family, labels, Some(Mode::Add)))
            }
            (NumberChange::Set, NumberRule::Add) if mode.is_none() => {
                Some(self.choose(family, labels, Some(Mode::Replace)))
            }
            (NumberChange::Add, NumberRule::Last | NumberRule::Window(_)) => None,
            _ => Some(usual),
        }
    }

    /// How many series of a family may be stored, by the rules that its series have met.
    pub fn max_series(&self, family: usize) -> Option<usize> {
        self.families.get(family).and_then(|family| family.max_series)
    }

    /// The rules for the shards, by index, and the families that the push replaces.
    pub fn finish(self) -> (Vec<SeriesRule>, Vec<u32>) {
        (self.treatments.iter().map(|treatment| treatment.rule).collect(), self.replaced)
    }

    /// Quantiles that are declared give way to those of the rule.
    fn treatment(
        &self,
        kind: MetricKind,
        rule: Option<&'r Rule>,
        mode: Option<Mode>,
        declared_quantiles: Option<&Arc<[f64]>>,
    ) -> Treatment<'r> {
        let window = rule.and_then(|rule| rule.window).unwrap_or(self.settings.gauges.aggregate.window);
        let of_rule = rule.and_then(|rule| rule.quantiles.as_ref()).filter(|_| kind == MetricKind::Summary);
        let quantiles = of_rule.or(declared_quantiles).map(Arc::clone);
        let lifetime = match self.door {
            Door::Replace => None,
            Door::Aggregate | Door::Source => {
                self.lifetime.or(rule.and_then(|rule| rule.ttl)).or(self.settings.series_lifetime)
            }
        };
        Treatment {
            rule: SeriesRule { numbers: self.numbers(kind, rule, mode), lifetime },
            drops: rule.is_some_and(|rule| rule.drops),
            quantiles: quantiles.map(|quantiles| QuantileRule { quantiles, window }),
            labels: rule.map(|rule| &rule.labels).filter(|labels| **labels != LabelFilter::All),
            together: together(kind, rule),
        }
    }

    fn numbers(&self, kind: MetricKind, rule: Option<&Rule>, mode: Option<Mode>) -> NumberRule {
        if let Some(mode) = mode {
            let window = rule.and_then(|rule| rule.window).unwrap_or(self.settings.gauges.aggregate.window);
            return mode.numbers(kind, window);
        }
        match (self.door, kind) {
            (Door::Replace, _) => NumberRule::Last,
            (Door::Source, MetricKind::Gauge) => NumberRule::Live(self.source_policy(rule)),
            (Door::Source, MetricKind::Info | MetricKind::StateSet) => NumberRule::Live(GaugePolicy::Last),
            (Door::Source, _) => NumberRule::Running,
            (Door::Aggregate, MetricKind::Gauge) => self.settings.aggregated_gauges(rule),
            (Door::Aggregate, MetricKind::Info | MetricKind::StateSet) => NumberRule::Last,
            (Door::Aggregate, _) => NumberRule::Add,
        }
    }

    fn source_policy(&self, rule: Option<&Rule>) -> GaugePolicy {
        rule.and_then(|rule| rule.gauge).unwrap_or(self.settings.gauges.source)
    }
}

/// A group shows what was pushed last, unless a rule has a better word for its gauges.
fn together(kind: MetricKind, rule: Option<&Rule>) -> GaugePolicy {
    match kind {
        MetricKind::Gauge => rule.and_then(|rule| rule.gauge).unwrap_or(GaugePolicy::Last),
        MetricKind::Info | MetricKind::StateSet => GaugePolicy::Last,
        _ => GaugePolicy::Sum,
    }
}
