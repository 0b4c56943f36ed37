//! What pages say, read by our own decoders and, where it is protobuf, by another's.

use std::collections::BTreeMap;

use catchment::exposition::error::{DecodeError, Limits};
use catchment::exposition::format::{FormatKind, PushFormat};
use catchment::model::name::Escaping;
use catchment::push::{PushError, PushRules};
use catchment_test_schema::{Metric, MetricFamily, MetricType, print, read_delimited};

use crate::gateway::{Gateway, Pusher};

/// What pages are read with: their length is a matter of what is stored, so no limit of a push may refuse one.
const NO_LIMITS: Limits = Limits {
    line_length: 1 << 30,
    labels: 1 << 30,
    name_length: 1 << 30,
    value_length: 1 << 30,
    series_length: 1 << 30,
    push_length: 1 << 30,
    samples: 1 << 30,
};

/// A family without metrics, put before pages of protobuf: where a body begins like a text, the decoder says so instead of
/// what is wrong with it.
const UNLIKE_TEXT: &[u8] = b"\x0b\x0a\x09\0unlike_t";

/// Reads a page of this kind with every decoder that knows it.
///
/// # Panics
/// If one of them does not take it.
pub fn check(kind: FormatKind, escaping: Escaping, rules: &PushRules, page: Vec<u8>) {
    let (format, page) = match kind {
        FormatKind::Protobuf => {
            families(&page);
            (PushFormat::Protobuf, [UNLIKE_TEXT, &page].concat())
        }
        FormatKind::OpenMetrics0_0_1 | FormatKind::OpenMetrics1_0_0 => (PushFormat::OpenMetrics, page),
        FormatKind::Text0_0_4 | FormatKind::Text1_0_0 => (PushFormat::Text, page),
    };
    if let Err(error) = read(format, escaping, rules, &page) {
        panic!("a page in {kind:?} with {escaping:?} is not read: {error}\n{}", shown(&page));
    }
}

/// Reads a page with the decoder of its format. What it says is then assembled as if it were pushed to an empty gateway, as
/// what to show, which finds series and families that stand on it twice.
fn read(format: PushFormat, escaping: Escaping, rules: &PushRules, page: &[u8]) -> Result<(), PushError> {
    let rules = PushRules { limits: NO_LIMITS, mode_label: None, ..rules.clone() };
    match Gateway::with_rules(rules).assemble(format, page, &Pusher::reader()) {
        Ok(_) => Ok(()),
        Err(PushError::Malformed(error)) if is_large_count(&error) => Ok(()),
        Err(PushError::Malformed(error)) if escaping == Escaping::Dots && is_reserved_label(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Two counts that a push may have can make one that no push may have.
fn is_large_count(error: &DecodeError) -> bool {
    error.expected == "a count of at most 2^53"
}

/// Under `dots` the label `_a` is shown as `__a`, which readers take, and no push may have. None is shown as `__name__` itself.
fn is_reserved_label(error: &DecodeError) -> bool {
    let got = error.got.to_string();
    let behind = got.trim_start_matches('"').strip_prefix("__name__");
    let goes_on = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    error.expected.ends_with("begin with \"__\"") && behind.is_none_or(goes_on)
}

/// What a page of protobuf shows, as another implementation reads it.
fn families(page: &[u8]) -> Vec<MetricFamily> {
    match read_delimited(page) {
        Ok(families) => families,
        Err(error) => panic!("a page in protobuf is not read by another implementation: {error}\n{page:02x?}"),
    }
}

/// Everything on a page that only grows while sources count: by family, labels and part.
pub type Totals = BTreeMap<(String, String, String), f64>;

/// The totals on a page of protobuf.
pub fn totals(page: &[u8]) -> Totals {
    let mut totals = Totals::new();
    for family in families(page) {
        for metric in &family.metric {
            let labels: Vec<(&str, &str)> = metric.label.iter().map(|label| (label.name(), label.value())).collect();
            for (part, total) in parts(family.type_(), metric) {
                totals.insert((family.name().to_owned(), format!("{labels:?}"), part), total);
            }
        }
    }
    totals
}

/// What may only grow of one series. Sums of observations may fall.
fn parts(kind: MetricType, metric: &Metric) -> Vec<(String, f64)> {
    match kind {
        MetricType::COUNTER => vec![("value".to_owned(), metric.counter.value())],
        MetricType::SUMMARY => vec![("count".to_owned(), metric.summary.sample_count() as f64)],
        MetricType::HISTOGRAM => {
            let histogram = &metric.histogram;
            let count = |whole: u64, float: f64| if float > 0.0 { float } else { whole as f64 };
            let buckets = histogram.bucket.iter().map(|bucket| {
                let part = format!("bucket {}", bucket.upper_bound());
                (part, count(bucket.cumulative_count(), bucket.cumulative_count_float()))
            });
            let all = count(histogram.sample_count(), histogram.sample_count_float());
            buckets.chain([("count".to_owned(), all)]).collect()
        }
        MetricType::GAUGE | MetricType::UNTYPED | MetricType::GAUGE_HISTOGRAM => Vec::new(),
    }
}

/// A total that has gone or is less than it was.
pub fn fallen(before: &Totals, after: &Totals) -> Option<String> {
    let fallen = before.iter().find(|(part, total)| after.get(*part).is_none_or(|now| now < *total));
    fallen.map(|(part, total)| format!("{part:?}: {total} became {:?}", after.get(part)))
}

/// # Panics
/// If two pages of protobuf differ; with both of them.
pub fn assert_same(expected: &[u8], got: &[u8], rule: &str) {
    let text = |page| families(page).iter().map(print).collect::<String>();
    assert!(expected == got, "{rule}; expected\n{}\ngot\n{}", text(expected), text(got));
}

fn shown(page: &[u8]) -> String {
    match std::str::from_utf8(page) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{page:02x?}"),
    }
}
