//! Reads OpenMetrics 1.0 (the specification of that name; sections are named where a rule is from).
//!
//! Pure, as the text decoder is, and strict: metadata before samples, a family's lines together, one space between parts,
//! no line that says nothing, and `# EOF` at the end, without which a body may have been cut.

use std::collections::HashMap;

use super::decoded::{
    DeclaredFamily, Decoded, Metadata, MetadataContent, Name, NameOwner, NumberChange, Places, Sample, SampleExtra,
    Span,
};
use super::error::{DecodeError, Excerpt, Limits, Place, not_utf8};
use super::exemplar::exemplar_labels;
use super::line::{Blanks, LineReader, Result};
use super::number::{float_text, read_float};
use crate::model::family::{MetricKind, SampleRole};
use crate::model::labels::{LabelHasher, has_label, unescape};
use crate::model::timestamp::Timestamp;
use crate::model::value::Exemplar;

/// Decodes a whole body into `decoded` and returns the body as text, for the spans.
///
/// # Errors
/// The first line that is not the format's, or is beyond a limit. `decoded` then holds nothing of use.
pub fn decode<'b>(
    body: &'b [u8],
    limits: &Limits,
    hasher: &LabelHasher,
    decoded: &mut Decoded,
) -> Result<&'b str, DecodeError> {
    decoded.start(Places::Lines);
    let text = std::str::from_utf8(body).map_err(|error| not_utf8(body, error.valid_up_to()))?;
    let reader = LineReader::new(body, limits, hasher, Blanks::One, decoded);
    let mut decoder = Decoder {
        text,
        reader,
        names: 0,
        may_have_exemplar: false,
        check: None,
        family: None,
        past: HashMap::default(),
    };
    decoder.run().map_err(|error| *error)?;
    Ok(text)
}

struct Decoder<'b, 'd> {
    text: &'b str,
    reader: LineReader<'b, 'd>,
    /// Names seen so far; one more tells that a new run of samples has begun.
    names: usize,
    /// Whether samples of the current run may have an exemplar.
    may_have_exemplar: bool,
    /// What else is to be looked at in each sample of the current run.
    check: Option<Check>,
    family: Option<CurrentFamily>,
    /// The families before, by name: none may come back ("Overall Structure").
    past: HashMap<&'b str, Option<MetricKind>, ahash::RandomState>,
}

/// What some samples must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Info,
    State,
    Created,
}

/// The family whose lines are being read.
#[derive(Clone, Copy, Debug)]
struct CurrentFamily {
    name: Name,
    /// `None` without a TYPE line.
    kind: Option<MetricKind>,
    help: Option<Span>,
    unit: Option<Span>,
    /// Index into [`Decoded::families`], once its metadata is over and if it has a kind.
    declared: Option<u32>,
    /// Whether samples have been seen, or the family has none but is over.
    is_declared: bool,
}

impl CurrentFamily {
    fn new(name: Name) -> Self {
        Self { name, kind: None, help: None, unit: None, declared: None, is_declared: false }
    }
}

impl<'b> Decoder<'b, '_> {
    fn run(&mut self) -> Result<()> {
        let body = self.reader.body;
        let mut at = 0;
        loop {
            let start = at;
            at = match body.get(at) {
                Some(b'#') if is_end_mark(&body[at..]) => return self.end(at),
                Some(b'#') => self.metadata(at)?,
                Some(b'\n') => return Err(self.reader.error("a line that is not empty", at)),
                Some(_) => self.sample(at)?,
                None => return Err(self.reader.error("\"# EOF\" as the last line", at)),
            };
            if at - start > self.reader.limits.line_length {
                self.reader.check_line_length(&body[start..at])?;
            }
            self.reader.line += 1;
        }
    }

    fn end(&mut self, mark: usize) -> Result<()> {
        self.end_family()?;
        match self.reader.body[mark + END_MARK.len()..] {
            [] | [b'\n'] => Ok(()),
            _ => {
                self.reader.line += 1;
                Err(self.reader.error("nothing behind \"# EOF\"", mark + END_MARK.len() + 1))
            }
        }
    }

    /// `# HELP`, `# TYPE` or `# UNIT`, one space between all parts.
    fn metadata(&mut self, start: usize) -> Result<usize> {
        let rest = &self.reader.body[start..];
        let end = memchr::memchr(b'\n', rest).map_or(self.reader.body.len(), |length| start + length);
        let keyword = rest.get(..7).unwrap_or_default();
        if ![&b"# HELP "[..], b"# TYPE ", b"# UNIT "].contains(&keyword) {
            return Err(self.reader.error("\"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\"", start));
        }
        let (name, name_end) = self.reader.metadata_name(start + 7)?;
        let content = match self.reader.peek(name_end) {
            Some(b' ') => (name_end + 1).min(end),
            _ if name_end == end && keyword == b"# HELP " => end,
            _ => return Err(self.reader.error("a space after the metric name", name_end)),
        };
        let mut family = self.family_of(name)?;
        let is_repeated = match keyword {
            b"# HELP " => family.help.replace(self.reader.help(content, end)?).is_some(),
            b"# UNIT " => family.unit.replace(Span::new(content, end)).is_some(),
            _ => family.kind.replace(self.kind(content, end)?).is_some(),
        };
        if is_repeated {
            return Err(self.reader.error("each of HELP, TYPE and UNIT once for a family", start));
        }
        self.family = Some(family);
        Ok((end + 1).min(self.reader.body.len()))
    }

    fn kind(&self, start: usize, end: usize) -> Result<MetricKind> {
        const KINDS: &str = "a type (counter, gauge, histogram, gaugehistogram, summary, info, stateset or unknown)";
        let word = self.text.get(start..end).unwrap_or_default();
        MetricKind::from_openmetrics(word).ok_or_else(|| self.reader.error(KINDS, start))
    }

    /// The family that a metadata line speaks of: the current one, or a new one.
    fn family_of(&mut self, name: Name) -> Result<CurrentFamily> {
        match self.family {
            Some(family) if family.name.text.of(self.text) == name.text.of(self.text) => {
                if family.is_declared {
                    return Err(self.misplaced("metadata before the samples of the family", name));
                }
                Ok(family)
            }
            _ => self.begin_family(name),
        }
    }

    fn begin_family(&mut self, name: Name) -> Result<CurrentFamily> {
        self.end_family()?;
        self.reader.end_run();
        if self.past.len() == self.reader.limits.samples {
            return Err(self.reader.too_many("families in a push", self.reader.limits.samples));
        }
        if self.past.contains_key(name.text.of(self.text)) {
            return Err(self.misplaced("all lines of a family together", name));
        }
        Ok(CurrentFamily::new(name))
    }

    fn end_family(&mut self) -> Result<()> {
        if let Some(mut family) = self.family.take() {
            self.declare(&mut family)?;
            self.past.insert(family.name.text.of(self.text), family.kind);
        }
        Ok(())
    }

    fn misplaced(&self, expected: &str, name: Name) -> Box<DecodeError> {
        let text = name.text.of(self.text);
        self.reader.fault(expected, format!("{text} again"))
    }

    /// Tells the family to whoever comes after; its metadata is complete.
    fn declare(&mut self, family: &mut CurrentFamily) -> Result<()> {
        if std::mem::replace(&mut family.is_declared, true) {
            return Ok(());
        }
        let CurrentFamily { name, help, .. } = *family;
        let unit = family.unit.filter(|unit| !unit.of(self.text).is_empty());
        if let Some(unit) = unit {
            let kind = family.kind.unwrap_or(MetricKind::Untyped);
            self.check_unit(name, unit.of(self.text), kind)?;
        }
        let Some(kind) = family.kind else {
            // Without a TYPE it is whatever it was before.
            let help = help.map(|help| Metadata { name, content: MetadataContent::Help(help) });
            self.reader.decoded.metadata.extend(help);
            return Ok(());
        };
        family.declared = Some(self.reader.decoded.families.len() as u32);
        let suffix = kind.openmetrics_suffix();
        let change = NumberChange::ByRule;
        self.reader.decoded.families.push(DeclaredFamily { name, suffix, kind, help, unit, change });
        Ok(())
    }

    /// "UNIT": the name ends in it, and some kinds have none.
    fn check_unit(&self, name: Name, unit: &str, kind: MetricKind) -> Result<()> {
        let text = name.text.of(self.text);
        let place = Place::Line(name.place);
        let fault = |expected, got| Err(Box::new(DecodeError { place, expected, got: Excerpt::words(got) }));
        if matches!(kind, MetricKind::Info | MetricKind::StateSet) {
            return fault(format!("no unit for {} {text}", kind.name()), unit);
        }
        let has_unit = text.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        if has_unit { Ok(()) } else { fault(format!("a name that ends in its unit, _{unit}"), text) }
    }

    #[inline]
    fn sample(&mut self, start: usize) -> Result<usize> {
        let end = self.reader.sample(start)?;
        if self.reader.decoded.names.len() > self.names {
            self.begin_run()?;
        }
        if let Some(check) = self.check {
            self.check(check, start, end)?;
        }
        if self.reader.peek(end) == Some(b'\n') { Ok(end + 1) } else { self.after_value(end) }
    }

    /// Finds the family of a run of samples: the current one, or one without metadata.
    fn begin_run(&mut self) -> Result<()> {
        self.names = self.reader.decoded.names.len();
        let Some(&name) = self.reader.decoded.names.last() else { return Ok(()) };
        let mut family = match self.family {
            Some(family) if self.role(&family, name).is_some() => family,
            Some(CurrentFamily { kind: Some(kind), name: of, .. })
                if of.text.of(self.text) == name.text.of(self.text) =>
            {
                return Err(self.not_a_sample(kind, name));
            }
            _ if self.is_of_past_family(name) => {
                return Err(self.misplaced("all lines of a family together", name));
            }
            _ => self.begin_family(name)?,
        };
        self.declare(&mut family)?;
        self.may_have_exemplar = false;
        self.check = match family.kind {
            Some(MetricKind::StateSet) => Some(Check::State),
            Some(MetricKind::Info) => Some(Check::Info),
            Some(_) if self.role(&family, name) == Some(SampleRole::Created) => Some(Check::Created),
            _ => None,
        };
        if let (Some(index), Some(role)) = (family.declared, self.role(&family, name)) {
            let is_counter = family.kind == Some(MetricKind::Counter) && role == SampleRole::Number;
            self.may_have_exemplar = is_counter || role == SampleRole::Bucket;
            if let Some(name) = self.reader.decoded.names.last_mut() {
                name.owner = NameOwner::Declared(index, role);
            }
        }
        self.family = Some(family);
        Ok(())
    }

    /// Whether samples of this name are those of a family before, such as `a_total` of the counter `a`.
    fn is_of_past_family(&self, name: Name) -> bool {
        let name = name.text.of(self.text);
        let suffix_at = name.rfind('_').unwrap_or(name.len());
        let kind = self.past.get(&name[..suffix_at]).copied().flatten();
        kind.is_some_and(|kind| kind.openmetrics_samples().iter().any(|(suffix, _)| *suffix == &name[suffix_at..]))
    }

    fn check(&mut self, check: Check, start: usize, end: usize) -> Result<()> {
        let Some(sample) = self.reader.decoded.samples.last().copied() else { return Ok(()) };
        match check {
            Check::Info if sample.value != 1.0 => {
                Err(self.reader.fault("the value 1 of an info", float_text(sample.value)))
            }
            Check::Info => Ok(()),
            Check::State => self.check_state(sample),
            Check::Created => self.created(start, end),
        }
    }

    /// "StateSet": a state is 0 or 1, and a label of the family's name tells which state.
    fn check_state(&self, sample: Sample) -> Result<()> {
        let name = self.family.map_or("", |family| family.name.text.of(self.text));
        let labels = sample.series.labels.of(self.text);
        if !has_label(labels, &unescape(name)) {
            return Err(self.reader.fault(&format!("a label {name} that tells the state"), format!("{{{labels}}}")));
        }
        if sample.value != 0.0 && sample.value != 1.0 {
            return Err(self.reader.fault("the value 0 or 1 of a state", float_text(sample.value)));
        }
        Ok(())
    }

    /// A created timestamp, read as it is written: a float is less exact.
    fn created(&mut self, start: usize, end: usize) -> Result<()> {
        let value = self.text.get(start..end).and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let created = Timestamp::parse(value);
        if created.is_none() {
            return Err(self.reader.fault("a moment in seconds", value.to_owned()));
        }
        let sample = self.reader.decoded.samples.len() as u32 - 1;
        self.reader.decoded.extras.push(SampleExtra { sample, created, exemplar: None });
        Ok(())
    }

    /// What samples of this name are to the family; `None` if they are not its.
    fn role(&self, family: &CurrentFamily, name: Name) -> Option<SampleRole> {
        let suffix = name.text.of(self.text).strip_prefix(family.name.text.of(self.text))?;
        let samples = family.kind.unwrap_or(MetricKind::Untyped).openmetrics_samples();
        samples.iter().find(|(of, _)| *of == suffix).map(|(_, role)| *role)
    }

    fn not_a_sample(&self, kind: MetricKind, name: Name) -> Box<DecodeError> {
        let text = name.text.of(self.text);
        let samples: Vec<_> = kind.openmetrics_samples().iter().map(|(suffix, _)| format!("{text}{suffix}")).collect();
        self.reader.fault(&format!("a sample of {} {text} ({})", kind.name(), samples.join(", ")), text.to_owned())
    }

    /// Reads what may follow a value: a timestamp, an exemplar, the line's end.
    fn after_value(&mut self, at: usize) -> Result<usize> {
        let mut at = at;
        if self.reader.peek(at) == Some(b' ') && self.reader.peek(at + 1) != Some(b'#') {
            (_, at) = self.timestamp(at + 1)?;
            self.reader.decoded.timestamps += 1;
        }
        if self.reader.peek(at) == Some(b' ') {
            at = self.exemplar(at + 1)?;
        }
        match self.reader.peek(at) {
            Some(b'\n') => Ok(at + 1),
            None => Ok(at),
            _ => Err(self.reader.error("the end of the line", at)),
        }
    }

    fn timestamp(&self, start: usize) -> Result<(Timestamp, usize)> {
        let rest = &self.reader.body[start..];
        let end = start + rest.iter().position(|byte| *byte <= b' ').unwrap_or(rest.len());
        match self.text.get(start..end).and_then(Timestamp::parse) {
            Some(timestamp) => Ok((timestamp, end)),
            None => Err(self.reader.error("a timestamp in seconds", start)),
        }
    }

    /// `# {labels} value [timestamp]` ("Exemplars").
    fn exemplar(&mut self, start: usize) -> Result<usize> {
        if !self.reader.body[start..].starts_with(b"# {") {
            return Err(self.reader.error("an exemplar, as in \"# {trace_id=\\\"1\\\"} 0.5\"", start));
        }
        if !self.may_have_exemplar {
            return Err(self.reader.error("no exemplar but on a counter's total or a bucket", start));
        }
        let (span, labels_end) = self.reader.labels(start + 3, false)?;
        let place = Place::Line(self.reader.line);
        let labels = exemplar_labels(span.of(self.text), self.reader.limits.labels, place)?;
        if self.reader.peek(labels_end) != Some(b' ') {
            return Err(self.reader.error("a space before the exemplar's value", labels_end));
        }
        let Some((value, length)) = read_float(&self.reader.body[labels_end + 1..]) else {
            return Err(self.reader.error("the exemplar's value", labels_end + 1));
        };
        let mut at = labels_end + 1 + length;
        let mut timestamp = None;
        if self.reader.peek(at) == Some(b' ') {
            let (read, end) = self.timestamp(at + 1)?;
            (timestamp, at) = (Some(read), end);
        }
        let exemplar = Some(Exemplar { labels, value, timestamp });
        let sample = self.reader.decoded.samples.len() as u32 - 1;
        self.reader.decoded.extras.push(SampleExtra { sample, created: None, exemplar });
        Ok(at)
    }
}

const END_MARK: &[u8] = b"# EOF";

fn is_end_mark(rest: &[u8]) -> bool {
    rest.strip_prefix(END_MARK).is_some_and(|behind| matches!(behind.first(), None | Some(b'\n')))
}
