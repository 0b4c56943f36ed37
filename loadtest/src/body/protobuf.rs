//! Bodies in delimited protobuf: the messages of `io.prometheus.client`, written field by field.

use crate::content::{BOUNDS, BUCKETS, COUNT, Content, KINDS, Kind, Place, QUANTILES, SUM};

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;

/// Each bucket's bound is the eighth root of two times the last one's.
const SCHEMA: i64 = 3;
/// What client libraries begin with.
const ZERO_THRESHOLD: f64 = 2.938735877055719e-39;

/// Renders a body: each family with its length before it.
pub fn render(content: &Content, pusher: u64, step: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for kind in KINDS {
        let mut family = Vec::new();
        for index in content.indices(kind) {
            let labels = content.labels(Place { pusher, index, step });
            message(&mut family, 4, &metric(kind, index, &labels));
        }
        if family.is_empty() {
            continue;
        }
        let mut head = Vec::new();
        message(&mut head, 1, kind.family().as_bytes());
        number(&mut head, 3, type_number(kind));
        varint(&mut body, (head.len() + family.len()) as u64);
        body.extend(head);
        body.extend(family);
    }
    body
}

fn type_number(kind: Kind) -> u64 {
    match kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Summary => 2,
        Kind::Histogram | Kind::NativeHistogram => 4,
    }
}

fn metric(kind: Kind, index: usize, labels: &[(&str, String)]) -> Vec<u8> {
    let mut metric = Vec::new();
    for (name, value) in labels {
        let mut pair = Vec::new();
        message(&mut pair, 1, name.as_bytes());
        message(&mut pair, 2, value.as_bytes());
        message(&mut metric, 1, &pair);
    }
    let field = match kind {
        Kind::Gauge => 2,
        Kind::Counter => 3,
        Kind::Summary => 4,
        Kind::Histogram | Kind::NativeHistogram => 7,
    };
    message(&mut metric, field, &value(kind, index));
    metric
}

fn value(kind: Kind, index: usize) -> Vec<u8> {
    let mut value = Vec::new();
    if matches!(kind, Kind::Counter | Kind::Gauge) {
        double(&mut value, 1, Content::value(index) as f64);
        return value;
    }
    number(&mut value, 1, COUNT);
    double(&mut value, 2, SUM);
    match kind {
        Kind::Summary => quantiles(&mut value),
        Kind::NativeHistogram => native_buckets(&mut value),
        _ => buckets(&mut value),
    }
    value
}

fn quantiles(value: &mut Vec<u8>) {
    let mut part = Vec::new();
    for (quantile, at) in QUANTILES {
        part.clear();
        double(&mut part, 1, quantile);
        double(&mut part, 2, at);
        message(value, 3, &part);
    }
}

fn buckets(value: &mut Vec<u8>) {
    let mut part = Vec::new();
    for (bound, count) in BOUNDS.iter().zip(BUCKETS).chain([(&f64::INFINITY, COUNT)]) {
        part.clear();
        number(&mut part, 1, count);
        double(&mut part, 2, *bound);
        message(value, 3, &part);
    }
}

/// Twenty buckets in two runs with a gap between them; the last two count two, the others one.
fn native_buckets(value: &mut Vec<u8>) {
    const SPANS: [(i64, u64); 2] = [(-8, 12), (2, 8)];
    const COUNTS: [i64; 20] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2];
    number(value, 5, zigzag(SCHEMA));
    double(value, 6, ZERO_THRESHOLD);
    for (gap, length) in SPANS {
        let mut span = Vec::new();
        number(&mut span, 1, zigzag(gap));
        number(&mut span, 2, length);
        message(value, 12, &span);
    }
    let (mut deltas, mut before) = (Vec::new(), 0);
    for count in COUNTS {
        varint(&mut deltas, zigzag(count - before));
        before = count;
    }
    message(value, 13, &deltas);
}

/// Small numbers of either sign in few bytes.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | FIXED_64);
    out.extend(value.to_le_bytes());
}

fn message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | LENGTH);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Shape;

    #[test]
    fn numbers_of_any_length() {
        let cases: [(u64, &[u8]); 4] = [(0, &[0]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn numbers_of_either_sign() {
        let cases = [(0, 0), (-1, 1), (1, 2), (-8, 15), (i64::MIN, u64::MAX)];
        cases.iter().for_each(|(number, expected)| assert_eq!(zigzag(*number), *expected, "{number}"));
    }

    #[test]
    fn native_buckets_are_runs_and_differences() {
        let mut value = Vec::new();
        native_buckets(&mut value);
        let spans = [12 << 3 | 2, 4, 8, 15, 16, 12, 12 << 3 | 2, 4, 8, 4, 16, 8];
        let deltas = [&[13 << 3 | 2, 20, 2][..], &[0; 17], &[2, 0]].concat();
        assert_eq!(value[value.len() - spans.len() - deltas.len()..], [&spans[..], &deltas].concat());
    }

    #[test]
    fn a_counter_byte_by_byte() {
        let metric = metric(Kind::Counter, 0, &[("a", "b".to_owned())]);
        let mut expected = vec![0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b', 0x1a, 9, 0x09];
        expected.extend(1f64.to_le_bytes());
        assert_eq!(metric, expected);
    }

    #[test]
    fn a_family_stands_behind_its_length() {
        let content = Content { shape: Shape::Mixed, series: 10, run: "r".into(), is_own: false, churn: 0.0 };
        let body = render(&content, 0, 0);
        let (mut rest, mut families) = (&body[..], 0);
        while !rest.is_empty() {
            let length = usize::from(rest[0] & 0x7f) | usize::from(rest[1]) << 7;
            let family = &rest[2..2 + length];
            assert_eq!(family[0], 0x0a);
            rest = &rest[2 + length..];
            families += 1;
        }
        assert_eq!(families, 4);
    }
}
