//! Datagrams by tables.

use super::*;
use crate::exposition::decoded::NameOwner;

const DECLARATIONS: &str = r#"{
    "counters": [{"metric_name": "c", "labels": ["a"]}, {"metric_name": "bare"}],
    "gauges": [{"metric_name": "g", "labels": ["b", "a"]}],
    "histograms": [{"metric_name": "h", "buckets": [1, 2]}],
    "summaries": [{"metric_name": "s"}]
}"#;

/// What is read of datagrams, and what is not.
fn read(datagrams: &[&str], declarations: Option<&Declarations>) -> (Vec<String>, Vec<String>) {
    let kind_of = |name: &str| match name {
        "known_counter" => Some(MetricKind::Counter),
        "known_summary" => Some(MetricKind::Summary),
        "known_info" => Some(MetricKind::Info),
        _ => None,
    };
    let known = KnownFamilies { declarations, kind_of: &kind_of };
    let (mut arena, mut decoded, mut refused) = (Vec::new(), Decoded::default(), Vec::new());
    let limits = Limits { samples: 10, ..Limits::default() };
    let bytes = datagrams.iter().map(|datagram| datagram.as_bytes());
    decode(bytes, known, &limits, &LabelHasher::new(), &mut arena, &mut decoded, |index, fault| {
        refused.push(format!("{index}: {fault}"));
    });
    let text = text_of(&arena).expect("text");
    let name = |name: u32| {
        let NameOwner::Declared(family, _) = decoded.names[name as usize].owner else { panic!("a declared name") };
        let family = &decoded.families[family as usize];
        let sign = if family.change == crate::exposition::decoded::NumberChange::Add { "+=" } else { "=" };
        format!("{} {} {sign}", family.kind.name(), family.name.text.of(text))
    };
    let samples = decoded.samples.iter().map(|sample| (sample.series, sample.value, None));
    let observations = decoded.observations.iter().map(|of| (of.series, of.value, of.bounds));
    let shown = samples.chain(observations).map(|(series, value, bounds)| {
        let bounds = bounds.map(|bounds| format!(" {:?}", decoded.bounds[bounds as usize])).unwrap_or_default();
        format!("{} {value} {{{}}}{bounds}", name(series.name), series.labels.of(text))
    });
    (shown.collect(), refused)
}

#[test]
fn what_a_metric_is_need_not_be_said() {
    let cases: &[(&str, &[&str])] = &[
        (r#"{"metric_name": "x", "payload": {"labels": {"b": "2", "a": "1"}}}"#, &[r#"counter x = 1 {a="1",b="2"}"#]),
        (r#"{"metric_name": "x"}"#, &["counter x = 1 {}"]),
        (r#"{"metric_name": "x", "payload": {"value": 65.4}}"#, &["gauge x = 65.4 {}"]),
        (r#"{"metric_name": "x", "payload": {"operation": "set", "value": 2}}"#, &["gauge x = 2 {}"]),
        (r#"{"metric_name": "x", "payload": {"operation": "increment"}}"#, &["gauge x += 1 {}"]),
        (r#"{"metric_name": "x", "payload": {"operation": "decrement", "value": 3}}"#, &["gauge x += -3 {}"]),
        (r#"{"metric_name": "x", "payload": {"observation": 0.5}}"#, &["histogram x = 0.5 {}"]),
        (r#"{"metric_name": "x", "type": "summary", "payload": {"observation": 0.5}}"#, &["summary x = 0.5 {}"]),
        (
            r#"{"metric_name": "x", "type": "counter", "payload": {"value": 5, "operation": "increment"}}"#,
            &["counter x = 5 {}"],
        ),
        (r#"{"metric_name": "known_counter", "payload": {"value": 5}}"#, &["counter known_counter = 5 {}"]),
        (r#"{"metric_name": "known_summary", "payload": {"observation": 5}}"#, &["summary known_summary = 5 {}"]),
        (r#"{"metric_name": "known_info", "payload": {"value": 5}}"#, &["gauge known_info = 5 {}"]),
        (
            "{\"metric_name\": \"x\"}\n{\"metric_name\": \"y\", \"payload\": {\"value\": 1}}\n",
            &["counter x = 1 {}", "gauge y = 1 {}"],
        ),
        (r#"{"metric_name": "x"}{"metric_name": "x"}"#, &["counter x = 1 {}", "counter x = 1 {}"]),
        (
            r#"{"metric_name": "x", "payload": {"labels": null, "value": null, "more": [1]}, "more": {}}"#,
            &["counter x = 1 {}"],
        ),
    ];
    for (datagram, expected) in cases {
        let (shown, refused) = read(&[*datagram], None);
        assert_eq!(
            (shown.iter().map(String::as_str).collect::<Vec<_>>(), refused.len()),
            (expected.to_vec(), 0),
            "{datagram}: {refused:?}"
        );
    }
}

#[test]
fn declared_metrics_are_what_they_are_declared_to_be() {
    let declarations = Declarations::parse("file", DECLARATIONS).expect("good");
    let datagrams = [
        r#"{"metric_name": "c", "payload": {"labels": {"a": "1"}, "value": 2}}"#,
        r#"{"metric_name": "c", "payload": {"labels": {"b": "1"}}}"#,
        r#"{"metric_name": "c", "payload": {}}"#,
        r#"{"metric_name": "c", "payload": {"labels": {"a": "1", "b": "2"}}}"#,
        r#"{"metric_name": "other", "payload": {}}"#,
        r#"{"metric_name": "bare"}"#,
        r#"{"metric_name": "g", "payload": {"labels": {"a": "", "b": "2"}, "value": 1}}"#,
        r#"{"metric_name": "h", "payload": {"observation": 1.5}}"#,
        r#"{"metric_name": "s", "payload": {"observation": 1.5}}"#,
        r#"{"metric_name": "bare", "type": "gauge", "payload": {"value": 1}}"#,
        r#"{"metric_name": "bare", "payload": {"operation": "decrement"}}"#,
        r#"{"metric_name": "h", "payload": {}}"#,
        r#"{"metric_name": "g", "payload": {"labels": {"a": "1", "b": "2"}}}"#,
    ];
    let (shown, refused) = read(&datagrams, Some(&declarations));
    let expected = [
        r#"counter c = 2 {a="1"}"#,
        "counter bare = 1 {}",
        r#"gauge g = 1 {b="2"}"#,
        "histogram h = 1.5 {}",
        "summary s = 1.5 {}",
    ];
    assert_eq!(shown, expected);
    let expected = [
        "1: observation 1: expected the labels [a] of c, got [b]",
        "2: observation 1: expected the labels [a] of c, got []",
        "3: observation 1: expected the labels [a] of c, got [a, b]",
        "4: observation 1: expected a declared metric, got other",
        "9: observation 1: expected the type counter of bare, got another",
        "10: observation 1: expected a counter to be incremented, got another operation",
        "11: observation 1: expected an observation, got none",
        "12: observation 1: expected a value, got none",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn a_datagram_is_read_whole_or_not_at_all() {
    let datagrams = [
        "{\"metric_name\": \"a\"}",
        "{\"metric_name\": \"b\", \"description\": \"B\"} {\"metric_name\": \"a\", \"description\": \"A\"} {",
        "{\"metric_name\": \"b\"} x",
        "",
        "[]",
        "{\"metric_name\": \"b\", \"payload\": {\"labels\": {\"x\": {}}}}",
        "{\"metric_name\": \"b\", \"payload\": {\"value\": NaN, \"operation\": \"increment\"}}",
        "{\"metric_name\": \"b\", \"type\": \"info\"}",
        "{\"metric_name\": \"b\", \"payload\": {\"operation\": \"add\"}}",
        "{\"payload\": {}}",
        "{\"metric_name\": \"b\", \"metric_name\": \"b\"}",
        "{\"metric_name\": \"a\"}",
    ];
    let (shown, refused) = read(&datagrams, None);
    assert_eq!(shown, ["counter a = 1 {}", "counter a = 1 {}"]);
    assert_eq!(refused.len(), datagrams.len() - 2, "{refused:?}");
    let many = "{\"metric_name\": \"a\"}".repeat(11);
    let (shown, refused) = read(&[&many, "{\"metric_name\": \"a\"}"], None);
    assert_eq!(
        (shown.len(), refused),
        (1, vec!["0: observation 10: expected at most 10 observations in a push, got more".to_owned()])
    );
}

#[test]
fn what_was_taken_for_something_stays_so() {
    let later = r#"{"metric_name": "x", "payload": {"value": 2}}"#;
    let both = format!("{{\"metric_name\": \"x\"}}{later}");
    assert_eq!(read(&[&both], None).0, ["counter x = 1 {}", "counter x = 2 {}"]);
    assert_eq!(read(&[r#"{"metric_name": "x"}"#, later], None).0, ["counter x = 1 {}", "counter x = 2 {}"]);
    let said = r#"{"metric_name": "x", "type": "histogram", "payload": {"observation": 1}}{"metric_name": "x", "payload": {"value": 2}}"#;
    assert_eq!(read(&[said], None).0, ["histogram x = 1 {}", "histogram x = 2 {}"]);
    // Not by what was not taken.
    assert_eq!(read(&[r#"{"metric_name": "x"} {"#, later], None).0, ["gauge x = 2 {}"]);
}

#[test]
fn datagrams_that_come_again_are_read_as_before() {
    let datagrams: Vec<String> = (0..40)
        .map(|number| match number % 13 {
            12 => r#"{"metric_name": "h", "payload": {"observation": 1}}"#.to_owned(),
            11 => r#"{"metric_name": "two"}{"metric_name": "two"}"#.to_owned(),
            10 => "bad".to_owned(),
            label => format!("{{\"metric_name\": \"c\", \"payload\": {{\"labels\": {{\"a\": \"{label}\"}}}}}}"),
        })
        .collect();
    let datagrams: Vec<&str> = datagrams.iter().map(String::as_str).collect();
    let (mut together, unread) = read(&datagrams, None);
    let mut alone: Vec<String> = datagrams.iter().flat_map(|datagram| read(&[*datagram], None).0).collect();
    together.sort();
    alone.sort();
    assert_eq!((together, unread.len()), (alone, 3));
}

#[test]
fn limits_are_those_of_a_datagram() {
    let many = "{\"metric_name\": \"a\"}".repeat(10);
    assert_eq!(read(&[&many, &many, &many], None).0.len(), 30);
}
