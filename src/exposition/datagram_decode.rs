//! Reads datagrams of observations in JSON, as Hermes has them: `{"metric_name", "payload": {"labels", "value", "operation",
//! "observation"}}`, or several of them one after the other. Each datagram is read whole or not at all.
//!
//! What a metric is, its datagrams do not say: it is declared, or known, or told by what is observed. (Beyond Hermes, a `type`
//! beside the name says it, and a `description`.)

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;

use super::decoded::{Decoded, NumberChange, Sample};
use super::error::{DecodeError, Limits, not_utf8};
use super::json::{JsonFault, JsonReader};
pub use super::observations::text_of;
use super::observations::{LabelPairs, ObservationWriter, Observed, Result, read_labels};
use crate::declarations::{Declarations, Declared};
use crate::model::family::MetricKind;
use crate::model::labels::LabelHasher;

/// Why a datagram is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatagramFault {
    /// It is no observation, or beyond a limit.
    #[error(transparent)]
    Malformed(DecodeError),
    /// Nobody has declared its metric.
    #[error(transparent)]
    Undeclared(DecodeError),
    /// Its labels are not those that were declared.
    #[error(transparent)]
    Labels(DecodeError),
}

/// Which families there are.
#[derive(Clone, Copy)]
pub struct KnownFamilies<'a> {
    /// If there are any, only these may be observed.
    pub declarations: Option<&'a Declarations>,
    /// What a family is that has been pushed.
    pub kind_of: &'a dyn Fn(&str) -> Option<MetricKind>,
}

/// Decodes datagrams into `decoded`; the text that its spans point into is written to `arena`. `refused` is told the index of each
/// that is none, and nothing of those is kept.
pub fn decode<'b>(
    datagrams: impl Iterator<Item = &'b [u8]>,
    known: KnownFamilies<'_>,
    limits: &Limits,
    hasher: &LabelHasher,
    arena: &mut Vec<u8>,
    decoded: &mut Decoded,
    mut refused: impl FnMut(usize, DatagramFault),
) {
    let mut writer = ObservationWriter::new(limits, hasher, arena, decoded);
    let mut kinds = Kinds { kind_of: known.kind_of, met: HashMap::default(), new: Vec::new() };
    let mut recent = RecentDatagrams::new();
    for (index, datagram) in datagrams.enumerate() {
        let place = recent.place(hasher.hash(datagram));
        if let Some((_, sample)) = place.filter(|(recent, _)| *recent == datagram) {
            writer.repeat(sample);
            continue;
        }
        let mark = writer.mark();
        writer.begin_datagram();
        kinds.new.clear();
        let outcome = match str::from_utf8(datagram) {
            Ok(text) => {
                let (reader, writer, kinds) = (JsonReader::new(text), &mut writer, &mut kinds);
                Decoder { text, reader, declarations: known.declarations, kinds, writer }.datagram()
            }
            Err(error) => Err(DatagramFault::Malformed(not_utf8(datagram, error.valid_up_to()))),
        };
        match outcome {
            Ok(()) => *place = writer.only_sample_since(mark).map(|sample| (datagram, sample)).or(*place),
            Err(fault) => {
                writer.roll_back(mark);
                kinds.roll_back();
                refused(index, fault);
            }
        }
    }
}

/// Datagrams of one number each that came lately, at most one for each place: whoever counts sends the same one again and again.
struct RecentDatagrams<'b> {
    places: [Option<(&'b [u8], Sample)>; RecentDatagrams::PLACES],
}

impl<'b> RecentDatagrams<'b> {
    const PLACES: usize = 64;

    fn new() -> Self {
        Self { places: [None; Self::PLACES] }
    }

    /// The place of a datagram of this hash.
    #[inline]
    fn place(&mut self, hash: NonZeroU64) -> &mut Option<(&'b [u8], Sample)> {
        &mut self.places[hash.get() as usize % Self::PLACES]
    }
}

/// What families are, for those that nobody has declared: as they are known, each looked up once; as they were taken to be
/// before in the same datagrams; or as they are observed now.
struct Kinds<'k> {
    kind_of: &'k dyn Fn(&str) -> Option<MetricKind>,
    met: HashMap<Box<str>, MetricKind, ahash::RandomState>,
    /// Those that the datagram at hand has brought.
    new: Vec<Box<str>>,
}

impl Kinds<'_> {
    /// What is `said` of it wins; whether it is so will be seen.
    fn of(&mut self, name: &str, said: Option<MetricKind>, likely: MetricKind) -> MetricKind {
        if let Some(kind) = self.met.get(name) {
            return said.unwrap_or(*kind);
        }
        let known = (self.kind_of)(name).filter(|kind| is_observed(*kind));
        if known.is_none() {
            self.new.push(name.into());
        }
        let kind = known.or(said).unwrap_or(likely);
        self.met.insert(name.into(), kind);
        said.unwrap_or(kind)
    }

    fn roll_back(&mut self) {
        self.new.drain(..).for_each(|name| _ = self.met.remove(&name));
    }
}

struct Decoder<'t, 'w, 'd, 'k> {
    text: &'t str,
    reader: JsonReader<'t>,
    declarations: Option<&'k Declarations>,
    kinds: &'w mut Kinds<'k>,
    writer: &'w mut ObservationWriter<'d>,
}

/// What is done to a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Set,
    Increment,
    Decrement,
}

/// What is said of an observation.
#[derive(Debug, Default)]
struct Fields<'t> {
    name: Option<Cow<'t, str>>,
    description: Option<Cow<'t, str>>,
    kind: Option<MetricKind>,
    labels: LabelPairs<'t>,
    value: Option<f64>,
    operation: Option<Operation>,
    observation: Option<f64>,
}

impl From<Box<DecodeError>> for DatagramFault {
    fn from(error: Box<DecodeError>) -> Self {
        Self::Malformed(*error)
    }
}

impl<'k> Decoder<'_, '_, '_, 'k> {
    fn datagram(&mut self) -> std::result::Result<(), DatagramFault> {
        self.observation()?;
        while self.reader.peek().is_some() {
            self.observation()?;
        }
        Ok(())
    }

    fn observation(&mut self) -> std::result::Result<(), DatagramFault> {
        self.writer.next()?;
        let mut fields = Fields::default();
        fields
            .read(&mut self.reader, self.writer.limits.labels)
            .map_err(|fault| self.writer.not_read(self.text, fault))?;
        let Some(name) = &fields.name else { return Err(self.writer.fault("a metric_name", "none").into()) };
        let declared = self.declared(name, &mut fields.labels)?;
        let kind = match declared {
            Some(declared) => declared.kind,
            None => self.kinds.of(name, fields.kind, fields.likely_kind()),
        };
        if fields.kind.is_some_and(|said| said != kind) {
            return Err(self.writer.fault(format!("the type {} of {name}", kind.name()), "another").into());
        }
        let (value, change) = self.value(&fields, kind)?;
        let help = fields.description.as_deref();
        let observed = Observed { name, help, kind, change, value, bounds: None };
        Ok(self.writer.write(observed, &mut fields.labels)?)
    }

    /// The declaration of a metric, if there are any; its labels must be those declared.
    fn declared(
        &self,
        name: &str,
        labels: &mut LabelPairs<'_>,
    ) -> std::result::Result<Option<&'k Declared>, DatagramFault> {
        let Some(declarations) = self.declarations else { return Ok(None) };
        let Some(declared) = declarations.get(name) else {
            return Err(DatagramFault::Undeclared(*self.writer.fault("a declared metric", name)));
        };
        labels.sort_unstable();
        if labels.iter().map(|(name, _)| &**name).eq(declared.labels.iter().map(|name| &**name)) {
            return Ok(Some(declared));
        }
        let got: Vec<&str> = labels.iter().map(|(name, _)| &**name).collect();
        let expected = format!("the labels [{}] of {name}", declared.labels.join(", "));
        Err(DatagramFault::Labels(*self.writer.fault(expected, format!("[{}]", got.join(", ")))))
    }

    /// What is observed, and what becomes of it.
    fn value(&self, fields: &Fields<'_>, kind: MetricKind) -> Result<(f64, NumberChange)> {
        match (kind, fields.operation) {
            (MetricKind::Gauge, Some(Operation::Increment)) => Ok((fields.value.unwrap_or(1.0), NumberChange::Add)),
            (MetricKind::Gauge, Some(Operation::Decrement)) => Ok((-fields.value.unwrap_or(1.0), NumberChange::Add)),
            (MetricKind::Gauge, _) => match fields.value {
                Some(value) => Ok((value, NumberChange::Set)),
                None => Err(self.writer.fault("a value", "none")),
            },
            (MetricKind::Counter, Some(Operation::Set | Operation::Decrement)) => {
                Err(self.writer.fault("a counter to be incremented", "another operation"))
            }
            (MetricKind::Counter, _) => Ok((fields.value.unwrap_or(1.0), NumberChange::ByRule)),
            _ => match fields.observation.or(fields.value) {
                Some(observation) => Ok((observation, NumberChange::ByRule)),
                None => Err(self.writer.fault("an observation", "none")),
            },
        }
    }
}

fn is_observed(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::Counter | MetricKind::Gauge | MetricKind::Histogram | MetricKind::Summary)
}

impl<'t> Fields<'t> {
    /// What is observed so, where nobody has said what the metric is.
    fn likely_kind(&self) -> MetricKind {
        if self.observation.is_some() {
            MetricKind::Histogram
        } else if self.value.is_some() || self.operation.is_some() {
            MetricKind::Gauge
        } else {
            MetricKind::Counter
        }
    }

    fn read(&mut self, reader: &mut JsonReader<'t>, most_labels: usize) -> std::result::Result<(), JsonFault> {
        let mut members =
            reader.object("an observation such as {\"metric_name\": \"requests_total\", \"payload\": {}}")?;
        let mut has_payload = false;
        while let Some(key) = reader.next_key(&mut members)? {
            if reader.null() {
                continue;
            }
            let fault = reader.fault("each member once");
            let is_repeated = match &*key {
                "metric_name" => self.name.replace(reader.string("a metric name as a string")?).is_some(),
                "description" => self.description.replace(reader.string("a description as a string")?).is_some(),
                "type" => self.kind.replace(read_kind(reader)?).is_some(),
                "payload" => {
                    self.read_payload(reader, most_labels)?;
                    std::mem::replace(&mut has_payload, true)
                }
                _ => reader.skip().map(|()| false)?,
            };
            if is_repeated {
                return Err(fault);
            }
        }
        Ok(())
    }

    fn read_payload(&mut self, reader: &mut JsonReader<'t>, most_labels: usize) -> std::result::Result<(), JsonFault> {
        let mut members = reader.object("a payload such as {\"labels\": {}, \"value\": 1}")?;
        let mut has_labels = false;
        while let Some(key) = reader.next_key(&mut members)? {
            if reader.null() {
                continue;
            }
            let fault = reader.fault("each member once");
            let is_repeated = match &*key {
                "labels" => {
                    read_labels(reader, &mut self.labels, most_labels)?;
                    std::mem::replace(&mut has_labels, true)
                }
                "value" => self.value.replace(reader.number("a number as value")?).is_some(),
                "observation" => self.observation.replace(reader.number("a number as observation")?).is_some(),
                "operation" => self.operation.replace(read_operation(reader)?).is_some(),
                _ => reader.skip().map(|()| false)?,
            };
            if is_repeated {
                return Err(fault);
            }
        }
        Ok(())
    }
}

fn read_kind(reader: &mut JsonReader<'_>) -> std::result::Result<MetricKind, JsonFault> {
    const EXPECTED: &str = "the type counter, gauge, histogram or summary";
    reader.peek();
    let fault = reader.fault(EXPECTED);
    MetricKind::from_text(&reader.string(EXPECTED)?).filter(|kind| is_observed(*kind)).ok_or(fault)
}

fn read_operation(reader: &mut JsonReader<'_>) -> std::result::Result<Operation, JsonFault> {
    const EXPECTED: &str = "the operation set, increment or decrement";
    reader.peek();
    let fault = reader.fault(EXPECTED);
    match &*reader.string(EXPECTED)? {
        "set" => Ok(Operation::Set),
        "increment" => Ok(Operation::Increment),
        "decrement" => Ok(Operation::Decrement),
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests;
