//! Reads delimited protobuf: each a varint length and an `io.prometheus.client.MetricFamily` (`proto/` has the schema).
//!
//! The wire is walked as it stands: no message types are built, lengths are checked against what is there, and labels are
//! written straight into the canonical text under which series are stored. Numbers become samples like those of a text;
//! histograms and summaries come whole.

mod histogram;
mod labels;
mod wire;

use super::decoded::{
    DeclaredFamily, Decoded, Name, NameOwner, Places, Sample, SampleExtra, SeriesText, Span, WholeHistogram,
    WholeSummary,
};
use super::error::{DecodeError, Excerpt, Limits, Place};
use super::exemplar::exemplar_labels;
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{LabelHasher, escape_value};
use crate::model::timestamp::Timestamp;
use crate::model::value::{Exemplar, Summary};
use labels::{Arena, LabelWriter, label_text};
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
    let mut decoder =
        Decoder { limits, hasher, arena: Arena::new(arena), labels: LabelWriter::default(), metrics: 0, decoded };
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
    decoded: &'d mut Decoded,
}

/// What is the same for all metrics of a family.
#[derive(Clone, Copy, Debug)]
struct Family {
    kind: MetricKind,
    /// Index into [`Decoded::names`].
    name: u32,
    /// The field of a metric that holds a value of this kind.
    value: Tag,
}

impl<'b> Decoder<'b, '_, '_> {
    fn body(&mut self, mut body: Fields<'b>) -> Result<()> {
        while !body.is_empty() {
            let message = body.message()?;
            self.family(message)?;
        }
        Ok(())
    }

    fn family(&mut self, message: Fields<'b>) -> Result<()> {
        const METRIC: Tag = Tag::bytes(4);
        let family = self.header(message)?;
        let mut fields = message;
        while let Some(tag) = fields.tag()? {
            match tag {
                METRIC => {
                    let metric = fields.message()?;
                    self.metric(family, metric)?;
                }
                // A varint or bytes: the header has been checked.
                Tag::TYPE => drop(fields.varint()?),
                Tag::NAME | Tag::HELP | Tag::UNIT => drop(fields.message()?),
                other => fields.skip(other, "MetricFamily", 0)?,
            }
        }
        Ok(())
    }

    /// What a family says of itself, wherever among its metrics it says so.
    fn header(&mut self, message: Fields<'b>) -> Result<Family> {
        const METRIC: Tag = Tag::bytes(4);
        let mut fields = message;
        let (mut name, mut help, mut unit, mut kind) = (message.empty(), None, None, MetricKind::Counter);
        while let Some(tag) = fields.tag()? {
            match tag {
                METRIC => drop(fields.message()?),
                Tag::NAME => name = fields.message()?,
                Tag::HELP => help = Some(fields.message()?),
                Tag::UNIT => unit = Some(fields.message()?),
                Tag::TYPE => kind = metric_kind(&mut fields)?,
                other => fields.skip(other, "MetricFamily", 5)?,
            }
        }
        let text = name.text("a metric name")?;
        if text.is_empty() {
            return Err(message.fault(name.at(), "a metric name that is not empty", "\"\"".to_owned()));
        }
        if text.len() > self.limits.name_length {
            let expected = format!("a metric name of at most {} bytes", self.limits.name_length);
            return Err(name.fault(name.at(), &expected, text.len().to_string()));
        }
        let place = self.metrics + 1;
        let name = Name { text: self.keep(text), is_quoted: false, place, owner: NameOwner::ByName };
        let help = match help {
            Some(help) => Some(self.keep(&escape_value(help.text("a help text")?))),
            None => None,
        };
        let unit = match unit {
            Some(unit) if !unit.is_empty() => Some(self.keep(unit.text("a unit")?)),
            _ => None,
        };
        let owner = NameOwner::Declared(self.decoded.families.len() as u32, SampleRole::Number);
        self.decoded.families.push(DeclaredFamily { name, suffix: "", kind, help, unit });
        self.decoded.names.push(Name { owner, ..name });
        Ok(Family { kind, name: self.decoded.names.len() as u32 - 1, value: value_field(kind) })
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
        if self.decoded.parts() == self.limits.samples {
            return Err(self.fault(&format!("at most {} metrics in a push", self.limits.samples), "more".to_owned()));
        }
        let start = self.arena.used();
        self.labels.start();
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
        let canonical_hash = self.labels.is_canonical().then(|| self.hasher.hash(self.arena.since(start)));
        let labels = Span::new(start, self.arena.used());
        let series = SeriesText { labels, name: family.name, place: self.metrics, canonical_hash };
        self.value(family.kind, series, value)
    }

    #[inline]
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

    /// A `Gauge` or `Untyped`.
    fn number(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        let mut value = 0.0;
        while let Some(tag) = message.tag()? {
            match tag {
                Tag::VALUE => value = message.double()?,
                other => message.skip(other, "Gauge", 1)?,
            }
        }
        self.decoded.samples.push(Sample { series, value });
        Ok(())
    }

    #[inline]
    fn counter(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        const EXEMPLAR: Tag = Tag::bytes(2);
        const CREATED: Tag = Tag::bytes(3);
        let (mut value, mut created, mut exemplar) = (0.0, None, None);
        while let Some(tag) = message.tag()? {
            match tag {
                Tag::VALUE => value = message.double()?,
                EXEMPLAR => exemplar = Some(self.exemplar(message.message()?)?),
                CREATED => created = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Counter", 3)?,
            }
        }
        if created.is_some() || exemplar.is_some() {
            let sample = self.decoded.samples.len() as u32;
            self.decoded.extras.push(SampleExtra { sample, created, exemplar });
        }
        self.decoded.samples.push(Sample { series, value });
        Ok(())
    }

    /// Quantiles are passed over: they cannot be merged.
    fn summary(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        const COUNT: Tag = Tag::varint(1);
        const SUM: Tag = Tag::double(2);
        const QUANTILE: Tag = Tag::bytes(3);
        const CREATED: Tag = Tag::bytes(4);
        let mut summary = Summary::default();
        while let Some(tag) = message.tag()? {
            match tag {
                COUNT => summary.count = Some(self.whole_count(message.varint()?)?),
                SUM => summary.sum = Some(message.double()?),
                QUANTILE => drop(message.message()?),
                CREATED => summary.created = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Summary", 4)?,
            }
        }
        self.decoded.summaries.push(WholeSummary { series, summary });
        Ok(())
    }

    fn exemplar(&mut self, mut message: Fields<'b>) -> Result<Exemplar> {
        const LABEL: Tag = Tag::bytes(1);
        const VALUE: Tag = Tag::double(2);
        const TIMESTAMP: Tag = Tag::bytes(3);
        let (mut pairs, mut value, mut moment) = (Vec::new(), 0.0, None);
        while let Some(tag) = message.tag()? {
            match tag {
                LABEL => pairs.push(message.message()?),
                VALUE => value = message.double()?,
                TIMESTAMP => moment = Some(timestamp(message.message()?)?),
                other => message.skip(other, "Exemplar", 3)?,
            }
        }
        let text = label_text(&pairs, self.limits)?;
        let labels = exemplar_labels(&text, self.limits.labels, Place::Metric(self.metrics))?;
        Ok(Exemplar { labels, value, timestamp: moment })
    }

    /// A count as a float, which it must fit.
    fn whole_count(&self, count: u64) -> Result<f64> {
        const MOST: u64 = 1 << 53;
        if count <= MOST {
            return Ok(count as f64);
        }
        Err(self.fault("a count of at most 2^53", count.to_string()))
    }

    fn float_count(&self, count: f64) -> Result<f64> {
        if count >= 0.0 {
            return Ok(count);
        }
        Err(self.fault("a count of at least 0", count.to_string()))
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
    const UNIT: Self = Self::bytes(5);
    /// Of `Gauge`, `Counter` and `Untyped`.
    const VALUE: Self = Self::double(1);
}

/// Reads a `MetricType`.
fn metric_kind(fields: &mut Fields<'_>) -> Result<MetricKind> {
    let at = fields.at();
    match fields.varint()? {
        0 => Ok(MetricKind::Counter),
        1 => Ok(MetricKind::Gauge),
        2 => Ok(MetricKind::Summary),
        3 => Ok(MetricKind::Untyped),
        4 => Ok(MetricKind::Histogram),
        5 => Ok(MetricKind::GaugeHistogram),
        other => Err(fields.fault(at, "a metric type from 0 to 5", other.to_string())),
    }
}

/// Which field of `Metric` holds a value of this kind.
fn value_field(kind: MetricKind) -> Tag {
    Tag::bytes(match kind {
        MetricKind::Gauge | MetricKind::Info | MetricKind::StateSet => 2,
        MetricKind::Counter => 3,
        MetricKind::Summary => 4,
        MetricKind::Untyped => 5,
        MetricKind::Histogram | MetricKind::GaugeHistogram => 7,
    })
}

fn is_value_field(tag: Tag) -> bool {
    [2, 3, 4, 5, 7].into_iter().any(|number| tag == Tag::bytes(number))
}

/// Reads a `google.protobuf.Timestamp`.
fn timestamp(mut message: Fields<'_>) -> Result<Timestamp> {
    const SECONDS: Tag = Tag::varint(1);
    const NANOS: Tag = Tag::varint(2);
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(tag) = message.tag()? {
        match tag {
            SECONDS => seconds = message.varint()? as i64,
            NANOS => nanos = message.varint()?,
            other => message.skip(other, "Timestamp", 2)?,
        }
    }
    // Years 1 to 9999, as the type is defined.
    const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    match u32::try_from(nanos) {
        Ok(nanos) if nanos < 1_000_000_000 && YEARS.contains(&seconds) => Ok(Timestamp { seconds, nanos }),
        _ => Err(message.fault(message.at(), "a timestamp", format!("{seconds} s and {nanos} ns"))),
    }
}
