//! Random changes of groups on two shards that lag behind, with scrapes that are read meanwhile: against a naive model that
//! keeps a copy of everything for each scrape.

use super::*;
use crate::model::timestamp::Timestamp;
use crate::model::value::{Counter, Histogram, Summary, Value};
use crate::selector::Selector;
use crate::shard::batch::{CounterExtra, HistogramUpdate, SummaryUpdate};
use crate::shard::owner::Group;
use crate::shard::timeline::{Shown, ShownVersions, Timeline};
use std::collections::VecDeque;

const NAMES: [&str; 3] = ["b", "a", "c"];
const GROUPS: usize = 3;
const SHARDS: usize = 2;

/// A family, and the value of the only label.
type Key = (u32, String);

#[derive(Clone, Debug)]
enum Step {
    Put(usize, BTreeMap<Key, u32>),
    Post(usize, BTreeMap<Key, u32>),
    Delete(usize),
    /// Begins a scrape that reads pages of so many bytes.
    Scrape(usize),
    /// A shard handles so many of its messages.
    Work(usize, usize),
    /// What the upkeep sends now and then, when nothing expires.
    Forget,
    /// Series with this value of the label are removed, if all is at rest.
    Sweep(String),
}

fn step() -> impl Strategy<Value = Step> {
    let series = || proptest::collection::btree_map((0u32..3, "[abc]"), 0u32..100, 0..8);
    prop_oneof![
        3 => (0..GROUPS, series()).prop_map(|(group, series)| Step::Put(group, series)),
        3 => (0..GROUPS, series()).prop_map(|(group, series)| Step::Post(group, series)),
        1 => (0..GROUPS).prop_map(Step::Delete),
        2 => (1usize..80).prop_map(Step::Scrape),
        6 => (0..SHARDS, 1usize..6).prop_map(|(shard, messages)| Step::Work(shard, messages)),
        1 => Just(Step::Forget),
        1 => "[abc]".prop_map(Step::Sweep),
    ]
}

#[allow(clippy::large_enum_variant, reason = "few are made")]
enum Message {
    Replace {
        batch: Batch,
        context: Arc<BatchContext>,
        change: Replacement,
    },
    /// Of the scrape of this number.
    Page(usize),
    Forget {
        shown: ShownVersions,
    },
}

/// A scrape that runs.
struct Scrape {
    _shown: Shown,
    expected: Vec<String>,
    requests: Vec<PageRequest>,
    texts: Vec<String>,
    unfinished: usize,
}

/// A series of everyone, among those of the groups.
const OF_EVERYONE: (u32, &str) = (2, "everyone");

struct World {
    families: Vec<Arc<Family>>,
    router: Router,
    tables: Vec<Table>,
    mailboxes: Vec<VecDeque<Message>>,
    timeline: Arc<Timeline>,
    groups: Vec<Arc<Group>>,
    /// What the groups hold once all messages are handled.
    twins: BTreeMap<Key, (usize, u32)>,
    scrapes: BTreeMap<usize, Scrape>,
    begun: usize,
}

impl World {
    fn new() -> Self {
        let router = Router::new(SHARDS);
        let empty_labels = |group: usize| if group == 1 { vec!["env".into()] } else { Vec::new() };
        let group = |group: usize| Arc::new(Group::new(group as u32, &format!("g=\"{group}\""), empty_labels(group)));
        let mut world = Self {
            families: super::families(NAMES.map(|name| (name, MetricKind::Gauge))),
            tables: (0..SHARDS).map(|_| Table::new(router.clone())).collect(),
            router,
            mailboxes: (0..SHARDS).map(|_| VecDeque::new()).collect(),
            timeline: Arc::default(),
            groups: (0..GROUPS).map(group).collect(),
            twins: BTreeMap::new(),
            scrapes: BTreeMap::new(),
            begun: 0,
        };
        let (batches, context) = world.push_of(&BTreeMap::from([((OF_EVERYONE.0, OF_EVERYONE.1.to_owned()), 7)]));
        for (table, batch) in world.tables.iter_mut().zip(batches) {
            table.apply(batch, &context, &Owner::Everyone, 0);
        }
        world
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Put(group, series) => self.push(*group, series, true),
            Step::Post(group, series) => self.push(*group, series, false),
            Step::Delete(group) => self.push(*group, &BTreeMap::new(), true),
            Step::Scrape(bytes) => self.scrape(*bytes),
            Step::Work(shard, messages) => (0..*messages).for_each(|_| self.work(*shard)),
            Step::Forget => {
                let shown = self.timeline.with_shown(|shown| shown);
                self.mailboxes
                    .iter_mut()
                    .for_each(|mailbox| mailbox.push_back(Message::Forget { shown: Arc::clone(&shown) }));
            }
            Step::Sweep(value) if self.scrapes.is_empty() && self.is_at_rest() => {
                let selector: Selector = format!("{{x=\"{value}\"}}").parse().expect("a selector");
                let selection = Selection::Matching([selector].into());
                self.tables.iter_mut().for_each(|table| _ = sweep(table, &selection, 0));
                self.twins.retain(|(_, own), _| own != value);
            }
            Step::Sweep(_) => {}
        }
    }

    fn push_of(&self, series: &BTreeMap<Key, u32>) -> (Vec<Batch>, BatchContext) {
        let mut batches: Vec<Batch> = (0..SHARDS).map(|_| Batch::default()).collect();
        for ((family, value), number) in series {
            let labels = format!("x=\"{value}\"");
            let batch = &mut batches[self.shard_of(*family, value)];
            let series = push_key(batch, &self.router, &self.families, *family, &labels);
            batch.numbers.push(NumberUpdate { series, value: f64::from(*number) });
        }
        let context = context_of(&self.families, |_| SeriesRule { numbers: NumberRule::Last, lifetime: None });
        (batches, context)
    }

    fn shard_of(&self, family: u32, value: &str) -> usize {
        let hasher = self.router.hasher();
        let name = hasher.hash(NAMES[family as usize].as_bytes());
        self.router.shard(self.router.series_hash(name, hasher.hash_labels(&format!("x=\"{value}\""))))
    }

    /// Changes a group, but for series that are another's: such a push would be refused.
    fn push(&mut self, group: usize, series: &BTreeMap<Key, u32>, is_whole: bool) {
        self.check_inspection(group, series);
        let is_free = |key: &Key| self.twins.get(key).is_none_or(|(owner, _)| *owner == group);
        let series: BTreeMap<Key, u32> =
            series.iter().filter(|(key, _)| is_free(key)).map(|(key, number)| (key.clone(), *number)).collect();
        let (batches, context) = self.push_of(&series);
        let context = Arc::new(context);
        let is_pushed = |family: u32| series.keys().any(|(of, _)| *of == family);
        let scope = if is_whole { Scope::Group } else { Scope::Families((0..3).filter(|of| is_pushed(*of)).collect()) };
        let change = self.timeline.change();
        let replacement = Replacement {
            group: Arc::clone(&self.groups[group]),
            scope,
            version: change.version,
            shown: Arc::clone(&change.shown),
        };
        for (mailbox, batch) in self.mailboxes.iter_mut().zip(batches) {
            let (context, change) = (Arc::clone(&context), replacement.clone());
            mailbox.push_back(Message::Replace { batch, context, change });
        }
        drop(change);
        self.twins.retain(|(family, _), (owner, _)| *owner != group || !(is_whole || is_pushed(*family)));
        self.twins.extend(series.iter().map(|(key, number)| (key.clone(), (group, *number))));
    }

    /// A push is refused if it brings a series that is another's, and for nothing else.
    fn check_inspection(&self, group: usize, series: &BTreeMap<Key, u32>) {
        if !self.is_at_rest() {
            return;
        }
        let (batches, _) = self.push_of(series);
        let ids: Vec<Option<u32>> = self.families.iter().map(|family| Some(family.id)).collect();
        let owner = Owner::Group(Arc::clone(&self.groups[group]));
        let is_refused = self.tables.iter().zip(&batches).any(|(table, batch)| {
            let objection = table.inspect(batch, &ids, &owner).objection;
            assert!(objection.iter().all(|objection| matches!(objection.collision, Collision::Owner(_))));
            objection.is_some()
        });
        let is_of_another = |key: &Key| self.twins.get(key).is_some_and(|(owner, _)| *owner != group);
        assert_eq!(is_refused, series.keys().any(is_of_another));
    }

    fn scrape(&mut self, bytes: usize) {
        let shown = |family: &Arc<Family>| ShownFamily::new(family, family.kind(), Escaping::default());
        let families: Arc<[ShownFamily]> = self.families.iter().map(shown).collect();
        let (shown, ()) = self.timeline.scrape(|| ());
        let request = PageRequest { bytes, ..PageRequest::first(families, Format::default(), shown.version()) };
        let scrape = Scrape {
            _shown: shown,
            expected: self.expected(),
            requests: vec![request; SHARDS],
            texts: vec![String::new(); SHARDS],
            unfinished: SHARDS,
        };
        self.scrapes.insert(self.begun, scrape);
        self.mailboxes.iter_mut().for_each(|mailbox| mailbox.push_back(Message::Page(self.begun)));
        self.begun += 1;
    }

    /// What a scrape that begins now shows, by shard.
    fn expected(&self) -> Vec<String> {
        let mut texts = vec![String::new(); SHARDS];
        let everyone = ((OF_EVERYONE.0, OF_EVERYONE.1.to_owned()), (GROUPS, 7));
        let mut all: Vec<_> = self.twins.clone().into_iter().chain([everyone]).collect();
        all.sort();
        for ((family, value), (group, number)) in all {
            let empty = match group {
                GROUPS => "",
                1 => "env=\"\",instance=\"\",",
                _ => "instance=\"\",",
            };
            let name = NAMES[family as usize];
            texts[self.shard_of(family, &value)] += &format!("{name}{{{empty}x=\"{value}\"}} {number}\n");
        }
        texts
    }

    /// A shard handles the next of its messages.
    fn work(&mut self, shard: usize) {
        let table = &mut self.tables[shard];
        match self.mailboxes[shard].pop_front() {
            None => {}
            Some(Message::Forget { shown }) => {
                table.forget_past(&shown);
                assert!(!shown.is_empty() || table.past.is_empty());
            }
            Some(Message::Replace { batch, context, change }) => table.replace(batch, &context, &change, 0),
            Some(Message::Page(number)) => self.page(shard, number),
        }
    }

    fn page(&mut self, shard: usize, number: usize) {
        let scrape = self.scrapes.get_mut(&number).expect("a scrape that runs");
        let page = self.tables[shard].page(&scrape.requests[shard], 0);
        scrape.texts[shard] += std::str::from_utf8(&page.text).expect("the page is UTF-8");
        match page.next {
            Some(next) => {
                scrape.requests[shard].cursor = next;
                self.mailboxes[shard].push_back(Message::Page(number));
            }
            None => scrape.unfinished -= 1,
        }
        if scrape.unfinished == 0 {
            assert_eq!(scrape.texts, scrape.expected);
            self.scrapes.remove(&number);
        }
    }

    fn is_at_rest(&self) -> bool {
        self.mailboxes.iter().all(VecDeque::is_empty)
    }

    fn work_to_the_end(&mut self) {
        while !self.is_at_rest() {
            (0..SHARDS).for_each(|shard| self.work(shard));
        }
    }

    fn check(&self) {
        self.tables.iter().for_each(assert_whole);
        for (number, group) in self.groups.iter().enumerate() {
            for family in &self.families {
                let owners = self.twins.iter().filter(|((of, _), _)| *of == family.id).map(|(_, (owner, _))| *owner);
                let has_all = family.id != OF_EVERYONE.0 && owners.clone().all(|owner| owner == number);
                assert!(has_all || !group.holds_all_of(family), "{group} does not hold all of {}", family.name);
                assert!(!self.is_at_rest() || has_all == group.holds_all_of(family), "{group} and {}", family.name);
            }
        }
        if self.is_at_rest() {
            self.check_contents();
        }
    }

    fn check_contents(&self) {
        for (number, group) in self.groups.iter().enumerate() {
            let held: Vec<GroupSeries> = self.tables.iter().flat_map(|table| table.group(group)).collect();
            let mut held: Vec<_> = held
                .iter()
                .map(|series| {
                    let Value::Number(value) = series.value else { panic!("{series:?} is no number") };
                    (series.family.id, series.labels.to_string(), value)
                })
                .collect();
            held.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
            let twins = self.twins.iter().filter(|(_, (owner, _))| *owner == number);
            let twins =
                twins.map(|((family, value), (_, number))| (*family, format!("x=\"{value}\""), f64::from(*number)));
            assert_eq!(held, twins.collect::<Vec<_>>());
        }
        assert_eq!(self.tables.iter().map(Table::len).sum::<usize>(), 1 + self.twins.len());
        for family in &self.families {
            let of_groups = self.twins.keys().filter(|(of, _)| *of == family.id).count();
            assert_eq!(family.series(), of_groups + usize::from(family.id == OF_EVERYONE.0));
        }
    }
}

proptest! {
    #[test]
    fn each_scrape_shows_the_groups_as_they_were_when_it_began(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check();
        }
        world.work_to_the_end();
        world.check();
        prop_assert!(world.scrapes.is_empty());
        for table in &mut world.tables {
            table.forget_past(&world.timeline.with_shown(|shown| shown));
            prop_assert!(table.past.is_empty());
        }
        (0..GROUPS).for_each(|group| world.take(&Step::Delete(group)));
        world.work_to_the_end();
        world.check();
        prop_assert!(world.tables.iter().all(|table| table.groups.is_empty() && table.past.is_empty()));
    }
}

/// One group on one shard, whose families are a counter, a histogram and a summary.
struct OneGroup {
    router: Router,
    families: Vec<Arc<Family>>,
    group: Arc<Group>,
    table: Table,
    timeline: Timeline,
}

impl OneGroup {
    fn new() -> Self {
        let router = Router::new(1);
        let kinds = [("c", MetricKind::Counter), ("h", MetricKind::Histogram), ("s", MetricKind::Summary)];
        Self {
            families: super::families(kinds),
            group: Arc::new(Group::new(0, "job=\"a\"", Vec::new())),
            table: Table::new(router.clone()),
            router,
            timeline: Timeline::default(),
        }
    }

    /// A counter that came with more than its value, a histogram and a summary, of this count.
    fn batch(&self, count: f64) -> Batch {
        let mut batch = Batch::default();
        let series = push_key(&mut batch, &self.router, &self.families, 0, "x=\"1\"");
        batch.numbers.push(NumberUpdate { series, value: count });
        batch.counters.push(CounterExtra { number: 0, created: Timestamp::new(count as i64, 0), exemplar: None });
        let series = push_key(&mut batch, &self.router, &self.families, 1, "x=\"1\"");
        batch
            .histograms
            .push(HistogramUpdate { series, histogram: Histogram { count: Some(count), ..<_>::default() } });
        let series = push_key(&mut batch, &self.router, &self.families, 2, "x=\"1\"");
        batch.summaries.push(SummaryUpdate { series, summary: Summary { count: Some(count), ..<_>::default() } });
        batch
    }

    fn put(&mut self, batch: Batch, lifetime: Option<Millis>, now: Millis) {
        let context = context_of(&self.families, |_| SeriesRule { numbers: NumberRule::Last, lifetime });
        let change = self.timeline.change();
        let (version, shown) = (change.version, Arc::clone(&change.shown));
        let group = Arc::clone(&self.group);
        self.table.replace(batch, &context, &Replacement { group, scope: Scope::Group, version, shown }, now);
    }
}

#[test]
fn values_of_every_kind_are_replaced_not_merged() {
    let mut world = OneGroup::new();
    for count in [2.0, 5.0, 1.0] {
        world.put(world.batch(count), None, 0);
        let values: Vec<Value> = world.table.group(&world.group).into_iter().map(|series| series.value).collect();
        let counter = Counter { value: count, created: Timestamp::new(count as i64, 0), exemplar: None };
        let expected = [
            Value::Counter(Box::new(counter)),
            Value::Histogram(Box::new(Histogram { count: Some(count), ..Histogram::default() })),
            Value::Summary(Box::new(Summary { count: Some(count), ..Summary::default() })),
        ];
        assert_eq!(values, expected);
    }
}

#[test]
fn each_push_gives_the_series_of_a_group_their_time_anew() {
    let mut world = OneGroup::new();
    for (now, lifetime) in [(0, Some(10)), (8, Some(10)), (20, None), (40, Some(5))] {
        world.put(world.batch(1.0), lifetime, now);
        let still = now + lifetime.map_or(1000, |lifetime| lifetime - 1);
        assert_eq!(sweep(&mut world.table, &Selection::Expired, still), 0, "pushed at {now}");
    }
    assert_eq!(sweep(&mut world.table, &Selection::Expired, 45), 3);
    assert_eq!((world.table.len(), world.table.group(&world.group).len()), (0, 0));
    assert!(world.families.iter().all(|family| family.is_empty() && world.group.holds_all_of(family)));
}
