//! What families a page shows, and as what: the register in the order of the page, in the words of the page's format.

use std::collections::HashSet;
use std::sync::Arc;

use crate::exposition::format::{Format, FormatKind};
use crate::exposition::shown::ShownFamily;
use crate::model::family::MetricKind;
use crate::model::name::{Escaping, escaped_label_name};
use crate::registry::View;

/// The families of a page in its order; of those, the ones whose name `is_wanted` under any of the names they go by.
/// `has_windows` tells of which names aggregated gauges show a window.
pub fn families(
    register: &View<'_>,
    format: Format,
    is_wanted: impl Fn(&str) -> bool,
    has_windows: impl Fn(&str) -> bool,
) -> Arc<[ShownFamily]> {
    let is_wanted = |shown: &ShownFamily| {
        [&shown.family.exposed_name, &shown.family.name, &shown.name].into_iter().any(|name| is_wanted(name))
    };
    let shown: Vec<ShownFamily> = match format.kind {
        FormatKind::OpenMetrics0_0_1 | FormatKind::OpenMetrics1_0_0 => in_openmetrics(register, format.escaping),
        FormatKind::Text0_0_4 | FormatKind::Text1_0_0 | FormatKind::Protobuf => {
            register.families().map(|family| ShownFamily::new(family, family.kind(), format.escaping)).collect()
        }
    };
    let mut shown: Vec<ShownFamily> = shown.into_iter().filter(is_wanted).collect();
    for family in shown.iter_mut().filter(|shown| shown.family.kind() == MetricKind::Gauge) {
        family.has_windows = has_windows(&family.family.name);
    }
    shown.into()
}

/// OpenMetrics has names of its own for some families, and reserves more than they use: the counter `foo_total` is the family
/// `foo`, and no other may have a sample `foo_created`. What text tells apart may therefore clash.
///
/// A counter or info whose name is taken is shown under its text name, as of unknown type or as a gauge; a family that has
/// the name of another's created timestamp is left out: the one that counts is worth more.
fn in_openmetrics(register: &View<'_>, escaping: Escaping) -> Vec<ShownFamily> {
    let mut names = OpenMetricsNames { register, taken: HashSet::default(), left_out: HashSet::default() };
    for family in register.families().filter(|family| !has_other_name(family.kind())) {
        names.take_created(&family.exposed_name, family.kind());
    }
    let shown: Vec<ShownFamily> =
        register.families().map(|family| names.shown(ShownFamily::new(family, family.kind(), escaping))).collect();
    let left_out = names.left_out;
    shown.into_iter().filter(|shown| !left_out.contains(&shown.family.id)).collect()
}

/// Whether families of this kind have another name in OpenMetrics.
fn has_other_name(kind: MetricKind) -> bool {
    !kind.openmetrics_suffix().is_empty()
}

struct OpenMetricsNames<'r, 'v> {
    register: &'r View<'v>,
    /// Names that families have in OpenMetrics beyond those of text.
    taken: HashSet<String, ahash::RandomState>,
    /// Families by id.
    left_out: HashSet<u32, ahash::RandomState>,
}

impl OpenMetricsNames<'_, '_> {
    /// Takes the name of the created timestamp, if families of this kind have one.
    fn take_created(&mut self, name: &str, kind: MetricKind) {
        if kind.openmetrics_samples().iter().any(|(suffix, _)| *suffix == "_created") {
            let created = format!("{name}_created");
            self.left_out.extend(self.register.claim(&created).map(|claim| claim.family.id));
            self.taken.insert(created);
        }
    }

    /// The family as OpenMetrics shows it.
    fn shown(&mut self, shown: ShownFamily) -> ShownFamily {
        let suffix = shown.kind.openmetrics_suffix();
        match shown.kind {
            MetricKind::Counter if !self.take_other_name(&shown, suffix) => shown.as_kind(MetricKind::Untyped),
            MetricKind::Info if !self.take_other_name(&shown, suffix) => shown.as_kind(MetricKind::Gauge),
            MetricKind::Counter | MetricKind::Info => shown.without_suffix(suffix),
            // The label that tells the state has the name of the family, which escaping may make two names.
            MetricKind::StateSet if *escaped_label_name(&shown.family.name, shown.escaping) != *shown.name => {
                shown.as_kind(MetricKind::Gauge)
            }
            _ => shown,
        }
    }

    /// Takes the names that a counter or an info has only in OpenMetrics, if they can be had. They are told apart as legacy
    /// readers see them: what differs there differs under every escaping.
    fn take_other_name(&mut self, shown: &ShownFamily, suffix: &str) -> bool {
        let name = &*shown.family.exposed_name;
        let (base, other) = match name.strip_suffix(suffix).filter(|_| shown.name.ends_with(suffix)) {
            Some(base) => (base, base.to_owned()),
            None => (name, format!("{name}{suffix}")),
        };
        let is_taken = |name: &String| self.taken.contains(name);
        let is_free = !base.is_empty() && self.register.claim(&other).is_none() && !is_taken(&other);
        if !is_free || (shown.kind == MetricKind::Counter && is_taken(&format!("{base}_created"))) {
            return false;
        }
        self.take_created(base, shown.kind);
        self.taken.insert(other);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::door::Door;
    use crate::registry::{Entry, Registry, Wanted};

    fn shown(families: &[(&str, MetricKind)], format: Format) -> Vec<(String, MetricKind)> {
        let registry = Registry::new(100);
        for (name, kind) in families {
            let wanted = Wanted::New { name: (*name).to_owned(), kind: *kind, has_quoted_labels: false };
            let wanted = vec![wanted];
            let entry = Entry { wanted, door: Door::Aggregate, releases: &[], is_released: &|_| false };
            registry.commit(entry).expect("room");
        }
        let shown = super::families(&registry.view(), format, |_| true, |_| false);
        shown.iter().map(|shown| (shown.name.to_string(), shown.kind)).collect()
    }

    #[test]
    fn openmetrics_names_do_not_clash() {
        use MetricKind::{Counter, Gauge, Histogram, Info, StateSet, Summary, Untyped};
        type Families<'a> = &'a [(&'a str, MetricKind)];
        let cases: &[(Families<'_>, Families<'_>)] = &[
            (&[("a_total", Counter)], &[("a", Counter)]),
            (&[("a", Counter)], &[("a", Counter)]),
            (&[("a", Gauge), ("a_total", Counter)], &[("a", Gauge), ("a_total", Untyped)]),
            (&[("a", Counter), ("a_total", Counter)], &[("a", Untyped), ("a_total", Untyped)]),
            (&[("a", Counter), ("a_total", Gauge)], &[("a", Untyped), ("a_total", Gauge)]),
            (&[("a_created", Gauge), ("a_total", Counter)], &[("a", Counter)]),
            (&[("h", Histogram), ("h_created", Gauge)], &[("h", Histogram)]),
            (&[("h", Summary), ("h_created_total", Counter)], &[("h", Summary), ("h_created_total", Untyped)]),
            (&[("a_info", Info)], &[("a", Info)]),
            (&[("a_info", Info), ("a_total", Counter)], &[("a", Info), ("a_total", Untyped)]),
            (&[("_total", Counter)], &[("_total", Untyped)]),
            (&[("a_created_total", Counter), ("a_total", Counter)], &[("a_created", Counter), ("a_total", Untyped)]),
            (&[("a.total", Counter), ("a_total_total", Gauge)], &[("a", Counter), ("a_total_total", Gauge)]),
            (&[("a", StateSet), ("b:c", StateSet)], &[("a", StateSet), ("b:c", Gauge)]),
        ];
        let format = Format { kind: FormatKind::OpenMetrics1_0_0, escaping: Escaping::Underscores };
        for (families, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
            assert_eq!(shown(families, format), expected, "{families:?}");
        }
    }

    #[test]
    fn counters_have_one_sample_name_in_every_format() {
        for escaping in [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values] {
            for name in ["a_total", "a.b_total", "é_total", "x_y_total"] {
                let families = [(name, MetricKind::Counter)];
                let [text, openmetrics] = [FormatKind::Text1_0_0, FormatKind::OpenMetrics1_0_0]
                    .map(|kind| shown(&families, Format { kind, escaping }).remove(0).0);
                assert_eq!(openmetrics + "_total", text, "{escaping:?}");
            }
        }
    }

    #[test]
    fn text_has_the_names_that_were_pushed() {
        let families = [("a.b_total", MetricKind::Counter), ("x_info", MetricKind::Info)];
        let shown = shown(&families, Format::default());
        assert_eq!(shown, [("a_b_total".to_owned(), MetricKind::Counter), ("x_info".to_owned(), MetricKind::Info)]);
    }
}
