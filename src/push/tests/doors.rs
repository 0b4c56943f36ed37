//! What the doors make of the same pushes, and families that bind nobody any more.

use super::*;
use crate::aggregate::NumberRule;

const BODY: &str = "# TYPE c counter\nc_total 1\n# TYPE g gauge\ng 1\n# TYPE i info\ni_info 1\n# TYPE u unknown\nu 1\n\
                    # TYPE s stateset\ns{s=\"on\"} 1\n# EOF\n";

#[test]
fn each_door_has_its_rules_for_numbers() {
    use NumberRule::{Add, Last, Live, Running};
    let (last, sum) = (Live(GaugePolicy::Last), Live(GaugePolicy::Sum));
    let cases = [
        (Door::Aggregate, [Add, Last, Last, Last, Add]),
        (Door::Source, [Running, sum, last, last, Running]),
        (Door::Replace, [Last, Last, Last, Last, Last]),
    ];
    for (door, expected) in cases {
        let fixture = Fixture::new(2).by(door);
        let push = fixture.assemble_as(PushFormat::OpenMetrics, BODY.as_bytes(), &GroupLabels::default());
        let rules = series_rules(&push.expect("valid"));
        let series = ["c_total{}", "g{}", "i_info{}", "s{s=\"on\"}", "u{}"];
        assert_eq!(series.map(|series| rules[series].numbers), expected, "{door:?}");
    }
}

#[test]
fn what_replaces_may_be_any_number() {
    let body = "# TYPE c counter\nc{a=\"1\"} -1\nc{a=\"2\"} NaN\n";
    let push = Fixture::new(2).by(Door::Replace).push(body).expect("valid");
    let expected = [("c{a=\"1\"}".to_owned(), "-1".to_owned()), ("c{a=\"2\"}".to_owned(), "NaN".to_owned())];
    assert_eq!(contents(&push), expected.into());
    for door in [Door::Aggregate, Door::Source] {
        assert!(matches!(Fixture::new(1).by(door).push(body), Err(PushError::InvalidSample(_))), "{door:?}");
    }
    let count = "# TYPE h histogram\nh_bucket{le=\"1\"} -1\n";
    assert!(matches!(Fixture::new(1).by(Door::Replace).push(count), Err(PushError::InvalidSample(_))));
}

#[test]
fn timestamps_are_refused_where_values_are_replaced() {
    let refused =
        Fixture::new(1).by(Door::Replace).push("x 1\ny 1 1000\n").map(|_| ()).map_err(|error| error.to_string());
    assert!(refused.is_err_and(|line| line.contains("pushed metrics must not have timestamps")));
    for door in [Door::Aggregate, Door::Source] {
        assert_eq!(Fixture::new(1).by(door).push("x 1\ny 1 1000\n").expect("valid").ignored_timestamps, 1);
    }
}

#[test]
fn the_times_of_pushes_are_written_by_the_gateway_alone() {
    let bodies = [
        "push_time_seconds 1\n",
        "# TYPE push_time_seconds gauge\n",
        "# HELP push_failure_time_seconds x\npush_failure_time_seconds{a=\"1\"} 1\n",
        "# TYPE push_time_seconds histogram\npush_time_seconds_bucket{le=\"1\"} 1\npush_time_seconds_count 1\n",
        "# TYPE push_time_seconds summary\npush_time_seconds{quantile=\"0.5\"} 1\npush_time_seconds_sum 1\n",
    ];
    for body in bodies {
        for is_known in [false, true] {
            let fixture = || {
                let fixture = Fixture::new(1);
                if is_known {
                    fixture.registry.reserve("push_time_seconds", MetricKind::Gauge, "");
                }
                fixture
            };
            let body = format!("{body}x 1\n");
            let push = fixture().by(Door::Replace).push(&body).expect("valid");
            assert_eq!(contents(&push).into_keys().collect::<Vec<_>>(), ["x{}"], "{body}");
            assert_eq!(push.families.len(), 1, "{body}");
            for door in [Door::Aggregate, Door::Source] {
                let refused = fixture().by(door).push(&body);
                assert!(matches!(refused, Err(PushError::NameClash(_))), "{body}");
            }
        }
    }
    let twin = "{\"push.time_seconds\"} 1\n";
    let refused = Fixture::new(1).by(Door::Replace).push(twin).map(|_| ()).map_err(|error| error.to_string());
    let expected = "line 1: expected a name other than push_time_seconds, which the gateway writes itself, \
                    got push.time_seconds";
    assert_eq!(refused, Err(expected.to_owned()));
    let own = Fixture::new(1).by(Door::Replace).push("push_time_seconds_bucket 1\n").expect("another name");
    assert_eq!(own.series(), 1);
}

#[test]
fn what_replaces_says_itself_what_it_is() {
    let known = "# TYPE h histogram\nh_sum 1\n# TYPE g gauge\ng 1\n# TYPE c counter\nc 1\nu 1\n";
    let cases = [
        ("u 1\n", Ok("u{}")),
        ("# TYPE g gauge\ng 1\n", Ok("g{}")),
        ("# HELP g x\n# TYPE h gauge\n", Ok("")),
        ("g 1\n", Err("line 1: expected TYPE gauge for g, got untyped")),
        ("# HELP c x\nc 1\n", Err("line 1: expected TYPE counter for c, got untyped")),
        ("# TYPE u counter\nu 1\n", Err("line 1: expected TYPE untyped for u, got counter")),
        (
            "h_sum 1\n",
            Err("line 1: expected untyped h_sum to have sample names of its own, got h_sum, which belongs to h"),
        ),
        ("# TYPE h histogram\nh_sum 1\n", Ok("h{}")),
    ];
    for (body, expected) in cases {
        let fixture = Fixture::new(1);
        fixture.push(known).expect("valid");
        let pushed = fixture.by(Door::Replace).assemble(body, &GroupLabels::default());
        let series = pushed.map(|push| contents(&push).into_keys().collect::<Vec<_>>().join(" "));
        assert_eq!(
            series.map_err(|error| error.to_string()),
            expected.map(str::to_owned).map_err(str::to_owned),
            "{body}"
        );
    }
}

/// Text has no word for some kinds.
#[test]
fn what_replaces_may_lack_the_word_for_its_kind() {
    let fixture = Fixture::new(1);
    let info =
        fixture.assemble_as(PushFormat::OpenMetrics, b"# TYPE i info\ni_info 1\n# EOF\n", &GroupLabels::default());
    fixture.register(info.expect("valid"));
    let fixture = fixture.by(Door::Replace);
    assert!(fixture.assemble("# TYPE i_info gauge\ni_info 1\n", &GroupLabels::default()).is_ok());
    assert!(fixture.assemble("i_info 1\n", &GroupLabels::default()).is_err());
}

/// Families of the plan: `=` for a known one, `~` for a settled one, `+` for a new one.
fn plan(push: &Assembled) -> String {
    let planned = push.families.iter().map(|planned| match &planned.wanted {
        Wanted::Known(_) => format!("={}", planned.wanted.name()),
        Wanted::Settled(_, kind) => format!("~{} {}", planned.wanted.name(), kind.name()),
        Wanted::New { name, kind, .. } => format!("+{name} {}", kind.name()),
    });
    let released = push.releases.iter().map(|family| format!("-{}", family.name));
    planned.chain(released).collect::<Vec<_>>().join(", ")
}

#[test]
fn released_families_give_way() {
    let known = "# TYPE h histogram\nh_sum 1\n# TYPE g gauge\ng 1\nu 1\n{\"d.e\"} 1\n";
    let cases: &[(Door, &str, &str)] = &[
        // What fits stays.
        (Door::Replace, "# TYPE g gauge\ng 1\n# TYPE h histogram\nh_sum 1\nu 1\n", "=g, =h, =u"),
        (Door::Aggregate, "g 1\nh_sum 1\n# TYPE u counter\nu 1\n", "~u counter, =g, =h"),
        (Door::Source, "g 1\nh_count 1\n", "=g, =h"),
        // Another kind.
        (Door::Aggregate, "# TYPE g counter\ng 1\n", "+g counter, -g"),
        (Door::Replace, "g 1\n", "+g untyped, -g"),
        (Door::Replace, "# TYPE u counter\nu 1\n", "+u counter, -u"),
        (Door::Replace, "# HELP g x\ng 1\n", "+g untyped, -g"),
        // A TYPE alone is no family yet.
        (Door::Aggregate, "# TYPE g counter\n", ""),
        // A name of its samples.
        (Door::Replace, "h_count 1\nh_sum 1\n", "+h_count untyped, +h_sum untyped, -h"),
        (Door::Aggregate, "# TYPE h_count counter\nh_count 1\n", "+h_count counter, -h"),
        // What no sample of it can be.
        (Door::Aggregate, "h 1\nh_count 1\n", "+h untyped, +h_count untyped, -h"),
        (Door::Aggregate, "d_e 1\n", "+d_e untyped, -d.e"),
    ];
    for (door, body, expected) in cases {
        let mut fixture = Fixture::new(1);
        fixture.push(known).expect("valid");
        fixture.released = &["h", "g", "u", "d.e"];
        let fixture = fixture.by(*door);
        let push = fixture.assemble(body, &GroupLabels::default()).map_err(|error| error.to_string());
        assert_eq!(push.as_ref().map(plan).ok().as_deref(), Some(*expected), "{door:?} {body}");
        fixture.register(push.expect("valid"));
    }
}

#[test]
fn a_push_is_bound_by_the_released_family_that_it_uses() {
    let known = "# TYPE h histogram\nh_sum 1\n";
    let cases = [
        (Door::Aggregate, "# TYPE h histogram\nh_sum 1\n# TYPE h_count counter\nh_count 1\n"),
        (Door::Replace, "# TYPE h_count counter\nh_count 1\n# TYPE h histogram\nh_sum 1\n"),
        (Door::Aggregate, "h_count 1\nh 1\n"),
    ];
    for (door, body) in cases {
        let mut fixture = Fixture::new(1);
        fixture.push(known).expect("valid");
        fixture.released = &["h"];
        let refused = fixture.by(door).assemble(body, &GroupLabels::default());
        assert!(matches!(refused, Err(PushError::NameClash(_) | PushError::InvalidSample(_))), "{body}");
    }
}

#[test]
fn a_message_without_metrics_empties_the_family_of_a_group() {
    use crate::exposition::proto;
    use prost::Message;
    let body = |kind: proto::MetricType| {
        let name = Some("g".to_owned());
        proto::MetricFamily { name, r#type: Some(kind as i32), ..proto::MetricFamily::default() }
            .encode_length_delimited_to_vec()
    };
    let fixture = Fixture::new(1);
    fixture.push("# TYPE g gauge\ng 1\n").expect("valid");
    let fixture = fixture.by(Door::Replace);
    let push = |kind| fixture.assemble_as(PushFormat::Protobuf, &body(kind), &GroupLabels::default());
    assert_eq!(push(proto::MetricType::Gauge).map(|push| plan(&push)), Ok("=g".to_owned()));
    assert!(matches!(push(proto::MetricType::Counter), Err(PushError::TypeConflict(_))));
}
