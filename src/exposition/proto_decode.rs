//! Reads delimited protobuf: each a varint length and an `io.prometheus.client.MetricFamily` (`proto/` has the schema).
//!
//! The wire is walked as it stands: no message types are built, lengths are checked against what is there, and labels are
//! written straight into the canonical text under which series are stored. Numbers become samples like those of a text;
//! histograms and summaries come whole.

mod family;
mod histogram;
mod labels;
mod values;
mod wire;

use std::num::NonZeroU64;

use super::decoded::{Decoded, Places, Sample, SeriesText, Span, WholeHistogram};
use super::error::{DecodeError, Excerpt, Limits, Place};
use crate::model::family::MetricKind;
use crate::model::labels::LabelHasher;
use family::{Family, Header, is_value_field, plain_value};
use labels::{Arena, LabelWriter};
use wire::{Fields, Result, Tag};

/// Decodes a whole body into `decoded` and returns the text that its spans point into, which is written to `arena`.
///
/// # Errors
/// The first byte that is not the format's, or the first metric that is not what its family says, or is beyond a limit.
/// `decoded` then holds nothing of use.
pub fn decode<'a>(
    body: &[u8],
    limits: &Limits,
    hasher: &LabelHasher,
    arena: &'a mut Vec<u8>,
    decoded: &mut Decoded,
) -> Result<&'a str, DecodeError> {
    decoded.start(Places::Metrics);
    let mut decoder = Decoder {
        limits,
        hasher,
        arena: Arena::new(arena),
        labels: LabelWriter::default(),
        metrics: 0,
        room: limits.samples,
        hashed: 0,
        decoded,
    };
    decoder.body(Fields::new(body)).map_err(|error| explain_text(body, *error))?;
    // Names and labels were checked one by one, or are ASCII.
    std::str::from_utf8(decoder.arena.into_text()).map_err(|error| DecodeError {
        place: Place::Byte(0),
        expected: "names and labels in UTF-8".to_owned(),
        got: Excerpt::words(error.to_string()),
    })
}

/// Text under the wrong content type is best told as such.
fn explain_text(body: &[u8], error: DecodeError) -> DecodeError {
    let start = &body[..body.len().min(64)];
    let is_text = start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if !is_text || start.is_empty() {
        return error;
    }
    let expected = "delimited protobuf messages".to_owned();
    DecodeError { place: Place::Byte(0), expected, got: Excerpt::words(format!("the text {}", Excerpt::of(body))) }
}

struct Decoder<'b, 'd, 'a> {
    limits: &'d Limits,
    hasher: &'d LabelHasher,
    arena: Arena<'a>,
    labels: LabelWriter<'b>,
    /// Metrics begun so far.
    metrics: u32,
    /// Families, metrics, buckets and quantiles that the push may still have.
    room: usize,
    /// Samples whose labels have been hashed.
    hashed: usize,
    decoded: &'d mut Decoded,
}

impl<'b> Decoder<'b, '_, '_> {
    fn body(&mut self, mut body: Fields<'b>) -> Result<()> {
        while !body.is_empty() {
            let message = body.message()?;
            self.family(message)?;
        }
        self.hash_samples();
        Ok(())
    }

    fn family(&mut self, message: Fields<'b>) -> Result<()> {
        let header = Header::read(message)?;
        let family = self.declare(message, header)?;
        let mut fields = message;
        loop {
            while let Some(metric) = fields.next_message(Tag::METRIC.0 as u8) {
                self.metric(family, metric)?;
            }
            match fields.tag()? {
                Some(Tag::METRIC) => self.metric(family, fields.message()?)?,
                Some(other) => self.late_field(header, other, &mut fields)?,
                None => return Ok(()),
            }
        }
    }

    /// Counts families, metrics, buckets or quantiles: each takes memory while it is decoded, however short it is.
    #[inline]
    fn take(&mut self, parts: usize) -> Result<()> {
        match self.room.checked_sub(parts) {
            Some(room) => {
                self.room = room;
                Ok(())
            }
            None => {
                let expected =
                    format!("at most {} families, metrics, buckets and quantiles in a push", self.limits.samples);
                Err(self.fault(&expected, "more".to_owned()))
            }
        }
    }

    /// Keeps text that spans are to point at.
    fn keep(&mut self, text: &str) -> Span {
        let start = self.arena.used();
        self.arena.push(text.as_bytes());
        Span::new(start, self.arena.used())
    }

    #[inline]
    fn metric(&mut self, family: Family, mut metric: Fields<'b>) -> Result<()> {
        const LABEL: Tag = Tag::bytes(1);
        const TIMESTAMP: Tag = Tag::varint(6);
        self.metrics += 1;
        self.take(1)?;
        self.name(family);
        let start = self.arena.used();
        self.labels.start(&mut metric, self.limits, &mut self.arena);
        if let Some(value) = plain_value(family, metric) {
            let series = self.series(family, start);
            self.push_sample(series, value);
            return Ok(());
        }
        let mut value = None;
        while let Some(tag) = metric.tag()? {
            if tag == LABEL {
                let pair = metric.message()?;
                self.labels.write(pair, self.limits, &mut self.arena)?;
            } else if tag == family.value {
                value = Some(metric.message()?);
            } else if tag == TIMESTAMP {
                metric.varint()?;
                self.decoded.timestamps += 1;
            } else if is_value_field(tag) {
                return Err(self.fault(&format!("a {}", family.kind.name()), "a value of another kind".to_owned()));
            } else {
                metric.skip(tag, "Metric", 7)?;
            }
        }
        let Some(value) = value else {
            return Err(self.fault(&format!("a {}", family.kind.name()), "no value".to_owned()));
        };
        let mut series = self.series(family, start);
        if !family.is_number {
            series.canonical_hash = None;
        }
        self.value(family.kind, series, value)
    }

    /// The series whose labels are in the arena from `start` on. If they are canonical the hash is yet to be computed.
    #[inline]
    fn series(&self, family: Family, start: usize) -> SeriesText {
        let canonical_hash = self.labels.is_canonical().then_some(NonZeroU64::MIN);
        let labels = Span::new(start, self.arena.used());
        SeriesText { labels, name: family.name, place: self.metrics, canonical_hash }
    }

    fn value(&mut self, kind: MetricKind, series: SeriesText, message: Fields<'b>) -> Result<()> {
        match kind {
            MetricKind::Counter => self.counter(series, message),
            MetricKind::Summary => self.summary(series, message),
            MetricKind::Histogram | MetricKind::GaugeHistogram => {
                let histogram = self.histogram(message)?;
                self.decoded.histograms.push(WholeHistogram { series, histogram });
                Ok(())
            }
            _ => self.number(series, message),
        }
    }

    #[inline]
    fn push_sample(&mut self, series: SeriesText, value: f64) {
        const HASHED_AT_ONCE: usize = 256;
        self.decoded.samples.push(Sample { series, value });
        if self.decoded.samples.len() - self.hashed >= HASHED_AT_ONCE {
            self.hash_samples();
        }
    }

    /// Hashes the labels of the last samples. Not one by one: what has just been written in pieces is slow to read back.
    fn hash_samples(&mut self) {
        for sample in &mut self.decoded.samples[self.hashed..] {
            if let Some(hash) = &mut sample.series.canonical_hash {
                *hash = self.hasher.hash(self.arena.text(sample.series.labels));
            }
        }
        self.hashed = self.decoded.samples.len();
    }

    /// A fault of the metric being read.
    #[cold]
    fn fault(&self, expected: &str, got: String) -> Box<DecodeError> {
        let place = Place::Metric(self.metrics);
        Box::new(DecodeError { place, expected: expected.to_owned(), got: Excerpt::words(got) })
    }
}

impl Tag {
    const NAME: Self = Self::bytes(1);
    const HELP: Self = Self::bytes(2);
    const TYPE: Self = Self::varint(3);
    const METRIC: Self = Self::bytes(4);
    const UNIT: Self = Self::bytes(5);
    /// Of `Gauge`, `Counter` and `Untyped`.
    const VALUE: Self = Self::double(1);
}

#[cfg(test)]
mod tests;
