//! Observations as samples: what the decoders of observations have in common. Names and labels are written as they are stored,
//! so that most observations are ready for their shard.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use smallvec::SmallVec;

use super::decoded::{
    DeclaredFamily, Decoded, Name, NameOwner, NumberChange, Observation, Places, Sample, SeriesText, Span,
};
use super::error::{DecodeError, Excerpt, Limits, Place, not_utf8};
use super::json::{JsonFault, JsonReader};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{LabelHasher, escape_value};
use crate::model::name::{is_legacy_label_name, is_legacy_metric_name};

pub(super) type Result<T> = std::result::Result<T, Box<DecodeError>>;

/// Names and values of labels, as they came.
pub(super) type LabelPairs<'t> = SmallVec<[(Cow<'t, str>, Cow<'t, str>); 8]>;

/// What was observed, less its labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed<'t> {
    pub name: &'t str,
    pub help: Option<&'t str>,
    pub kind: MetricKind,
    pub change: NumberChange,
    pub value: f64,
    /// Index into [`Decoded::bounds`].
    pub bounds: Option<u32>,
}

/// Puts observations into the scratch.
pub(super) struct ObservationWriter<'d> {
    pub limits: &'d Limits,
    hasher: &'d LabelHasher,
    arena: &'d mut Vec<u8>,
    decoded: &'d mut Decoded,
    /// Names that came lately.
    recent: SmallVec<[RecentName; ObservationWriter::RECENT]>,
    /// Observations begun so far of the body, or of the datagram; the one at hand is the last.
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct RecentName {
    text: Span,
    kind: MetricKind,
    change: NumberChange,
    /// Index into [`Decoded::names`].
    name: u32,
}

/// What there was before an observation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    arena: usize,
    samples: usize,
    observations: usize,
    names: usize,
    families: usize,
}

impl<'d> ObservationWriter<'d> {
    const RECENT: usize = 8;

    /// Begins a push.
    pub fn new(limits: &'d Limits, hasher: &'d LabelHasher, arena: &'d mut Vec<u8>, decoded: &'d mut Decoded) -> Self {
        arena.clear();
        decoded.start(Places::Observations);
        decoded.may_repeat = true;
        Self { limits, hasher, arena, decoded, recent: SmallVec::new(), count: 0 }
    }

    /// Begins a datagram, whose observations are counted from 1.
    pub fn begin_datagram(&mut self) {
        self.count = 0;
    }

    /// Begins an observation.
    pub fn next(&mut self) -> Result<()> {
        if self.count as usize == self.limits.samples {
            let expected = format!("at most {} observations in a push", self.limits.samples);
            return Err(self.fault(expected, "more"));
        }
        self.count += 1;
        Ok(())
    }

    /// Writes the observation at hand. The labels are put in order.
    pub fn write(&mut self, observed: Observed<'_>, labels: &mut LabelPairs<'_>) -> Result<()> {
        let is_number = matches!(observed.kind, MetricKind::Counter | MetricKind::Gauge);
        if observed.value.is_nan() && (observed.change == NumberChange::Add || !is_number) {
            // It would be all that is left of the sum.
            return Err(self.fault("a number to add", "NaN"));
        }
        // An empty description says nothing.
        let observed = Observed { help: observed.help.filter(|help| !help.is_empty()), ..observed };
        let name = self.name(&observed)?;
        let (labels, canonical_hash) = self.labels(labels, observed.kind)?;
        let series = SeriesText { labels, name, place: self.count, canonical_hash };
        if is_number {
            self.decoded.samples.push(Sample { series, value: observed.value });
        } else {
            self.decoded.observations.push(Observation { series, value: observed.value, bounds: observed.bounds });
        }
        Ok(())
    }

    /// The index of a name; it is declared, with its family, unless it came lately.
    #[inline]
    fn name(&mut self, observed: &Observed<'_>) -> Result<u32> {
        if let Some(help) = observed.help {
            self.limit_length("a description", self.limits.line_length, help)?;
        }
        let is_same = |recent: &&RecentName| {
            recent.text.bytes_of(self.arena) == observed.name.as_bytes()
                && recent.kind == observed.kind
                && recent.change == observed.change
        };
        if let Some(recent) = self.recent.iter().find(is_same) {
            let name = recent.name;
            if let Some(help) = observed.help {
                self.add_help(name, help);
            }
            return Ok(name);
        }
        self.declare(observed)
    }

    /// The first of a family's observations need not be the one that describes it.
    fn add_help(&mut self, name: u32, help: &str) {
        let owner = self.decoded.names.get(name as usize).map(|name| name.owner);
        let Some(NameOwner::Declared(family, _)) = owner else { return };
        if self.decoded.families.get(family as usize).is_some_and(|family| family.help.is_none()) {
            let help = self.keep(&escape_value(help));
            self.decoded.families[family as usize].help = Some(help);
        }
    }

    fn declare(&mut self, observed: &Observed<'_>) -> Result<u32> {
        let Observed { name, kind, change, .. } = *observed;
        if name.is_empty() {
            return Err(self.fault("a metric name that is not empty", "\"\""));
        }
        self.limit_length("a metric name", self.limits.name_length, name)?;
        let is_quoted = !is_legacy_metric_name(name);
        let text = if is_quoted { self.keep(&escape_value(name)) } else { self.keep(name) };
        let help = observed.help.map(|help| self.keep(&escape_value(help)));
        let owner = NameOwner::Declared(self.decoded.families.len() as u32, SampleRole::Number);
        let declared = Name { text, is_quoted, place: self.count, owner: NameOwner::ByName };
        self.decoded.families.push(DeclaredFamily { name: declared, suffix: "", kind, help, unit: None, change });
        let index = self.decoded.names.len() as u32;
        self.decoded.names.push(Name { owner, ..declared });
        // Found by its text: not so where that was written otherwise than it came.
        if text.bytes_of(self.arena) == name.as_bytes() {
            let recent = RecentName { text, kind, change, name: index };
            match self.recent.len() {
                Self::RECENT => self.recent[index as usize % Self::RECENT] = recent,
                _ => self.recent.push(recent),
            }
        }
        Ok(index)
    }

    /// Writes labels as canonical text, and hashes them unless some names need more care than is taken here.
    fn labels(&mut self, labels: &mut LabelPairs<'_>, kind: MetricKind) -> Result<(Span, Option<NonZeroU64>)> {
        if !labels.is_sorted_by(|one, other| one.0 < other.0) {
            labels.sort_unstable();
            if let Some(pair) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(self.fault("each label once", format!("{} twice", pair[0].0)));
            }
        }
        let start = self.arena.len();
        let mut has_quoted_names = false;
        for (name, value) in labels.iter() {
            self.check_label(name, value, kind)?;
            if value.is_empty() {
                continue;
            }
            if self.arena.len() > start {
                self.arena.push(b',');
            }
            if is_legacy_label_name(name) {
                self.arena.extend_from_slice(name.as_bytes());
                self.arena.extend_from_slice(b"=\"");
            } else {
                has_quoted_names = true;
                self.arena.push(b'"');
                self.arena.extend_from_slice(escape_value(name).as_bytes());
                self.arena.extend_from_slice(b"\"=\"");
            }
            self.arena.extend_from_slice(escape_value(value).as_bytes());
            self.arena.push(b'"');
        }
        let hash = (!has_quoted_names).then(|| self.hasher.hash(&self.arena[start..]));
        Ok((Span::new(start, self.arena.len()), hash))
    }

    #[inline]
    fn check_label(&self, name: &str, value: &str, kind: MetricKind) -> Result<()> {
        if name.is_empty() || name.starts_with("__") {
            let expected = "a label name that is not empty and does not begin with \"__\"";
            return Err(self.fault(expected, format!("{name:?}")));
        }
        if kind.position_label() == Some(name) {
            return Err(self.fault(format!("no label {name} on an observation"), format!("{name}={value:?}")));
        }
        self.limit_length("a label name", self.limits.name_length, name)?;
        self.limit_length("a label value", self.limits.value_length, value)
    }

    /// Bucket bounds that observations ask for; the infinite one is added. Those of the observation before are kept once.
    pub fn bounds(&mut self, bounds: &mut SmallVec<[f64; 16]>, most: usize) -> Result<u32> {
        if bounds.last() != Some(&f64::INFINITY) {
            bounds.push(f64::INFINITY);
        }
        if bounds[0] == f64::NEG_INFINITY {
            return Err(self.fault("buckets above -Inf", "-Inf"));
        }
        if !bounds.is_sorted_by(|one, other| one < other) {
            let fault = bounds.windows(2).find(|pair| pair[0] >= pair[1] || pair[0].is_nan() || pair[1].is_nan());
            let got = fault.map_or_else(|| "NaN".to_owned(), |pair| format!("{} before {}", pair[0], pair[1]));
            return Err(self.fault("buckets in ascending order", got));
        }
        if bounds.len() > most {
            return Err(self.fault(format!("at most {most} buckets in a histogram"), bounds.len().to_string()));
        }
        // One bound has one spelling: `-0` is `0`.
        bounds.iter_mut().for_each(|bound| *bound += 0.0);
        if self.decoded.bounds.last().is_none_or(|last| **last != **bounds) {
            self.decoded.bounds.push(Arc::from(&bounds[..]));
        }
        Ok(self.decoded.bounds.len() as u32 - 1)
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(text.as_bytes());
        Span::new(start, self.arena.len())
    }

    #[inline(always)]
    fn limit_length(&self, what: &str, limit: usize, text: &str) -> Result<()> {
        if text.len() <= limit {
            return Ok(());
        }
        Err(self.fault(format!("{what} of at most {limit} bytes"), text.len().to_string()))
    }

    /// Writes a number again as it was written before.
    pub fn repeat(&mut self, sample: Sample) {
        self.decoded.samples.push(sample);
    }

    /// What was written since, if it is one number.
    pub fn only_sample_since(&self, mark: Mark) -> Option<Sample> {
        match self.decoded.samples.get(mark.samples..)? {
            [sample] if self.decoded.observations.len() == mark.observations => Some(*sample),
            _ => None,
        }
    }

    /// What is there now, to come back to.
    pub fn mark(&self) -> Mark {
        let Decoded { samples, observations, names, families, .. } = &*self.decoded;
        Mark {
            arena: self.arena.len(),
            samples: samples.len(),
            observations: observations.len(),
            names: names.len(),
            families: families.len(),
        }
    }

    /// Forgets what came since.
    #[cold]
    pub fn roll_back(&mut self, mark: Mark) {
        self.arena.truncate(mark.arena);
        self.decoded.samples.truncate(mark.samples);
        self.decoded.observations.truncate(mark.observations);
        self.decoded.names.truncate(mark.names);
        self.decoded.families.truncate(mark.families);
        self.recent.retain(|recent| (recent.name as usize) < mark.names);
        let arena = mark.arena;
        // A family that was there may have got its help since.
        for family in &mut self.decoded.families {
            family.help = family.help.filter(|help| help.end() <= arena);
        }
    }

    #[cold]
    pub fn fault(&self, expected: impl Into<String>, got: impl Into<String>) -> Box<DecodeError> {
        let (expected, got) = (expected.into(), Excerpt::words(got));
        Box::new(DecodeError { place: Place::Observation(self.count.max(1)), expected, got })
    }

    /// What the reader of `text` did not find.
    #[cold]
    pub fn not_read(&self, text: &str, JsonFault { expected, at }: JsonFault) -> Box<DecodeError> {
        let got = Excerpt::of(text.as_bytes().get(at..).unwrap_or_default());
        Box::new(DecodeError { place: Place::Observation(self.count.max(1)), expected: expected.into_owned(), got })
    }
}

/// Reads labels: an object of strings; numbers and booleans are taken as they are written.
pub(super) fn read_labels<'t>(
    reader: &mut JsonReader<'t>,
    labels: &mut LabelPairs<'t>,
    most: usize,
) -> std::result::Result<(), JsonFault> {
    if reader.null() {
        return Ok(());
    }
    let mut members = reader.object("an object of labels")?;
    while let Some(name) = reader.next_key(&mut members)? {
        if labels.len() == most {
            return Err(reader.fault(format!("at most {most} labels")));
        }
        let value = reader.scalar("a string as value of a label")?;
        labels.push((name, value));
    }
    Ok(())
}

/// What was written, as text.
///
/// # Errors
/// None: all of it is text that was put together.
pub fn text_of(arena: &[u8]) -> std::result::Result<&str, DecodeError> {
    str::from_utf8(arena).map_err(|error| not_utf8(arena, error.valid_up_to()))
}
