//! Reads delimited protobuf: each a varint length and an `io.prometheus.client.MetricFamily` (`proto/` has the schema).
//!
//! The wire is walked as it stands: no message types are built, lengths are checked against what is there, and labels are
//! written straight into the canonical text under which series are stored. Numbers become samples like those of a text;
//! histograms and summaries come whole.

mod histogram;
mod labels;
mod wire;

use std::num::NonZeroU64;

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
    let mut decoder = Decoder {
        limits,
        hasher,
        arena: Arena::new(arena),
        labels: LabelWriter::default(),
        metrics: 0,
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
    /// Samples whose labels have been hashed.
    hashed: usize,
    decoded: &'d mut Decoded,
}

/// What a family says of itself.
#[derive(Clone, Copy, Debug)]
struct Header<'b> {
    name: Fields<'b>,
    help: Option<Fields<'b>>,
    unit: Option<Fields<'b>>,
    kind: MetricKind,
    /// Up to where it has been read.
    end: usize,
}

impl<'b> Header<'b> {
    /// Reads up to the first metric; or, if that comes before name and type, all fields but the metrics: they may come in any
    /// order.
    fn read(message: Fields<'b>) -> Result<Self> {
        let (mut header, mut has_kind) = (Self::new(message.empty()), false);
        let mut fields = message;
        while let Some(tag) = fields.tag()? {
            match tag {
                Tag::METRIC if has_kind && !header.name.is_empty() => return Ok(header),
                Tag::METRIC => drop(fields.message()?),
                Tag::NAME => header.name = fields.message()?,
                Tag::HELP => header.help = Some(fields.message()?),
                Tag::UNIT => header.unit = Some(fields.message()?),
                Tag::TYPE => (header.kind, has_kind) = (metric_kind(&mut fields)?, true),
                other => fields.skip(other, "MetricFamily", 5)?,
            }
            header.end = fields.at();
        }
        Ok(header)
    }

    fn new(empty: Fields<'b>) -> Self {
        Self { name: empty, help: None, unit: None, kind: MetricKind::Counter, end: empty.at() }
    }
}

/// What is the same for all metrics of a family.
#[derive(Clone, Copy, Debug)]
struct Family {
    kind: MetricKind,
    /// Index into [`Decoded::names`].
    name: u32,
    /// The field of a metric that holds a value of this kind.
    value: Tag,
    /// Whether that is a message of one number, or more.
    is_number: bool,
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

    /// Anything that is no metric: what the header has read is passed over, what comes behind the metrics is added.
    fn late_field(&mut self, header: Header<'b>, tag: Tag, fields: &mut Fields<'b>) -> Result<()> {
        let is_late = fields.at() > header.end;
        match tag {
            Tag::HELP | Tag::UNIT if is_late => {
                let text = fields.message()?.text("a help text or a unit")?;
                let span = Some(self.keep(&escape_value(text)));
                if let Some(family) = self.decoded.families.last_mut() {
                    let part = if tag == Tag::HELP { &mut family.help } else { &mut family.unit };
                    *part = span;
                }
                Ok(())
            }
            Tag::NAME | Tag::TYPE if is_late => {
                Err(fields.fault(fields.at(), "name and type of a family once", "another".to_owned()))
            }
            Tag::NAME | Tag::TYPE | Tag::HELP | Tag::UNIT => fields.pass(tag, "MetricFamily"),
            other => fields.skip(other, "MetricFamily", 5),
        }
    }

    /// Tells the family to whoever comes after.
    fn declare(&mut self, message: Fields<'b>, header: Header<'b>) -> Result<Family> {
        let Header { name, kind, .. } = header;
        let text = name.text("a metric name")?;
        if text.is_empty() {
            return Err(message.fault(message.at(), "a family with a name", "none".to_owned()));
        }
        if text.len() > self.limits.name_length {
            let expected = format!("a metric name of at most {} bytes", self.limits.name_length);
            return Err(name.fault(name.at(), &expected, text.len().to_string()));
        }
        let place = self.metrics + 1;
        let name = Name { text: self.keep(text), is_quoted: false, place, owner: NameOwner::ByName };
        let help = match header.help {
            Some(help) => Some(self.keep(&escape_value(help.text("a help text")?))),
            None => None,
        };
        let unit = match header.unit {
            Some(unit) if !unit.is_empty() => Some(self.keep(unit.text("a unit")?)),
            _ => None,
        };
        let owner = NameOwner::Declared(self.decoded.families.len() as u32, SampleRole::Number);
        self.decoded.families.push(DeclaredFamily { name, suffix: "", kind, help, unit });
        self.decoded.names.push(Name { owner, ..name });
        let is_number = !kind.is_histogram() && kind != MetricKind::Summary;
        Ok(Family { kind, name: self.decoded.names.len() as u32 - 1, value: value_field(kind), is_number })
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

    /// A `Gauge` or `Untyped`.
    fn number(&mut self, series: SeriesText, mut message: Fields<'b>) -> Result<()> {
        let mut value = 0.0;
        while let Some(tag) = message.tag()? {
            match tag {
                Tag::VALUE => value = message.double()?,
                other => message.skip(other, "Gauge", 1)?,
            }
        }
        self.push_sample(series, value);
        Ok(())
    }

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
        self.push_sample(series, value);
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
    const METRIC: Self = Self::bytes(4);
    const UNIT: Self = Self::bytes(5);
    /// Of `Gauge`, `Counter` and `Untyped`.
    const VALUE: Self = Self::double(1);
}

/// The value of a metric of which nothing else is left, if it is a number alone, as those of most are.
#[inline]
fn plain_value(family: Family, metric: Fields<'_>) -> Option<f64> {
    const LENGTH: u8 = 9;
    const VALUE: u8 = 0x09;
    let [field, LENGTH, VALUE, value @ ..] = metric.bytes() else { return None };
    let is_number = family.is_number && u32::from(*field) == family.value.0;
    let bytes = <[u8; 8]>::try_from(value).ok()?;
    is_number.then(|| f64::from_le_bytes(bytes))
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
