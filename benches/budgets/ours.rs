//! Our way of a push without sockets and actors: decode, assemble, register, merge; and of a scrape: encode page by page.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catchment::catalogue;
use catchment::exposition::decode;
use catchment::exposition::decoded::Decoded;
use catchment::exposition::error::Limits;
use catchment::exposition::format::{Format, PushFormat};
use catchment::model::door::Door;
use catchment::model::family::FamilyUse;
use catchment::model::labels::GroupLabels;
use catchment::model::value::{GaugePolicy, GaugeRule};
use catchment::push::{Assembled, Assembler, GaugeRules, PushRules, Pushed, SummaryPolicy};
use catchment::registry::{Entry, Registry};
use catchment::rules::RuleSet;
use catchment::shard::batch::{BatchContext, Router};
use catchment::shard::owner::Owner;
use catchment::shard::table::{Page, PageRequest, Table};

use super::data;

const SHARDS: usize = 2;
const GAUGES: GaugeRules =
    GaugeRules { aggregate: GaugeRule { policy: GaugePolicy::Last, window: 300_000 }, source: GaugePolicy::Sum };

/// Time by stage.
#[derive(Default)]
pub struct Stages {
    samples: usize,
    decode: Duration,
    assemble: Duration,
    merge: Duration,
}

impl fmt::Display for Stages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |time: Duration| time.as_nanos() as f64 / self.samples as f64;
        let (decode, assemble, merge) = (each(self.decode), each(self.assemble), each(self.merge));
        write!(formatter, "decode {decode:.0} ns, assemble and route {assemble:.0} ns, merge {merge:.0} ns a sample")
    }
}

/// All that one worker and the shards hold.
pub struct Ours {
    pub stages: Stages,
    decoded: Decoded,
    arena: Vec<u8>,
    assembler: Assembler,
    registry: Registry,
    router: Router,
    tables: Vec<Table>,
    rules: PushRules,
}

impl Ours {
    pub fn new() -> Self {
        let router = Router::new(SHARDS);
        Self {
            stages: Stages::default(),
            decoded: Decoded::default(),
            arena: Vec::new(),
            assembler: Assembler::default(),
            registry: Registry::new(1000),
            tables: (0..SHARDS).map(|_| Table::new(router.clone())).collect(),
            router,
            rules: PushRules {
                gauges: GAUGES,
                summaries: SummaryPolicy::SumCount,
                series_lifetime: None,
                rules: RuleSet::default(),
                mode_label: None,
                limits: Limits::default(),
            },
        }
    }

    /// Takes one push in.
    pub fn push(&mut self, format: PushFormat, body: &[u8]) {
        let start = Instant::now();
        let Self { assembler, decoded: samples, arena, rules, registry, router, .. } = self;
        let text = decode(format, body, &rules.limits, router.hasher(), arena, samples).expect("valid");
        let decoded = Instant::now();
        let labels = GroupLabels::default();
        let pushed = Pushed { door: Door::Aggregate, labels: &labels, lifetime: None, is_released: &|_| false };
        let push = assembler.assemble(text, samples, pushed, rules, registry, router).expect("valid");
        let Assembled { families, rules, batches, .. } = push;
        let wanted = families.into_iter().map(|family| family.wanted).collect();
        let entry = Entry { wanted, door: Door::Aggregate, releases: &[], is_released: &|_| false };
        let (families, _view) = self.registry.commit(entry).expect("room");
        let context = BatchContext {
            families: families.iter().map(FamilyUse::begin).collect(),
            rules,
            ..BatchContext::default()
        };
        let assembled = Instant::now();
        for (table, batch) in self.tables.iter_mut().zip(batches) {
            table.apply(batch, &context, &Owner::Everyone, 0);
        }
        self.stages.samples += self.decoded.samples.len();
        self.stages.decode += decoded - start;
        self.stages.assemble += assembled - decoded;
        self.stages.merge += assembled.elapsed();
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

fn resident_bytes() -> usize {
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * PAGE
}
