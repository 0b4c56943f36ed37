//! Writes the Prometheus text format 0.0.4: one family's header, then its series one by one, in the caller's order.
//! Names beyond the legacy ones are shown underscored. No look-up, no sorting of series.

use super::number::write_float;
use crate::aggregate::{GaugeRule, shown_gauge};
use crate::model::family::Family;
use crate::model::labels::{has_quoted_names, write_underscored};
use crate::model::value::{Histogram, Millis, Summary, Value};

/// The media type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Appends the HELP line, if there is a help, and the TYPE line.
pub fn write_header(out: &mut Vec<u8>, family: &Family) {
    if let Some(help) = family.help() {
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(family.exposed_name.as_bytes());
        out.push(b' ');
        write_help(out, help);
        out.push(b'\n');
    }
    out.extend_from_slice(b"# TYPE ");
    out.extend_from_slice(family.exposed_name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(family.kind().name().as_bytes());
    out.push(b'\n');
}

fn write_help(out: &mut Vec<u8>, help: &str) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

/// Appends the lines of one series. `labels` is canonical label text. A windowed gauge without a recent push has none.
pub fn write_series(out: &mut Vec<u8>, name: &str, labels: &str, value: &Value, gauges: GaugeRule, now: Millis) {
    if has_quoted_names(labels) {
        let mut shown = String::with_capacity(labels.len());
        write_underscored(&mut shown, labels);
        write_value(out, name, &shown, value, gauges, now);
    } else {
        write_value(out, name, labels, value, gauges, now);
    }
}

fn write_value(out: &mut Vec<u8>, name: &str, labels: &str, value: &Value, gauges: GaugeRule, now: Millis) {
    match value {
        Value::Number(number) => write_sample(out, name, "", labels, *number),
        Value::Window(window) => {
            if let Some(number) = shown_gauge(window, gauges, now) {
                write_sample(out, name, "", labels, number);
            }
        }
        Value::Histogram(histogram) => write_histogram(out, name, labels, histogram),
        Value::Summary(summary) => write_summary(out, name, labels, summary),
    }
}

fn write_sample(out: &mut Vec<u8>, name: &str, suffix: &str, labels: &str, value: f64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    if !labels.is_empty() {
        out.push(b'{');
        out.extend_from_slice(labels.as_bytes());
        out.push(b'}');
    }
    out.push(b' ');
    write_float(out, value);
    out.push(b'\n');
}

fn write_histogram(out: &mut Vec<u8>, name: &str, labels: &str, histogram: &Histogram) {
    for bucket in &histogram.buckets {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"_bucket{");
        out.extend_from_slice(labels.as_bytes());
        if !labels.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"le=\"");
        write_float(out, bucket.bound);
        out.extend_from_slice(b"\"} ");
        write_float(out, bucket.count);
        out.push(b'\n');
    }
    write_sum_and_count(out, name, labels, histogram.sum, histogram.count);
}

fn write_summary(out: &mut Vec<u8>, name: &str, labels: &str, summary: &Summary) {
    write_sum_and_count(out, name, labels, summary.sum, summary.count);
}

fn write_sum_and_count(out: &mut Vec<u8>, name: &str, labels: &str, sum: Option<f64>, count: Option<f64>) {
    if let Some(sum) = sum {
        write_sample(out, name, "_sum", labels, sum);
    }
    if let Some(count) = count {
        write_sample(out, name, "_count", labels, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::GaugePolicy;
    use crate::model::family::MetricKind;
    use crate::model::value::Bucket;

    const RULE: GaugeRule = GaugeRule { policy: GaugePolicy::Last, window: 1000 };

    fn series(labels: &str, value: &Value) -> String {
        let mut out = Vec::new();
        write_series(&mut out, "x", labels, value, RULE, 0);
        String::from_utf8(out).expect("the page is UTF-8")
    }

    #[test]
    fn headers_are_escaped() {
        let family = Family::new(0, "my.x", MetricKind::Gauge);
        let header = |family: &Family| {
            let mut out = Vec::new();
            write_header(&mut out, family);
            String::from_utf8(out).expect("the page is UTF-8")
        };
        assert_eq!(header(&family), "# TYPE my_x gauge\n");
        family.set_help("a \\ b\n\"c\"");
        assert_eq!(header(&family), "# HELP my_x a \\\\ b\\n\"c\"\n# TYPE my_x gauge\n");
    }

    #[test]
    fn every_kind_of_value_is_written() {
        let histogram = Histogram {
            buckets: vec![Bucket { bound: 0.5, count: 1.0 }, Bucket { bound: f64::INFINITY, count: 2.0 }],
            sum: Some(3.5),
            count: Some(2.0),
        };
        let cases = [
            ("", Value::Number(1.0), "x 1\n"),
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
            ("", Value::Summary(Box::new(Summary { sum: None, count: Some(7.0) })), "x_count 7\n"),
            ("", Value::Window(Box::default()), ""),
        ];
        for (labels, value, expected) in cases {
            assert_eq!(series(labels, &value), expected);
        }
    }
}
