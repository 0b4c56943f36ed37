//! Our way of a push without sockets and actors: decode, assemble, register, merge or replace; of a scrape: encode page by
//! page; and of what expires: swept step by step.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catchment::aggregate::NumberRule;
use catchment::catalogue;
use catchment::exposition::error::Limits;
use catchment::exposition::format::{Format, PushFormat};
use catchment::model::door::Door;
use catchment::model::family::FamilyUse;
use catchment::model::labels::GroupLabels;
use catchment::model::value::{GaugePolicy, GaugeRule, Millis};
use catchment::push::templates::Templates;
use catchment::push::{Assembled, GaugeRules, Intake, PushRules, Pushed, RawPush, Scratch, SummaryPolicy};
use catchment::registry::{Entry, Registry};
use catchment::rules::RuleSet;
use catchment::shard::batch::{Batch, BatchContext, Router};
use catchment::shard::owner::{Group, Owner, Source};
use catchment::shard::table::{Page, PageRequest, Replacement, Scope, Selection, Table};
use catchment::shard::timeline::Timeline;

use super::data::{self, Bodies};

pub const SHARDS: usize = 2;
const GAUGES: GaugeRules =
    GaugeRules { aggregate: GaugeRule { policy: GaugePolicy::Last, window: 300_000 }, source: GaugePolicy::Sum };

/// Time by stage.
#[derive(Default)]
pub struct Stages {
    samples: u64,
    assemble: Duration,
    merge: Duration,
}

impl fmt::Display for Stages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |time: Duration| time.as_nanos() as f64 / self.samples as f64;
        let (assemble, merge) = (each(self.assemble), each(self.merge));
        write!(formatter, "decode, assemble and route {assemble:.0} ns, merge {merge:.0} ns a sample")
    }
}

/// All that one worker and the shards hold.
pub struct Ours {
    pub stages: Stages,
    scratch: Scratch,
    templates: Templates,
    registry: Registry,
    router: Router,
    tables: Vec<Table>,
    timeline: Timeline,
    rules: Arc<PushRules>,
}

/// Without a rule of the file.
pub fn push_rules(series_lifetime: Option<Millis>) -> PushRules {
    PushRules {
        gauges: GAUGES,
        summaries: SummaryPolicy::SumCount,
        series_lifetime,
        rules: RuleSet::default(),
        mode_label: None,
        declarations: None,
        limits: Limits::default(),
    }
}

impl Ours {
    pub fn new() -> Self {
        Self::with_lifetime(None)
    }

    /// The same where series go so long after their last push.
    pub fn with_lifetime(series_lifetime: Option<Millis>) -> Self {
        let router = Router::new(SHARDS);
        Self {
            stages: Stages::default(),
            scratch: Scratch::default(),
            templates: Templates::new(128 << 20),
            registry: Registry::new(1000),
            tables: (0..SHARDS).map(|_| Table::new(router.clone())).collect(),
            router,
            timeline: Timeline::default(),
            rules: Arc::new(push_rules(series_lifetime)),
        }
    }

    /// Takes one push in.
    pub fn push(&mut self, format: PushFormat, body: &[u8]) {
        self.push_for(&Owner::Everyone, format, body);
    }

    /// The same for everyone or for a source.
    pub fn push_for(&mut self, owner: &Owner, format: PushFormat, body: &[u8]) {
        let (context, batches) = self.assemble(owner, &GroupLabels::default(), format, body);
        self.apply(owner, &context, batches);
    }

    /// Takes in datagrams that came together.
    pub fn observe(&mut self, datagrams: &[&[u8]]) {
        let start = Instant::now();
        let Self { scratch, rules, registry, router, .. } = self;
        let labels = GroupLabels::default();
        let pushed = Pushed { door: Door::Aggregate, labels: &labels, lifetime: None, is_released: &|_| false };
        let mut intake = Intake { registry, router, scratch };
        let unread = intake.decode_datagrams(datagrams, rules);
        assert!(unread.is_empty(), "expected datagrams, got {unread:?}");
        let assembled = intake.assemble_observations(pushed, rules).expect("valid");
        intake.scratch.shrink();
        let (context, batches) = self.register(assembled, Door::Aggregate);
        self.stages.assemble += start.elapsed();
        self.apply(&Owner::Everyone, &context, batches);
    }

    fn apply(&mut self, owner: &Owner, context: &BatchContext, batches: Vec<Batch>) {
        let start = Instant::now();
        for (table, batch) in self.tables.iter_mut().zip(batches) {
            table.apply(batch, context, owner, 0);
        }
        self.stages.merge += start.elapsed();
    }

    /// Takes all these pushes in.
    pub fn push_all(&mut self, format: PushFormat, bodies: &Bodies) {
        bodies.iter().for_each(|body| self.push(format, body.as_bytes()));
    }

    /// Replaces a whole group; returns how long the tables took for it.
    pub fn replace(&mut self, group: &Arc<Group>, labels: &GroupLabels, body: &str) -> Duration {
        let owner = Owner::Group(Arc::clone(group));
        let (context, batches) = self.assemble(&owner, labels, PushFormat::Text, body.as_bytes());
        let version = self.timeline.change().version;
        let change = Replacement { group: Arc::clone(group), scope: Scope::Group, version, shown: Arc::default() };
        let start = Instant::now();
        for (table, batch) in self.tables.iter_mut().zip(batches) {
            table.replace(batch, &context, &change, 0);
        }
        start.elapsed()
    }

    fn assemble(
        &mut self,
        owner: &Owner,
        labels: &GroupLabels,
        format: PushFormat,
        body: &[u8],
    ) -> (BatchContext, Vec<Batch>) {
        let door = match owner {
            Owner::Everyone => Door::Aggregate,
            Owner::Source(_) => Door::Source,
            Owner::Group(_) => Door::Replace,
        };
        let start = Instant::now();
        let Self { scratch, templates, rules, registry, router, .. } = self;
        let pushed = Pushed { door, labels, lifetime: None, is_released: &|_| false };
        let push = RawPush { format, body, pushed, rules };
        let key = templates.key(push);
        let push = key.and_then(|key| templates.fill(key, push, registry)).unwrap_or_else(|| {
            let mut intake = Intake { registry, router, scratch };
            let assembled = intake.assemble(push).expect("valid");
            if let Some(key) = key {
                templates.learn(key, push, &mut intake);
            }
            intake.scratch.shrink();
            assembled
        });
        let registered = self.register(push, door);
        self.stages.assemble += start.elapsed();
        registered
    }

    /// Enters the push's families.
    fn register(&mut self, push: Assembled, door: Door) -> (BatchContext, Vec<Batch>) {
        let Assembled { families, mut rules, batches, samples, .. } = push;
        if door == Door::Source {
            // Counters without a TYPE, as all are here.
            rules.iter_mut().for_each(|rule| rule.numbers = NumberRule::Running);
        }
        let wanted = families.into_iter().map(|family| family.wanted).collect();
        let entry = Entry { wanted, door, releases: &[], is_released: &|_| false };
        let (families, _view) = self.registry.commit(entry).expect("room");
        let families = families.iter().map(FamilyUse::begin).collect();
        let context = BatchContext { families, rules, ..BatchContext::default() };
        self.stages.samples += samples;
        (context, batches)
    }

    /// Removes what has expired; returns how many series, and how long each step took.
    pub fn sweep(&mut self, now: Millis) -> (usize, Vec<Duration>) {
        let (mut removed, mut steps) = (0, Vec::new());
        for table in &mut self.tables {
            let mut next = Some(0);
            while let Some(from) = next {
                let start = Instant::now();
                let swept = table.sweep(&Selection::Expired, from, now);
                steps.push(start.elapsed());
                removed += swept.removed;
                next = swept.next;
            }
        }
        (removed, steps)
    }

    /// Encodes everything stored; returns the number of series.
    pub fn encode(&mut self, format: Format) -> usize {
        let mut series = 0;
        self.pages(format, |page| series += page.series.len());
        series
    }

    fn pages(&mut self, format: Format, mut take: impl FnMut(&Page)) {
        let families = catalogue::families(&self.registry.view(), format, |_| true, |_| false);
        for table in &mut self.tables {
            let mut request = PageRequest::first(Arc::clone(&families), format, 0);
            loop {
                let page = table.page(&request, 0);
                take(&page);
                match page.next {
                    Some(next) => request.cursor = next,
                    None => break,
                }
            }
        }
    }

    /// The sum of all values.
    pub fn total(&mut self) -> f64 {
        let mut text = String::new();
        let as_text = |page: &Page| text.push_str(std::str::from_utf8(&page.text).expect("the page is UTF-8"));
        self.pages(Format::default(), as_text);
        text.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// What a stored counter takes in the process's memory, over its whole growth. Call in a fresh process.
pub fn stored_bytes_per_series(series: usize) -> f64 {
    let mut ours = Ours::new();
    data::each_body(1, |body| ours.push(PushFormat::Text, body.as_bytes()));
    let before = resident_bytes();
    data::each_body(series, |body| ours.push(PushFormat::Text, body.as_bytes()));
    // A scrape puts the series in order, which takes memory too.
    assert_eq!(ours.encode(Format::default()), series);
    resident_bytes().saturating_sub(before) as f64 / series as f64
}

/// What sources with the same series, or each with its own, take in the process's memory. Call in a fresh process.
pub fn stored_bytes_of_sources(sources: usize, have_same_series: bool) -> usize {
    let mut ours = Ours::new();
    ours.push(PushFormat::Text, data::samples(0..1).as_bytes());
    let before = resident_bytes();
    for source in 0..sources {
        let owner = Owner::Source(Arc::new(Source::new(source as u32)));
        let first = if have_same_series { 1 } else { 1 + source * data::SERIES_PER_SOURCE };
        let body = data::samples(first..first + data::SERIES_PER_SOURCE);
        ours.push_for(&owner, PushFormat::Text, body.as_bytes());
    }
    let series = data::SERIES_PER_SOURCE * if have_same_series { 1 } else { sources };
    assert_eq!(ours.encode(Format::default()), 1 + series);
    resident_bytes().saturating_sub(before)
}

fn resident_bytes() -> usize {
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * PAGE
}
