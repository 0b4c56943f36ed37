//! Random histories of sources that push, restart, end and are swept away, against a naive model that keeps everything apart.

use super::super::sourced::Origin;
use super::*;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Bucket, Counter, Exemplar, GaugePolicy, Histogram, Summary, Value};
use crate::selector::Selector;
use crate::shard::batch::{CounterExtra, HistogramUpdate, SummaryUpdate, UpdateParts};
use crate::shard::owner::Source;

const KINDS: [(&str, MetricKind); 5] = [
    ("counter", MetricKind::Counter),
    ("gauge", MetricKind::Gauge),
    ("histogram", MetricKind::Histogram),
    ("gauge_histogram", MetricKind::GaugeHistogram),
    ("summary", MetricKind::Summary),
];
const SOURCES: usize = 3;

/// A family, and the value of the only label.
type Key = (u32, String);

/// What has happened in a process since it last pushed.
#[derive(Clone, Copy, Debug)]
struct Event {
    restarts: bool,
    low: u32,
    high: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        source: usize,
        events: BTreeMap<Key, Event>,
        lifetime: Option<Millis>,
    },
    /// Its values are forgotten in steps of so many, while others push.
    End {
        source: usize,
        most: usize,
    },
    Wait(Millis),
    SweepExpired,
    /// Series with this value of the label.
    Sweep(String),
}

fn step() -> impl Strategy<Value = Step> {
    let event = (prop::bool::weighted(0.2), 0u32..5, 0u32..5);
    let event = event.prop_map(|(restarts, low, high)| Event { restarts, low, high });
    let events = proptest::collection::btree_map((0..KINDS.len() as u32, "[ab]"), event, 0..8);
    let lifetime = prop_oneof![3 => Just(None), 1 => (1u64..20).prop_map(Some)];
    prop_oneof![
        8 => (0..SOURCES, events, lifetime)
            .prop_map(|(source, events, lifetime)| Step::Push { source, events, lifetime }),
        1 => (0..SOURCES, 1usize..4).prop_map(|(source, most)| Step::End { source, most }),
        1 => (1u64..20).prop_map(Step::Wait),
        1 => Just(Step::SweepExpired),
        1 => "[ab]".prop_map(Step::Sweep),
    ]
}

/// One series in a process: observations of 1 and of 2 so far, and when it began.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    low: f64,
    high: f64,
    created: i64,
}

impl Process {
    fn go_on(&mut self, event: Event) {
        if event.restarts {
            *self = Self { low: 0.0, high: 0.0, created: self.created + 1 };
        }
        self.low += f64::from(event.low);
        self.high += f64::from(event.high);
    }

    /// What it pushes as a value of this kind, as numbers of which each adds up by itself.
    fn numbers(self, kind: MetricKind) -> Vec<f64> {
        let Self { low, high, .. } = self;
        match kind {
            MetricKind::Gauge => vec![low - high],
            MetricKind::Histogram | MetricKind::GaugeHistogram => vec![low, low + high, low + 2.0 * high],
            MetricKind::Summary => vec![low + high, low + 2.0 * high],
            _ => vec![low + high],
        }
    }

    /// Whether what it pushes now, without saying when it began, shows that it has restarted.
    fn has_visibly_restarted(self, before: Self, kind: MetricKind) -> bool {
        let fell = |part: fn(Self) -> f64| part(self) < part(before);
        match kind {
            MetricKind::Histogram => fell(|of| of.low) || fell(|of| of.high),
            MetricKind::Summary => fell(|of| of.low + of.high) || fell(|of| of.low + 2.0 * of.high),
            _ => fell(|of| of.low + of.high),
        }
    }
}

/// What the model keeps of a series.
#[derive(Clone, Debug, Default)]
struct Twin {
    total: Vec<f64>,
    /// By source id: the number of the push, and what it brought.
    live: BTreeMap<u32, (usize, Process)>,
    deadline: Option<Millis>,
}

impl Twin {
    fn shown(&self, kind: MetricKind, policy: GaugePolicy) -> Vec<f64> {
        let live: Vec<Vec<f64>> = self.live.values().map(|(_, process)| process.numbers(kind)).collect();
        match kind {
            MetricKind::Gauge => {
                let numbers = live.iter().map(|numbers| numbers[0]);
                let newest = self.live.values().max_by_key(|(pushed, _)| *pushed);
                vec![match policy {
                    GaugePolicy::Last => newest.map_or(f64::NAN, |(_, process)| process.numbers(kind)[0]),
                    GaugePolicy::Sum => numbers.sum(),
                    GaugePolicy::Min => numbers.fold(f64::INFINITY, f64::min),
                    GaugePolicy::Max => numbers.fold(f64::NEG_INFINITY, f64::max),
                    GaugePolicy::Mean => numbers.sum::<f64>() / live.len() as f64,
                }]
            }
            MetricKind::GaugeHistogram => live.into_iter().reduce(|sum, next| added(&sum, &next)).unwrap_or_default(),
            _ => self.total.clone(),
        }
    }
}

fn added(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one + other).collect()
}

struct World {
    policy: GaugePolicy,
    families: Vec<Arc<Family>>,
    router: Router,
    table: Table,
    twins: BTreeMap<Key, Twin>,
    now: Millis,
    pushes: usize,
    sources: Vec<Arc<Source>>,
    processes: BTreeMap<(usize, Key), Process>,
    next_id: u32,
    /// Sources whose values are being forgotten.
    ending: Vec<(Arc<Source>, usize)>,
}

impl World {
    fn new(policy: GaugePolicy) -> Self {
        let router = Router::new(1);
        Self {
            policy,
            families: super::families(KINDS),
            table: Table::new(router.clone()),
            router,
            twins: BTreeMap::new(),
            now: 0,
            pushes: 0,
            sources: (0..SOURCES as u32).map(|id| Arc::new(Source::new(id))).collect(),
            processes: BTreeMap::new(),
            next_id: SOURCES as u32,
            ending: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Push { source, events, lifetime } => self.push(*source, events, *lifetime),
            Step::End { source, most } => self.end(*source, *most),
            Step::Wait(length) => self.now += length,
            Step::SweepExpired => {
                let now = self.now;
                sweep(&mut self.table, &Selection::Expired, now);
                self.twins.retain(|_, twin| twin.deadline.is_none_or(|deadline| deadline > now));
            }
            Step::Sweep(value) => {
                let selector: Selector = format!("{{x=\"{value}\"}}").parse().expect("a selector");
                sweep(&mut self.table, &Selection::Matching([selector].into()), self.now);
                self.twins.retain(|(_, own), _| own != value);
            }
        }
        let Self { table, ending, .. } = self;
        ending.retain(|(source, most)| table.forget_source(source.id, *most));
    }

    fn push(&mut self, source: usize, events: &BTreeMap<Key, Event>, lifetime: Option<Millis>) {
        for (key, event) in events {
            self.processes.entry((source, key.clone())).or_default().go_on(*event);
        }
        let owner = Owner::Source(Arc::clone(&self.sources[source]));
        let policy = self.policy;
        let context = context_of(&self.families, |kind| SeriesRule {
            numbers: if kind == MetricKind::Gauge { NumberRule::Live(policy) } else { NumberRule::Running },
            lifetime,
        });
        let batch = self.batch(source, events);
        self.check_inspection(&batch, &owner, events);
        self.table.apply(batch, &context, &owner, self.now);
        for (key, event) in events {
            self.push_to_twin(source, key, *event, lifetime);
        }
    }

    /// Sources of even numbers say when they began.
    fn tells_created(source: usize) -> bool {
        source.is_multiple_of(2)
    }

    fn batch(&self, source: usize, events: &BTreeMap<Key, Event>) -> Batch {
        let mut batch = Batch::default();
        for key @ (family, value) in events.keys() {
            let kind = self.families[*family as usize].kind();
            let series = push_key(&mut batch, &self.router, &self.families, *family, &format!("x=\"{value}\""));
            let process = self.processes[&(source, key.clone())];
            let numbers = process.numbers(kind);
            let created = Timestamp::new(process.created, 0).filter(|_| Self::tells_created(source));
            match kind {
                MetricKind::Histogram | MetricKind::GaugeHistogram => {
                    batch.histograms.push(HistogramUpdate { series, histogram: histogram(&numbers, created) });
                }
                MetricKind::Summary => {
                    let (count, sum) = (Some(numbers[0]), Some(numbers[1]));
                    batch
                        .summaries
                        .push(SummaryUpdate { series, summary: Summary { count, sum, created, ..<_>::default() } });
                }
                _ => {
                    let number = batch.numbers.len() as u32;
                    batch.numbers.push(NumberUpdate { series, value: numbers[0] });
                    if kind == MetricKind::Counter {
                        // They come in any order, apart from each other.
                        let exemplar = Exemplar { labels: "".into(), value: process.low, timestamp: None };
                        batch.counters.push(CounterExtra { number, created: None, exemplar: Some(exemplar) });
                        batch.counters.extend(created.map(|_| CounterExtra { number, created, exemplar: None }));
                        batch.counters.reverse();
                    }
                }
            }
        }
        batch
    }

    fn push_to_twin(&mut self, source: usize, key: &Key, event: Event, lifetime: Option<Millis>) {
        let kind = self.families[key.0 as usize].kind();
        let process = self.processes[&(source, key.clone())];
        if self.twins.get(key).and_then(|twin| twin.deadline).is_some_and(|deadline| deadline <= self.now) {
            self.twins.remove(key);
        }
        self.pushes += 1;
        let twin = self.twins.entry(key.clone()).or_default();
        twin.deadline = lifetime.map(|lifetime| self.now + lifetime);
        let before = twin.live.insert(self.sources[source].id, (self.pushes, process));
        let before = before.map(|(_, before)| before).filter(|before| {
            let has_restarted =
                if Self::tells_created(source) { event.restarts } else { process.has_visibly_restarted(*before, kind) };
            !has_restarted
        });
        let numbers = process.numbers(kind);
        let counted = before.map_or(vec![0.0; numbers.len()], |before| before.numbers(kind));
        let increment: Vec<f64> = numbers.iter().zip(&counted).map(|(now, before)| now - before).collect();
        twin.total = if twin.total.is_empty() { increment } else { added(&twin.total, &increment) };
    }

    /// The source ends; the same processes go on as another.
    fn end(&mut self, source: usize, most: usize) {
        let next = Arc::new(Source::new(self.next_id));
        self.next_id += 1;
        let ended = std::mem::replace(&mut self.sources[source], next);
        for twin in self.twins.values_mut() {
            twin.live.remove(&ended.id);
        }
        let families = &self.families;
        self.twins.retain(|(family, _), twin| !families[*family as usize].kind().is_gauge() || !twin.live.is_empty());
        self.ending.push((ended, most));
    }

    fn check_inspection(&self, batch: &Batch, owner: &Owner, events: &BTreeMap<Key, Event>) {
        if !self.ending.is_empty() {
            return;
        }
        let ids: Vec<Option<u32>> = self.families.iter().map(|family| Some(family.id)).collect();
        let inspection = self.table.inspect(batch, &ids, owner);
        assert!(inspection.objection.is_none());
        let is_new = |key: &&Key| !self.twins.contains_key(*key);
        for family in 0..KINDS.len() {
            let new = events.keys().filter(|(of, _)| *of == family as u32).filter(is_new).count();
            assert_eq!(inspection.new[family], new);
        }
        let Owner::Source(source) = owner else { return };
        let has_value = |key: &Key| self.twins.get(key).is_some_and(|twin| twin.live.contains_key(&source.id));
        assert_eq!(inspection.new_of_source, events.keys().filter(|key| !has_value(key)).count());
    }

    fn forget_to_the_end(&mut self) {
        for (source, most) in std::mem::take(&mut self.ending) {
            while self.table.forget_source(source.id, most) {}
            assert_eq!(source.series(), 0, "whatever an ended source had is forgotten");
        }
    }

    fn check(&self) {
        assert_whole(&self.table);
        if !self.ending.is_empty() {
            return;
        }
        let shown = self.twins.iter().map(|(key, twin)| {
            let kind = self.families[key.0 as usize].kind();
            (key.clone(), twin.shown(kind, self.policy))
        });
        assert_eq!(shown_of(&self.table), shown.collect());
        let values: usize = self.twins.values().map(|twin| twin.live.len()).sum();
        assert_eq!(self.table.len(), self.twins.len() + values);
        for source in &self.sources {
            assert_eq!(source.series(), self.twins.values().filter(|twin| twin.live.contains_key(&source.id)).count());
        }
        for family in &self.families {
            assert_eq!(family.series(), self.twins.keys().filter(|(of, _)| *of == family.id).count());
        }
    }
}

fn histogram(numbers: &[f64], created: Option<Timestamp>) -> Histogram {
    let bucket = |(bound, count): (f64, f64)| Bucket { bound, count };
    Histogram {
        buckets: [(1.0, numbers[0]), (f64::INFINITY, numbers[1])].map(bucket).to_vec(),
        sum: Some(numbers[2]),
        count: Some(numbers[1]),
        created,
        ..Histogram::default()
    }
}

/// What each series shows, as [`Process::numbers`] has it.
fn shown_of(table: &Table) -> BTreeMap<Key, Vec<f64>> {
    let stored = (0..table.series.end()).filter_map(|slot| table.series.get(slot));
    let shown = stored.map(|series| {
        let Stored::Sourced(sourced) = &series.stored else { panic!("{series:?} is no source's") };
        let numbers = match sourced
            .shown(table.orders[&series.family].family.kind())
            .expect("a gauge without a value is not there")
            .into_owned()
        {
            Value::Number(number) => vec![number],
            Value::Counter(counter) => vec![counter.value],
            Value::Histogram(histogram) => {
                let [low, all] = histogram.buckets[..] else { panic!("{histogram:?} has other bounds") };
                assert_eq!(Some(all.count), histogram.count);
                vec![low.count, all.count, histogram.sum.expect("a sum")]
            }
            Value::Summary(summary) => [summary.count, summary.sum].map(|number| number.expect("a number")).to_vec(),
            Value::Window(window) => panic!("{window:?} is no source's"),
        };
        let value = series.key.trim_start_matches("x=\"").trim_end_matches('"').to_owned();
        ((series.family, value), numbers)
    });
    shown.collect()
}

fn policy() -> impl Strategy<Value = GaugePolicy> {
    use GaugePolicy::{Last, Max, Mean, Min, Sum};
    prop::sample::select(vec![Last, Sum, Min, Max, Mean])
}

proptest! {
    #[test]
    fn shows_what_the_sources_have_come_to(
        policy in policy(),
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(policy);
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.forget_to_the_end();
        world.check();
        for source in 0..SOURCES {
            world.end(source, 2);
        }
        world.forget_to_the_end();
        world.check();
        prop_assert!(world.table.sources.is_empty());
        prop_assert_eq!(world.table.source_values, 0);
    }
}

fn push_numbers(world: &mut World, source: usize, keys: impl Iterator<Item = Key>) {
    world.push(source, &keys.map(|key| (key, Event { restarts: false, low: 1, high: 0 })).collect(), None);
}

#[test]
fn series_that_come_and_go_do_not_make_the_list_of_a_source_grow() {
    let mut world = World::new(GaugePolicy::Sum);
    push_numbers(&mut world, 0, (0..100).map(|at| (0, format!("stays{at}"))));
    for _ in 0..3000 {
        push_numbers(&mut world, 0, (0..2).map(|family| (family, "goes".to_owned())));
        world.take(&Step::Sweep("goes".to_owned()));
    }
    assert!(world.table.sources[&0].slots.len() < 2048);
    world.check();
    world.end(0, 10);
    world.forget_to_the_end();
    world.check();
    assert_eq!(world.table.len(), 100, "the counters' totals stay");
}

#[test]
fn a_push_says_which_value_is_the_newest_even_after_four_billion() {
    let mut world = World::new(GaugePolicy::Last);
    let key = || std::iter::once((1, "a".to_owned()));
    push_numbers(&mut world, 0, key());
    let slot = (0..world.table.series.end()).next().expect("a series");
    let Some(Stored::Sourced(sourced)) = world.table.series.get_mut(slot).map(|series| &mut series.stored) else {
        panic!("a series of the sources");
    };
    sourced.pushes = u32::MAX - 1;
    for source in [1, 2, 0, 1, 0, 2] {
        push_numbers(&mut world, source, key());
        world.check();
    }
}

/// Untyped until a push settles it: what is shown then is what the sources have now.
#[test]
fn a_family_that_turns_out_to_be_a_gauge_shows_the_values_that_live() {
    let family = Arc::new(Family::new(0, "a", MetricKind::Untyped));
    let (router, families) = (Router::new(1), [family]);
    let mut table = Table::new(router.clone());
    let sources = [0, 1].map(|id| Arc::new(Source::new(id)));
    let shown = |table: &mut Table, source: &Arc<Source>, value: f64, numbers: NumberRule| {
        let context = context_of(&families, |_| SeriesRule { numbers, lifetime: None });
        let mut batch = Batch::default();
        let series = push_key(&mut batch, &router, &families, 0, "x=\"a\"");
        batch.numbers.push(NumberUpdate { series, value });
        table.apply(batch, &context, &Owner::Source(Arc::clone(source)), 0);
        shown_of(table).into_values().next()
    };
    let gauge = NumberRule::Live(GaugePolicy::Sum);
    assert_eq!(shown(&mut table, &sources[0], 5.0, NumberRule::Running), Some(vec![5.0]));
    assert_eq!(shown(&mut table, &sources[0], 3.0, NumberRule::Running), Some(vec![8.0]));
    assert_eq!(shown(&mut table, &sources[1], 1.0, gauge), Some(vec![4.0]));
    assert!(!table.forget_source(1, 10));
    assert_eq!(shown(&mut table, &sources[0], 2.0, gauge), Some(vec![2.0]));
}

/// The family is settled by a push without some of its series.
#[test]
fn untyped_series_of_a_family_that_is_a_gauge_now_leave_too() {
    let family = Arc::new(Family::new(0, "a", MetricKind::Untyped));
    let (router, families) = (Router::new(1), [Arc::clone(&family)]);
    let mut table = Table::new(router.clone());
    let sources = [0, 1].map(|id| Arc::new(Source::new(id)));
    let push = |table: &mut Table, source: usize, labels: &str, value: f64, numbers: NumberRule| {
        let context = context_of(&families, |_| SeriesRule { numbers, lifetime: None });
        let mut batch = Batch::default();
        let series = push_key(&mut batch, &router, &families, 0, labels);
        batch.numbers.push(NumberUpdate { series, value });
        table.apply(batch, &context, &Owner::Source(Arc::clone(&sources[source])), 0);
    };
    for value in [5.0, 3.0] {
        push(&mut table, 0, "x=\"a\"", value, NumberRule::Running);
    }
    assert_eq!(shown_of(&table), BTreeMap::from([((0, "a".to_owned()), vec![8.0])]));
    family.settle(MetricKind::Gauge);
    push(&mut table, 1, "x=\"b\"", 1.0, NumberRule::Live(GaugePolicy::Max));
    let expected = [("a", 3.0), ("b", 1.0)].map(|(value, number)| ((0, value.to_owned()), vec![number]));
    assert_eq!(shown_of(&table), BTreeMap::from(expected));
    assert!(!table.forget_source(0, 10));
    assert_eq!(shown_of(&table).len(), 1);
    assert!(!table.forget_source(1, 10));
    assert!(table.is_empty());
    assert_whole(&table);
}

/// One series of the page, and by kind what each source pushed last of each part.
struct Parts {
    families: Vec<Arc<Family>>,
    router: Router,
    table: Table,
    totals: BTreeMap<u32, f64>,
    live: BTreeMap<(u32, u32, u64), f64>,
}

impl Parts {
    /// Parts of counters and gauges that one source pushes, with their numbers.
    fn push(&mut self, source: &Arc<Source>, pushed: &BTreeMap<(u32, u64), u32>) {
        let live = NumberRule::Live(GaugePolicy::Sum);
        let context = context_of(&self.families, |kind| SeriesRule {
            numbers: if kind == MetricKind::Gauge { live } else { NumberRule::Running },
            lifetime: None,
        });
        let mut batch = Batch::default();
        let keys = [0, 1].map(|family| push_key(&mut batch, &self.router, &self.families, family, ""));
        let is_new = |family: &u32| !self.live.keys().any(|(of, ..)| of == family) && !self.totals.contains_key(family);
        let new: std::collections::BTreeSet<u32> = pushed.keys().map(|(family, _)| *family).filter(is_new).collect();
        let mut new_of_source = 0;
        for ((family, part), number) in pushed {
            UpdateParts::note(&mut batch.parts.get_or_insert_default().numbers, batch.numbers.len(), *part);
            let value = f64::from(*number);
            batch.numbers.push(NumberUpdate { series: keys[*family as usize], value });
            let before = self.live.insert((*family, source.id, *part), value);
            new_of_source += usize::from(before.is_none());
            if *family == 0 {
                let grown = before.filter(|before| *before <= value).map_or(value, |before| value - before);
                *self.totals.entry(0).or_default() += grown;
            }
        }
        let owner = Owner::Source(Arc::clone(source));
        let inspection = self.table.inspect(&batch, &[Some(0), Some(1)], &owner);
        assert_eq!(inspection.new.iter().sum::<usize>(), new.len());
        assert_eq!(inspection.new_of_source, new_of_source);
        self.table.apply(batch, &context, &owner, 0);
    }

    fn check(&self, sources: &[Arc<Source>]) {
        assert_whole(&self.table);
        let mut shown = self.totals.clone();
        for ((_, _, _), value) in self.live.iter().filter(|((family, ..), _)| *family == 1) {
            *shown.entry(1).or_default() += value;
        }
        let shown: BTreeMap<Key, Vec<f64>> =
            shown.into_iter().map(|(family, value)| ((family, String::new()), vec![value])).collect();
        assert_eq!(shown_of(&self.table), shown);
        assert_eq!(self.table.len(), shown.len() + self.live.len());
        for source in sources {
            assert_eq!(source.series(), self.live.keys().filter(|(_, of, _)| *of == source.id).count());
        }
    }
}

proptest! {
    /// Each part is compared with itself alone, in whatever pushes it comes.
    #[test]
    fn parts_of_a_series_are_values_of_their_own(
        steps in proptest::collection::vec(
            (0usize..3, prop::bool::weighted(0.15),
             proptest::collection::btree_map((0u32..2, 0u64..4), 0u32..9, 0..8)), 1..30),
        most in 1usize..4,
    ) {
        let router = Router::new(1);
        let families = super::families([("counter", MetricKind::Counter), ("gauge", MetricKind::Gauge)]);
        let (table, totals, live) = (Table::new(router.clone()), BTreeMap::new(), BTreeMap::new());
        let mut world = Parts { families, router, table, totals, live };
        let mut sources: Vec<Arc<Source>> = (0..3).map(|id| Arc::new(Source::new(id))).collect();
        for (number, (source, ends, pushed)) in (3..).zip(&steps) {
            if *ends {
                let ended = std::mem::replace(&mut sources[*source], Arc::new(Source::new(number)));
                while world.table.forget_source(ended.id, most) {}
                world.live.retain(|(_, of, _), _| *of != ended.id);
                prop_assert_eq!(ended.series(), 0);
            } else {
                world.push(&sources[*source], pushed);
            }
            world.check(&sources);
        }
    }
}

#[test]
fn a_step_of_a_sweep_removes_a_bounded_number_of_values() {
    let mut world = World::new(GaugePolicy::Sum);
    const SERIES: usize = 40;
    for id in 0..1000 {
        world.sources[0] = Arc::new(Source::new(id));
        let owner = Owner::Source(Arc::clone(&world.sources[0]));
        let context = context_of(&world.families, |_| SeriesRule { numbers: NumberRule::Running, lifetime: None });
        let mut batch = Batch::default();
        for at in 0..SERIES {
            let series = push_key(&mut batch, &world.router, &world.families, 0, &format!("x=\"{at}\""));
            batch.numbers.push(NumberUpdate { series, value: 1.0 });
        }
        world.table.apply(batch, &context, &owner, 0);
    }
    let all = Selection::Matching(["{x=~\".+\"}".parse().expect("a selector")].into());
    let (mut from, mut steps) = (0, 0);
    loop {
        let before = world.table.len();
        let swept = world.table.sweep(&all, from, 0);
        steps += 1;
        assert!(before - world.table.len() < Table::VALUES_REMOVED + 1001);
        match swept.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert!(world.table.is_empty() && steps >= 3, "{steps} steps");
}

#[test]
fn what_a_counter_came_with_is_shown_with_its_total() {
    let mut world = World::new(GaugePolicy::Sum);
    for source in [0, 1, 2] {
        push_numbers(&mut world, source, std::iter::once((0, "a".to_owned())));
    }
    let Some(Stored::Sourced(sourced)) = world.table.series.get(0).map(|series| &series.stored) else {
        panic!("a series of the sources");
    };
    let exemplar = Exemplar { labels: "".into(), value: 1.0, timestamp: None };
    let expected = Counter { value: 3.0, created: Timestamp::new(0, 0), exemplar: Some(exemplar) };
    assert_eq!(sourced.total, Value::Counter(Box::new(expected)));
}

/// One process may say when it began in one push and not in the next.
#[test]
fn when_a_counter_began_is_remembered_until_it_falls() {
    type Push = (f64, Option<i64>);
    let cases: [(&[Push], f64); 5] = [
        (&[(5.0, Some(1)), (6.0, Some(1))], 6.0),
        (&[(5.0, Some(1)), (6.0, Some(2))], 11.0),
        (&[(5.0, Some(1)), (6.0, None), (7.0, Some(2))], 13.0),
        (&[(5.0, Some(1)), (6.0, None), (7.0, Some(1))], 7.0),
        (&[(5.0, Some(1)), (3.0, None), (4.0, Some(2))], 9.0),
    ];
    for (pushes, expected) in cases {
        let mut sourced = Sourced::new(Value::Number(0.0));
        for (index, (value, created)) in pushes.iter().enumerate() {
            let created = created.and_then(|seconds| Timestamp::new(seconds, 0));
            let extra = CounterExtra { number: 0, created, exemplar: None };
            let is_first =
                sourced.push_number(Origin { source: 0, part: 0 }, *value, Some(&extra), NumberRule::Running, 0);
            assert_eq!(is_first, index == 0);
        }
        let Value::Counter(total) = &sourced.total else { panic!("{sourced:?} is no counter") };
        assert_eq!(total.value, expected, "{pushes:?}");
    }
}
