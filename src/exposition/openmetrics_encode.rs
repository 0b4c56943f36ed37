//! Writes OpenMetrics 1.0: one family's header, then its series one by one, in the caller's order.
//!
//! What was pushed may break rules that readers of OpenMetrics hold a whole page to, though text has no such rule: counts that
//! fall, a sum beside negative bounds. Such a series is shown as far as the specification allows.

use super::exemplar::is_short;
use super::line_encode::{Lines, begin_metadata, shown_labels, write_help};
use super::number::write_float;
use super::shown::ShownFamily;
use crate::aggregate::shown_gauge;
use crate::model::family::MetricKind;
use crate::model::labels::has_label;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Exemplar, Histogram, Millis, Quantile, Summary, Value};

/// Appends the HELP line, if there is a help, the TYPE line, and the UNIT line, if there is a unit that the name ends in.
pub fn write_header(out: &mut Vec<u8>, family: &ShownFamily) {
    write_help(out, family, b"\\\n\"");
    begin_metadata(out, "TYPE", family);
    let word = if family.kind == MetricKind::Untyped { "unknown" } else { family.kind.name() };
    out.extend_from_slice(word.as_bytes());
    out.push(b'\n');
    if let Some(unit) = shown_unit(family) {
        begin_metadata(out, "UNIT", family);
        out.extend_from_slice(unit.as_bytes());
        out.push(b'\n');
    }
}

/// A unit that the specification allows ("UNIT"): the name ends in it, and the kind may have one.
fn shown_unit(family: &ShownFamily) -> Option<&str> {
    let unit = family.family.unit()?;
    let is_plain = unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':');
    let is_suffix = family.name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
    let may_have_one = !matches!(family.kind, MetricKind::Info | MetricKind::StateSet);
    (is_plain && is_suffix && may_have_one && !unit.is_empty()).then_some(unit)
}

/// Appends the lines of one series.
#[inline]
pub fn write_series(out: &mut Vec<u8>, family: &ShownFamily, labels: &str, value: &Value, now: Millis) {
    let shown = shown_labels(family, labels);
    let mut writer = Writer { out, lines: Lines::new(family, &shown), family };
    match value {
        Value::Number(number) => writer.number(*number, labels, None, None),
        Value::Counter(counter) => writer.number(counter.value, labels, counter.exemplar.as_ref(), counter.created),
        Value::Window(window) => {
            if let Some(number) = shown_gauge(window, now) {
                writer.number(number, labels, None, None);
            }
        }
        Value::Histogram(histogram) => writer.histogram(histogram),
        Value::Summary(summary) => writer.summary(summary),
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    lines: Lines<'a>,
    family: &'a ShownFamily,
}

impl Writer<'_> {
    /// A number as its kind may be; what was stored before the kind was known may be otherwise. `labels` are as stored.
    #[inline]
    fn number(&mut self, number: f64, labels: &str, exemplar: Option<&Exemplar>, created: Option<Timestamp>) {
        match self.family.kind {
            MetricKind::Counter if number >= 0.0 => {
                self.lines.begin(self.out, "_total");
                write_float(self.out, number);
                self.exemplar(exemplar);
                self.out.push(b'\n');
                self.created(created);
            }
            MetricKind::Counter => {}
            MetricKind::Info => self.sample("_info", 1.0),
            MetricKind::StateSet if !has_label(labels, &self.family.family.name) => {}
            MetricKind::StateSet => self.sample("", f64::from(u8::from(number != 0.0))),
            _ => self.sample("", number),
        }
    }

    #[inline]
    fn sample(&mut self, suffix: &str, value: f64) {
        self.lines.begin(self.out, suffix);
        write_float(self.out, value);
        self.out.push(b'\n');
    }

    /// "Histogram": there is a bucket `+Inf`, counts are whole, never fall, and the last one is `_count`; that and `_sum` come
    /// together, and not where a sum would be no counter.
    fn histogram(&mut self, histogram: &Histogram) {
        let mut exemplars = histogram.exemplars.iter().peekable();
        let mut count = 0.0;
        for bucket in histogram.buckets.iter().filter(|bucket| bucket.bound < f64::INFINITY) {
            count = whole(bucket.count).max(count);
            let exemplar = exemplars.next_if(|exemplar| exemplar.bound == bucket.bound);
            self.bucket(bucket.bound, count, exemplar.map(|bucket| &bucket.exemplar));
        }
        let all = histogram.buckets.last().filter(|bucket| bucket.bound == f64::INFINITY).map(|bucket| bucket.count);
        count = whole(all.or(histogram.count).unwrap_or(count)).max(count);
        let exemplar = exemplars.next_if(|exemplar| exemplar.bound == f64::INFINITY);
        self.bucket(f64::INFINITY, count, exemplar.map(|bucket| &bucket.exemplar));
        let has_negative_bounds = histogram.buckets.first().is_some_and(|bucket| bucket.bound < 0.0);
        let is_gauge = self.family.kind == MetricKind::GaugeHistogram;
        let may_show = |sum: &f64| if has_negative_bounds { is_gauge && !sum.is_nan() } else { *sum >= 0.0 };
        if let Some(sum) = histogram.sum.filter(may_show) {
            let [sum_suffix, count_suffix] = if is_gauge { ["_gsum", "_gcount"] } else { ["_sum", "_count"] };
            self.sample(sum_suffix, sum);
            self.sample(count_suffix, count);
        }
        if !is_gauge {
            self.created(histogram.created);
        }
    }

    fn bucket(&mut self, bound: f64, count: f64, exemplar: Option<&Exemplar>) {
        self.lines.begin_at(self.out, "_bucket", "le", |out| write_bound(out, bound));
        write_float(self.out, count);
        self.exemplar(exemplar);
        self.out.push(b'\n');
    }

    /// "Summary": a sum is no less than zero, quantiles are from 0 to 1, and their values no less than zero, or NaN.
    fn summary(&mut self, summary: &Summary) {
        let may_show = |of: &&Quantile| (0.0..=1.0).contains(&of.quantile) && (of.value >= 0.0 || of.value.is_nan());
        for of in summary.quantiles.iter().filter(may_show) {
            self.lines.begin_at(self.out, "", "quantile", |out| write_bound(out, of.quantile));
            write_float(self.out, of.value);
            self.out.push(b'\n');
        }
        if let Some(sum) = summary.sum.filter(|sum| *sum >= 0.0) {
            self.sample("_sum", sum);
        }
        if let Some(count) = summary.count {
            self.sample("_count", whole(count));
        }
        self.created(summary.created);
    }

    fn created(&mut self, created: Option<Timestamp>) {
        if let Some(created) = created {
            self.lines.begin(self.out, "_created");
            write_timestamp(self.out, created);
            self.out.push(b'\n');
        }
    }

    fn exemplar(&mut self, exemplar: Option<&Exemplar>) {
        let Some(exemplar) = exemplar else { return };
        let labels = shown_labels(self.family, &exemplar.labels);
        if !is_short(&labels) {
            return;
        }
        self.out.extend_from_slice(b" # {");
        self.out.extend_from_slice(labels.as_bytes());
        self.out.extend_from_slice(b"} ");
        write_float(self.out, exemplar.value);
        if let Some(timestamp) = exemplar.timestamp {
            self.out.push(b' ');
            write_timestamp(self.out, timestamp);
        }
    }
}

/// A count that OpenMetrics can have.
fn whole(count: f64) -> f64 {
    count.min(f64::MAX).floor()
}

/// "Considerations: Canonical Numbers": bounds are floats even where they are whole.
fn write_bound(out: &mut Vec<u8>, bound: f64) {
    let start = out.len();
    write_float(out, bound);
    let is_integer = out[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
    if is_integer {
        out.extend_from_slice(b".0");
    }
}

fn write_timestamp(out: &mut Vec<u8>, timestamp: Timestamp) {
    let mut text = String::new();
    timestamp.write(&mut text);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family::Family;
    use crate::model::name::Escaping;
    use crate::model::value::{Bucket, BucketExemplar, Counter};
    use std::sync::Arc;

    const INF: f64 = f64::INFINITY;

    fn shown(name: &str, kind: MetricKind) -> ShownFamily {
        ShownFamily::new(&Arc::new(Family::new(0, name, kind)), kind, Escaping::AllowUtf8)
    }

    fn series(kind: MetricKind, labels: &str, value: &Value) -> String {
        let mut out = Vec::new();
        write_series(&mut out, &shown("x", kind), labels, value, 0);
        String::from_utf8(out).expect("the page is UTF-8")
    }

    fn exemplar(value: f64, timestamp: Option<Timestamp>) -> Exemplar {
        Exemplar { labels: "id=\"1\"".into(), value, timestamp }
    }

    #[test]
    fn headers_tell_the_unit_where_the_name_does() {
        let family = shown("x_seconds", MetricKind::Untyped);
        family.family.set_help("a \"b\"");
        family.family.set_unit("seconds");
        let mut out = Vec::new();
        write_header(&mut out, &family);
        let expected = "# HELP x_seconds a \\\"b\\\"\n# TYPE x_seconds unknown\n# UNIT x_seconds seconds\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        for (name, unit) in [("x", "seconds"), ("xseconds", "seconds"), ("x_s s", "s s"), ("x_", "")] {
            let family = shown(name, MetricKind::Gauge);
            family.family.set_unit(unit);
            assert_eq!(shown_unit(&family), None, "{name}");
        }
    }

    #[test]
    fn numbers_are_what_their_kind_may_be() {
        let moment = Timestamp { seconds: 5, nanos: 0 };
        let counter = Counter { value: 2.0, created: Some(moment), exemplar: Some(exemplar(0.5, Some(moment))) };
        let cases = [
            (MetricKind::Counter, "", Value::Number(1.0), "x_total 1\n"),
            (
                MetricKind::Counter,
                "a=\"1\"",
                Value::Counter(Box::new(counter)),
                "x_total{a=\"1\"} 2 # {id=\"1\"} 0.5 5\nx_created{a=\"1\"} 5\n",
            ),
            (MetricKind::Counter, "", Value::Number(-1.0), ""),
            (MetricKind::Counter, "", Value::Number(f64::NAN), ""),
            (MetricKind::Info, "a=\"1\"", Value::Number(7.0), "x_info{a=\"1\"} 1\n"),
            (MetricKind::StateSet, "x=\"a\"", Value::Number(0.0), "x{x=\"a\"} 0\n"),
            (MetricKind::StateSet, "y=\"a\"", Value::Number(0.0), ""),
            (MetricKind::Gauge, "", Value::Number(f64::NAN), "x NaN\n"),
        ];
        for (kind, labels, value, expected) in cases {
            assert_eq!(series(kind, labels, &value), expected, "{kind:?} {value:?}");
        }
    }

    #[test]
    fn summaries_show_the_quantiles_that_the_format_knows() {
        let quantiles = [(-1.0, 1.0), (0.0, 1.0), (0.5, -1.0), (0.9, f64::NAN), (1.0, 2.0), (50.0, 3.0)];
        let quantiles = quantiles.map(|(quantile, value)| Quantile { quantile, value }).to_vec();
        let summary = Summary { quantiles, sum: Some(-1.0), count: Some(2.0), ..Summary::default() };
        let expected = "x{a=\"1\",quantile=\"0.0\"} 1\nx{a=\"1\",quantile=\"0.9\"} NaN\n\
                        x{a=\"1\",quantile=\"1.0\"} 2\nx_count{a=\"1\"} 2\n";
        assert_eq!(series(MetricKind::Summary, "a=\"1\"", &Value::Summary(Box::new(summary))), expected);
    }

    #[test]
    fn histograms_keep_the_rules_of_the_format() {
        let histogram = |buckets: &[(f64, f64)], sum, count| Histogram {
            buckets: buckets.iter().map(|&(bound, count)| Bucket { bound, count }).collect(),
            sum,
            count,
            ..Histogram::default()
        };
        let with_exemplar = Histogram {
            exemplars: vec![BucketExemplar { bound: 1.0, exemplar: exemplar(0.7, None) }],
            ..histogram(&[(1.0, 1.0), (INF, 2.0)], Some(3.5), Some(2.0))
        };
        let cases = [
            (with_exemplar, "x_bucket{le=\"1.0\"} 1 # {id=\"1\"} 0.7\nx_bucket{le=\"+Inf\"} 2\nx_sum 3.5\nx_count 2\n"),
            (
                histogram(&[(0.5, 3.0), (1.0, 2.5), (INF, 9.0)], Some(1.0), Some(2.0)),
                "x_bucket{le=\"0.5\"} 3\nx_bucket{le=\"1.0\"} 3\nx_bucket{le=\"+Inf\"} 9\nx_sum 1\nx_count 9\n",
            ),
            (
                histogram(&[(-1.0, 1.0), (INF, 1.0)], Some(1.0), Some(1.0)),
                "x_bucket{le=\"-1.0\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
            ),
            (histogram(&[(INF, 1.0)], Some(f64::NAN), Some(1.0)), "x_bucket{le=\"+Inf\"} 1\n"),
            (histogram(&[(1.0, 4.0)], None, None), "x_bucket{le=\"1.0\"} 4\nx_bucket{le=\"+Inf\"} 4\n"),
            (histogram(&[], Some(2.0), None), "x_bucket{le=\"+Inf\"} 0\nx_sum 2\nx_count 0\n"),
        ];
        for (histogram, expected) in cases {
            assert_eq!(series(MetricKind::Histogram, "", &Value::Histogram(Box::new(histogram))), expected);
        }
        let gauge = Value::Histogram(Box::new(histogram(&[(INF, 1.0)], Some(2.0), Some(1.0))));
        let expected = "x_bucket{le=\"+Inf\"} 1\nx_gsum 2\nx_gcount 1\n";
        assert_eq!(series(MetricKind::GaugeHistogram, "", &gauge), expected);
    }
}
