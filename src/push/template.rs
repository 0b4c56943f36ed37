//! A push that is like one before but for its values need not be taken apart again: its bytes are compared with those of the
//! one before, and the values put where they went then.
//!
//! A template is made by assembling the push once more with a marker in place of each value, and looking where the markers have
//! gone. So it knows nothing of names, labels and rules, and cannot disagree with what does.

mod places;
mod values;

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Assembled, Intake, PlannedFamily, PushRules, RawPush};
use crate::exposition::decoded::Decoded;
use crate::exposition::format::PushFormat;
use crate::exposition::number::read_float;
use crate::model::door::Door;
use crate::model::labels::{GroupLabels, unescape};
use crate::model::value::{Histogram, Millis};
use crate::registry::{Registry, Wanted};
use crate::shard::batch::{Batch, SeriesRule, SlotHint};
use places::{Place, Places};
use values::{LONGEST_DECIMAL, Variable, read_json, read_varint, variables, with_markers, without_fixed_lengths};

/// A push as it was assembled once, and where each of its values has gone.
#[derive(Debug)]
pub(super) struct Template {
    context: Context,
    /// The body's bytes but for what changes.
    same: Box<[u8]>,
    steps: Box<[Step]>,
    /// Further places of values, by step.
    further_places: Box<[(u32, Place)]>,
    /// Names of which the push says something without a sample, and that nobody has; else it would be about theirs.
    unclaimed: Box<[Box<str>]>,
    families: Vec<PlannedFamily>,
    rules: Vec<SeriesRule>,
    /// With markers in place of values.
    batches: Vec<Batch>,
    samples: u64,
}

/// What a push's meaning depends on beside its body.
#[derive(Debug)]
struct Context {
    format: PushFormat,
    door: Door,
    labels: GroupLabels,
    lifetime: Option<Millis>,
    rules: Arc<PushRules>,
}

/// Bytes that are the same, then something that changes.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Where in [`Template::same`] the bytes before it end.
    same_end: u32,
    variable: Variable,
    /// For a value.
    place: Place,
}

/// Markers are whole numbers from here on: neither they nor their sums are values that a push has by itself.
const FIRST_MARKER: u64 = 1 << 45;

impl Template {
    /// Makes a template of a push that could be assembled. `None` if its values are not all there is to it: timestamps, exemplars,
    /// native histograms, families or series that are treated in a way of their own.
    pub fn learn(push: RawPush<'_>, intake: &mut Intake<'_>) -> Option<Self> {
        let RawPush { format, body, pushed, rules } = push;
        let variables = without_fixed_lengths(variables(format, body).collect::<Option<_>>()?);
        let marked = with_markers(body, &variables, FIRST_MARKER);
        let assembled = intake.assemble(RawPush { body: &marked, ..push }).ok()?;
        if !is_usual(&assembled) {
            return None;
        }
        let unclaimed = names_without_family(format, &marked, intake, &assembled)?;
        let values = variables.iter().filter(|(_, variable)| variable.is_value()).count();
        let places = Places::find(&assembled, values, FIRST_MARKER)?;
        if matches!(format, PushFormat::Observations(_)) && !places.are_all_found() {
            // A number that is no value: a label's, or one within a description.
            return None;
        }
        let (same, steps, further_places) = steps(body, variables, places)?;
        let (door, labels, lifetime) = (pushed.door, pushed.labels.clone(), pushed.lifetime);
        let context = Context { format, door, labels, lifetime, rules: Arc::clone(rules) };
        let Assembled { families, rules, mut batches, samples, .. } = assembled;
        batches.iter_mut().for_each(Batch::share);
        Some(Self { context, same, steps, further_places, unclaimed, families, rules, batches, samples })
    }

    /// The push, if it is like the template. Otherwise it has to be taken apart, which also tells what is wrong with it.
    pub fn fill(&self, push: RawPush<'_>, registry: &Registry) -> Option<Assembled> {
        if !self.context.is_of(push) || !are_unclaimed(&self.unclaimed, registry) {
            return None;
        }
        let batches = self.fill_batches(push.body)?;
        Some(Assembled {
            families: self.families.clone(),
            rules: self.rules.clone(),
            releases: Vec::new(),
            batches,
            samples: self.samples,
            replaced_families: Vec::new(),
            discarded_samples: 0,
            ignored_timestamps: 0,
        })
    }

    fn fill_batches(&self, body: &[u8]) -> Option<Vec<Batch>> {
        let mut batches = self.batches.clone();
        let (mut rest, mut same_start) = (body, 0);
        let mut further = self.further_places.iter().peekable();
        // How much is to be left where each message ends that has been entered.
        let mut open: SmallVec<[usize; 4]> = SmallVec::new();
        for (index, Step { same_end, variable, place }) in self.steps.iter().enumerate() {
            rest = rest.strip_prefix(&self.same[same_start..*same_end as usize])?;
            same_start = *same_end as usize;
            let (value, length) = match variable {
                Variable::Decimal => read_float(rest).filter(|(_, length)| *length <= LONGEST_DECIMAL)?,
                Variable::Json => read_json(rest)?,
                Variable::Double => (f64::from_le_bytes(*rest.first_chunk()?), 8),
                Variable::Count => read_count(rest)?,
                Variable::Length => {
                    let (length, bytes) = read_varint(rest)?;
                    rest = &rest[bytes..];
                    open.push(rest.len().checked_sub(usize::try_from(length).ok()?)?);
                    continue;
                }
                Variable::End if open.pop()? == rest.len() => continue,
                Variable::End => return None,
            };
            if !place.part.admits(value) {
                return None;
            }
            rest = &rest[length..];
            place.put(&mut batches, value);
            while let Some((_, place)) = further.next_if(|(of, _)| *of as usize == index) {
                place.put(&mut batches, value);
            }
        }
        (*rest == self.same[same_start..]).then_some(batches)
    }

    /// Memory held, roughly.
    pub fn bytes(&self) -> usize {
        let of_batch = |batch: &Batch| size_of::<Batch>() + batch.bytes() + batch.len() * size_of::<SlotHint>();
        let of_family =
            |planned: &PlannedFamily| size_of::<PlannedFamily>() + planned.help.as_ref().map_or(0, |help| help.len());
        size_of::<Self>()
            + self.same.len()
            + size_of_val(&self.steps[..])
            + size_of_val(&self.further_places[..])
            + size_of_val(&self.rules[..])
            + self.unclaimed.iter().map(|name| size_of_val(name) + name.len()).sum::<usize>()
            + self.families.iter().map(of_family).sum::<usize>()
            + self.batches.iter().map(of_batch).sum::<usize>()
    }
}

/// What is the same, what changes between it, and further places of values by step.
type Steps = (Box<[u8]>, Box<[Step]>, Box<[(u32, Place)]>);

fn steps(body: &[u8], variables: Vec<(Range<usize>, Variable)>, places: Places) -> Option<Steps> {
    let (mut first, mut further) = (places.first.into_iter(), places.further.into_iter().peekable());
    let (mut same, mut steps, mut further_places) = (Vec::with_capacity(body.len()), Vec::new(), Vec::new());
    let (mut at, mut value) = (0, 0);
    for (span, variable) in variables {
        same.extend_from_slice(&body[at..span.start]);
        at = span.end;
        let place = if variable.is_value() { first.next()? } else { Place::NOWHERE };
        while let Some((_, place)) = further.next_if(|(of, _)| variable.is_value() && *of == value) {
            further_places.push((u32::try_from(steps.len()).ok()?, place));
        }
        value += u32::from(variable.is_value());
        steps.push(Step { same_end: u32::try_from(same.len()).ok()?, variable, place });
    }
    same.extend_from_slice(&body[at..]);
    Some((same.into(), steps.into(), further_places.into()))
}

impl Context {
    fn is_of(&self, RawPush { format, pushed, rules, .. }: RawPush<'_>) -> bool {
        self.format == format
            && self.door == pushed.door
            && self.lifetime == pushed.lifetime
            && self.labels == *pushed.labels
            && Arc::ptr_eq(&self.rules, rules)
    }
}

/// Hashes what all pushes that are alike have before their first value. Returns whether there is a value.
pub(super) fn hash_beginning(RawPush { format, body, pushed, .. }: RawPush<'_>, hasher: &mut impl Hasher) -> bool {
    (format, pushed.door, pushed.lifetime, pushed.labels).hash(hasher);
    let mut at = 0;
    for variable in variables(format, body) {
        let Some((span, variable)) = variable else { return false };
        let same = &body[at..span.start];
        at = span.end;
        match variable {
            // What comes before the line says less of the push.
            Variable::Decimal => hasher.write(&same[memchr::memrchr(b'\n', same).unwrap_or(0)..]),
            _ => hasher.write(same),
        }
        if variable.is_value() {
            return true;
        }
    }
    false
}

/// A whole count that a float holds exactly.
fn read_count(bytes: &[u8]) -> Option<(f64, usize)> {
    const MOST: u64 = 1 << 53;
    read_varint(bytes).filter(|(count, _)| *count <= MOST).map(|(count, length)| (count as f64, length))
}

/// Whether values are all there is to a push.
fn is_usual(push: &Assembled) -> bool {
    push.ignored_timestamps == 0
        && push.discarded_samples == 0
        && push.releases.is_empty()
        && push.replaced_families.is_empty()
        && push.families.iter().all(is_settled)
        && push.batches.iter().all(is_plain)
}

/// Whether the register knows the family as the push wants it, and will tell if that changes.
fn is_settled(planned: &PlannedFamily) -> bool {
    matches!(planned.wanted, Wanted::Known(_)) && !planned.has_quoted_labels
}

/// Whether the batch's series came with nothing that changes but their values.
fn is_plain(batch: &Batch) -> bool {
    let is_plain_histogram = |histogram: &Histogram| histogram.exemplars.is_empty() && histogram.native.is_none();
    batch.parts.is_none()
        && batch.counters.iter().all(|counter| counter.exemplar.is_none())
        && batch.histograms.iter().all(|update| is_plain_histogram(&update.histogram))
        && batch.summaries.iter().all(|update| update.summary.quantiles.is_empty())
}

/// The names of which a TYPE or HELP tells, but no sample. `None` if the register has one: what is said of it may come to
/// contradict what others say.
fn names_without_family(
    format: PushFormat,
    marked: &[u8],
    intake: &Intake<'_>,
    push: &Assembled,
) -> Option<Box<[Box<str>]>> {
    let Decoded { metadata, families, .. } = &intake.scratch.decoded;
    let is_text = matches!(format, PushFormat::Text | PushFormat::OpenMetrics);
    let text = if is_text { marked } else { &intake.scratch.arena };
    let of_push: HashSet<&str> = push.families.iter().map(|planned| planned.wanted.name()).collect();
    let said = metadata.iter().map(|said| (&said.name, ""));
    let said = said.chain(families.iter().map(|family| (&family.name, family.suffix)));
    let names = said.map(|(name, suffix)| {
        let text = str::from_utf8(name.text.bytes_of(text)).ok()?;
        Some(if name.is_quoted { unescape(text).into_owned() + suffix } else { text.to_owned() + suffix })
    });
    let mut names: Vec<Box<str>> = names.map(|name| Some(name?.into())).collect::<Option<_>>()?;
    names.retain(|name| !of_push.contains(&**name));
    names.sort();
    names.dedup();
    are_unclaimed(&names, intake.registry).then(|| names.into())
}

fn are_unclaimed(names: &[Box<str>], registry: &Registry) -> bool {
    names.is_empty() || {
        let view = registry.view();
        names.iter().all(|name| view.claim(name).is_none())
    }
}
