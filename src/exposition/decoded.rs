//! What a decoder makes of a body: samples, whole histograms and summaries, and what was said of their families. Spans point
//! into the text that the decoder returned; nothing is known here of what is stored.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::error::Place;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::timestamp::Timestamp;
use crate::model::value::{Exemplar, Histogram, Summary};

/// A piece of the text. Bodies are below 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The text that the span was made from; empty for another text that is too short.
    #[inline]
    pub fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }

    /// The same in bytes, of which only those of the span need be text.
    pub fn bytes_of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    #[inline]
    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }
}

/// Whose value a sample is, as far as a decoder can tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesText {
    /// The text between the braces; a metric name in quotes is not part of it.
    pub labels: Span,
    /// Index into [`Decoded::names`].
    pub name: u32,
    /// Where it stood: see [`Places`].
    pub place: u32,
    /// The labels' hash, if they are written as a series key is: names ascending, compact, unquoted (`model::labels`).
    pub canonical_hash: Option<NonZeroU64>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Whose value it is.
    pub series: SeriesText,
    /// As written; may be NaN or infinite.
    pub value: f64,
}

/// What a sample came with beyond its value.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleExtra {
    /// Index into [`Decoded::samples`]: a counter's, a bucket's, or a created timestamp.
    pub sample: u32,
    /// When counting began; `None` for a bucket.
    pub created: Option<Timestamp>,
    /// An observation behind it.
    pub exemplar: Option<Exemplar>,
}

/// A histogram that came as one.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeHistogram {
    /// Whose value it is.
    pub series: SeriesText,
    /// As pushed, checked by itself.
    pub histogram: Histogram,
}

/// A summary that came as one.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeSummary {
    /// Whose value it is.
    pub series: SeriesText,
    /// As pushed; the quantiles in any order.
    pub summary: Summary,
}

/// A value that a histogram or a summary is to take in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Whose value it is.
    pub series: SeriesText,
    /// Not NaN.
    pub value: f64,
    /// Index into [`Decoded::bounds`], if the observation says which buckets it means.
    pub bounds: Option<u32>,
}

/// The name of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Without quotes, escapes as written.
    pub text: Span,
    /// Whether it stood in quotes: it may hold anything, and escapes are to be undone.
    pub is_quoted: bool,
    /// Where it stood first.
    pub place: u32,
    /// What the format says of its family.
    pub owner: NameOwner,
}

/// Which family a name's samples are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOwner {
    /// The format does not say: to be found by the name.
    ByName,
    /// Samples of this role in the family at this index in [`Decoded::families`].
    Declared(u32, SampleRole),
}

/// A family as a format declares it whose samples follow right behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredFamily {
    /// Its name as the format has it.
    pub name: Name,
    /// What its name ends in besides: see [`MetricKind::openmetrics_suffix`].
    pub suffix: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The help, with the escapes `\\`, `\"` and `\n`.
    pub help: Option<Span>,
    /// The unit.
    pub unit: Option<Span>,
    /// What becomes of its numbers.
    pub change: NumberChange,
}

/// What samples ask for their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberChange {
    /// Whatever the door and the rules say.
    ByRule,
    /// They are added to what is there: those of gauges too.
    Add,
    /// They take its place, even where gauges are added up.
    Set,
}

/// A HELP or TYPE line of text 0.0.4, which may stand anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Whose metadata it is.
    pub name: Name,
    /// What it says.
    pub content: MetadataContent,
}

/// What a HELP or TYPE line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataContent {
    /// The help as written, with the escapes `\\` and `\n`.
    Help(Span),
    /// What the family is.
    Type(MetricKind),
}

/// What the places in a decoded body are numbers of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// Lines, from 1.
    #[default]
    Lines,
    /// Protobuf metrics, from 1.
    Metrics,
    /// Observations, from 1.
    Observations,
}

impl Places {
    /// The place of this number.
    pub fn at(self, number: u32) -> Place {
        match self {
            Self::Lines => Place::Line(number),
            Self::Metrics => Place::Metric(number),
            Self::Observations => Place::Observation(number),
        }
    }
}

/// A decoded body; the scratch of one worker, reused push after push.
#[derive(Debug, Default)]
pub struct Decoded {
    /// In the order of the body.
    pub samples: Vec<Sample>,
    /// What some of them came with, by ascending sample.
    pub extras: Vec<SampleExtra>,
    /// In the order of the body.
    pub histograms: Vec<WholeHistogram>,
    /// In the order of the body.
    pub summaries: Vec<WholeSummary>,
    /// In the order of the body.
    pub observations: Vec<Observation>,
    /// Bucket bounds that observations ask for: ascending, the last one infinite.
    pub bounds: Vec<Arc<[f64]>>,
    /// Whether a series may come several times. Then its values are taken in one after the other.
    pub may_repeat: bool,
    /// One entry for each run of samples with the same name.
    pub names: Vec<Name>,
    /// Families whose samples follow behind their declaration.
    pub families: Vec<DeclaredFamily>,
    /// In the order of the body.
    pub metadata: Vec<Metadata>,
    /// Samples that came with a timestamp.
    pub timestamps: u64,
    /// What places are.
    pub places: Places,
}

impl Decoded {
    /// Series parts: samples, histograms, summaries and observations.
    pub fn parts(&self) -> usize {
        self.samples.len() + self.histograms.len() + self.summaries.len() + self.observations.len()
    }

    /// Forgets the push, and gives memory back that one of usual size does not need.
    pub fn shrink(&mut self) {
        const USUAL_SAMPLES: usize = 16 * 1024;
        self.clear();
        self.samples.shrink_to(USUAL_SAMPLES);
        self.extras.shrink_to(USUAL_SAMPLES);
        self.histograms.shrink_to(USUAL_SAMPLES);
        self.summaries.shrink_to(USUAL_SAMPLES);
        self.observations.shrink_to(USUAL_SAMPLES);
        self.bounds.shrink_to(USUAL_SAMPLES);
        self.names.shrink_to(USUAL_SAMPLES);
        self.families.shrink_to(USUAL_SAMPLES);
        self.metadata.shrink_to(USUAL_SAMPLES);
    }

    /// Empty, for a body whose places are of this kind.
    pub(super) fn start(&mut self, places: Places) {
        self.clear();
        self.places = places;
    }

    fn clear(&mut self) {
        self.samples.clear();
        self.extras.clear();
        self.histograms.clear();
        self.summaries.clear();
        self.observations.clear();
        self.bounds.clear();
        self.may_repeat = false;
        self.names.clear();
        self.families.clear();
        self.metadata.clear();
        self.timestamps = 0;
    }
}
