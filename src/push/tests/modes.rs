//! The label by which an aggregated series asks for how it is merged.

use super::*;
use crate::aggregate::NumberRule;

fn gravel() -> Fixture {
    let mut fixture = Fixture::new(2);
    fixture.rules.mode_label = Some("clearmode".into());
    fixture
}

#[test]
fn a_mode_decides_for_numbers_and_is_not_kept() {
    use GaugePolicy::{Max, Mean, Min, Sum};
    let window = |policy, window| NumberRule::Window(GaugeRule { policy, window });
    let cases = [
        ("sum", NumberRule::Add),
        ("aggregate", NumberRule::Add),
        ("replace", NumberRule::Last),
        ("family", NumberRule::Last),
        ("info", NumberRule::Last),
        ("min", window(Min, 1000)),
        ("max", window(Max, 1000)),
        ("mean", window(Mean, 1000)),
        ("mean5m", window(Mean, 300_000)),
        ("sum30s", window(Sum, 30_000)),
        ("max90", window(Max, 90_000)),
    ];
    for (mode, expected) in cases {
        for kind in ["counter", "gauge", "untyped"] {
            let body = format!("# TYPE x {kind}\nx{{a=\"1\",clearmode=\"{mode}\"}} 1\nx{{b=\"1\"}} 1\n");
            let push = gravel().push(&body).expect("valid");
            let rules = series_rules(&push);
            assert_eq!(rules.keys().collect::<Vec<_>>(), ["x{a=\"1\"}", "x{b=\"1\"}"]);
            assert_eq!(rules["x{a=\"1\"}"].numbers, expected, "{mode} of a {kind}");
            let plain = if kind == "gauge" { NumberRule::Last } else { NumberRule::Add };
            assert_eq!(rules["x{b=\"1\"}"].numbers, plain, "no mode");
            let is_family = matches!(mode, "family" | "info");
            assert_eq!(push.replaced_families, if is_family { vec![0] } else { vec![] }, "{mode}");
        }
    }
}

#[test]
fn histograms_and_summaries_are_added_or_replaced() {
    let bodies = [
        "# TYPE m histogram\nm_bucket{clearmode=\"?\",le=\"1\"} 1\nm_sum{clearmode=\"?\"} 2\n",
        "# TYPE m summary\nm{clearmode=\"?\",quantile=\"0.5\"} 1\nm_sum{clearmode=\"?\"} 2\n",
    ];
    let cases = [
        ("sum", Some((NumberRule::Add, false))),
        ("aggregate", Some((NumberRule::Add, false))),
        ("replace", Some((NumberRule::Last, false))),
        ("family", Some((NumberRule::Add, true))),
        ("info", Some((NumberRule::Add, true))),
        ("mean5m", None),
        ("max", None),
    ];
    for body in bodies {
        for (mode, expected) in cases {
            let pushed = gravel().push(&body.replace('?', mode));
            let got = pushed.map(|push| (series_rules(&push)["m{}"].numbers, !push.replaced_families.is_empty()));
            assert_eq!(got.ok(), expected, "{mode} {body}");
        }
    }
}

#[test]
fn bad_modes_are_named() {
    let cases = [
        (
            "# TYPE x gauge\nx{clearmode=\"median\"} 1\n",
            "line 2: expected clearmode of a gauge to be sum, aggregate, replace, family, info, min, max, mean, or one of sum, \
             min, max, mean with a length as in mean5m, got \"median\"",
        ),
        (
            "# TYPE x histogram\nx_sum{clearmode=\"mean5m\"} 1\n",
            "line 2: expected clearmode of a histogram to be sum, aggregate, replace, family or info, got \"mean5m\"",
        ),
        (
            "x{clearmode=\"sum\"} 1\nx{clearmode=\"replace\"} 1\n",
            "line 2: expected each series once in a push, got x again",
        ),
        (
            "x{a=\"1\",clearmode=\"sum\"} 1\nx{a=\"1\"} 1\n",
            "line 2: expected each series once in a push, got x{a=\"1\"} again",
        ),
        (
            "# TYPE h histogram\nh_count{clearmode=\"sum\"} 1\nh_sum{clearmode=\"family\"} 1\n",
            "line 3: expected one clearmode for all samples of a series, got another than before",
        ),
    ];
    for (body, expected) in cases {
        let refused = gravel().push(body).map(|push| contents(&push)).map_err(|error| error.to_string());
        assert_eq!(refused, Err(expected.to_owned()), "{body}");
    }
}

#[test]
fn a_mode_may_stand_in_the_path_and_wins_over_rules() {
    let group = GroupLabels::new([("clearmode".to_owned(), "max".to_owned())]).expect("one label");
    let mut rule = Rule::new(1, "x").expect("a glob");
    (rule.gauge, rule.window, rule.ttl) = (Some(GaugePolicy::Sum), Some(50), Some(9));
    let push = gravel().with_rules(vec![rule]).assemble("# TYPE x gauge\nx 1\n", &group).expect("valid");
    let max = NumberRule::Window(GaugeRule { policy: GaugePolicy::Max, window: 50 });
    assert_eq!(series_rules(&push)["x{}"], SeriesRule { numbers: max, lifetime: Some(9) });
}

#[test]
fn elsewhere_the_label_is_one_as_others() {
    let body = "x{clearmode=\"median\"} 1\n";
    for fixture in [gravel().by(Door::Source), gravel().by(Door::Replace), Fixture::new(1)] {
        let push = fixture.push(body).expect("valid");
        assert_eq!(contents(&push).into_keys().collect::<Vec<_>>(), ["x{clearmode=\"median\"}"]);
    }
}

#[test]
fn discarded_summaries_are_checked_without_their_mode() {
    let mut fixture = gravel();
    fixture.rules.summaries = SummaryPolicy::Discard;
    let push = fixture.push("# TYPE s summary\ns_sum{clearmode=\"sum\"} 1\nx 1\n").expect("valid");
    assert_eq!((contents(&push).len(), push.discarded_samples), (1, 1));
    let twice = "# TYPE s summary\ns_sum{clearmode=\"sum\"} 1\ns_sum{clearmode=\"family\"} 1\n";
    assert!(matches!(fixture.push(twice), Err(PushError::DuplicateSeries(_))));
}
