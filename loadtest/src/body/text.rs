//! Bodies in the text format and in OpenMetrics. Label values need no escapes.

use std::fmt::Write;

use crate::content::{BOUNDS, BUCKETS, COUNT, Content, KINDS, Kind, Place, QUANTILES, SUM};

/// Which of the text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The format 0.0.4.
    Classic,
    /// Counters' families without `_total`, an end mark.
    OpenMetrics,
}

/// Renders a body: one family after the other.
pub fn render(content: &Content, dialect: Dialect, pusher: u64, step: u64) -> Vec<u8> {
    let mut body = String::new();
    for kind in KINDS {
        let mut indices = content.indices(kind).peekable();
        if indices.peek().is_none() {
            continue;
        }
        let family = match dialect {
            Dialect::Classic => kind.family(),
            Dialect::OpenMetrics => kind.family().trim_end_matches("_total"),
        };
        line(&mut body, format_args!("# TYPE {family} {}", kind.word()));
        for index in indices {
            let labels = label_text(&content.labels(Place { pusher, index, step }));
            series(&mut body, kind, index, &labels);
        }
    }
    if dialect == Dialect::OpenMetrics {
        body.push_str("# EOF\n");
    }
    body.into_bytes()
}

fn series(body: &mut String, kind: Kind, index: usize, labels: &str) {
    let family = kind.family();
    match kind {
        Kind::Counter | Kind::Gauge => {
            line(body, format_args!("{family}{{{labels}}} {}", Content::value(index)));
        }
        Kind::Histogram => {
            for (bound, count) in BOUNDS.iter().zip(BUCKETS) {
                line(body, format_args!("{family}_bucket{{{labels},le=\"{bound:?}\"}} {count}"));
            }
            line(body, format_args!("{family}_bucket{{{labels},le=\"+Inf\"}} {COUNT}"));
        }
        Kind::NativeHistogram => line(body, format_args!("{family}_bucket{{{labels},le=\"+Inf\"}} {COUNT}")),
        Kind::Summary => {
            for (quantile, value) in QUANTILES {
                line(body, format_args!("{family}{{{labels},quantile=\"{quantile:?}\"}} {value}"));
            }
        }
    }
    if matches!(kind, Kind::Histogram | Kind::NativeHistogram | Kind::Summary) {
        line(body, format_args!("{family}_sum{{{labels}}} {SUM}"));
        line(body, format_args!("{family}_count{{{labels}}} {COUNT}"));
    }
}

fn label_text(labels: &[(&str, String)]) -> String {
    labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(",")
}

/// Writing to a string does not fail.
fn line(body: &mut String, text: std::fmt::Arguments) {
    let _ = body.write_fmt(text);
    body.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Shape;

    fn rendered(shape: Shape, dialect: Dialect) -> String {
        let content = Content { shape, series: 1, run: "r1".into(), is_own: true, churn: 0.0 };
        String::from_utf8(render(&content, dialect, 4, 0)).unwrap()
    }

    const LABELS: &str =
        r#"run="r1",handler="/api/v1/items/000000",method="GET",code="200",zone="eu-central-1",pusher="4""#;

    #[test]
    fn a_counter_in_both_dialects() {
        let sample = format!("load_requests_total{{{LABELS}}} 1\n");
        let classic = format!("# TYPE load_requests_total counter\n{sample}");
        assert_eq!(rendered(Shape::Counters, Dialect::Classic), classic);
        let open = format!("# TYPE load_requests counter\n{sample}# EOF\n");
        assert_eq!(rendered(Shape::Counters, Dialect::OpenMetrics), open);
    }

    #[test]
    fn a_histogram_has_its_bounds_as_floats() {
        let body = rendered(Shape::Histogram, Dialect::Classic);
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines.len(), 15);
        assert_eq!(lines[8], format!("load_request_seconds_bucket{{{LABELS},le=\"1.0\"}} 19"));
        assert_eq!(lines[12], format!("load_request_seconds_bucket{{{LABELS},le=\"+Inf\"}} 22"));
        assert_eq!(lines[13], format!("load_request_seconds_sum{{{LABELS}}} 28.25"));
    }

    #[test]
    fn a_summary_has_quantiles() {
        let body = rendered(Shape::Summary, Dialect::OpenMetrics);
        assert!(body.contains(&format!("load_response_bytes{{{LABELS},quantile=\"0.99\"}} 12.5\n")), "{body}");
        assert!(body.ends_with("# EOF\n"));
    }
}
