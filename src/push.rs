//! A push between its decoding and its way to the shards: samples become series of families, checked to the end.
//!
//! [`Assembler::assemble`] is pure: it looks at the register of families and changes nothing, so whatever it refuses leaves
//! no trace. Its steps: `families` finds the family of each name, `treatment` tells what is done with its series by the rules
//! and by the `mode` that a series asks for, `series` puts samples into series and splits them by shard. A push that is like one
//! before but for its values need not go that way: [`templates`].

mod families;
mod mode;
mod seen;
mod series;
mod template;
pub mod templates;
mod treatment;

use std::sync::Arc;

use crate::aggregate::NumberRule;
use crate::declarations::Declarations;
use crate::exposition::datagram_decode::{self, DatagramFault, KnownFamilies};
use crate::exposition::decode;
use crate::exposition::decoded::Decoded;
use crate::exposition::error::{DecodeError, Excerpt, Limits, Place};
use crate::exposition::format::PushFormat;
use crate::model::door::Door;
use crate::model::family::Family;
use crate::model::labels::{GroupLabels, escape_value, spelt_name};
use crate::model::value::{GaugePolicy, GaugeRule, Millis};
use crate::registry::{Registry, Wanted};
use crate::rules::{Rule, RuleSet};
use crate::shard::batch::{Batch, Router, SeriesRule};

use families::FamilyPlan;
use seen::SeenSeries;
use treatment::Treatments;

/// What is done with pushed values, from the configuration.
#[derive(Clone, Debug)]
pub struct PushRules {
    /// What a gauge shows.
    pub gauges: GaugeRules,
    /// Whether aggregated summaries, and those of sources, are kept.
    pub summaries: SummaryPolicy,
    /// How long a series stays to which nothing is pushed; `None` for ever.
    pub series_lifetime: Option<Millis>,
    /// What is different for some series.
    pub rules: RuleSet,
    /// The label by which an aggregated series asks for how it is merged; it is not kept. Plain.
    pub mode_label: Option<Box<str>>,
    /// What may be observed by datagram, if that is declared; and which quantiles declared summaries show.
    pub declarations: Option<Arc<Declarations>>,
    /// The limits of one push.
    pub limits: Limits,
}

impl PushRules {
    /// Whether all aggregated gauges of a family show a window: what was added up before that was known is no value within it.
    pub fn has_windows(&self, family: &str) -> bool {
        let candidates = self.rules.candidates(family);
        if candidates.depends_on_labels() || self.mode_label.is_some() {
            return false;
        }
        matches!(self.aggregated_gauges(candidates.choose("")), NumberRule::Window(_))
    }

    /// How aggregated gauges are merged that meet this rule.
    fn aggregated_gauges(&self, rule: Option<&Rule>) -> NumberRule {
        let GaugeRule { policy, window } = self.gauges.aggregate;
        NumberRule::of_gauges(GaugeRule {
            policy: rule.and_then(|rule| rule.gauge).unwrap_or(policy),
            window: rule.and_then(|rule| rule.window).unwrap_or(window),
        })
    }

    /// The label that holds modes, if the push may have it. Read in the door that merges; elsewhere it is a label as others.
    fn mode_label_in(&self, text: &str, pushed: Pushed<'_>) -> Option<&str> {
        let label = self.mode_label.as_deref().filter(|_| pushed.door == Door::Aggregate)?;
        let is_in_text = memchr::memmem::find(text.as_bytes(), escape_value(label).as_bytes()).is_some();
        (is_in_text || pushed.labels.contains(&spelt_name(label))).then_some(label)
    }
}

/// What a gauge shows, by door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GaugeRules {
    /// Of the values pushed.
    pub aggregate: GaugeRule,
    /// Of the sources that live.
    pub source: GaugePolicy,
}

/// What a push is to the gateway, beyond its body.
#[derive(Clone, Copy)]
pub struct Pushed<'a> {
    /// What its values mean.
    pub door: Door,
    /// Labels that its series get; they win over their own.
    pub labels: &'a GroupLabels,
    /// The lifetime that it asks for what it touches.
    pub lifetime: Option<Millis>,
    /// Whether a known family binds nobody any more, or will not once the push is applied: its names may be taken, and its
    /// kind be another.
    pub is_released: &'a dyn Fn(&Family) -> bool,
}

/// A push as it came.
#[derive(Clone, Copy)]
pub struct RawPush<'a> {
    /// The body's format.
    pub format: PushFormat,
    /// The whole body.
    pub body: &'a [u8],
    /// What it is to the gateway.
    pub pushed: Pushed<'a>,
    /// What is done with its values.
    pub rules: &'a Arc<PushRules>,
}

/// What is done with summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryPolicy {
    /// Sum and count are added, quantiles dropped.
    SumCount,
    /// Summaries are dropped whole.
    Discard,
}

/// Why a push is refused; nothing of it was applied. All say where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Not the format's text, or beyond a limit of its parts.
    #[error(transparent)]
    Malformed(DecodeError),
    /// A TYPE against another TYPE.
    #[error(transparent)]
    TypeConflict(DecodeError),
    /// A sample name that belongs to another family, or a series that escaping makes equal to another.
    #[error(transparent)]
    NameClash(DecodeError),
    /// A series twice.
    #[error(transparent)]
    DuplicateSeries(DecodeError),
    /// A value, or a label set, that the family's kind cannot have.
    #[error(transparent)]
    InvalidSample(DecodeError),
    /// Samples with timestamps, by the door that shows what was pushed last. In the Pushgateway's words, which clients look for.
    #[error("pushed metrics must not have timestamps")]
    Timestamps,
}

/// `place: expected E, got G`.
fn fault(place: Place, expected: impl Into<String>, got: impl Into<String>) -> DecodeError {
    DecodeError { place, expected: expected.into(), got: Excerpt::words(got) }
}

/// A push ready to be sent to the shards.
#[derive(Debug)]
pub struct Assembled {
    /// The families of the push; updates refer to them by index.
    pub families: Vec<PlannedFamily>,
    /// What is done with the series; updates refer to them by index.
    pub rules: Vec<SeriesRule>,
    /// Released families whose names the push takes, each once.
    pub releases: Vec<Arc<Family>>,
    /// One for each shard; empty where the push brings nothing.
    pub batches: Vec<Batch>,
    /// Samples; whole histograms and summaries count as one.
    pub samples: u64,
    /// Families of which all that is stored goes before the push is applied, each once; by index.
    pub replaced_families: Vec<u32>,
    /// Samples that are checked and dropped: by a rule, or by the policy of summaries.
    pub discarded_samples: u64,
    /// Timestamps that came with samples; merged values have none.
    pub ignored_timestamps: u64,
}

/// A family of a push.
#[derive(Clone, Debug)]
pub struct PlannedFamily {
    /// For the register.
    pub wanted: Wanted,
    /// Unescaped.
    pub help: Option<Arc<str>>,
    /// Such as `seconds`.
    pub unit: Option<String>,
    /// Series in this push.
    pub series: usize,
    /// Whether one of them has a label name in quotes.
    pub has_quoted_labels: bool,
    /// How many of its series may be stored: the least of the rules that those of this push meet.
    pub max_series: Option<usize>,
}

impl Assembled {
    /// A push without anything.
    pub fn nothing(shards: usize) -> Self {
        Self {
            families: Vec::new(),
            rules: Vec::new(),
            releases: Vec::new(),
            batches: (0..shards).map(|_| Batch::default()).collect(),
            samples: 0,
            replaced_families: Vec::new(),
            discarded_samples: 0,
            ignored_timestamps: 0,
        }
    }

    /// Takes families without series out of the plan, by index: the register need not know them.
    #[cold]
    fn leave_out(&mut self, is_left_out: &[bool]) {
        let mut kept = is_left_out.iter().map(|is_left_out| !is_left_out);
        self.families.retain(|_| kept.next().unwrap_or(true));
        let next_index = |next: &mut u32, is_left_out: &bool| {
            let index = *next;
            *next += u32::from(!is_left_out);
            Some(index)
        };
        let indices: Vec<u32> = is_left_out.iter().scan(0, next_index).collect();
        let series = self.batches.iter_mut().flat_map(Batch::series_mut).map(|series| &mut series.family);
        for index in series.chain(&mut self.replaced_families) {
            *index = indices.get(*index as usize).copied().unwrap_or(*index);
        }
    }

    /// Series in the push.
    pub fn series(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }
}

/// Scratch of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    decoded: Decoded,
    /// Text of a body that is none itself.
    arena: Vec<u8>,
    assembler: Assembler,
}

impl Scratch {
    /// Gives memory back that a push of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_TEXT: usize = 1 << 20;
        self.decoded.shrink();
        self.assembler.shrink();
        if self.arena.len() > USUAL_TEXT {
            self.arena = Vec::new();
        }
    }
}

/// Where pushes are assembled.
pub struct Intake<'a> {
    /// The families that are known.
    pub registry: &'a Registry,
    /// Where series live.
    pub router: &'a Router,
    /// The worker's.
    pub scratch: &'a mut Scratch,
}

impl Intake<'_> {
    /// Decodes and assembles a push.
    ///
    /// # Errors
    /// The first fault found; nothing has been changed.
    pub fn assemble(&mut self, push: RawPush<'_>) -> Result<Assembled, PushError> {
        let RawPush { format, body, pushed, rules } = push;
        let Scratch { decoded, arena, assembler } = &mut *self.scratch;
        let text =
            decode(format, body, &rules.limits, self.router.hasher(), arena, decoded).map_err(PushError::Malformed)?;
        assembler.assemble(text, decoded, pushed, rules, self.registry, self.router)
    }

    /// Decodes datagrams of observations, to be assembled next. Returns those that are none, by ascending index.
    pub fn decode_datagrams(&mut self, datagrams: &[&[u8]], rules: &PushRules) -> Vec<(usize, DatagramFault)> {
        let Scratch { decoded, arena, .. } = &mut *self.scratch;
        // Looked at for one name at a time: whoever sends much must not keep others from registering theirs.
        let kind_of = |name: &str| {
            let view = self.registry.view();
            view.claim(name).filter(|claim| *claim.family.name == *name).map(|claim| claim.family.kind())
        };
        let known = KnownFamilies { declarations: rules.declarations.as_deref(), kind_of: &kind_of };
        let mut unread = Vec::new();
        let refused = |index, fault| unread.push((index, fault));
        let datagrams = datagrams.iter().copied();
        datagram_decode::decode(datagrams, known, &rules.limits, self.router.hasher(), arena, decoded, refused);
        unread
    }

    /// Assembles what has been decoded of datagrams; it may be done again.
    ///
    /// # Errors
    /// The first fault found; nothing has been changed.
    pub fn assemble_observations(&mut self, pushed: Pushed<'_>, rules: &PushRules) -> Result<Assembled, PushError> {
        let Scratch { decoded, arena, assembler } = &mut *self.scratch;
        let text = datagram_decode::text_of(arena).map_err(PushError::Malformed)?;
        assembler.assemble(text, decoded, pushed, rules, self.registry, self.router)
    }
}

/// Turns decoded pushes into batches; the scratch of one worker.
#[derive(Debug, Default)]
pub struct Assembler {
    plan: FamilyPlan,
    seen: SeenSeries,
}

impl Assembler {
    /// Gives memory back that a push of usual size does not need.
    pub fn shrink(&mut self) {
        self.plan.shrink();
        self.seen.shrink();
    }

    /// Assembles a decoded push. `text` is what its spans point into. What was decoded is taken where that saves a copy.
    ///
    /// # Errors
    /// The first fault found; nothing has been changed.
    pub fn assemble(
        &mut self,
        text: &str,
        decoded: &mut Decoded,
        pushed: Pushed<'_>,
        rules: &PushRules,
        registry: &Registry,
        router: &Router,
    ) -> Result<Assembled, PushError> {
        if pushed.door == Door::Replace && decoded.timestamps > 0 {
            return Err(PushError::Timestamps);
        }
        let samples = decoded.parts() as u64;
        let mode_label = rules.mode_label_in(text, pushed);
        let mut treatments = Treatments::new(rules, pushed.door, pushed.lifetime, mode_label);
        // Looked at for the names only: a large push must not keep others from registering theirs.
        self.plan.resolve(text, decoded, pushed, &mut treatments, &registry.view(), router)?;
        let context = series::Context {
            text,
            door: pushed.door,
            group: pushed.labels,
            limits: &rules.limits,
            router,
            places: decoded.places,
            may_repeat: decoded.may_repeat,
        };
        let (batches, discarded_samples) =
            series::assemble(&context, decoded, &mut self.plan, &mut treatments, &mut self.seen)?;
        let (mut families, releases) = self.plan.take_families();
        for (index, planned) in families.iter_mut().enumerate() {
            planned.max_series = treatments.max_series(index);
        }
        let is_nothing = |planned: &PlannedFamily| planned.series == 0 && matches!(planned.wanted, Wanted::New { .. });
        let is_left_out: Vec<bool> = (0..)
            .zip(&families)
            .map(|(index, planned)| is_nothing(planned) && treatments.is_dropped_by_rules(index))
            .collect();
        let (rules, replaced_families) = treatments.finish();
        let mut assembled = Assembled {
            families,
            rules,
            releases,
            batches,
            samples,
            replaced_families,
            discarded_samples,
            ignored_timestamps: decoded.timestamps,
        };
        // What is released for a family is its own affair, kept or not.
        if assembled.releases.is_empty() && is_left_out.contains(&true) {
            assembled.leave_out(&is_left_out);
        }
        Ok(assembled)
    }
}

#[cfg(test)]
mod tests;
