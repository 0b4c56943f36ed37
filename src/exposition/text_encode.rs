//! Writes the Prometheus text format 0.0.4, and 1.0.0, which may have any name in quotes: one family's header, then its series one
//! by one, in the caller's order. It has no exemplars, created timestamps or native buckets. No look-up, no sorting of series.

use super::line_encode::{Lines, begin_metadata, shown_labels, write_help};
use super::number::write_float;
use super::shown::ShownFamily;
use crate::aggregate::shown_gauge;
use crate::model::value::{Histogram, Millis, Summary, Value};

/// Appends the HELP line, if there is a help, and the TYPE line.
pub fn write_header(out: &mut Vec<u8>, family: &ShownFamily) {
    write_help(out, family, b"\\\n");
    begin_metadata(out, "TYPE", family);
    out.extend_from_slice(family.kind.in_text().name().as_bytes());
    out.push(b'\n');
}

/// Appends the lines of one series.
#[inline]
pub fn write_series(out: &mut Vec<u8>, family: &ShownFamily, labels: &str, value: &Value, now: Millis) {
    let labels = shown_labels(family, labels);
    let lines = Lines::new(family, &labels);
    match value {
        Value::Number(number) => write_sample(out, lines, "", *number),
        Value::Counter(counter) => write_sample(out, lines, "", counter.value),
        Value::Window(window) => {
            if let Some(number) = shown_gauge(window, now) {
                write_sample(out, lines, "", number);
            }
        }
        Value::Histogram(histogram) => write_histogram(out, lines, histogram),
        Value::Summary(summary) => write_summary(out, lines, summary),
    }
}

#[inline]
fn write_sample(out: &mut Vec<u8>, lines: Lines<'_>, suffix: &str, value: f64) {
    lines.begin(out, suffix);
    write_float(out, value);
    out.push(b'\n');
}

fn write_histogram(out: &mut Vec<u8>, lines: Lines<'_>, histogram: &Histogram) {
    for bucket in &histogram.buckets {
        lines.begin_at(out, "_bucket", "le", |out| write_float(out, bucket.bound));
        write_float(out, bucket.count);
        out.push(b'\n');
    }
    write_sum_and_count(out, lines, histogram.sum, histogram.count);
}

fn write_summary(out: &mut Vec<u8>, lines: Lines<'_>, summary: &Summary) {
    for of in &summary.quantiles {
        lines.begin_at(out, "", "quantile", |out| write_float(out, of.quantile));
        write_float(out, of.value);
        out.push(b'\n');
    }
    write_sum_and_count(out, lines, summary.sum, summary.count);
}

fn write_sum_and_count(out: &mut Vec<u8>, lines: Lines<'_>, sum: Option<f64>, count: Option<f64>) {
    if let Some(sum) = sum {
        write_sample(out, lines, "_sum", sum);
    }
    if let Some(count) = count {
        write_sample(out, lines, "_count", count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family::{Family, MetricKind};
    use crate::model::name::Escaping;
    use crate::model::value::{Bucket, Counter, GaugePolicy, GaugeRule, GaugeWindow, Quantile};
    use std::sync::Arc;

    fn shown(name: &str, kind: MetricKind, escaping: Escaping) -> ShownFamily {
        ShownFamily::new(&Arc::new(Family::new(0, name, kind)), kind, escaping)
    }

    fn series(family: &ShownFamily, labels: &str, value: &Value) -> String {
        let mut out = Vec::new();
        write_series(&mut out, family, labels, value, 0);
        String::from_utf8(out).expect("the page is UTF-8")
    }

    fn header(family: &ShownFamily) -> String {
        let mut out = Vec::new();
        write_header(&mut out, family);
        String::from_utf8(out).expect("the page is UTF-8")
    }

    #[test]
    fn headers_escape_help_and_name() {
        let family = shown("my.x", MetricKind::Gauge, Escaping::Underscores);
        assert_eq!(header(&family), "# TYPE my_x gauge\n");
        family.family.set_help("a \\ b\n\"c\"");
        assert_eq!(header(&family), "# HELP my_x a \\\\ b\\n\"c\"\n# TYPE my_x gauge\n");
        let quoted = shown("my.\"x", MetricKind::Info, Escaping::AllowUtf8);
        assert_eq!(header(&quoted), "# TYPE \"my.\\\"x\" gauge\n");
    }

    #[test]
    fn every_kind_of_value_is_written() {
        let rule = GaugeRule { policy: GaugePolicy::Max, window: 1000 };
        let histogram = Histogram {
            buckets: vec![Bucket { bound: 0.5, count: 1.0 }, Bucket { bound: f64::INFINITY, count: 2.0 }],
            sum: Some(3.5),
            count: Some(2.0),
            ..Histogram::default()
        };
        let counter = Counter { value: 2.0, ..Counter::default() };
        let quantiles = [(0.5, f64::NAN), (1.0, 3.0)].map(|(quantile, value)| Quantile { quantile, value });
        let summary = Summary { quantiles: quantiles.to_vec(), sum: Some(4.0), ..Summary::default() };
        let cases = [
            ("", Value::Number(1.0), "x 1\n"),
            ("", Value::Counter(Box::new(counter)), "x 2\n"),
            (r#"a="1""#, Value::Number(0.5), "x{a=\"1\"} 0.5\n"),
            (r#""a.b"="1""#, Value::Number(f64::NAN), "x{a_b=\"1\"} NaN\n"),
            (
                r#"z="1""#,
                Value::Histogram(Box::new(histogram.clone())),
                "x_bucket{z=\"1\",le=\"0.5\"} 1\nx_bucket{z=\"1\",le=\"+Inf\"} 2\nx_sum{z=\"1\"} 3.5\nx_count{z=\"1\"} 2\n",
            ),
            (
                "",
                Value::Histogram(Box::new(histogram)),
                "x_bucket{le=\"0.5\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_sum 3.5\nx_count 2\n",
            ),
            ("", Value::Summary(Box::new(Summary { count: Some(7.0), ..Summary::default() })), "x_count 7\n"),
            ("", Value::Summary(Box::new(summary.clone())), "x{quantile=\"0.5\"} NaN\nx{quantile=\"1\"} 3\nx_sum 4\n"),
            (
                r#"z="1""#,
                Value::Summary(Box::new(summary)),
                "x{z=\"1\",quantile=\"0.5\"} NaN\nx{z=\"1\",quantile=\"1\"} 3\nx_sum{z=\"1\"} 4\n",
            ),
            ("", Value::Window(Box::new(GaugeWindow { rule, slices: Vec::new() })), ""),
        ];
        let family = shown("x", MetricKind::Untyped, Escaping::Underscores);
        for (labels, value, expected) in cases {
            assert_eq!(series(&family, labels, &value), expected);
        }
    }

    #[test]
    fn names_in_quotes_stand_within_the_braces() {
        let quoted = shown("x.y", MetricKind::Histogram, Escaping::AllowUtf8);
        let buckets = vec![Bucket { bound: f64::INFINITY, count: 2.0 }];
        let histogram = Value::Histogram(Box::new(Histogram { buckets, ..Histogram::default() }));
        assert_eq!(series(&quoted, "", &Value::Number(1.0)), "{\"x.y\"} 1\n");
        assert_eq!(series(&quoted, r#""a.b"="1""#, &Value::Number(1.0)), "{\"x.y\",\"a.b\"=\"1\"} 1\n");
        assert_eq!(series(&quoted, "", &histogram), "{\"x.y_bucket\",le=\"+Inf\"} 2\n");
    }
}
