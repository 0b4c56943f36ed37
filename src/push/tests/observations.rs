//! Observations, assembled by tables and against naive twins.

use super::*;
use crate::exposition::observation_decode::ObservationKind::{
    self, Counter, GaugeDecrement, GaugeIncrement, GaugeSet, Histogram as HistogramKind, Summary as SummaryKind,
};

fn observed(fixture: &Fixture, kind: ObservationKind, body: &str) -> Result<Assembled, PushError> {
    fixture.assemble_as(PushFormat::Observations(kind), body.as_bytes(), &GroupLabels::default())
}

fn rule(of: impl FnOnce(&mut Rule)) -> Vec<Rule> {
    let mut rule = Rule::new(1, "x").expect("a glob");
    of(&mut rule);
    vec![rule]
}

#[test]
fn a_series_is_in_a_push_once_however_often_it_is_observed() {
    let twice =
        |value: &str| format!("[{{name: 'x', value: 1}}, {{name: 'y', value: 5}}, {{name: 'x', value: {value}}}]");
    let cases = [
        (Counter, "2", "3"),
        (GaugeIncrement, "-3", "-2"),
        (GaugeDecrement, "2", "-3"),
        (GaugeSet, "2", "2"),
        (HistogramKind, "2", "[1.0, 2.0] into Buckets(None)"),
        (SummaryKind, "2", "[1.0, 2.0] into Quantiles(None)"),
    ];
    for (kind, value, expected) in cases {
        let push = observed(&Fixture::new(3), kind, &twice(value)).expect("good");
        assert_eq!(contents(&push)["x{}"], expected, "{kind:?}");
        assert_eq!(
            (push.families.iter().map(|family| family.series).collect::<Vec<_>>(), push.samples),
            (vec![1, 1], 3)
        );
    }
}

#[test]
fn other_buckets_are_kept_apart() {
    let body = "[{name: 'x', value: 1, buckets: [1]}, {name: 'x', value: 2}, {name: 'x', value: 3, buckets: [1]}]";
    let push = observed(&Fixture::new(1), HistogramKind, body).expect("good");
    let expected = ["[1.0, 3.0] into Buckets(Some([1.0, inf]))", "[2.0] into Buckets(None)"];
    let updates: Vec<String> = updates(&push).into_iter().map(|(_, update)| update).collect();
    assert_eq!(updates, expected);
    assert_eq!(push.families[0].series, 1);
}

#[test]
fn increments_are_added_whatever_the_rule_for_gauges() {
    for policy in [GaugePolicy::Last, GaugePolicy::Sum] {
        let fixture = Fixture::new(1).with_rules(rule(|rule| rule.gauge = Some(policy)));
        let push = observed(&fixture, GaugeIncrement, "{name: 'x'}").expect("good");
        assert_eq!(series_rules(&push)["x{}"].numbers, NumberRule::Add);
    }
    for policy in [GaugePolicy::Min, GaugePolicy::Max, GaugePolicy::Mean] {
        let fixture = Fixture::new(1).with_rules(rule(|rule| rule.gauge = Some(policy)));
        let refused =
            observed(&fixture, GaugeIncrement, "[{name: 'y'}, {name: 'x'}]").expect_err("a window").to_string();
        let expected =
            "observation 2: expected a value for x, which shows what was set and is not added up, got an increment";
        assert_eq!(refused, expected);
        let of_some = |rule: &mut Rule| {
            rule.gauge = Some(policy);
            rule.match_label("a", "1").expect("a glob");
        };
        let fixture = Fixture::new(1).with_rules(rule(of_some));
        let one = |label: &str| format!("{{name: 'x', labels: {{a: '{label}'}}}}");
        assert_eq!(
            observed(&fixture, GaugeIncrement, &one("1")).expect_err("a window").to_string(),
            expected.replace('2', "1")
        );
        let push = observed(&fixture, GaugeIncrement, &one("2")).expect("good");
        assert_eq!(series_rules(&push)["x{a=\"2\"}"].numbers, NumberRule::Add);
        assert!(observed(&fixture, GaugeSet, &format!("{{value: 1, {}", &one("1")[1..])).is_ok());
    }
}

#[test]
fn what_is_set_several_times_is_kept_for_a_window() {
    let fixture = Fixture::new(1).with_rules(rule(|rule| rule.gauge = Some(GaugePolicy::Mean)));
    let push = observed(&fixture, GaugeSet, "[{name: 'x', value: 1}, {name: 'x', value: 3}]").expect("good");
    assert_eq!(updates(&push), [("x{}".to_owned(), "1".to_owned()), ("x{}".to_owned(), "3".to_owned())]);
}

#[test]
fn rules_are_met_by_observations() {
    let quantiles = |rule: &mut Rule| {
        rule.quantiles = Some([0.5].into());
        rule.window = Some(7);
    };
    let push =
        observed(&Fixture::new(1).with_rules(rule(quantiles)), SummaryKind, "{name: 'x', value: 1}").expect("good");
    let of = |push: &Assembled| push.batches[0].observations[0].rule.clone();
    let expected = crate::model::value::QuantileRule { quantiles: [0.5].into(), window: 7 };
    assert_eq!(of(&push), crate::aggregate::ObservationRule::Quantiles(Some(expected)));

    let dropped = Fixture::new(1).with_rules(rule(|rule| rule.drops = true));
    let push = observed(&dropped, HistogramKind, "[{name: 'x', value: 1}, {name: 'x', value: 2}]").expect("good");
    assert_eq!((push.series(), push.discarded_samples, push.families.len()), (0, 2, 0));

    let merged =
        Fixture::new(2).with_rules(rule(|rule| rule.labels = crate::rules::LabelFilter::Drop(vec!["a".into()])));
    let body = "[{name: 'x', value: 1, labels: {a: 1}}, {name: 'x', value: 2, labels: {a: 2}}]";
    for kind in [Counter, HistogramKind] {
        let push = observed(&merged, kind, body).expect("good");
        assert_eq!((updates(&push).len(), push.families[0].series), (2, 1), "{kind:?}");
    }

    let mut discarding = Fixture::new(1);
    discarding.rules.summaries = SummaryPolicy::Discard;
    let push = observed(&discarding, SummaryKind, "[{name: 'x', value: 1}, {name: 'x', value: 2}]").expect("good");
    assert_eq!((push.series(), push.discarded_samples), (0, 2));
}

#[test]
fn faults_say_which_observation() {
    let fixture = Fixture::new(1);
    fixture.push("# TYPE s summary\ns_sum 1\ns_count 1\n").expect("good");
    for (kind, body, expected) in [
        (
            Counter,
            "[{name: 'x'}, {name: 'x', value: -1}]",
            "observation 2: expected a counter increment of at least 0, got -1",
        ),
        (Counter, "[{name: 'x'}, {name: 's'}]", "observation 2: expected TYPE summary for s, got counter"),
        (
            Counter,
            "[{name: 'x'}, {name: 's_count'}]",
            "observation 2: expected counter s_count to have sample names of its own, got s_count, which belongs to s",
        ),
        (
            Counter,
            "{name: 'x', labels: {'a-b': 1, a_b: 2}}",
            "observation 1: expected label names that differ when escaped, got \"a-b\" and a_b",
        ),
    ] {
        assert_eq!(observed(&fixture, kind, body).expect_err(body).to_string(), expected);
    }
}

proptest! {
    #[test]
    fn numbers_are_added_as_a_naive_twin_adds_them(
        increments in prop::collection::vec((0u8..3, 0u8..3, 0u8..9), 0..40),
        shards in 1usize..4,
    ) {
        let observation = |(name, label, value): &(u8, u8, u8)| {
            format!("{{\"name\": \"n{name}\", \"labels\": {{\"b\": \"{label}\", \"a\": \"1\"}}, \"value\": {value}}}")
        };
        let body = format!("[{}]", increments.iter().map(observation).collect::<Vec<_>>().join(","));
        let push = observed(&Fixture::new(shards), Counter, &body).expect("good");
        let mut twin: BTreeMap<String, u32> = BTreeMap::new();
        for (name, label, value) in &increments {
            *twin.entry(format!("n{name}{{a=\"1\",b=\"{label}\"}}")).or_default() += u32::from(*value);
        }
        let twin: BTreeMap<String, String> = twin.into_iter().map(|(series, sum)| (series, sum.to_string())).collect();
        prop_assert_eq!(contents(&push), twin);
        prop_assert_eq!(push.samples, increments.len() as u64);
    }
}

#[test]
fn what_is_set_takes_the_place_of_what_is_there() {
    let of = |policy| Fixture::new(1).with_rules(rule(|rule| rule.gauge = Some(policy)));
    for policy in [GaugePolicy::Sum, GaugePolicy::Last] {
        let push = observed(&of(policy), GaugeSet, "{name: 'x', value: 1}").expect("good");
        assert_eq!(series_rules(&push)["x{}"].numbers, NumberRule::Last, "{policy:?}");
    }
    let push = observed(&of(GaugePolicy::Max), GaugeSet, "{name: 'x', value: 1}").expect("good");
    assert!(matches!(series_rules(&push)["x{}"].numbers, NumberRule::Window(_)));
}

#[test]
fn a_series_own_mode_holds_unless_it_contradicts() {
    let mut fixture = Fixture::new(1);
    fixture.rules.mode_label = Some("mode".into());
    let body = |mode: &str| format!("{{name: 'x', value: 1, labels: {{mode: '{mode}'}}}}");
    for (kind, mode, expected) in [
        (GaugeIncrement, "sum", Some(NumberRule::Add)),
        (GaugeSet, "sum", Some(NumberRule::Add)),
        (GaugeSet, "replace", Some(NumberRule::Last)),
        (GaugeIncrement, "replace", None),
        (GaugeDecrement, "max", None),
        (GaugeIncrement, "family", None),
        (Counter, "replace", Some(NumberRule::Last)),
    ] {
        let numbers = observed(&fixture, kind, &body(mode)).map(|push| series_rules(&push)["x{}"].numbers);
        assert_eq!(numbers.ok(), expected, "{kind:?} {mode}");
    }
}

#[test]
fn series_that_escaping_makes_one_are_refused() {
    let body = "[{name: 'x', value: 1, labels: {'a b': 1}}, {name: 'x', value: 1, labels: {a_b: 1}}]";
    for kind in [Counter, GaugeSet, HistogramKind, SummaryKind] {
        let refused = observed(&Fixture::new(1), kind, body).expect_err("twins").to_string();
        assert!(refused.starts_with("observation 2: expected each series once in a push, got x"), "{refused}");
    }
}

#[test]
fn what_is_declared_holds_however_it_is_observed() {
    let mut fixture = Fixture::new(1);
    let text = r#"{"histograms": [{"metric_name": "h", "buckets": [1, 2]}], "summaries": [{"metric_name": "s", "quantiles": [0.5]}]}"#;
    fixture.rules.declarations = Some(Arc::new(Declarations::parse("f", text).expect("good")));
    let of = |kind, body: &str| updates(&observed(&fixture, kind, body).expect("good"))[0].1.clone();
    assert_eq!(of(HistogramKind, "{name: 'h', value: 1}"), "[1.0] into Buckets(Some([1.0, 2.0, inf]))");
    assert_eq!(of(HistogramKind, "{name: 'h', value: 1, buckets: [5]}"), "[1.0] into Buckets(Some([5.0, inf]))");
    let quantiles = "[1.0] into Quantiles(Some(QuantileRule { quantiles: [0.5], window: 1000 }))";
    assert_eq!(of(SummaryKind, "{name: 's', value: 1}"), quantiles);
}
