//! Pushes assembled by tables, and against a naive twin.

mod doors;
mod modes;
mod observations;
mod quantiles;
mod rules;
mod templates;

use super::*;
use crate::exposition::decode;
use crate::exposition::format::PushFormat;
use crate::exposition::number::float_text;
use crate::model::family::MetricKind;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Histogram, Summary};
use crate::registry::{Entry, Registry};
use crate::rules::Rule;
use crate::shard::batch::{ObservationUpdate, SeriesRef};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Fixture {
    registry: Registry,
    router: Router,
    rules: PushRules,
    door: Door,
    lifetime: Option<Millis>,
    /// Names of released families.
    released: &'static [&'static str],
}

impl Fixture {
    fn new(shards: usize) -> Self {
        let gauges =
            GaugeRules { aggregate: GaugeRule { policy: GaugePolicy::Last, window: 1000 }, source: GaugePolicy::Sum };
        let summaries = SummaryPolicy::SumCount;
        let rules = PushRules {
            gauges,
            summaries,
            series_lifetime: None,
            rules: RuleSet::default(),
            mode_label: None,
            declarations: None,
            limits: Limits::default(),
        };
        Self {
            registry: Registry::new(100),
            router: Router::new(shards),
            rules,
            door: Door::Aggregate,
            lifetime: None,
            released: &[],
        }
    }

    fn by(self, door: Door) -> Self {
        Self { door, ..self }
    }

    fn with_rules(mut self, rules: Vec<Rule>) -> Self {
        self.rules.rules = RuleSet::new(rules);
        self
    }

    fn assemble(&self, body: &str, group: &GroupLabels) -> Result<Assembled, PushError> {
        self.assemble_as(PushFormat::Text, body.as_bytes(), group)
    }

    fn assemble_as(&self, format: PushFormat, body: &[u8], group: &GroupLabels) -> Result<Assembled, PushError> {
        let (mut decoded, mut arena) = (Decoded::default(), Vec::new());
        let text = decode(format, body, &self.rules.limits, self.router.hasher(), &mut arena, &mut decoded)
            .map_err(PushError::Malformed)?;
        let is_released = |family: &Family| self.released.contains(&&*family.name);
        let pushed = Pushed { door: self.door, labels: group, lifetime: self.lifetime, is_released: &is_released };
        Assembler::default().assemble(text, &mut decoded, pushed, &self.rules, &self.registry, &self.router)
    }

    /// Assembles and registers.
    fn push(&self, body: &str) -> Result<Assembled, PushError> {
        let push = self.assemble(body, &GroupLabels::default())?;
        self.register(self.assemble(body, &GroupLabels::default())?);
        Ok(push)
    }

    fn register(&self, Assembled { families, releases, .. }: Assembled) {
        let wanted = families.into_iter().map(|family| family.wanted).collect();
        let is_released = |family: &Family| self.released.contains(&&*family.name);
        let entry = Entry { wanted, door: self.door, releases: &releases, is_released: &is_released };
        assert!(self.registry.commit(entry).is_ok());
    }
}

/// Everything a push holds, as text by series; each is in it once.
fn contents(push: &Assembled) -> BTreeMap<String, String> {
    let updates = updates(push);
    let contents: BTreeMap<String, String> = updates.iter().cloned().collect();
    assert_eq!(contents.len(), updates.len(), "a series is in a push once");
    contents
}

/// Everything a push holds: numbers, then histograms, then summaries, in the order in which each shard gets them.
fn updates(push: &Assembled) -> Vec<(String, String)> {
    let mut updates = Vec::new();
    for batch in &push.batches {
        let mut add = |series: SeriesRef, value: String| {
            let name = push.families[series.family as usize].wanted.name();
            updates.push((format!("{name}{{{}}}", batch.key(series)), value));
        };
        batch.numbers.iter().for_each(|update| add(update.series, update.value.to_string()));
        batch.histograms.iter().for_each(|update| add(update.series, histogram_text(&update.histogram)));
        batch.summaries.iter().for_each(|update| add(update.series, summary_text(&update.summary)));
        let observed = |update: &ObservationUpdate| format!("{:?} into {:?}", update.observations, update.rule);
        batch.observations.iter().for_each(|update| add(update.series, observed(update)));
    }
    updates
}

/// The rule of each series of a push.
fn series_rules(push: &Assembled) -> BTreeMap<String, SeriesRule> {
    let mut rules = BTreeMap::new();
    for batch in &push.batches {
        for series in batch.series() {
            let name = push.families[series.family as usize].wanted.name();
            rules.insert(format!("{name}{{{}}}", batch.key(series)), push.rules[series.rule as usize]);
        }
    }
    rules
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(series, value)| ((*series).to_owned(), (*value).to_owned())).collect()
}

fn histogram_text(histogram: &Histogram) -> String {
    let buckets: Vec<String> =
        histogram.buckets.iter().map(|bucket| format!("{}:{}", bucket.bound, bucket.count)).collect();
    format!("{} sum {:?} count {:?}", buckets.join(" "), histogram.sum, histogram.count)
}

fn summary_text(summary: &Summary) -> String {
    let quantiles: String =
        summary.quantiles.iter().map(|of| format!("{}:{} ", of.quantile, float_text(of.value))).collect();
    format!("{quantiles}sum {:?} count {:?}", summary.sum, summary.count)
}

#[test]
fn samples_become_series() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("# TYPE a counter\n# HELP a help\n", &[]),
        ("b{y=\"2\",x=\"1\"} 5\na 1\n", &[("a{}", "1"), ("b{x=\"1\",y=\"2\"}", "5")]),
        // TYPE after the samples, samples apart, buckets in any order, no count and no sum.
        (
            "h_bucket{le=\"+Inf\"} 3\nx 1\nh_bucket{le=\"1e0\"} 2\n# TYPE h histogram\nh_bucket{le=\".5\"} 1\n",
            &[("h{}", "0.5:1 1:2 inf:3 sum None count None"), ("x{}", "1")],
        ),
        // The `+Inf` bucket is the count where it was not pushed.
        (
            "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 2\nh_count{a=\"1\"} 5\nh_sum{a=\"2\"} 7\n",
            &[("h{a=\"1\"}", "1:2 inf:5 sum None count Some(5.0)"), ("h{a=\"2\"}", " sum Some(7.0) count None")],
        ),
        ("# TYPE s summary\ns{quantile=\"0.5\"} 3\ns_sum 4\ns_count 2\n", &[("s{}", "sum Some(4.0) count Some(2.0)")]),
        // Without a TYPE these are three families.
        ("f_sum 1\nf_count 2\nf 3\n", &[("f_sum{}", "1"), ("f_count{}", "2"), ("f{}", "3")]),
    ];
    for (body, expected) in cases {
        let expected = expected.iter().map(|(series, value)| ((*series).into(), (*value).into())).collect();
        assert_eq!(contents(&Fixture::new(3).push(body).expect("valid")), expected, "{body}");
    }
}

#[test]
fn samples_without_a_type_take_that_of_their_family() {
    let fixture = Fixture::new(1);
    fixture.push("# TYPE h histogram\nh_count 1\n").expect("valid");
    let push = fixture.push("h_bucket{le=\"1\"} 1\nh_sum 2\n").expect("valid");
    assert_eq!(contents(&push)["h{}"], "1:1 sum Some(2.0) count None");
}

#[test]
fn an_untyped_family_is_settled_by_a_later_type() {
    let fixture = Fixture::new(1);
    fixture.push("x 1\n").expect("valid");
    fixture.push("# TYPE x gauge\n").expect("valid");
    assert_eq!(fixture.registry.view().families().next().map(|family| family.kind()), Some(MetricKind::Gauge));
    assert!(matches!(fixture.push("# TYPE x counter\nx 1\n"), Err(PushError::TypeConflict(_))));
}

#[test]
fn group_labels_win_and_may_make_series_equal() {
    let group = GroupLabels::new([("job".to_owned(), "path".to_owned())]).expect("one label");
    let fixture = Fixture::new(2);
    let push = fixture.assemble("x{job=\"body\",a=\"1\"} 1\n", &group).expect("valid");
    assert_eq!(contents(&push).into_keys().collect::<Vec<_>>(), ["x{a=\"1\",job=\"path\"}"]);
    let refused = fixture.assemble("x{job=\"1\"} 1\nx{job=\"2\"} 1\n", &group);
    assert!(matches!(refused, Err(PushError::DuplicateSeries(_))));
}

#[test]
fn summaries_can_be_discarded() {
    let mut fixture = Fixture::new(1);
    fixture.rules.summaries = SummaryPolicy::Discard;
    let push = fixture.push("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\nx 1\n").expect("valid");
    assert_eq!(contents(&push).into_keys().collect::<Vec<_>>(), ["x{}"]);
    assert_eq!(push.discarded_samples, 3);
    assert!(fixture.push("# TYPE s summary\ns_count -1\n").is_err(), "what is discarded is checked all the same");
}

#[test]
fn a_histogram_has_a_bounded_number_of_buckets() {
    let body = |buckets: usize| {
        let lines: String = (0..buckets).map(|bound| format!("h_bucket{{le=\"{bound}\"}} 1\n")).collect();
        format!("# TYPE h histogram\n{lines}")
    };
    assert!(Fixture::new(1).push(&body(1000)).is_ok());
    let refused = Fixture::new(1).push(&body(1001)).map_err(|error| error.to_string());
    assert_eq!(refused.err().as_deref(), Some("line 2: expected at most 1000 buckets in a histogram, got 1001"));
}

#[test]
fn faults_are_named() {
    let cases = [
        ("# TYPE x counter\nx -1\n", "line 2: expected a counter increment of at least 0, got -1"),
        ("# TYPE x counter\nx NaN\n", "line 2: expected a counter increment of at least 0, got NaN"),
        ("# TYPE x counter\nx 1\n# TYPE x gauge\n", "line 3: expected one TYPE for x, got gauge after counter"),
        (
            "x{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 1\n",
            "line 2: expected each series once in a push, got x{a=\"1\",b=\"2\"} again",
        ),
        ("x{\"a-b\"=\"1\"} 1\nx{a_b=\"1\"} 1\n", "line 2: expected each series once in a push, got x{a_b=\"1\"} again"),
        ("# TYPE h histogram\nh_sum 1\nh_sum 1\n", "line 3: expected each series once in a push, got h_sum again"),
        (
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n",
            "line 2: expected each series once in a push, got h_bucket{le=\"1\"} again",
        ),
        ("# TYPE h histogram\nh 1\n", "line 2: expected a sample of histogram h (h_bucket, h_sum, h_count), got h"),
        ("# TYPE h histogram\nh_bucket 1\n", "line 2: expected the label le, got none"),
        ("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", "line 2: expected a number as le, got \"x\""),
        ("# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n", "line 2: expected a number as le, got \"NaN\""),
        ("# TYPE h histogram\nh_bucket{le=\"1\"} -1\n", "line 2: expected a count of at least 0, got -1"),
        ("# TYPE h histogram\nh_count{le=\"1\"} 1\n", "line 2: expected no label le here, got le=\"1\""),
        ("# TYPE s summary\ns 1\n", "line 2: expected the label quantile, got none"),
        (
            "# TYPE f summary\n# TYPE f_count counter\nf_count 1\nf_sum 1\n",
            "line 1: expected summary f to have sample names of its own, got f_count, which belongs to f_count",
        ),
        (
            "z_z 1\n{\"z-z\"} 1\n",
            "line 2: expected untyped z-z to have sample names of its own, got z_z, which belongs to z_z",
        ),
        (
            "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\".50\"} 1\n",
            "line 3: expected each series once in a push, got s{quantile=\"0.5\"} again",
        ),
        ("# TYPE h histogram\nh_bucket{le=\"1\"} -Inf\n", "line 2: expected a count of at least 0, got -Inf"),
        ("x{b=\"1\",a=\"1\",b=\"2\"} 1\n", "line 1: expected each label once, got b twice"),
    ];
    for (body, expected) in cases {
        let refused = Fixture::new(2).push(body).map(|push| contents(&push)).map_err(|error| error.to_string());
        assert_eq!(refused, Err(expected.to_owned()), "{body}");
    }
}

proptest! {
    /// The twin: a map from sample lines to their sums, written without any of the house's parts.
    #[test]
    fn a_push_holds_each_of_its_series_once(
        samples in proptest::collection::btree_map(("[abc]", "[xy]{0,2}", 0u8..3), 0u32..100, 0..40),
        shards in 1usize..5,
    ) {
        let lines: Vec<(String, u32)> = samples
            .iter()
            .map(|((name, value, zone), number)| (format!("{name}{{v=\"_{value}\",zone=\"{zone}\"}}"), *number))
            .collect();
        let body: String = lines.iter().map(|(series, number)| format!("{series} {number}\n")).collect();
        let push = Fixture::new(shards).push(&body).expect("valid");
        let twin: BTreeMap<String, String> =
            lines.iter().map(|(series, number)| (series.clone(), number.to_string())).collect();
        prop_assert_eq!(push.series(), twin.len());
        prop_assert_eq!(contents(&push), twin);
        if let Some((series, _)) = lines.first() {
            let doubled = format!("{body}{series} 1\n");
            prop_assert!(matches!(Fixture::new(shards).push(&doubled), Err(PushError::DuplicateSeries(_))));
        }
    }
}

#[test]
fn what_comes_with_samples_stays_with_them() {
    let body = "# TYPE s summary\ns_count 1\ns_created 5\n# TYPE c counter\nc_total 1 # {id=\"1\"} 0.5\nc_created 7.25\n\
                # TYPE h histogram\nh_bucket{le=\"1\"} 1 # {id=\"2\"} 0.7\nh_created 9\n# EOF\n";
    for summaries in [SummaryPolicy::SumCount, SummaryPolicy::Discard] {
        let mut fixture = Fixture::new(1);
        fixture.rules.summaries = summaries;
        let push =
            fixture.assemble_as(PushFormat::OpenMetrics, body.as_bytes(), &GroupLabels::default()).expect("valid");
        let batch = &push.batches[0];
        let created: Vec<_> = batch.counters.iter().filter_map(|extra| extra.created).collect();
        assert_eq!(created, [Timestamp { seconds: 7, nanos: 250_000_000 }], "{summaries:?}");
        assert_eq!(batch.counters.iter().filter(|extra| extra.exemplar.is_some()).count(), 1);
        let histogram = &batch.histograms[0].histogram;
        assert_eq!((histogram.created.map(|created| created.seconds), histogram.exemplars.len()), (Some(9), 1));
        let kept = batch.summaries.iter().filter_map(|update| update.summary.created).count();
        assert_eq!(kept, usize::from(summaries == SummaryPolicy::SumCount));
    }
}
