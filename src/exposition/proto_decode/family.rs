//! What a family says of itself, before its metrics or behind them.

use super::Decoder;
use super::wire::{Fields, Result, Tag};
use crate::exposition::decoded::{DeclaredFamily, Name, NameOwner, NumberChange};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::escape_value;

/// What is the same for all metrics of a family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub kind: MetricKind,
    /// Index into `Decoded::families`.
    pub declared: u32,
    /// Index into `Decoded::names` of the name that comes with the first metric.
    pub name: u32,
    /// The field of a metric that holds a value of this kind.
    pub value: Tag,
    /// Whether that is a message of one number, or more.
    pub is_number: bool,
}

/// The value of a metric of which nothing else is left, if it is a number alone, as those of most are.
#[inline]
pub(super) fn plain_value(family: Family, metric: Fields<'_>) -> Option<f64> {
    const LENGTH: u8 = 9;
    const VALUE: u8 = 0x09;
    let [field, LENGTH, VALUE, value @ ..] = metric.bytes() else { return None };
    let is_number = family.is_number && u32::from(*field) == family.value.0;
    let bytes = <[u8; 8]>::try_from(value).ok()?;
    is_number.then(|| f64::from_le_bytes(bytes))
}

/// What a family says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'b> {
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
    pub fn read(message: Fields<'b>) -> Result<Self> {
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

impl<'b> Decoder<'b, '_, '_> {
    /// Anything that is no metric: what the header has read is passed over, what comes behind the metrics is added.
    pub(super) fn late_field(&mut self, header: Header<'b>, tag: Tag, fields: &mut Fields<'b>) -> Result<()> {
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
    pub(super) fn declare(&mut self, message: Fields<'b>, header: Header<'b>) -> Result<Family> {
        let Header { name, kind, .. } = header;
        self.take(1)?;
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
        let (declared, next_name) = (self.decoded.families.len() as u32, self.decoded.names.len() as u32);
        self.decoded.families.push(DeclaredFamily { name, suffix: "", kind, help, unit, change: NumberChange::ByRule });
        let is_number = !kind.is_histogram() && kind != MetricKind::Summary;
        Ok(Family { kind, declared, name: next_name, value: value_field(kind), is_number })
    }

    /// Names the samples of a family at its first metric: a family without any is only declared.
    #[inline]
    pub(super) fn name(&mut self, family: Family) {
        if self.decoded.names.len() == family.name as usize
            && let Some(declared) = self.decoded.families.get(family.declared as usize)
        {
            let owner = NameOwner::Declared(family.declared, SampleRole::Number);
            self.decoded.names.push(Name { owner, ..declared.name });
        }
    }
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

pub(super) fn is_value_field(tag: Tag) -> bool {
    [2, 3, 4, 5, 7].into_iter().any(|number| tag == Tag::bytes(number))
}
