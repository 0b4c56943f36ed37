//! Reads observations in JSON: one `{"name", "description", "labels", "value", "buckets"}`, or an array of them. What is observed
//! (a counter's increment, a histogram's value …) is told beside the body.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::decoded::{Decoded, NumberChange};
use super::error::{DecodeError, Limits, not_utf8};
use super::json::{JsonFault, JsonReader};
use super::observations::{LabelPairs, ObservationWriter, Observed, Result, read_labels, text_of};
use crate::aggregate::MOST_BUCKETS;
use crate::model::family::MetricKind;
use crate::model::labels::LabelHasher;

/// What observations are of, and what becomes of their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObservationKind {
    /// Increments of counters.
    Counter,
    /// Increments of gauges.
    GaugeIncrement,
    /// Decrements of gauges.
    GaugeDecrement,
    /// Values of gauges.
    GaugeSet,
    /// Values that summaries sum up.
    Summary,
    /// Values that histograms count.
    Histogram,
}

impl ObservationKind {
    fn metric_kind(self) -> MetricKind {
        match self {
            Self::Counter => MetricKind::Counter,
            Self::GaugeIncrement | Self::GaugeDecrement | Self::GaugeSet => MetricKind::Gauge,
            Self::Summary => MetricKind::Summary,
            Self::Histogram => MetricKind::Histogram,
        }
    }

    fn change(self) -> NumberChange {
        match self {
            Self::GaugeIncrement | Self::GaugeDecrement => NumberChange::Add,
            Self::GaugeSet => NumberChange::Set,
            Self::Counter | Self::Summary | Self::Histogram => NumberChange::ByRule,
        }
    }

    /// What is observed where nothing is said.
    fn default_value(self) -> Option<f64> {
        match self {
            Self::Counter | Self::GaugeIncrement | Self::GaugeDecrement => Some(1.0),
            Self::GaugeSet | Self::Summary | Self::Histogram => None,
        }
    }
}

/// Decodes a whole body into `decoded` and returns the text that its spans point into, which is written to `arena`.
///
/// # Errors
/// The first observation that is none, or is beyond a limit. `decoded` then holds nothing of use.
pub fn decode<'a>(
    kind: ObservationKind,
    body: &[u8],
    limits: &Limits,
    hasher: &LabelHasher,
    arena: &'a mut Vec<u8>,
    decoded: &mut Decoded,
) -> std::result::Result<&'a str, DecodeError> {
    let text = str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    let writer = ObservationWriter::new(limits, hasher, arena, decoded);
    let mut decoder = Decoder { kind, text, reader: JsonReader::new(text), writer, fields: Fields::default() };
    decoder.body().map_err(|error| *error)?;
    text_of(arena)
}

struct Decoder<'t, 'd> {
    kind: ObservationKind,
    text: &'t str,
    reader: JsonReader<'t>,
    writer: ObservationWriter<'d>,
    fields: Fields<'t>,
}

/// What is said of an observation.
#[derive(Debug, Default)]
struct Fields<'t> {
    name: Option<Cow<'t, str>>,
    description: Option<Cow<'t, str>>,
    has_labels: bool,
    labels: LabelPairs<'t>,
    value: Option<f64>,
    has_bounds: bool,
    bounds: SmallVec<[f64; 16]>,
}

impl Decoder<'_, '_> {
    fn body(&mut self) -> Result<()> {
        if self.reader.peek() != Some(b'[') {
            self.observation()?;
        } else {
            let mut items = self.reader.array("an array").map_err(|fault| self.not_read(fault))?;
            while self.reader.next_item(&mut items).map_err(|fault| self.not_read(fault))? {
                self.observation()?;
            }
        }
        self.reader.end().map_err(|fault| self.not_read(fault))
    }

    fn observation(&mut self) -> Result<()> {
        self.writer.next()?;
        self.fields.clear();
        self.fields.read(&mut self.reader, self.writer.limits.labels).map_err(|fault| self.not_read(fault))?;
        let Some(name) = &self.fields.name else { return Err(self.writer.fault("a name", "none")) };
        let Some(value) = self.fields.value.or(self.kind.default_value()) else {
            return Err(self.writer.fault("a value", "none"));
        };
        let bounds = match !self.fields.bounds.is_empty() && self.kind == ObservationKind::Histogram {
            true => Some(self.writer.bounds(&mut self.fields.bounds, MOST_BUCKETS)?),
            false => None,
        };
        let observed = Observed {
            name,
            help: self.fields.description.as_deref(),
            kind: self.kind.metric_kind(),
            change: self.kind.change(),
            value: if self.kind == ObservationKind::GaugeDecrement { -value } else { value },
            bounds,
        };
        self.writer.write(observed, &mut self.fields.labels)
    }

    fn not_read(&self, fault: JsonFault) -> Box<DecodeError> {
        self.writer.not_read(self.text, fault)
    }
}

impl<'t> Fields<'t> {
    fn clear(&mut self) {
        (self.name, self.description, self.value) = (None, None, None);
        (self.has_labels, self.has_bounds) = (false, false);
        self.labels.clear();
        self.bounds.clear();
    }

    /// Reads an observation; members that it does not know are passed over, and so is `null`.
    fn read(&mut self, reader: &mut JsonReader<'t>, most_labels: usize) -> std::result::Result<(), JsonFault> {
        let mut members = reader.object("an observation such as {\"name\": \"requests_total\"}")?;
        while let Some(key) = reader.next_key(&mut members)? {
            if reader.null() {
                continue;
            }
            let fault = reader.fault("each member once");
            let is_repeated = match &*key {
                "name" => self.name.replace(reader.string("a metric name as a string")?).is_some(),
                "description" => self.description.replace(reader.string("a description as a string")?).is_some(),
                "value" => self.value.replace(reader.number("a number as value")?).is_some(),
                "labels" => {
                    read_labels(reader, &mut self.labels, most_labels)?;
                    std::mem::replace(&mut self.has_labels, true)
                }
                // Torch's document has both.
                "buckets" | "bucket" => self.read_bounds(reader)?,
                _ => reader.skip().map(|()| false)?,
            };
            if is_repeated {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Returns whether there were some already.
    fn read_bounds(&mut self, reader: &mut JsonReader<'t>) -> std::result::Result<bool, JsonFault> {
        let mut items = reader.array("an array of buckets")?;
        while reader.next_item(&mut items)? {
            let bound = reader.number("a number as bucket")?;
            if self.bounds.len() > MOST_BUCKETS {
                continue;
            }
            self.bounds.push(bound);
        }
        Ok(std::mem::replace(&mut self.has_bounds, true))
    }
}

#[cfg(test)]
mod tests;
