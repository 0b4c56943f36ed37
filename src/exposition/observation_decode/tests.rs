//! Observations by tables.

use super::*;
use crate::exposition::decoded::NameOwner;
use crate::model::labels::unescape;

fn decoded(kind: ObservationKind, body: &str, limits: &Limits) -> std::result::Result<Vec<String>, String> {
    let (mut arena, mut decoded) = (Vec::new(), Decoded::default());
    let hasher = LabelHasher::new();
    let text =
        decode(kind, body.as_bytes(), limits, &hasher, &mut arena, &mut decoded).map_err(|error| error.to_string())?;
    let name = |name: u32| {
        let NameOwner::Declared(family, _) = decoded.names[name as usize].owner else { panic!("a declared name") };
        let family = &decoded.families[family as usize];
        let help = family.help.map(|help| format!(" ({})", help.of(text))).unwrap_or_default();
        let sign = if family.change == NumberChange::Add { " +=" } else { " =" };
        format!("{}{help}{sign}", unescape(family.name.text.of(text)))
    };
    let numbers = decoded.samples.iter().map(|sample| {
        let labels = sample.series.labels.of(text);
        assert_eq!(
            sample.series.canonical_hash,
            Some(hasher.hash(labels.as_bytes())).filter(|_| !labels.contains("\"=\""))
        );
        format!("{} {} {{{labels}}}", name(sample.series.name), sample.value)
    });
    let observations = decoded.observations.iter().map(|observation| {
        let bounds =
            observation.bounds.map(|bounds| format!(" {:?}", decoded.bounds[bounds as usize])).unwrap_or_default();
        let labels = observation.series.labels.of(text);
        format!("{} {} {{{labels}}}{bounds}", name(observation.series.name), observation.value)
    });
    Ok(numbers.chain(observations).collect())
}

use ObservationKind::{Counter, GaugeDecrement, GaugeIncrement, GaugeSet, Histogram, Summary};

#[test]
fn observations_are_read() {
    let cases: &[(ObservationKind, &str, &[&str])] = &[
        (Counter, r#"{"name": "a"}"#, &["a = 1 {}"]),
        (Counter, r#"{"name": "a", "value": 2.5, "labels": {"b": "x", "a": "y"}}"#, &[r#"a = 2.5 {a="y",b="x"}"#]),
        (Counter, "{name: 'a', labels: null, value: null, description: null, other: [{}], }", &["a = 1 {}"]),
        (GaugeIncrement, r#"{"name": "g"}"#, &["g += 1 {}"]),
        (GaugeDecrement, r#"[{"name": "g"}, {"name": "g", "value": -2}]"#, &["g += -1 {}", "g += 2 {}"]),
        (GaugeSet, r#"{"name": "g", "value": "+Inf"}"#, &["g = inf {}"]),
        (GaugeSet, r#"{"name": "g", "value": NaN}"#, &["g = NaN {}"]),
        (Summary, r#"{"name": "s", "value": .5, "buckets": [2, 1]}"#, &["s = 0.5 {}"]),
        (Histogram, r#"{"name": "h", "value": 1}"#, &["h = 1 {}"]),
        (
            Histogram,
            r#"{"name": "h", "value": 1, "buckets": [.5, "1", 5e0, +Inf]}"#,
            &["h = 1 {} [0.5, 1.0, 5.0, inf]"],
        ),
        (Histogram, r#"{"name": "h", "value": 1, "bucket": []}"#, &["h = 1 {}"]),
        (
            Histogram,
            r#"[{"name": "h", "value": 1, "buckets": [-0.0, 1]}, {"name": "h", "value": 2, "buckets": [0, 1]}]"#,
            &["h = 1 {} [0.0, 1.0, inf]", "h = 2 {} [0.0, 1.0, inf]"],
        ),
        (
            Counter,
            r#"[{"name": "a"}, {"name": "b", "description": "B\n"}, {"name": "a", "description": "A"}]"#,
            &["a (A) = 1 {}", "b (B\\n) = 1 {}", "a (A) = 1 {}"],
        ),
        (
            Counter,
            r#"{"name": "a b\\", "labels": {"x y": "\"", "c": "\\\n", "d": ""}}"#,
            &[r#"a b\ = 1 {c="\\\n","x y"="\""}"#],
        ),
        (Counter, r#"{"name": "a", "labels": {"code": 200, "ok": true}}"#, &[r#"a = 1 {code="200",ok="true"}"#]),
        (Counter, "[]", &[]),
    ];
    for (kind, body, expected) in cases {
        let read = decoded(*kind, body, &Limits::default());
        assert_eq!(
            read.as_deref().map_err(String::as_str),
            Ok(&expected.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()[..]),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_observation_is_refused_in_one_line() {
    let limits = Limits { samples: 2, labels: 1, name_length: 4, value_length: 3, ..Limits::default() };
    let cases = [
        (Counter, "", "observation 1: expected an observation such as {\"name\": \"requests_total\"}, got end of body"),
        (
            Counter,
            "a 1\n",
            "observation 1: expected an observation such as {\"name\": \"requests_total\"}, got \"a 1\"",
        ),
        (Counter, "{}", "observation 1: expected a name, got none"),
        (Counter, r#"{"name": null}"#, "observation 1: expected a name, got none"),
        (Counter, r#"{"name": ""}"#, "observation 1: expected a metric name that is not empty, got \"\""),
        (Counter, r#"{"name": 1}"#, "observation 1: expected a metric name as a string, got \"1}\""),
        (Counter, r#"{"name": "a", "name": "b"}"#, "observation 1: expected each member once, got \"\\\"b\\\"}\""),
        (
            Counter,
            r#"{"name": "a", "labels": {}, "labels": {}}"#,
            "observation 1: expected each member once, got \"{}}\"",
        ),
        (Counter, r#"{"name": "a", "value": true}"#, "observation 1: expected a number as value, got \"true}\""),
        (Counter, r#"{"name": "a"} x"#, "observation 1: expected nothing more, got \"x\""),
        (
            Counter,
            r#"[{"name": "a"}, 1]"#,
            "observation 2: expected an observation such as {\"name\": \"requests_total\"}, got \"1]\"",
        ),
        (
            Counter,
            r#"[{"name": "a"} {"name": "a"}]"#,
            "observation 1: expected ',' or ']', got \"{\\\"name\\\": \\\"a\\\"}]\"",
        ),
        (
            Counter,
            r#"[{"name":"a"},{"name":"a"},{"name":"a"}]"#,
            "observation 2: expected at most 2 observations in a push, got more",
        ),
        (GaugeIncrement, r#"{"name": "a", "value": NaN}"#, "observation 1: expected a number to add, got NaN"),
        (GaugeSet, r#"{"name": "a"}"#, "observation 1: expected a value, got none"),
        (Summary, r#"{"name": "a"}"#, "observation 1: expected a value, got none"),
        (Histogram, r#"{"name": "a", "value": "NaN"}"#, "observation 1: expected a number to add, got NaN"),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "buckets": [1, 1]}"#,
            "observation 1: expected buckets in ascending order, got 1 before 1",
        ),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "buckets": [2, 1]}"#,
            "observation 1: expected buckets in ascending order, got 2 before 1",
        ),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "buckets": [NaN]}"#,
            "observation 1: expected buckets in ascending order, got NaN before inf",
        ),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "buckets": 5}"#,
            "observation 1: expected an array of buckets, got \"5}\"",
        ),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "buckets": [{}]}"#,
            "observation 1: expected a number as bucket, got \"{}]}\"",
        ),
        (
            Histogram,
            r#"{"name": "a", "value": 1, "labels": {"le": "1"}}"#,
            "observation 1: expected no label le on an observation, got le=\"1\"",
        ),
        (
            Summary,
            r#"{"name": "a", "value": 1, "labels": {"quantile": "1"}}"#,
            "observation 1: expected no label quantile on an observation, got quantile=\"1\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"b": {}}}"#,
            "observation 1: expected a string as value of a label, got \"{}}}\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"b": null}}"#,
            "observation 1: expected a string as value of a label, got \"null}}\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": ["b"]}"#,
            "observation 1: expected an object of labels, got \"[\\\"b\\\"]}\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"": "x"}}"#,
            "observation 1: expected a label name that is not empty and does not begin with \"__\", got \"\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"__a": "x"}}"#,
            "observation 1: expected a label name that is not empty and does not begin with \"__\", got \"__a\"",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"b": "1", "c": "2"}}"#,
            "observation 1: expected at most 1 labels, got \" \\\"2\\\"}}\"",
        ),
        (Counter, r#"{"name": "abcde"}"#, "observation 1: expected a metric name of at most 4 bytes, got 5"),
        (
            Counter,
            r#"{"name": "a", "labels": {"abcde": "x"}}"#,
            "observation 1: expected a label name of at most 4 bytes, got 5",
        ),
        (
            Counter,
            r#"{"name": "a", "labels": {"b": "abcd"}}"#,
            "observation 1: expected a label value of at most 3 bytes, got 4",
        ),
    ];
    for (kind, body, expected) in cases {
        assert_eq!(decoded(kind, body, &limits).expect_err(body), expected, "{body}");
    }
    let twice = decoded(Counter, r#"{"name": "a", "labels": {"b": "1", "a": "2", "b": "3"}}"#, &Limits::default());
    assert_eq!(twice, Err("observation 1: expected each label once, got b twice".to_owned()));
    let bounds: Vec<String> = (0..=MOST_BUCKETS).map(|bound| bound.to_string()).collect();
    let many = format!("{{name: 'a', value: 1, buckets: [{}]}}", bounds.join(","));
    assert_eq!(
        decoded(Histogram, &many, &Limits::default()),
        Err("observation 1: expected at most 1000 buckets in a histogram, got 1002".to_owned())
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let (mut arena, mut decoded) = (Vec::new(), Decoded::default());
    let outcome =
        decode(Counter, b"{\"name\": \"\xff\"}", &Limits::default(), &LabelHasher::new(), &mut arena, &mut decoded);
    assert!(outcome.is_err_and(|error| error.to_string().contains("expected UTF-8, got byte 0xff")));
}
