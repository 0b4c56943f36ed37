//! Writes delimited protobuf. A series is one `metric` field, so the series of all shards stand one after the other behind one
//! family header. Numbers and label pairs, which are most of a page, are written by hand, all else by the generated types.

mod shape;

pub use shape::LabelShape;

use std::borrow::Cow;

use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use smallvec::SmallVec;

use super::SeriesLabels;
use super::exemplar::is_short;
use super::line_encode::shown_labels;
use super::proto;
use super::shown::ShownFamily;
use crate::aggregate::shown_gauge;
use crate::model::family::MetricKind;
use crate::model::labels::{Label, Labels, unescape};
use crate::model::timestamp::Timestamp;
use crate::model::value::{
    Bucket, Counter, Exemplar, Histogram, Millis, NativeBucket, NativeHistogram, Quantile, Summary, Value,
};

/// Appends the beginning of a family's message: its length and header. `metrics` bytes that [`write_series`] wrote are to follow.
pub fn begin_family(out: &mut Vec<u8>, family: &ShownFamily, metrics: usize) {
    let mut header = write_header(family);
    encode_varint((header.len() + metrics) as u64, out);
    out.append(&mut header);
}

fn write_header(family: &ShownFamily) -> Vec<u8> {
    let header = proto::MetricFamily {
        name: Some(family.name.to_string()),
        help: family.family.help().map(str::to_owned),
        r#type: Some(metric_type(family.kind) as i32),
        metric: Vec::new(),
        unit: family.family.unit().map(str::to_owned),
    };
    header.encode_to_vec()
}

fn metric_type(kind: MetricKind) -> proto::MetricType {
    match kind {
        MetricKind::Counter => proto::MetricType::Counter,
        MetricKind::Gauge | MetricKind::Info | MetricKind::StateSet => proto::MetricType::Gauge,
        MetricKind::Untyped => proto::MetricType::Untyped,
        MetricKind::Summary => proto::MetricType::Summary,
        MetricKind::Histogram => proto::MetricType::Histogram,
        MetricKind::GaugeHistogram => proto::MetricType::GaugeHistogram,
    }
}

/// Field numbers, as tags of fields that hold bytes.
const METRIC: u8 = 4 << 3 | 2;
const LABEL: u8 = 1 << 3 | 2;
const NAME: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const GAUGE: u8 = 2 << 3 | 2;
const COUNTER: u8 = 3 << 3 | 2;
const SUMMARY: u8 = 4 << 3 | 2;
const UNTYPED: u8 = 5 << 3 | 2;
const HISTOGRAM: u8 = 7 << 3 | 2;

/// Appends one series.
#[inline]
pub fn write_series(out: &mut Vec<u8>, family: &ShownFamily, labels: SeriesLabels<'_>, value: &Value, now: Millis) {
    let number = match value {
        Value::Number(number) => Some(*number),
        Value::Window(window) => match shown_gauge(window, now) {
            Some(number) => Some(number),
            None => return,
        },
        Value::Counter(counter) if family.kind != MetricKind::Counter => Some(counter.value),
        Value::Counter(_) | Value::Histogram(_) | Value::Summary(_) => None,
    };
    let text = shown_labels(family, labels.text);
    match (number, labels.shape, value) {
        (Some(number), Some(shape), _) if matches!(text, Cow::Borrowed(_)) => {
            shape.write_number(out, labels.text, number_field(family.kind), number);
        }
        (Some(number), ..) => write_number(out, &text, number_field(family.kind), number),
        (None, _, Value::Counter(counter)) => {
            write_message(out, &text, COUNTER, &counter_message(family, counter));
        }
        (None, _, Value::Histogram(histogram)) => {
            write_message(out, &text, HISTOGRAM, &histogram_message(family, histogram));
        }
        (None, _, Value::Summary(summary)) => write_message(out, &text, SUMMARY, &summary_message(summary)),
        (None, _, Value::Number(_) | Value::Window(_)) => {}
    }
}

fn number_field(kind: MetricKind) -> u8 {
    match kind {
        MetricKind::Counter => COUNTER,
        MetricKind::Untyped => UNTYPED,
        _ => GAUGE,
    }
}

fn write_number(out: &mut Vec<u8>, labels: &str, field: u8, number: f64) {
    let message = number_message(field, number);
    begin_metric(out, labels, message.len());
    out.extend_from_slice(&message);
}

/// A `Gauge`, `Counter` or `Untyped` of nothing but a value, which all are written alike.
#[inline]
fn number_message(field: u8, number: f64) -> [u8; 11] {
    let mut message = [field, 9, 1 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0];
    message[3..].copy_from_slice(&number.to_le_bytes());
    message
}

fn write_message(out: &mut Vec<u8>, labels: &str, field: u8, message: &impl Message) {
    let length = message.encoded_len();
    begin_metric(out, labels, 1 + encoded_len_varint(length as u64) + length);
    out.push(field);
    encode_varint(length as u64, out);
    message.encode_raw(out);
}

/// Appends a metric up to its labels; `length` bytes are to follow.
fn begin_metric(out: &mut Vec<u8>, labels: &str, length: usize) {
    let plain: Pairs<'_> = Labels::new(labels).map(|label| (label.plain_name(), unescape(label.value))).collect();
    let labels_length: usize = plain.iter().map(|(name, value)| field_length(pair_length(name, value))).sum();
    out.push(METRIC);
    encode_varint((labels_length + length) as u64, out);
    for (name, value) in plain {
        write_pair(out, &name, &value);
    }
}

type Pairs<'a> = SmallVec<[(Cow<'a, str>, Cow<'a, str>); 16]>;

#[inline]
fn write_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(LABEL);
    encode_varint(pair_length(name, value) as u64, out);
    for (tag, text) in [(NAME, name), (VALUE, value)] {
        out.push(tag);
        encode_varint(text.len() as u64, out);
        out.extend_from_slice(text.as_bytes());
    }
}

#[inline]
fn pair_length(name: &str, value: &str) -> usize {
    field_length(name.len()) + field_length(value.len())
}

/// Bytes of a field that holds this many.
#[inline]
fn field_length(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

fn counter_message(family: &ShownFamily, counter: &Counter) -> proto::Counter {
    proto::Counter {
        value: Some(counter.value),
        exemplar: counter.exemplar.as_ref().and_then(|exemplar| exemplar_message(family, exemplar)),
        created_timestamp: counter.created.map(timestamp_message),
    }
}

fn summary_message(summary: &Summary) -> proto::Summary {
    proto::Summary {
        sample_count: summary.count.map(|count| count as u64),
        sample_sum: summary.sum,
        quantile: summary.quantiles.iter().map(quantile_message).collect(),
        created_timestamp: summary.created.map(timestamp_message),
    }
}

fn quantile_message(of: &Quantile) -> proto::Quantile {
    proto::Quantile { quantile: Some(of.quantile), value: Some(of.value) }
}

fn timestamp_message(timestamp: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: timestamp.seconds, nanos: timestamp.nanos as i32 }
}

/// `None` for one that escaping has made too long.
fn exemplar_message(family: &ShownFamily, exemplar: &Exemplar) -> Option<proto::Exemplar> {
    let labels = shown_labels(family, &exemplar.labels);
    if !is_short(&labels) {
        return None;
    }
    let label = |label: Label<'_>| proto::LabelPair {
        name: Some(label.plain_name().into_owned()),
        value: Some(unescape(label.value).into_owned()),
    };
    Some(proto::Exemplar {
        label: Labels::new(&labels).map(label).collect(),
        value: Some(exemplar.value),
        timestamp: exemplar.timestamp.map(timestamp_message),
    })
}

/// Counts are whole numbers if all are, else floats: readers before Prometheus 3.15 refuse a float histogram without
/// observations, and whole ones take less room.
fn histogram_message(family: &ShownFamily, histogram: &Histogram) -> proto::Histogram {
    let native = histogram.native.as_deref();
    let is_whole =
        histogram.count.is_none_or(is_whole) && histogram.buckets.iter().all(|bucket| is_whole(bucket.count));
    let mut message = proto::Histogram {
        sample_sum: histogram.sum,
        bucket: classic_buckets(family, histogram, is_whole),
        created_timestamp: histogram.created.map(timestamp_message),
        ..proto::Histogram::default()
    };
    match native {
        Some(native) => add_native(family, &mut message, native),
        None if is_whole => message.sample_count = histogram.count.map(|count| count as u64),
        None => message.sample_count_float = histogram.count,
    }
    message
}

/// Whether an integer can stand for it.
fn is_whole(count: f64) -> bool {
    const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;
    count.trunc() == count && (0.0..=EXACT_INTEGERS).contains(&count)
}

/// A lone bucket `+Inf` beside native buckets says nothing, unless by its exemplar.
fn classic_buckets(family: &ShownFamily, histogram: &Histogram, is_whole: bool) -> Vec<proto::Bucket> {
    let is_native_alone = matches!(histogram.buckets[..], [Bucket { bound: f64::INFINITY, .. }]);
    if histogram.native.is_some() && is_native_alone && histogram.exemplars.is_empty() {
        return Vec::new();
    }
    let mut exemplars = histogram.exemplars.iter().peekable();
    let bucket = |bucket: &Bucket| proto::Bucket {
        cumulative_count: is_whole.then_some(bucket.count as u64),
        cumulative_count_float: (!is_whole).then_some(bucket.count),
        upper_bound: Some(bucket.bound),
        exemplar: exemplars
            .next_if(|exemplar| exemplar.bound == bucket.bound)
            .and_then(|bucket| exemplar_message(family, &bucket.exemplar)),
    };
    histogram.buckets.iter().map(bucket).collect()
}

/// Sum and count must be those of the native buckets. Of whole counts the standard server demands that they fit the buckets, of
/// floats it cannot, so what does not fit is written in floats.
fn add_native(family: &ShownFamily, message: &mut proto::Histogram, native: &NativeHistogram) {
    let buckets = native.negative.iter().chain(&native.positive);
    let in_buckets: f64 = native.zero_count + buckets.clone().map(|bucket| bucket.count).sum::<f64>();
    let is_sound = if native.sum.is_nan() { in_buckets <= native.count } else { in_buckets == native.count };
    let is_whole = is_sound
        && [native.count, native.zero_count].into_iter().chain(buckets.map(|bucket| bucket.count)).all(is_whole);
    message.sample_sum = Some(native.sum);
    message.schema = Some(native.schema);
    message.zero_threshold = Some(native.zero_threshold);
    message.negative_span = spans(&native.negative);
    message.positive_span = spans(&native.positive);
    message.exemplars = native.exemplars.iter().filter_map(|exemplar| exemplar_message(family, exemplar)).collect();
    if is_whole {
        message.sample_count = Some(native.count as u64);
        message.zero_count = Some(native.zero_count as u64);
        message.negative_delta = deltas(&native.negative);
        message.positive_delta = deltas(&native.positive);
    } else {
        message.sample_count_float = Some(native.count);
        message.zero_count_float = Some(native.zero_count);
        message.negative_count = native.negative.iter().map(|bucket| bucket.count).collect();
        message.positive_count = native.positive.iter().map(|bucket| bucket.count).collect();
    }
    if native.negative.is_empty() && native.positive.is_empty() {
        // A span of nothing tells that it is a native histogram all the same.
        message.positive_span = vec![proto::BucketSpan { offset: Some(0), length: Some(0) }];
    }
}

fn spans(buckets: &[NativeBucket]) -> Vec<proto::BucketSpan> {
    let mut spans: Vec<proto::BucketSpan> = Vec::new();
    let mut next = 0i64;
    for bucket in buckets {
        let gap = i64::from(bucket.index) - next;
        match spans.last_mut() {
            Some(span) if gap == 0 => span.length = span.length.map(|length| length + 1),
            // Indices are those of a schema, far within 31 bits.
            _ => spans.push(proto::BucketSpan { offset: Some(gap as i32), length: Some(1) }),
        }
        next = i64::from(bucket.index) + 1;
    }
    spans
}

fn deltas(buckets: &[NativeBucket]) -> Vec<i64> {
    let mut before = 0;
    let mut delta = |bucket: &NativeBucket| {
        let count = bucket.count as i64;
        count - std::mem::replace(&mut before, count)
    };
    buckets.iter().map(&mut delta).collect()
}
