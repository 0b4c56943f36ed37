//! The decoder against a naive twin: the generated types, label by label.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::exposition::proto;
use crate::model::labels::GroupLabels;
use crate::model::labels::escape_value;
use crate::model::labels::write_canonical;

/// Canonical labels and value of each sample, and whether the labels were found to be canonical as they came.
type Plain = (String, f64);

fn decoded(body: &[u8]) -> Result<(Vec<Plain>, Vec<bool>), String> {
    let (mut decoded, mut arena, hasher) = (Decoded::default(), Vec::new(), LabelHasher::new());
    // What an earlier push has left must not matter.
    arena.extend_from_slice(&[b'"'; 300]);
    let text =
        decode(body, &Limits::default(), &hasher, &mut arena, &mut decoded).map_err(|error| error.to_string())?;
    let samples = decoded.samples.iter().map(|sample| {
        let (series, labels) = (sample.series, sample.series.labels.of(text));
        if let Some(hash) = series.canonical_hash {
            assert_eq!((labels, hash), (canonical(labels).as_str(), hasher.hash(labels.as_bytes())));
        }
        (canonical(labels), sample.value)
    });
    let samples = samples.collect();
    Ok((samples, decoded.samples.iter().map(|sample| sample.series.canonical_hash.is_some()).collect()))
}

fn canonical(labels: &str) -> String {
    let mut text = String::new();
    write_canonical(&mut text, labels, &GroupLabels::default(), None, 64).expect("labels");
    text
}

fn family(metrics: Vec<proto::Metric>) -> proto::MetricFamily {
    let kind = Some(proto::MetricType::Gauge as i32);
    proto::MetricFamily { name: Some("g".to_owned()), r#type: kind, metric: metrics, ..proto::MetricFamily::default() }
}

fn metric(labels: &[(String, String)], value: f64) -> proto::Metric {
    let pair =
        |(name, value): &(String, String)| proto::LabelPair { name: Some(name.clone()), value: Some(value.clone()) };
    proto::Metric {
        label: labels.iter().map(pair).collect(),
        gauge: Some(proto::Gauge { value: Some(value) }),
        ..proto::Metric::default()
    }
}

/// What the decoder should find, made without it.
fn twin(labels: &[(String, String)]) -> String {
    let labels: BTreeMap<String, &String> = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let is_legacy = crate::model::name::is_legacy_label_name(name);
            (if is_legacy { name.clone() } else { format!("\"{}\"", escape_value(name)) }, value)
        })
        .collect();
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape_value(value))).collect::<Vec<_>>().join(",")
}

/// Mostly the names of one program in their order, with values of any kind and length.
fn any_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![8 => "[a-z0-9/.]{0,40}", 1 => "[ -~é\n]{0,20}", 1 => "x{100,300}"];
    let usual = (
        proptest::sample::subsequence(vec!["code", "handler", "instance_of_a_long_name_that_has_no_end", "job"], 0..5),
        proptest::collection::vec(value.clone(), 4),
    )
        .prop_map(|(names, values)| names.into_iter().map(str::to_owned).zip(values).collect::<Vec<_>>());
    let unusual = proptest::collection::btree_map("[a-c][a-z.]{0,3}", value, 0..5)
        .prop_map(|labels| labels.into_iter().collect::<Vec<_>>())
        .prop_shuffle();
    let few = proptest::sample::subsequence(vec!["a", "b", "c", "é"], 0..4)
        .prop_shuffle()
        .prop_map(|names| names.into_iter().map(|name| (name.to_owned(), "1".to_owned())).collect::<Vec<_>>());
    prop_oneof![4 => usual, 1 => unusual, 4 => few]
}

proptest! {
    #[test]
    fn reads_what_the_generated_types_read(series in proptest::collection::vec((any_labels(), any::<f64>()), 0..20)) {
        let body = family(series.iter().map(|(labels, value)| metric(labels, *value)).collect()).encode_length_delimited_to_vec();
        let (samples, _) = decoded(&body).expect("valid");
        prop_assert_eq!(samples.len(), series.len());
        for ((labels, value), (pushed_labels, pushed)) in samples.iter().zip(&series) {
            prop_assert_eq!(labels, &twin(pushed_labels));
            prop_assert_eq!(value.to_bits(), pushed.to_bits());
        }
    }

    #[test]
    fn any_bytes_end_in_samples_or_in_one_line(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = decoded(&body) {
            prop_assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn a_cut_or_changed_push_does_no_harm(
        series in proptest::collection::vec((any_labels(), any::<f64>()), 1..5),
        cut in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = family(series.iter().map(|(labels, value)| metric(labels, *value)).collect()).encode_length_delimited_to_vec();
        let at = cut.index(body.len());
        prop_assert_eq!(decoded(&body[..at]).is_ok(), at == 0);
        body[at] = byte;
        let _ = std::hint::black_box(decode(&body, &Limits::default(), &LabelHasher::new(), &mut Vec::new(), &mut Decoded::default()).is_ok());
    }
}

#[test]
fn labels_in_order_are_taken_as_they_come() {
    let labels = |values: [&str; 3]| {
        ["a", "b", "c"].map(str::to_owned).into_iter().zip(values.map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut backwards = labels(["1", "2", "3"]);
    backwards.reverse();
    let cases = [
        (labels(["1", "2", "3"]), true),
        (labels(["10", "20", "a longer one than sixteen bytes"]), true),
        (backwards, false),
        (labels(["1", "", "3"]), false),
        (labels(["é", "\\", "3"]), true),
        (vec![], true),
    ];
    let metrics = cases.iter().map(|(labels, _)| metric(labels, 1.0)).collect();
    let (_, canonical) = decoded(&family(metrics).encode_length_delimited_to_vec()).expect("valid");
    assert_eq!(canonical, cases.iter().map(|(_, expected)| *expected).collect::<Vec<_>>());
}

#[test]
fn fields_of_a_family_may_come_in_any_order() {
    let family = proto::MetricFamily {
        help: Some("What \"it\" is".to_owned()),
        unit: Some("seconds".to_owned()),
        ..family(vec![metric(&[], 1.0)])
    };
    let bytes = family.encode_to_vec();
    // As generated: name, help, type, metric, unit. Each field is put to the front once.
    let mut fields: Vec<&[u8]> = Vec::new();
    let mut rest = Fields::new(&bytes);
    while !rest.is_empty() {
        let start = rest.at();
        let tag = rest.tag().expect("a tag").expect("a field");
        rest.pass(tag, "MetricFamily").expect("a value");
        fields.push(&bytes[start..rest.at()]);
    }
    for _ in 0..fields.len() {
        fields.rotate_left(1);
        let message = fields.concat();
        let mut body = vec![message.len() as u8];
        body.extend(message);
        let (mut decoded, mut arena) = (Decoded::default(), Vec::new());
        let text = decode(&body, &Limits::default(), &LabelHasher::new(), &mut arena, &mut decoded).expect("valid");
        let declared = decoded.families[0];
        assert_eq!((declared.name.text.of(text), declared.kind), ("g", MetricKind::Gauge));
        assert_eq!(declared.help.map(|help| help.of(text)), Some("What \\\"it\\\" is"));
        assert_eq!(declared.unit.map(|unit| unit.of(text)), Some("seconds"));
        assert_eq!(decoded.samples.len(), 1);
    }
}

/// A label that stands behind its metric's end must not be taken for one of it, though the next bytes are the metric before's.
#[test]
fn labels_end_with_their_metric() {
    let labels = vec![("a".to_owned(), "1".to_owned())];
    let metrics = [metric(&labels, 1.0), metric(&[], 2.0)].map(|metric| metric.encode_to_vec());
    let pair = &metrics[0][..8];
    // The second metric is empty of labels, and the family goes on with a field that looks like the first one's label.
    let mut message = family(Vec::new()).encode_to_vec();
    for metric in &metrics {
        message.extend([0x22, metric.len() as u8]);
        message.extend(metric);
    }
    message.extend([0x22, 0]);
    message.extend(pair);
    message.extend([b' '; 40]);
    let mut body = vec![message.len() as u8];
    body.extend(message);
    assert_eq!(decoded(&body).map_err(|error| error.contains("metric 3")), Err(true));
}

/// What is short on the wire may be long in memory: each part counts.
#[test]
fn the_parts_of_a_push_are_counted() {
    let limits = Limits { samples: 5, ..Limits::default() };
    let refused = |family: proto::MetricFamily, copies: usize| {
        let body = family.encode_length_delimited_to_vec().repeat(copies);
        let mut decoded = Decoded::default();
        decode(&body, &limits, &LabelHasher::new(), &mut Vec::new(), &mut decoded)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let histogram = |histogram: proto::Histogram| proto::MetricFamily {
        r#type: Some(proto::MetricType::Histogram as i32),
        ..family(vec![proto::Metric { histogram: Some(histogram), ..proto::Metric::default() }])
    };
    let spans = vec![proto::BucketSpan { offset: Some(0), length: Some(4) }];
    let parts = [
        (family(vec![]), 6),
        (family(vec![metric(&[], 1.0); 5]), 1),
        (histogram(proto::Histogram { bucket: vec![proto::Bucket::default(); 4], ..proto::Histogram::default() }), 1),
        (
            histogram(proto::Histogram {
                positive_delta: vec![0; 4],
                positive_span: spans.clone(),
                ..proto::Histogram::default()
            }),
            1,
        ),
        (
            histogram(proto::Histogram {
                negative_count: vec![0.0; 4],
                negative_span: spans,
                ..proto::Histogram::default()
            }),
            1,
        ),
    ];
    for (family, copies) in parts {
        let error = refused(family.clone(), copies).expect_err("too many");
        assert!(
            error.ends_with("expected at most 5 families, metrics, buckets and quantiles in a push, got more"),
            "{error}"
        );
    }
    assert_eq!(refused(family(vec![]), 5), Ok(()));
    let many = histogram(proto::Histogram {
        exemplars: vec![proto::Exemplar::default(); 20_000],
        ..proto::Histogram::default()
    });
    let error = refused(many, 1).expect_err("too many");
    assert_eq!(error, "metric 1: expected at most 16384 spans and exemplars, got more");
}
