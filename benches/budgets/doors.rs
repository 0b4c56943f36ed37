//! The budgets of the doors `source` and `replace`, and of what expires.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use catchment::clock::Clock;
use catchment::exposition::format::{Format, PushFormat};
use catchment::ingest::{GroupMethod, Ingest, IngestParts, Lifetimes, Push, Scratch, SourceKey, StoreLimits};
use catchment::model::labels::GroupLabels;
use catchment::registry::Registry;
use catchment::shard::gate::Budget;
use catchment::shard::owner::{Group, Owner, Source};
use catchment::shard::route::{QueueLimits, ShardSet};
use catchment::telemetry::Telemetry;

use super::data::{SERIES_PER_SOURCE, each_body, samples};
use super::ours::{self, Ours};
use super::{Line, ROUNDS, SOURCES_MEMORY_ARGUMENTS, measured_by_child, median_round, timed};

/// Groups that are pushed to, of this many series.
const PUSHED_GROUPS: usize = 100;
const SERIES_PER_PUT: usize = 50;
/// Of the groups that are only there.
const SERIES_PER_OTHER_GROUP: usize = 10;

/// All of them.
pub fn lines() -> Vec<Line> {
    let mut lines = vec![ingest_of_sources(1_000, true), ingest_of_sources(1_000, false)];
    lines.extend(
        SOURCES_MEMORY_ARGUMENTS
            .map(|(argument, have_same_series)| memory_of_sources(argument, 10_000, have_same_series)),
    );
    lines.push(replace_in_tables(100_000));
    lines.push(replace_by_ingest(100_000));
    lines.push(sweep(1_000_000));
    lines
}

/// Pushes of running totals against pushes of the same bodies that are added up.
fn ingest_of_sources(sources: usize, have_same_series: bool) -> Line {
    let first = |source: usize| if have_same_series { 0 } else { source * SERIES_PER_SOURCE };
    let pushes: Vec<(Owner, String)> = (0..sources)
        .map(|source| {
            let owner = Owner::Source(Arc::new(Source::new(source as u32)));
            (owner, samples(first(source)..first(source) + SERIES_PER_SOURCE))
        })
        .collect();
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
    let rounds = (0..ROUNDS).map(|_| {
        let theirs = timed(|| (0..REPEATS).for_each(|_| push_added(&mut added)));
        let mine = timed(|| (0..REPEATS).for_each(|_| push_running(&mut running)));
        (mine.as_secs_f64(), theirs.as_secs_f64())
    });
    let whose = if have_same_series { "the same" } else { "its own" };
    let name = format!("{sources} sources, each {SERIES_PER_SOURCE} {whose}");
    let (mine, theirs) = median_round(&name, rounds.collect());
    assert_eq!(running.total(), total, "totals that stay add nothing");
    let rate = |time: f64| format!("{:.1} M samples/s", 1e-6 * (REPEATS * sources * SERIES_PER_SOURCE) as f64 / time);
    Line {
        name,
        ours: rate(mine),
        reference: rate(theirs),
        ratio: theirs / mine,
        budget: ">= 0.5".to_owned(),
        holds: theirs / mine >= 0.5,
    }
}

fn memory_of_sources(argument: &str, sources: usize, have_same_series: bool) -> Line {
    const MOST_GIGABYTES: f64 = 1.5;
    let bytes = measured_by_child(argument, sources);
    let whose = if have_same_series { "the same" } else { "its own" };
    let values = sources * SERIES_PER_SOURCE;
    Line {
        name: format!("memory, {sources} sources, {SERIES_PER_SOURCE} {whose}"),
        ours: format!("{:.0} B a value", bytes / values as f64),
        reference: format!("{:.0} MB in all", bytes / 1e6),
        ratio: bytes / 1e9,
        budget: format!("<= {MOST_GIGABYTES} GB"),
        holds: bytes / 1e9 <= MOST_GIGABYTES,
    }
}

/// A group of the path `/job/<number>`.
fn labels_of_group(number: usize) -> GroupLabels {
    GroupLabels::new([("job".to_owned(), format!("batch-{number:06}"))]).expect("one label")
}

/// Tables with groups; those in front are pushed to.
struct Groups {
    ours: Ours,
    pushed: Vec<(Arc<Group>, GroupLabels)>,
}

impl Groups {
    fn of(count: usize) -> Self {
        let group = |number: usize| {
            let labels = labels_of_group(number);
            (Arc::new(Group::new(number as u32, &labels.text(), Vec::new())), labels)
        };
        let mut ours = Ours::new();
        let (put, other) = (samples(0..SERIES_PER_PUT), samples(0..SERIES_PER_OTHER_GROUP));
        let pushed: Vec<_> = (0..PUSHED_GROUPS).map(group).collect();
        pushed.iter().for_each(|(group, labels)| _ = ours.replace(group, labels, &put));
        for (group, labels) in (PUSHED_GROUPS..count).map(group) {
            ours.replace(&group, &labels, &other);
        }
        Self { ours, pushed }
    }

    fn put(&mut self, body: &str) -> Duration {
        self.pushed.iter().map(|(group, labels)| self.ours.replace(group, labels, body)).sum()
    }
}

/// The cost of replacing a group must not depend on other groups: what the tables take for it.
fn replace_in_tables(groups: usize) -> Line {
    const REPEATS: usize = 10;
    let (mut few, mut many) = (Groups::of(PUSHED_GROUPS), Groups::of(groups));
    let body = samples(0..SERIES_PER_PUT);
    let rounds = (0..ROUNDS).map(|_| {
        let of = |groups: &mut Groups| (0..REPEATS).map(|_| groups.put(&body)).sum::<Duration>().as_secs_f64();
        (of(&mut few), of(&mut many))
    });
    let name = format!("tables' PUT, {} k groups / {PUSHED_GROUPS}", groups / 1000);
    let round = median_round(&name, rounds.collect());
    line_of_replace(name, round, REPEATS)
}

/// The same as a worker has it done, with the way to the shards and back.
fn replace_by_ingest(groups: usize) -> Line {
    const REPEATS: usize = 2;
    let system = actix_rt::System::new();
    let rounds = system.block_on(async {
        let (few, many) = (Gateway::start(PUSHED_GROUPS).await, Gateway::start(groups).await);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (mut few_time, mut many_time) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..REPEATS {
                few_time += few.put().await;
                many_time += many.put().await;
            }
            rounds.push((few_time.as_secs_f64(), many_time.as_secs_f64()));
        }
        few.shards.stop();
        many.shards.stop();
        rounds
    });
    let name = format!("ingest's PUT, {} k groups / {PUSHED_GROUPS}", groups / 1000);
    let round = median_round(&name, rounds);
    line_of_replace(name, round, REPEATS)
}

fn line_of_replace(name: String, (few, many): (f64, f64), repeats: usize) -> Line {
    let each = |time: f64| format!("{:.1} µs", 1e6 * time / (repeats * PUSHED_GROUPS) as f64);
    let ratio = many / few;
    Line { name, ours: each(many), reference: each(few), ratio, budget: "<= 2".to_owned(), holds: ratio <= 2.0 }
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
        let (clock, stored) = (Clock::start(), Budget::new(usize::MAX));
        let limits = QueueLimits { batches: 1024, bytes: 64 << 20 };
        let (shards, _threads) = ShardSet::start(ours::SHARDS, limits, clock, &stored, &telemetry);
        let shards = Arc::new(shards);
        let ingest = Ingest::new(IngestParts {
            registry: Arc::new(Registry::new(1000)),
            shards: Arc::clone(&shards),
            rules: ours::push_rules(None),
            limits: StoreLimits { series: usize::MAX, series_per_family: usize::MAX, series_per_source: usize::MAX },
            stored,
            lifetimes: Lifetimes::default(),
            source_key: SourceKey::All,
            clock,
            metrics: telemetry.ingest(),
        });
        let gateway = Self { ingest, shards, scratch: RefCell::default() };
        let (put, other) = (samples(0..SERIES_PER_PUT), samples(0..SERIES_PER_OTHER_GROUP));
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
        let body = samples(0..SERIES_PER_PUT);
        let start = std::time::Instant::now();
        for number in 0..PUSHED_GROUPS {
            self.replace(number, &body).await;
        }
        start.elapsed()
    }
}

/// Series whose time is over are removed in steps, between which a shard does other things: none may be long. All runs take
/// the same steps, so of each the median counts: a step during which the machine did something else is none of ours.
fn sweep(series: usize) -> Line {
    const MOST_MILLISECONDS: f64 = 10.0;
    const RUNS: usize = 5;
    let runs: Vec<Vec<Duration>> = (0..RUNS).map(|_| steps_of_sweep(series)).collect();
    let step_of_each_run = |step: usize| runs.iter().filter_map(|steps| steps.get(step).copied()).collect::<Vec<_>>();
    let medians = (0..).map(step_of_each_run).take_while(|times| !times.is_empty()).map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let longest = medians.max().unwrap_or_default().as_secs_f64() * 1e3;
    let mut whole: Vec<Duration> = runs.iter().map(|steps| steps.iter().sum()).collect();
    whole.sort();
    Line {
        name: format!("sweep of {series} series, longest step"),
        ours: format!("{longest:.2} ms"),
        reference: format!("{:.0} ms in all", 1e3 * whole[RUNS / 2].as_secs_f64()),
        ratio: longest / MOST_MILLISECONDS,
        budget: format!("<= {MOST_MILLISECONDS} ms"),
        holds: longest <= MOST_MILLISECONDS,
    }
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
