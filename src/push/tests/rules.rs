//! Rules of the configuration: which series they are for, what they change, and series that fall together without labels.

use super::*;
use crate::aggregate::NumberRule;
use crate::rules::LabelFilter;

fn rule(family: &str, labels: &[(&str, &str)]) -> Rule {
    let mut rule = Rule::new(1, family).expect("a glob");
    for (name, value) in labels {
        rule.match_label(name, value).expect("a glob");
    }
    rule
}

fn changed(mut rule: Rule, change: impl FnOnce(&mut Rule)) -> Rule {
    change(&mut rule);
    rule
}

fn dropping(family: &str, labels: &[&str]) -> Rule {
    let labels = LabelFilter::Drop(labels.iter().map(|label| (*label).to_owned()).collect());
    changed(rule(family, &[]), |rule| rule.labels = labels)
}

fn keeping(family: &str, labels: &[&str]) -> Rule {
    let labels = LabelFilter::Keep(labels.iter().map(|label| (*label).to_owned()).collect());
    changed(rule(family, &[]), |rule| rule.labels = labels)
}

#[test]
fn the_first_rule_that_a_series_meets_is_its_own() {
    let window = |policy, window| NumberRule::Window(GaugeRule { policy, window });
    let rules = || {
        vec![
            changed(rule("temp_*", &[("zone", "a*"), ("job", "x")]), |rule| {
                (rule.gauge, rule.ttl) = (Some(GaugePolicy::Max), Some(7))
            }),
            changed(rule("temp_*", &[]), |rule| (rule.window, rule.gauge) = (Some(60), Some(GaugePolicy::Min))),
            changed(rule("*", &[]), |rule| rule.gauge = Some(GaugePolicy::Sum)),
        ]
    };
    let body = "# TYPE temp_c gauge\ntemp_c{zone=\"ab\",job=\"y\"} 1\ntemp_c{zone=\"b\"} 1\n# TYPE g gauge\ng 1\n\
                # TYPE c counter\nc 1\n";
    let group = GroupLabels::new([("job".to_owned(), "x".to_owned())]).expect("one label");
    let [ab, b, g, c] =
        ["temp_c{job=\"x\",zone=\"ab\"}", "temp_c{job=\"x\",zone=\"b\"}", "g{job=\"x\"}", "c{job=\"x\"}"];
    let add = NumberRule::Add;
    let live = NumberRule::Live;
    let cases = [
        (
            Door::Aggregate,
            [(ab, window(GaugePolicy::Max, 1000)), (b, window(GaugePolicy::Min, 60)), (g, add), (c, add)],
        ),
        (
            Door::Source,
            [
                (ab, live(GaugePolicy::Max)),
                (b, live(GaugePolicy::Min)),
                (g, live(GaugePolicy::Sum)),
                (c, NumberRule::Running),
            ],
        ),
        (Door::Replace, [ab, b, g, c].map(|series| (series, NumberRule::Last))),
    ];
    for (door, expected) in cases {
        let push = Fixture::new(2).with_rules(rules()).by(door).assemble(body, &group).expect("valid");
        let rules = series_rules(&push);
        let numbers: BTreeMap<&str, NumberRule> =
            rules.iter().map(|(series, rule)| (&**series, rule.numbers)).collect();
        assert_eq!(numbers, expected.into(), "{door:?}");
        let lifetime = if door == Door::Replace { None } else { Some(7) };
        assert_eq!((rules[ab].lifetime, rules[b].lifetime), (lifetime, None), "{door:?}");
        assert_eq!(contents(&push).len(), 4);
        assert_eq!(push.families.iter().map(|family| family.series).sum::<usize>(), 4);
    }
}

#[test]
fn windows_are_those_of_whole_families() {
    let min = |family, labels| changed(rule(family, labels), |rule| rule.gauge = Some(GaugePolicy::Min));
    let sum = changed(rule("a*", &[]), |rule| rule.gauge = Some(GaugePolicy::Sum));
    let mut fixture = Fixture::new(1).with_rules(vec![sum, min("b*", &[("x", "1")]), min("*", &[])]);
    let has_windows = |rules: &PushRules| ["ab", "bc", "c"].map(|family| rules.has_windows(family));
    assert_eq!(has_windows(&fixture.rules), [false, false, true]);
    fixture.rules.mode_label = Some("clearmode".into());
    assert_eq!(has_windows(&fixture.rules), [false, false, false]);
}

#[test]
fn what_a_push_asks_for_wins_over_rules_and_they_over_settings() {
    let cases = [
        (Some(1), Some(2), Some(3), Some(1)),
        (None, Some(2), Some(3), Some(2)),
        (None, None, Some(3), Some(3)),
        (None, None, None, None),
    ];
    for (asked, ttl, setting, expected) in cases {
        for door in Door::ALL {
            let mut fixture = Fixture::new(1).with_rules(vec![changed(rule("x", &[]), |rule| rule.ttl = ttl)]).by(door);
            (fixture.lifetime, fixture.rules.series_lifetime) = (asked, setting);
            let push = fixture.push("x 1\n").expect("valid");
            let expected = expected.filter(|_| door != Door::Replace);
            assert_eq!(series_rules(&push)["x{}"].lifetime, expected, "{door:?}");
        }
    }
}

#[test]
fn dropped_series_are_checked_and_counted() {
    let rules = || {
        vec![
            changed(rule("x*", &[]), |rule| rule.drops = true),
            changed(rule("*", &[("debug", "?*")]), |rule| rule.drops = true),
        ]
    };
    let body = "x 1\nxy 1\nu{debug=\"1\"} 1\nu 2\n# TYPE h histogram\nh_bucket{debug=\"1\",le=\"1\"} 1\n\
                h_sum{debug=\"1\"} 1\nh_sum 3\n";
    for door in Door::ALL {
        let push = Fixture::new(2).with_rules(rules()).by(door).push(body).expect("valid");
        let expected = pairs(&[("h{}", " sum Some(3.0) count None"), ("u{}", "2")]);
        assert_eq!(contents(&push), expected.into_iter().collect(), "{door:?}");
        assert_eq!((push.samples, push.discarded_samples), (7, 5));
        for fault in ["x 1\nx 1\n", "# TYPE x counter\nx{a=\"1\",a=\"2\"} 1\n", "# TYPE xh histogram\nxh_count -1\n"] {
            assert!(Fixture::new(2).with_rules(rules()).by(door).push(fault).is_err(), "{fault}");
        }
    }
}

#[test]
fn families_have_the_least_limit_of_the_rules_they_meet() {
    let limited =
        |max_series, labels: &[(&str, &str)]| changed(rule("x*", labels), |rule| rule.max_series = Some(max_series));
    let rules = || vec![limited(5, &[("a", "1")]), limited(3, &[("a", "2")]), limited(9, &[])];
    let cases = [("x{a=\"1\"} 1\n", 5), ("x{a=\"1\"} 1\nx{a=\"2\"} 1\n", 3), ("x 1\n", 9)];
    for (body, expected) in cases {
        let push = Fixture::new(1).with_rules(rules()).push(&format!("y 1\n{body}")).expect("valid");
        let limits: Vec<_> = push.families.iter().map(|family| family.max_series).collect();
        assert_eq!(limits, [None, Some(expected)], "{body}");
    }
    let by_name = Fixture::new(1).with_rules(vec![limited(4, &[])]).push("x 1\n").expect("valid");
    assert_eq!(by_name.families[0].max_series, Some(4));
}

#[test]
fn series_that_fall_together_are_merged() {
    let numbers = "# TYPE c counter\nc{pod=\"1\"} 1\nc{pod=\"2\"} 5\nc{pod=\"3\"} 2\n";
    let gauges = "# TYPE g gauge\ng{pod=\"1\"} 1\ng{pod=\"2\"} 5\ng{pod=\"3\"} 2\n";
    let histograms = "# TYPE h histogram\nh_bucket{pod=\"1\",le=\"1\"} 1\nh_bucket{pod=\"2\",le=\"1\"} 10\n\
                      h_bucket{pod=\"1\",le=\"2\"} 2\nh_bucket{pod=\"2\",le=\"3\"} 20\nh_count{pod=\"2\"} 30\nh_sum{pod=\"1\"} 4\n\
                      h_count{pod=\"1\"} 3\n";
    let summaries = "# TYPE s summary\ns{pod=\"1\",quantile=\"0.5\"} 1\ns_sum{pod=\"1\"} 1\ns_count{pod=\"2\"} 2\n\
                     s_sum{pod=\"2\"} 3\ns{pod=\"3\",z=\"1\",quantile=\"0.5\"} 7\n";
    let merged_histogram = "1:11 2:12 3:22 inf:33 sum Some(4.0) count Some(33.0)";
    type Expected<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Door, &str, Expected<'_>)] = &[
        (Door::Aggregate, numbers, &[("c{}", "1"), ("c{}", "5"), ("c{}", "2")]),
        (Door::Source, numbers, &[("c{}", "1"), ("c{}", "5"), ("c{}", "2")]),
        (Door::Replace, numbers, &[("c{}", "8")]),
        (Door::Aggregate, gauges, &[("g{}", "1"), ("g{}", "5"), ("g{}", "2")]),
        (Door::Source, gauges, &[("g{}", "1"), ("g{}", "5"), ("g{}", "2")]),
        (Door::Replace, gauges, &[("g{}", "2")]),
        (
            Door::Aggregate,
            histograms,
            &[
                ("h{}", "1:1 2:2 inf:3 sum Some(4.0) count Some(3.0)"),
                ("h{}", "1:10 3:20 inf:30 sum None count Some(30.0)"),
            ],
        ),
        (
            Door::Source,
            histograms,
            &[
                ("h{}", "1:1 2:2 inf:3 sum Some(4.0) count Some(3.0)"),
                ("h{}", "1:10 3:20 inf:30 sum None count Some(30.0)"),
            ],
        ),
        (Door::Replace, histograms, &[("h{}", merged_histogram)]),
        (
            Door::Aggregate,
            summaries,
            &[
                ("s{}", "sum Some(1.0) count None"),
                ("s{}", "sum Some(3.0) count Some(2.0)"),
                ("s{z=\"1\"}", "sum None count None"),
            ],
        ),
        (
            Door::Source,
            summaries,
            &[
                ("s{}", "sum Some(1.0) count None"),
                ("s{}", "sum Some(3.0) count Some(2.0)"),
                ("s{z=\"1\"}", "sum None count None"),
            ],
        ),
        // Quantiles of several summaries cannot be merged; those of one stay.
        (
            Door::Replace,
            summaries,
            &[("s{}", "sum Some(4.0) count Some(2.0)"), ("s{z=\"1\"}", "0.5:7 sum None count None")],
        ),
    ];
    for (door, body, expected) in cases {
        let push = Fixture::new(1).with_rules(vec![dropping("*", &["pod"])]).by(*door).push(body).expect("valid");
        assert_eq!(updates(&push), pairs(expected), "{door:?}");
        let series: std::collections::BTreeSet<_> = expected.iter().map(|(series, _)| series).collect();
        assert_eq!(push.families.iter().map(|family| family.series).sum::<usize>(), series.len());
    }
}

#[test]
fn gauges_that_fall_together_follow_their_policy() {
    let body = "# TYPE g gauge\ng{pod=\"1\"} 3\ng{pod=\"2\"} 1\ng{pod=\"3\"} 2\n";
    let cases = [
        (GaugePolicy::Sum, "6"),
        (GaugePolicy::Min, "1"),
        (GaugePolicy::Max, "3"),
        (GaugePolicy::Last, "2"),
        (GaugePolicy::Mean, "2"),
    ];
    for (policy, expected) in cases {
        let rules = vec![changed(dropping("g", &["pod"]), |rule| rule.gauge = Some(policy))];
        let push = Fixture::new(1).with_rules(rules).by(Door::Replace).push(body).expect("valid");
        assert_eq!(updates(&push), pairs(&[("g{}", expected)]), "{policy:?}");
    }
}

/// The shards compare each with what it was before, in whatever push that was.
#[test]
fn series_of_a_source_that_fall_together_stay_apart() {
    let fixture = Fixture::new(1).with_rules(vec![dropping("*", &["pod"])]).by(Door::Source);
    let parts = |body: &str| {
        let push = fixture.push(body).expect("valid");
        let parts: Vec<u64> = push.batches[0].series_with_parts().map(|(_, part)| part).collect();
        assert!(push.families.iter().all(|family| family.series == 1), "one is shown");
        parts
    };
    for kind in ["counter", "gauge", "histogram", "summary"] {
        let sample = if matches!(kind, "histogram" | "summary") { format!("{kind}_sum") } else { kind.to_owned() };
        let body = |labels: &[&str]| {
            let samples: String = labels.iter().map(|labels| format!("{sample}{{{labels}}} 1\n")).collect();
            format!("# TYPE {kind} {kind}\nplain 1\n{samples}")
        };
        let [a, b, whole] = ["z=\"1\",pod=\"a\"", "z=\"1\",pod=\"b\"", "z=\"1\""];
        let all = parts(&body(&[a, whole, b]));
        let [plain, part_a, part_whole, part_b] = all[..] else { panic!("{all:?}") };
        assert_eq!((plain, part_whole), (0, 0), "{kind}");
        assert!(part_a != 0 && part_b != 0 && part_a != part_b, "{kind}");
        assert_eq!(parts(&body(&[b])), [0, part_b], "{kind}");
        assert_eq!(parts(&body(&["pod=\"a\",z=\"1\"", b])), [0, part_a, part_b], "{kind}");
    }
    let by = |door| Fixture::new(1).with_rules(vec![dropping("*", &["pod"])]).by(door).push("x{pod=\"a\"} 1\n");
    for door in [Door::Aggregate, Door::Replace] {
        let push = by(door).expect("valid");
        assert!(push.batches[0].series_with_parts().all(|(_, part)| part == 0), "{door:?}");
    }
}

/// They would fill the register, and never leave it.
#[test]
fn families_of_which_nothing_is_kept_are_not_planned() {
    let rules = || {
        let drops = |rule| changed(rule, |rule| rule.drops = true);
        vec![drops(rule("drop*", &[])), drops(rule("some", &[("debug", "?*")]))]
    };
    let body = "drop_a 1\nkept_a{x=\"1\"} 1\n# TYPE drop_h histogram\ndrop_h_sum 1\nsome{debug=\"1\"} 1\n\
                # TYPE kept_h histogram\nkept_h_sum 2\n# TYPE drop_s summary\ndrop_s_sum 2\n";
    for door in Door::ALL {
        let fixture = Fixture::new(2).with_rules(rules()).by(door);
        let push = fixture.push(body).expect("valid");
        let names: Vec<&str> = push.families.iter().map(|family| family.wanted.name()).collect();
        assert_eq!((names, fixture.registry.len()), (vec!["kept_a", "kept_h"], 2), "{door:?}");
        let expected = pairs(&[("kept_a{x=\"1\"}", "1"), ("kept_h{}", " sum Some(2.0) count None")]);
        assert_eq!(contents(&push), expected.into_iter().collect(), "{door:?}");
        assert_eq!(push.discarded_samples, 4, "{door:?}");
        let two_types = "# TYPE drop_h histogram\ndrop_h_sum 1\ndrop_h 1\n";
        assert!(fixture.push(two_types).is_err(), "{door:?}");
        assert_eq!(fixture.push("some{debug=\"1\"} 1\nsome 2\n").expect("valid").families.len(), 1, "{door:?}");
    }
    let mut fixture = Fixture::new(1).with_rules(rules());
    fixture.rules.summaries = SummaryPolicy::Discard;
    let push = fixture.push("# TYPE s summary\ns_sum 1\n# TYPE drop_s summary\ndrop_s_sum 1\n").expect("valid");
    assert_eq!(push.families.len(), 2, "the register tells what their samples are");
}

#[test]
fn some_labels_are_never_taken_away() {
    let body = "# TYPE s stateset\ns{s=\"on\",a=\"1\"} 1\ns{s=\"off\",a=\"1\"} 0\n# TYPE h histogram\n\
                h_bucket{a=\"1\",le=\"+Inf\"} 1\n# TYPE x gauge\nx{le=\"1\",quantile=\"2\",a=\"1\"} 1\n# EOF\n";
    for rule in [dropping("*", &["s", "a", "le", "quantile"]), keeping("*", &["b"])] {
        let fixture = Fixture::new(2).with_rules(vec![rule]).by(Door::Source);
        let push =
            fixture.assemble_as(PushFormat::OpenMetrics, body.as_bytes(), &GroupLabels::default()).expect("valid");
        let series: Vec<String> = contents(&push).into_keys().collect();
        assert_eq!(series, ["h{}", "s{s=\"off\"}", "s{s=\"on\"}", "x{le=\"1\",quantile=\"2\"}"]);
    }
}

#[test]
fn what_comes_with_samples_goes_where_they_go() {
    let body = "# TYPE c counter\nc_total{pod=\"1\"} 1 # {id=\"1\"} 0.5\nc_created{pod=\"1\"} 5\nc_total{pod=\"2\"} 2\n\
                c_created{pod=\"2\"} 6\nc_total{pod=\"3\"} 4\nc_created{pod=\"3\"} 7\n# EOF\n";
    for door in [Door::Aggregate, Door::Source] {
        let rules =
            vec![changed(rule("c_total", &[("pod", "3")]), |rule| rule.drops = true), dropping("c_total", &["pod"])];
        let fixture = Fixture::new(1).with_rules(rules).by(door);
        let push =
            fixture.assemble_as(PushFormat::OpenMetrics, body.as_bytes(), &GroupLabels::default()).expect("valid");
        let extras = &push.batches[0].counters;
        assert_eq!(extras.iter().map(|extra| extra.number).collect::<Vec<_>>(), [0, 0, 1], "{door:?}");
        let created: Vec<_> = extras.iter().filter_map(|extra| extra.created.map(|created| created.seconds)).collect();
        assert_eq!((created, push.discarded_samples), (vec![5, 6], 2));
    }
}

/// Histograms and summaries that come whole fall together as those that come sample by sample do.
#[test]
fn whole_values_are_merged_too() {
    use crate::exposition::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType, Summary};
    use prost::Message;
    let metric = |pod: &str, metric: Metric| {
        let label = LabelPair { name: Some("pod".to_owned()), value: Some(pod.to_owned()) };
        Metric { label: vec![label], ..metric }
    };
    let histogram = |bound, count| {
        let bucket = Bucket { upper_bound: Some(bound), cumulative_count: Some(count), ..Bucket::default() };
        let histogram = Histogram { sample_count: Some(count), bucket: vec![bucket], ..Histogram::default() };
        Metric { histogram: Some(histogram), ..Metric::default() }
    };
    let summary = |count| {
        let summary = Summary { sample_count: Some(count), ..Summary::default() };
        Metric { summary: Some(summary), ..Metric::default() }
    };
    let family = |name: &str, kind: MetricType, metric: Vec<Metric>| {
        let name = Some(name.to_owned());
        MetricFamily { name, r#type: Some(kind as i32), metric, ..MetricFamily::default() }
            .encode_length_delimited_to_vec()
    };
    let histograms =
        vec![metric("1", histogram(1.0, 2)), metric("2", histogram(2.0, 3)), metric("x", histogram(3.0, 4))];
    let mut body = family("h", MetricType::Histogram, histograms);
    body.extend(family("s", MetricType::Summary, vec![metric("1", summary(2)), metric("2", summary(5))]));
    body.extend(family("push_time_seconds", MetricType::Histogram, vec![metric("1", histogram(1.0, 1))]));
    let rules = vec![changed(rule("*", &[("pod", "x")]), |rule| rule.drops = true), dropping("*", &["pod"])];
    let fixture = Fixture::new(1).with_rules(rules).by(Door::Replace);
    let push = fixture.assemble_as(PushFormat::Protobuf, &body, &GroupLabels::default()).expect("valid");
    let expected = [("h{}", "1:2 2:5 inf:5 sum None count Some(5.0)"), ("s{}", "sum None count Some(7.0)")];
    assert_eq!((updates(&push), push.discarded_samples), (pairs(&expected), 2));
}

#[test]
fn series_are_still_themselves_before_labels_go() {
    let rules = || vec![dropping("*", &["pod"])];
    let twice = "x{pod=\"1\"} 1\nx{pod=\"1\"} 2\n";
    let histogram = "# TYPE h histogram\nh_sum{pod=\"1\"} 1\nh_sum{pod=\"1\"} 1\n";
    let escaped = "x{\"a.b\"=\"1\",pod=\"1\"} 1\nx{a_b=\"1\",pod=\"2\"} 2\n";
    for body in [twice, histogram, escaped] {
        let refused = Fixture::new(2).with_rules(rules()).push(body).map(|push| contents(&push));
        assert!(matches!(refused, Err(PushError::DuplicateSeries(_))), "{body}");
    }
}

proptest! {
    /// The twin: a map from the labels that stay to what is pushed under them.
    #[test]
    fn dropped_labels_add_up_what_they_told_apart(
        samples in proptest::collection::btree_map((0u8..3, 0u8..3, 0u8..3), 0u32..100, 0..27),
        dropped in proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3),
        only in proptest::option::of(0u8..3),
        shards in 1usize..4,
    ) {
        let series = |labels: &[(&str, u8)]| {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"v{value}\"")).collect();
            format!("x{{{}}}", labels.join(","))
        };
        let mut body = "# TYPE x counter\n".to_owned();
        let mut twin: BTreeMap<String, f64> = BTreeMap::new();
        for ((a, b, c), number) in &samples {
            let labels = [("a", *a), ("b", *b), ("c", *c)];
            body += &format!("{} {number}\n", series(&labels));
            let is_met = only.is_none_or(|only| only == *a);
            let kept: Vec<_> =
                labels.into_iter().filter(|(name, _)| !is_met || !dropped.contains(name)).collect();
            *twin.entry(series(&kept)).or_default() += f64::from(*number);
        }
        let rules = || {
            let value = only.map(|only| format!("v{only}"));
            let matchers: Vec<(&str, &str)> = value.iter().map(|value| ("a", &**value)).collect();
            vec![changed(rule("x", &matchers), |rule| rule.labels = dropping("x", &dropped).labels)]
        };
        for door in Door::ALL {
            let push = Fixture::new(shards).with_rules(rules()).by(door).push(&body).expect("valid");
            let mut shown: BTreeMap<String, f64> = BTreeMap::new();
            for (series, value) in updates(&push) {
                *shown.entry(series).or_default() += value.parse::<f64>().expect("a number");
            }
            prop_assert_eq!(&shown, &twin, "{:?}", door);
            prop_assert_eq!(push.families.iter().map(|family| family.series).sum::<usize>(), twin.len());
            prop_assert!(door != Door::Replace || push.series() == twin.len());
        }
    }
}
