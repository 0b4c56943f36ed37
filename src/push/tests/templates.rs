//! Templates against the way that takes every push apart.

use super::*;
use crate::exposition::proto;
use crate::push::templates::Templates;
use prost::Message;

/// The worker's side of a gateway with templates.
struct Gateway {
    fixture: Fixture,
    rules: Arc<PushRules>,
    templates: Templates,
    scratch: Scratch,
}

impl Gateway {
    fn new(fixture: Fixture) -> Self {
        let rules = Arc::new(fixture.rules.clone());
        Self { fixture, rules, templates: Templates::new(1 << 20), scratch: Scratch::default() }
    }

    /// Takes a push in. Returns what was assembled if a template was filled; it must be what would have been assembled without.
    fn push(&mut self, format: PushFormat, body: impl AsRef<[u8]>, group: &GroupLabels) -> Option<Assembled> {
        let Self { fixture, rules, templates, scratch } = self;
        let lifetime = fixture.lifetime;
        let pushed = Pushed { door: fixture.door, labels: group, lifetime, is_released: &|_| false };
        let push = RawPush { format, body: body.as_ref(), pushed, rules };
        let key = templates.key(push);
        let filled = key.and_then(|key| templates.fill(key, push, &fixture.registry));
        let mut intake = Intake { registry: &fixture.registry, router: &fixture.router, scratch };
        let assembled = intake.assemble(push);
        if let Some(filled) = &filled {
            assert_eq!(everything(filled), everything(assembled.as_ref().expect("no template takes a faulty push")));
        } else if let (Some(key), Ok(_)) = (key, &assembled) {
            templates.learn(key, push, &mut intake);
        }
        if let Ok(assembled) = assembled {
            fixture.register(assembled);
        }
        filled
    }

    fn protobuf(&mut self, families: &[proto::MetricFamily]) -> bool {
        let body: Vec<u8> = families.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        self.push(PushFormat::Protobuf, body, &GroupLabels::default()).is_some()
    }

    fn text(&mut self, body: &str) -> bool {
        self.push(PushFormat::Text, body, &GroupLabels::default()).is_some()
    }
}

/// All that shards and register are given.
fn everything(push: &Assembled) -> String {
    let series: Vec<_> = push.batches.iter().map(|batch| batch.series().collect::<Vec<_>>()).collect();
    let family = |planned: &PlannedFamily| {
        (planned.wanted.name().to_owned(), planned.wanted.kind(), planned.series, planned.max_series)
    };
    let families: Vec<_> = push.families.iter().map(family).collect();
    format!("{:?} {families:?} {series:?} {:?} {}", updates(push), push.rules, push.samples)
}

const BODY: &str = "# HELP c Requests.\n# TYPE c counter\nc{a=\"1\"} 1\nc{a=\"2\"} 2 \n\n# TYPE g gauge\ng -3\n\
                    # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n\
                    # TYPE n histogram\nn_bucket{le=\"1\"} 1\nn_sum 3.5\nn_count 2\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 7\ns_count 3\nu 1e3\r\n";

#[test]
fn the_third_push_alike_is_filled() {
    for door in [Door::Aggregate, Door::Source] {
        let mut gateway = Gateway::new(Fixture::new(2).by(door));
        assert_eq!([BODY, BODY, BODY, BODY].map(|body| gateway.text(body)), [false, false, true, true], "{door:?}");
        assert!(gateway.text(&BODY.replace("-3", "NaN").replace(" 2 \n", " +Inf \n").replace("3.5", "-1")));
    }
}

#[test]
fn what_is_not_alike_is_taken_apart() {
    let others = [
        ("a count below zero", BODY.replace("c{a=\"2\"} 2", "c{a=\"2\"} -2")),
        ("no number", BODY.replace("c{a=\"2\"} 2", "c{a=\"2\"} x")),
        ("a count that is none", BODY.replace("h_count 2", "h_count NaN")),
        ("another series", BODY.replace("a=\"2\"", "a=\"3\"")),
        ("another type", BODY.replace("# TYPE g gauge", "# TYPE g counter")),
        ("one line more", format!("{BODY}v 1\n")),
        ("one line less", BODY.replace("g -3\n", "")),
        ("a timestamp", BODY.replace("g -3\n", "g -3 1234\n")),
        ("an end that is missing", BODY[..BODY.len() - 2].to_owned()),
    ];
    for (what, other) in others {
        let mut gateway = Gateway::new(Fixture::new(2));
        (0..2).for_each(|_| _ = gateway.text(BODY));
        assert!(!gateway.text(&other), "{what}");
    }
}

#[test]
fn what_values_alone_do_not_tell_has_no_template() {
    let text =
        [("a timestamp", "c 1 1234\n"), ("a label in quotes", "c{\"a.b\"=\"1\"} 1\n"), ("nothing", "# only this\n")];
    for (what, body) in text {
        let mut gateway = Gateway::new(Fixture::new(2));
        assert_eq!([body; 4].map(|body| gateway.text(body)), [false; 4], "{what}");
    }
    let openmetrics = [
        ("an exemplar", "# TYPE c counter\nc_total 1 # {a=\"1\"} 1\n# EOF\n"),
        ("a created timestamp", "# TYPE c counter\nc_total 1\nc_created 1\n# EOF\n"),
        ("one of a histogram", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\nh_created 1\n# EOF\n"),
        ("an info", "# TYPE i info\ni_info{a=\"1\"} 1\n# EOF\n"),
        ("states", "# TYPE s stateset\ns{s=\"on\"} 1\n# EOF\n"),
    ];
    for (what, body) in openmetrics {
        let mut gateway = Gateway::new(Fixture::new(2));
        let group = GroupLabels::default();
        let is_filled = |_| gateway.push(PushFormat::OpenMetrics, body, &group).is_some();
        assert_eq!([(); 4].map(is_filled), [false; 4], "{what}");
    }
}

#[test]
fn what_is_said_of_names_that_nobody_has_does_not_matter_until_somebody_has_them() {
    let cases = [
        ("# TYPE other counter\nc 1\n", "# TYPE other gauge\nother 1\n"),
        ("# TYPE other_sum counter\nc 1\n", "# TYPE other histogram\nother_sum 1\n"),
        ("# HELP other Others.\nc 1\n", "other 1\n"),
        ("# HELP \"ot\\\"her\" Others.\nc 1\n", "{\"ot\\\"her\"} 1\n"),
    ];
    for (body, other) in cases {
        let mut gateway = Gateway::new(Fixture::new(2));
        assert_eq!([body; 4].map(|body| gateway.text(body)), [false, false, true, true], "{body}");
        gateway.text(other);
        assert!(!gateway.text(body), "{body}");
    }
}

#[test]
fn openmetrics_has_templates() {
    let body = "# TYPE c counter\nc_total{a=\"1\"} 1\n# EOF\n";
    let mut gateway = Gateway::new(Fixture::new(2));
    let group = GroupLabels::default();
    let is_filled = |_| gateway.push(PushFormat::OpenMetrics, body, &group).is_some();
    assert_eq!([(); 4].map(is_filled), [false, false, true, true]);
}

#[test]
fn a_template_is_for_one_group_lifetime_and_set_of_rules() {
    let group = |job: &str| GroupLabels::new([("job".to_owned(), job.to_owned())]).expect("one label");
    let mut gateway = Gateway::new(Fixture::new(2));
    let is_filled = |gateway: &mut Gateway, job| gateway.push(PushFormat::Text, BODY, &group(job)).is_some();
    assert_eq!(
        ["a", "a", "a", "b", "b", "b"].map(|job| is_filled(&mut gateway, job)),
        [false, false, true, false, false, true]
    );
    gateway.fixture.lifetime = Some(1000);
    assert!(!is_filled(&mut gateway, "a"));
    gateway.fixture.lifetime = None;
    gateway.rules = Arc::new(PushRules { series_lifetime: Some(5), ..PushRules::clone(&gateway.rules) });
    assert!(!is_filled(&mut gateway, "a"), "the rules are others now");
}

#[test]
fn a_template_goes_when_its_families_change() {
    let mut gateway = Gateway::new(Fixture::new(1));
    (0..3).for_each(|_| _ = gateway.text("u 1\n"));
    let filled = gateway.push(PushFormat::Text, "u 1\n", &GroupLabels::default()).expect("alike");
    gateway.fixture.push("# TYPE u gauge\nu 1\n").expect("an untyped family takes a type");
    let wanted = filled.families.into_iter().map(|family| family.wanted).collect();
    let entry = Entry { wanted, door: Door::Aggregate, releases: &[], is_released: &|_| false };
    assert!(gateway.fixture.registry.commit(entry).is_err(), "what was planned on has changed");
}

#[test]
fn pushes_that_differ_each_time_are_tried_less_and_less() {
    let mut gateway = Gateway::new(Fixture::new(1));
    let filled = (0..1000).filter(|round| gateway.text(&format!("a 1\nb{{round=\"{}\"}} 1\n", round / 3))).count();
    assert!((1..20).contains(&filled), "{filled}");
}

#[test]
fn templates_are_bounded() {
    let mut gateway = Gateway::new(Fixture::new(1));
    let body = |series: usize| format!("c{{series=\"{series}\",long=\"{}\"}} 1\n", "x".repeat(2000));
    for round in 0..4 {
        let filled = (0..1000).filter(|series| gateway.text(&body(*series))).count();
        assert_eq!(filled > 50, round > 1, "those that fit are used: {filled} in round {round}");
        assert!(filled < 300, "{filled}");
    }
    // Once the others come no more there is room.
    (0..200).for_each(|_| (0..50).for_each(|series| _ = gateway.text(&body(5000 + series))));
    assert!((0..50).filter(|series| gateway.text(&body(5000 + series))).count() > 40);
}

/// A family of each kind, with these values in turn.
fn families(values: &mut impl Iterator<Item = f64>) -> Vec<proto::MetricFamily> {
    use proto::{Bucket, Counter, Gauge, Histogram, Metric, MetricFamily, MetricType, Quantile, Summary, Untyped};
    let mut next = || values.next().unwrap_or(1.0);
    let label =
        |series: usize| vec![proto::LabelPair { name: Some("a".into()), value: Some(format!("value {series}")) }];
    let family = |name: &str, kind: MetricType, metric: Vec<Metric>| MetricFamily {
        name: Some(name.into()),
        help: Some(format!("The {name}s.")),
        r#type: Some(kind as i32),
        metric,
        unit: None,
    };
    let created = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
    let mut counter = |series| Metric {
        label: label(series),
        counter: Some(Counter { value: Some(next()), exemplar: None, created_timestamp: created }),
        ..Metric::default()
    };
    let counters = vec![counter(0), counter(1)];
    let gauge = Metric { label: label(0), gauge: Some(Gauge { value: Some(next()) }), ..Metric::default() };
    let untyped = Metric { untyped: Some(Untyped { value: Some(next()) }), ..Metric::default() };
    let count = |value: f64| Some(value.abs() as u64);
    let quantile = Quantile { quantile: Some(0.5), value: Some(next()) };
    let summary = Summary {
        sample_count: count(next()),
        sample_sum: Some(next()),
        quantile: vec![quantile],
        created_timestamp: None,
    };
    let summary = Metric { label: label(1), summary: Some(summary), ..Metric::default() };
    let bucket = |bound: f64, value: f64| Bucket {
        cumulative_count: count(value),
        upper_bound: Some(bound),
        ..Bucket::default()
    };
    let bucket = vec![bucket(0.5, next()), bucket(1.0, next())];
    let sample_count = count(next());
    let histogram = Histogram {
        sample_count,
        sample_sum: Some(next()),
        bucket,
        created_timestamp: created,
        ..Histogram::default()
    };
    let histogram = Metric { label: label(2), histogram: Some(histogram), ..Metric::default() };
    vec![
        family("counter", MetricType::Counter, counters),
        family("gauge", MetricType::Gauge, vec![gauge]),
        family("untyped", MetricType::Untyped, vec![untyped]),
        family("summary", MetricType::Summary, vec![summary]),
        family("histogram", MetricType::Histogram, vec![histogram]),
    ]
}

#[test]
fn protobuf_has_templates() {
    let numbers = |from: u32, step: u32| (0..20).map(move |at| f64::from(from + at * step));
    for door in [Door::Aggregate, Door::Source] {
        let mut gateway = Gateway::new(Fixture::new(2).by(door));
        // Counts become longer, and with them the messages around them.
        let mut push = |from, step| gateway.protobuf(&families(&mut numbers(from, step)));
        assert_eq!(
            [push(0, 0), push(1, 1), push(100, 1), push(0, 70_000), push(7, 0)],
            [false, false, true, true, true]
        );
    }
}

#[test]
fn what_protobuf_changes_besides_is_taken_apart() {
    type Change = fn(&mut Vec<proto::MetricFamily>);
    let changes: [(&str, Change); 9] = [
        ("one family less", |families| _ = families.pop()),
        ("one metric less", |families| _ = families[0].metric.pop()),
        ("another name", |families| families[1].name = Some("other".into())),
        ("another label", |families| families[0].metric[1].label[0].value = Some("value 9".into())),
        ("a longer label", |families| families[0].metric[1].label[0].value = Some("value 10".into())),
        ("a timestamp", |families| families[0].metric[0].timestamp_ms = Some(1)),
        ("a count below zero", |families| {
            families[0].metric[0].counter.as_mut().expect("a counter").value = Some(-1.0);
        }),
        ("a count that no float holds", |families| {
            families[4].metric[0].histogram.as_mut().expect("a histogram").sample_count = Some(u64::MAX);
        }),
        ("a native bucket", |families| {
            let histogram = families[4].metric[0].histogram.as_mut().expect("a histogram");
            (histogram.schema, histogram.zero_threshold, histogram.zero_count) = (Some(1), Some(0.1), Some(1));
        }),
    ];
    for (what, change) in changes {
        let mut gateway = Gateway::new(Fixture::new(2));
        (0..2).for_each(|_| _ = gateway.protobuf(&families(&mut std::iter::empty())));
        assert!(gateway.protobuf(&families(&mut std::iter::empty())));
        let mut changed = families(&mut std::iter::empty());
        change(&mut changed);
        assert!(!gateway.protobuf(&changed), "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn protobuf_that_is_filled_is_what_is_assembled(
        values in proptest::collection::vec(proptest::collection::vec(-1.0..1e17, 0..14), 4),
        cut in 0usize..400,
    ) {
        let mut gateway = Gateway::new(Fixture::new(2));
        let group = GroupLabels::default();
        for values in values {
            let families = families(&mut values.into_iter().map(f64::trunc));
            gateway.protobuf(&families);
            let body: Vec<u8> = families.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
            let cut = cut.min(body.len() - 1);
            gateway.push(PushFormat::Protobuf, &body[..cut], &group);
            let mut broken = body.clone();
            broken[cut] ^= 0x55;
            gateway.push(PushFormat::Protobuf, &broken, &group);
        }
    }

    #[test]
    fn whatever_is_filled_is_what_is_assembled(
        lines in proptest::collection::vec((0usize..8, 0u8..4), 1..12),
        values in proptest::collection::vec(proptest::collection::vec((-5i32..50, any::<bool>()), 12), 4),
        shards in 1usize..4,
    ) {
        let mut gateway = Gateway::new(Fixture::new(shards));
        for values in values {
            let mut body = "# TYPE c counter\n# TYPE h histogram\n".to_owned();
            for ((name, label), (value, is_whole)) in lines.iter().zip(values) {
                let value = f64::from(value) * if is_whole { 1.0 } else { 0.25 };
                let series = match name {
                    0..3 => format!("c{{a=\"{label}\",b=\"{name}\"}}"),
                    3 => format!("h_bucket{{z=\"1\",le=\"{label}\"}}"),
                    4 => "h_count{z=\"1\"}".to_owned(),
                    5 => "h_sum{z=\"1\"}".to_owned(),
                    _ => format!("u{name}{{ a = \"{label}\" , }}"),
                };
                body += &format!("{series} {}\n", float_text(value));
            }
            gateway.text(&body);
        }
    }
}

#[test]
fn what_a_push_fixes_is_never_a_place_for_its_values() {
    use proto::{Bucket, Gauge, Histogram, Metric, MetricFamily, MetricType};
    // A count as a float does not change from push to push, whatever number it is.
    let push = |value: f64| {
        let gauge = Metric { gauge: Some(Gauge { value: Some(value) }), ..Metric::default() };
        let bucket =
            Bucket { cumulative_count_float: Some((1u64 << 45) as f64), upper_bound: Some(1.0), ..Bucket::default() };
        let histogram = Histogram { bucket: vec![bucket], ..Histogram::default() };
        let histogram = Metric { histogram: Some(histogram), ..Metric::default() };
        let family = |name: &str, kind: MetricType, metric| MetricFamily {
            name: Some(name.into()),
            r#type: Some(kind as i32),
            metric: vec![metric],
            ..MetricFamily::default()
        };
        [family("g", MetricType::Gauge, gauge), family("h", MetricType::Histogram, histogram)]
    };
    let mut gateway = Gateway::new(Fixture::new(1));
    assert_eq!([1.0, 1.0, -5.0, f64::NAN].map(|value| gateway.protobuf(&push(value))), [false; 4]);
}

#[test]
fn a_line_beyond_the_limit_is_refused_by_templates_too() {
    let mut gateway = Gateway::new(Fixture::new(2));
    let limits = Limits { line_length: 100, ..gateway.rules.limits };
    gateway.rules = Arc::new(PushRules { limits, ..PushRules::clone(&gateway.rules) });
    assert_eq!(["u 1\n"; 3].map(|body| gateway.text(body)), [false, false, true]);
    let long = format!("u {}1\n", "0".repeat(100));
    assert!(gateway.fixture.push(&long).is_ok(), "without the limit");
    gateway.text(&long);
}

#[test]
fn a_template_of_many_shards_takes_more_memory() {
    let filled = |shards: usize| {
        let mut gateway = Gateway::new(Fixture::new(shards));
        let body = |series: usize| format!("c{{series=\"{series}\"}} 1\n");
        (0..2).for_each(|_| (0..3000).for_each(|series| _ = gateway.text(&body(series))));
        (0..3000).filter(|series| gateway.text(&body(*series))).count()
    };
    let (few, many) = (filled(1), filled(64));
    assert!(many < few / 4, "{few} templates with one shard, {many} with 64");
}

#[test]
fn a_push_too_large_for_a_template_leaves_others_theirs() {
    let mut gateway = Gateway::new(Fixture::new(1));
    gateway.templates = Templates::new(16 * 20_000);
    let small = |series: usize| format!("c{{series=\"{series}\"}} 1\n");
    let large =
        |series: usize| (0..2000).map(|at| format!("d{{series=\"{series}\",at=\"{at:060}\"}} 1\n")).collect::<String>();
    (0..2).for_each(|_| (0..16).for_each(|series| _ = gateway.text(&small(series))));
    (0..20).for_each(|_| (0..2).for_each(|series| _ = gateway.text(&large(series))));
    assert!((0..16).all(|series| gateway.text(&small(series))));
}

#[test]
fn observations_have_templates() {
    use crate::exposition::observation_decode::ObservationKind::{
        Counter, GaugeDecrement, GaugeIncrement, GaugeSet, Histogram, Summary,
    };
    let pushes = |kind, bodies: &[&str]| {
        let mut gateway = Gateway::new(Fixture::new(2));
        let push = |body: &&str| gateway.push(PushFormat::Observations(kind), body, &GroupLabels::default()).is_some();
        bodies.iter().map(push).collect::<Vec<_>>()
    };
    let array = |values: [&str; 2]| {
        format!(
            "[{{\"name\": \"x\", \"labels\": {{\"a\": \"1\"}}, \"value\": {}}}, {{\"value\":{}, \"name\": \"y\"}}]",
            values[0], values[1]
        )
    };
    for kind in [Counter, GaugeIncrement, GaugeSet, Histogram, Summary] {
        let bodies = [["1", "2"], ["3", "4"], ["5", "6.5"], ["1e3", ".5"]].map(array);
        assert_eq!(pushes(kind, &bodies.each_ref().map(String::as_str)), [false, false, true, true], "{kind:?}");
        // Those are read with more care.
        for odd in ["NaN", "+Inf", "\"7\"", "true", "-1", "", "0000000000000000000000000000000000001"] {
            let mut bodies: Vec<String> = [["1", "2"], ["3", "4"], ["5", "6"]].map(array).into();
            bodies.push(array(["7", odd]));
            let filled = pushes(kind, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(filled[..3], [false, false, true], "{kind:?}");
            assert_eq!(filled[3], odd == "-1" && kind != Counter, "{kind:?} {odd}");
        }
    }
    let none = [
        // The value is changed, or is not there, or is not the only one of its series.
        (GaugeDecrement, "{\"name\": \"x\", \"value\": 1}"),
        (Counter, "{\"name\": \"x\"}"),
        (Counter, "[{\"name\": \"x\", \"value\": 1}, {\"name\": \"x\"}]"),
        (Counter, "[{\"name\": \"x\", \"value\": 1}, {\"name\": \"x\", \"value\": 1}]"),
        // It is no value.
        (Counter, "{\"name\": \"x\", \"labels\": {\"value\": 1}}"),
        (Counter, "{\"name\": \"x\", \"other\": {\"value\": 1}}"),
        (Counter, "{\"name\": \"x\", \"description\": '\"value\": 1', \"value\": 1}"),
    ];
    for (kind, body) in none {
        assert!(pushes(kind, &[body; 6]).iter().all(|is_filled| !is_filled), "{body}");
    }
    assert_eq!(pushes(Counter, &["{\"name\": \"value\", \"value\": 1}"; 3]), [false, false, true]);
}

proptest! {
    #[test]
    fn observations_that_are_filled_are_what_is_assembled(
        series in proptest::collection::vec((0usize..4, 0u8..3, 0u8..4), 1..8),
        values in proptest::collection::vec(proptest::collection::vec(0u8..9, 8), 5),
        kind in 0usize..5,
        shards in 1usize..4,
    ) {
        use crate::exposition::observation_decode::ObservationKind::{Counter, GaugeIncrement, GaugeSet, Histogram, Summary};
        let kind = [Counter, GaugeIncrement, GaugeSet, Histogram, Summary][kind];
        let mut gateway = Gateway::new(Fixture::new(shards));
        for values in values {
            let observation = |((name, label, form), value): (&(usize, u8, u8), u8)| {
                let buckets = if *form == 1 { ",\"buckets\":[1,2]" } else { "" };
                let value = match form {
                    2 => "\"3\"".to_owned(),
                    3 => " .5".to_owned(),
                    _ => value.to_string(),
                };
                format!("{{\"name\":\"n{name}\",\"labels\":{{\"l\":\"{label}\"}},\"value\":{value}{buckets}}}")
            };
            let body: Vec<String> = series.iter().zip(values).map(observation).collect();
            gateway.push(PushFormat::Observations(kind), format!("[{}]", body.join(", ")), &GroupLabels::default());
        }
    }
}
