//! The budgets of the doors `source` and `replace`, and of what expires.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use catchment::clock::Clock;
use catchment::exposition::format::{Format, PushFormat};
use catchment::ingest::{GroupMethod, Ingest, IngestParts, Lifetimes, Push, Scratch, SourceKey, StoreLimits};
use catchment::model::labels::GroupLabels;
use catchment::registry::Registry;
use catchment::shard::gate::Budget as SeriesBudget;
use catchment::shard::owner::{Group, Owner, Source};
use catchment::shard::route::{QueueLimits, ShardSet};
use catchment::telemetry::Telemetry;

use super::children::{Measured, measured_by_child};
use super::data::{SERIES_PER_SOURCE, each_body, samples};
use super::measure::{in_turn, millions_per_second};
use super::ours::{self, Ours};
use super::report::{Budget, Line, Measure, Report};

/// Groups that are pushed to, of this many series.
pub const PUSHED_GROUPS: usize = 100;
const SERIES_PER_PUT: usize = 50;
/// Of the groups that are only there.
const SERIES_PER_OTHER_GROUP: usize = 10;

/// All of them.
pub fn measure(report: &mut Report) {
    for (whose, have_same_series) in [("the same", true), ("its own", false)] {
        let name = format!("1000 sources, each {SERIES_PER_SOURCE} {whose}");
        report.measure(name, |name, rounds| ingest_of_sources(name, rounds, 1_000, have_same_series));
    }
    report.measure("tables' PUT, 100 k groups / 100", |name, rounds| replace_in_tables(name, rounds, 100_000));
    if report.options.is_quick {
        return;
    }
    for (whose, measured) in [("the same", Measured::LikeSources), ("its own", Measured::Sources)] {
        let name = format!("memory, 10000 sources, {SERIES_PER_SOURCE} {whose}");
        report.measure(name, |name, _| memory_of_sources(name, measured, 10_000));
    }
    report.measure("ingest's PUT, 100 k groups / 100", |name, rounds| replace_by_ingest(name, rounds, 100_000));
    report.measure("sweep of 1000000 series, longest step", |name, _| sweep(name, 1_000_000));
}

/// What so many sources push, each to be taken for its own.
pub fn pushes_of_sources(sources: usize, have_same_series: bool) -> Vec<(Owner, String)> {
    let first = |source: usize| if have_same_series { 0 } else { source * SERIES_PER_SOURCE };
    let push = |source: usize| {
        let owner = Owner::Source(Arc::new(Source::new(source as u32)));
        (owner, samples(first(source)..first(source) + SERIES_PER_SOURCE))
    };
    (0..sources).map(push).collect()
}

/// Pushes of running totals against pushes of the same bodies that are added up.
fn ingest_of_sources(name: String, rounds: usize, sources: usize, have_same_series: bool) -> Line {
    let pushes = pushes_of_sources(sources, have_same_series);
    let (mut running, mut added) = (Ours::new(), Ours::new());
    let push_running = |ours: &mut Ours| {
        pushes.iter().for_each(|(owner, body)| ours.push_for(owner, PushFormat::Text, body.as_bytes()));
    };
    let push_added = |ours: &mut Ours| {
        pushes.iter().for_each(|(_, body)| ours.push(PushFormat::Text, body.as_bytes()));
    };
    push_running(&mut running);
    push_added(&mut added);
    assert_eq!(running.total(), added.total(), "the first values count whole");
    let total = running.total();
    const REPEATS: usize = 5;
    let push_all_running = || (0..REPEATS).for_each(|_| push_running(&mut running));
    let rounds = in_turn(rounds, push_all_running, || (0..REPEATS).for_each(|_| push_added(&mut added)));
    assert_eq!(running.total(), total, "totals that stay add nothing");
    let rates = millions_per_second(rounds, REPEATS * sources * SERIES_PER_SOURCE);
    Line::new(name, Measure { unit: "M samples/s", reference: "added up" }, rates, Budget::AtLeast(0.5))
}

fn memory_of_sources(name: String, measured: Measured, sources: usize) -> Line {
    const MOST_GIGABYTES: f64 = 1.5;
    let gigabytes = measured_by_child(measured, sources) / 1e9;
    let values = sources * SERIES_PER_SOURCE;
    eprintln!("{name}: {:.0} B a value", 1e9 * gigabytes / values as f64);
    let measure = Measure { unit: "GB", reference: "the budget" };
    Line::new(name, measure, vec![(gigabytes, MOST_GIGABYTES)], Budget::AtMost(1.0))
}

/// A group of the path `/job/<number>`.
fn labels_of_group(number: usize) -> GroupLabels {
    GroupLabels::new([("job".to_owned(), format!("batch-{number:06}"))]).expect("one label")
}

/// Tables with groups; those in front are pushed to.
pub struct Groups {
    ours: Ours,
    pushed: Vec<(Arc<Group>, GroupLabels)>,
}

impl Groups {
    /// So many of them.
    pub fn of(count: usize) -> Self {
        let group = |number: usize| {
            let labels = labels_of_group(number);
            (Arc::new(Group::new(number as u32, &labels.text(), Vec::new())), labels)
        };
        let mut ours = Ours::new();
        let (put, other) = (Groups::body(), samples(0..SERIES_PER_OTHER_GROUP));
        let pushed: Vec<_> = (0..PUSHED_GROUPS).map(group).collect();
        pushed.iter().for_each(|(group, labels)| _ = ours.replace(group, labels, &put));
        for (group, labels) in (PUSHED_GROUPS..count).map(group) {
            ours.replace(&group, &labels, &other);
        }
        Self { ours, pushed }
    }

    /// What each group that is pushed to gets.
    pub fn body() -> String {
        samples(0..SERIES_PER_PUT)
    }

    /// Pushes to each; returns how long the tables took for it.
    pub fn put(&mut self, body: &str) -> Duration {
        self.pushed.iter().map(|(group, labels)| self.ours.replace(group, labels, body)).sum()
    }
}

/// The cost of replacing a group must not depend on other groups: what the tables take for it.
fn replace_in_tables(name: String, rounds: usize, groups: usize) -> Line {
    const REPEATS: usize = 10;
    let (mut few, mut many) = (Groups::of(PUSHED_GROUPS), Groups::of(groups));
    let body = Groups::body();
    let of = |groups: &mut Groups| (0..REPEATS).map(|_| groups.put(&body)).sum();
    let rounds = (0..rounds).map(|_| (of(&mut many), of(&mut few)));
    line_of_replace(name, rounds.collect(), REPEATS)
}

/// The same as a worker has it done, with the way to the shards and back.
fn replace_by_ingest(name: String, rounds: usize, groups: usize) -> Line {
    const REPEATS: usize = 2;
    let system = actix_rt::System::new();
    let rounds = system.block_on(async {
        let (few, many) = (Gateway::start(PUSHED_GROUPS).await, Gateway::start(groups).await);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let (mut few_time, mut many_time) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..REPEATS {
                few_time += few.put().await;
                many_time += many.put().await;
            }
            times.push((many_time, few_time));
        }
        few.shards.stop();
        many.shards.stop();
        times
    });
    line_of_replace(name, rounds, REPEATS)
}

fn line_of_replace(name: String, rounds: Vec<(Duration, Duration)>, repeats: usize) -> Line {
    let each = |time: Duration| 1e6 * time.as_secs_f64() / (repeats * PUSHED_GROUPS) as f64;
    let rounds = rounds.into_iter().map(|(many, few)| (each(many), each(few))).collect();
    let measure = Measure { unit: "µs", reference: "with 100 groups" };
    Line::new(name, measure, rounds, Budget::AtMost(2.0))
}

/// The way of a push with its shards, on threads of their own.
struct Gateway {
    ingest: Ingest,
    shards: Arc<ShardSet>,
    scratch: RefCell<Scratch>,
}

impl Gateway {
    async fn start(groups: usize) -> Self {
        let telemetry = Telemetry::new().expect("ascending bounds");
        let (clock, stored) = (Clock::start(), SeriesBudget::new(usize::MAX));
        let limits = QueueLimits { batches: 1024, bytes: 64 << 20 };
        let (shards, _threads) = ShardSet::start(ours::SHARDS, limits, clock, &stored, &telemetry);
        let shards = Arc::new(shards);
        let ingest = Ingest::new(IngestParts {
            registry: Arc::new(Registry::new(1000)),
            shards: Arc::clone(&shards),
            rules: ours::push_rules(None),
            limits: StoreLimits { series: usize::MAX, series_per_family: usize::MAX, series_per_source: usize::MAX },
            max_templates: 128 << 20,
            stored,
            lifetimes: Lifetimes::default(),
            source_key: SourceKey::All,
            clock,
            metrics: telemetry.ingest(),
        });
        let gateway = Self { ingest, shards, scratch: RefCell::default() };
        let (put, other) = (Groups::body(), samples(0..SERIES_PER_OTHER_GROUP));
        for number in 0..groups {
            gateway.replace(number, if number < PUSHED_GROUPS { &put } else { &other }).await;
        }
        gateway
    }

    async fn replace(&self, number: usize, body: &str) {
        let group = labels_of_group(number);
        let push = Push { format: PushFormat::Text, body: body.as_bytes(), group: &group, lifetime: None };
        self.ingest.replace(push, GroupMethod::Group, &self.scratch).await.expect("valid");
    }

    async fn put(&self) -> Duration {
        let body = Groups::body();
        let start = std::time::Instant::now();
        for number in 0..PUSHED_GROUPS {
            self.replace(number, &body).await;
        }
        start.elapsed()
    }
}

/// Series whose time is over are removed in steps, between which a shard does other things: none may be long. All runs take
/// the same steps, so of each the median counts: a step during which the machine did something else is none of ours.
fn sweep(name: String, series: usize) -> Line {
    const MOST_MILLISECONDS: f64 = 10.0;
    const RUNS: usize = 5;
    let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
    let runs: Vec<Vec<Duration>> = (0..RUNS).map(|_| steps_of_sweep(series)).collect();
    let step_of_each_run = |step: usize| runs.iter().filter_map(|steps| steps.get(step).copied()).collect::<Vec<_>>();
    let medians = (0..).map(step_of_each_run).take_while(|times| !times.is_empty()).map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let longest = milliseconds(medians.max().unwrap_or_default());
    let mut whole: Vec<Duration> = runs.iter().map(|steps| steps.iter().sum()).collect();
    whole.sort();
    eprintln!("{name}: {:.0} ms in all", milliseconds(whole[RUNS / 2]));
    let measure = Measure { unit: "ms", reference: "the budget" };
    Line::new(name, measure, vec![(longest, MOST_MILLISECONDS)], Budget::AtMost(1.0))
}

fn steps_of_sweep(series: usize) -> Vec<Duration> {
    let mut ours = Ours::with_lifetime(Some(1));
    each_body(series, |body| ours.push(PushFormat::Text, body.as_bytes()));
    // What has been scraped stands in order, from which it is removed too.
    assert_eq!(ours.encode(Format::default()), series);
    let (removed, steps) = ours.sweep(1);
    assert_eq!(removed, series);
    steps
}
