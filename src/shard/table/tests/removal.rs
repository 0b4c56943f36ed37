//! Random histories of pushes and removals against a naive map: what is stored, counted, and shown in order.

use super::*;
use crate::selector::Selector;

/// What a map keeps of a series.
#[derive(Clone, Copy, Debug)]
struct Twin {
    value: f64,
    deadline: Option<Millis>,
}

type Twins = BTreeMap<(u32, String), Twin>;

#[derive(Clone, Debug)]
enum Step {
    /// Series by family and label value, with a number; the lifetime of all of them.
    Push(BTreeMap<(u32, String), u32>, Option<Millis>),
    Wait(Millis),
    SweepExpired,
    /// Aggregated series with this value of the label.
    SweepLabelled(String),
    /// The same of one family, or of all.
    SweepSelected(Option<u32>, String),
    Scrape,
}

const NAMES: [&str; 3] = ["b", "a", "c"];

fn families() -> Vec<Arc<Family>> {
    super::families(NAMES.map(|name| (name, MetricKind::Counter)))
}

fn value() -> impl Strategy<Value = String> {
    "[ab]{0,2}"
}

fn step() -> impl Strategy<Value = Step> {
    let lifetime = prop_oneof![Just(None), (1u64..20).prop_map(Some)];
    let series = proptest::collection::btree_map((0u32..3, value()), 0u32..100, 0..10);
    prop_oneof![
        4 => (series, lifetime).prop_map(|(series, lifetime)| Step::Push(series, lifetime)),
        2 => (1u64..20).prop_map(Step::Wait),
        1 => Just(Step::SweepExpired),
        1 => value().prop_map(Step::SweepLabelled),
        1 => (proptest::option::of(0u32..3), "[ab]{1,2}").prop_map(|(family, value)| Step::SweepSelected(family, value)),
        2 => Just(Step::Scrape),
    ]
}

fn labels(value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("x=\"{value}\"") }
}

struct World {
    families: Vec<Arc<Family>>,
    router: Router,
    table: Table,
    twins: Twins,
    now: Millis,
    /// Series stored at once, at most so far.
    most: usize,
}

impl World {
    fn new() -> Self {
        let router = Router::new(1);
        let table = Table::new(router.clone());
        Self { families: families(), router, table, twins: Twins::new(), now: 0, most: 0 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Push(series, lifetime) => self.push(series, *lifetime),
            Step::Wait(length) => self.now += length,
            Step::SweepExpired => {
                let now = self.now;
                self.sweep(&Selection::Expired, |_, twin| twin.deadline.is_some_and(|deadline| deadline <= now));
            }
            Step::SweepLabelled(value) => {
                let selection = Selection::Aggregated([("x".to_owned(), value.clone())].into());
                self.sweep(&selection, |(_, own), _| own == value);
            }
            Step::SweepSelected(family, value) => {
                let name = family.map_or("", |family| NAMES[family as usize]);
                let selector: Selector = format!("{name}{{x=\"{value}\"}}").parse().expect("a selector");
                let is_selected = |of: u32| family.is_none_or(|family| family == of);
                self.sweep(&Selection::Matching([selector].into()), |(of, own), _| is_selected(*of) && own == value);
            }
            Step::Scrape => {}
        }
    }

    fn push(&mut self, series: &BTreeMap<(u32, String), u32>, lifetime: Option<Millis>) {
        let context = context_of(&self.families, |_| SeriesRule { numbers: NumberRule::Add, lifetime });
        let mut batch = Batch::default();
        for ((family, value), number) in series {
            let series = push_key(&mut batch, &self.router, &self.families, *family, &labels(value));
            batch.numbers.push(NumberUpdate { series, value: f64::from(*number) });
        }
        self.table.apply(batch, &context, &Owner::Everyone, self.now);
        for (key, number) in series {
            let before = self.twins.get(key).filter(|twin| twin.deadline.is_none_or(|deadline| deadline > self.now));
            let value = before.map_or(0.0, |twin| twin.value) + f64::from(*number);
            let deadline = lifetime.map(|lifetime| self.now + lifetime);
            self.twins.insert(key.clone(), Twin { value, deadline });
        }
        self.most = self.most.max(self.table.len());
    }

    fn sweep(&mut self, selection: &Selection, is_selected: impl Fn(&(u32, String), &Twin) -> bool) {
        let before = self.twins.len();
        self.twins.retain(|key, twin| !is_selected(key, twin));
        assert_eq!(super::sweep(&mut self.table, selection, self.now), before - self.twins.len());
    }

    /// The page in pieces of so many bytes, and between them what `meanwhile` does.
    fn scrape(&mut self, bytes: usize, mut meanwhile: impl FnMut(&mut Self)) -> String {
        let shown = |family: &Arc<Family>| ShownFamily::new(family, family.kind(), Escaping::default());
        let families = self.families.iter().map(shown).collect();
        let mut request = PageRequest { bytes, ..PageRequest::first(families, Format::default(), 0) };
        let mut text = Vec::new();
        loop {
            let page = self.table.page(&request, self.now);
            text.extend_from_slice(&page.text);
            match page.next {
                Some(next) => request.cursor = next,
                None => return String::from_utf8(text).expect("the page is UTF-8"),
            }
            meanwhile(self);
        }
    }

    fn expected(&self) -> String {
        let is_live = |twin: &Twin| twin.deadline.is_none_or(|deadline| deadline > self.now);
        self.twins.iter().filter(|(_, twin)| is_live(twin)).map(|(key, twin)| line(key, twin.value)).collect()
    }

    fn check(&self) {
        assert_eq!(self.table.len(), self.twins.len());
        for family in &self.families {
            assert_eq!(family.series(), self.twins.keys().filter(|(of, _)| *of == family.id).count());
            assert_eq!(family.is_empty(), family.series() == 0);
        }
        assert_whole(&self.table);
        assert!(self.table.series.end() as usize <= self.most, "a slot that is free is not left for a new one");
    }
}

fn line((family, value): &(u32, String), number: f64) -> String {
    let name = NAMES[*family as usize];
    if value.is_empty() { format!("{name} {number}\n") } else { format!("{name}{{{}}} {number}\n", labels(value)) }
}

/// The order of the families is that of the page, whatever their names.
fn key_of(line: &str) -> (usize, &str) {
    let series = line.rsplit_once(' ').expect("a sample").0;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    (NAMES.iter().position(|known| *known == name).expect("a known name"), labels)
}

proptest! {
    #[test]
    fn holds_what_a_map_holds_while_series_come_and_go(
        steps in proptest::collection::vec(step(), 1..40),
        bytes in 1usize..200,
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check();
            if matches!(step, Step::Scrape) {
                prop_assert_eq!(world.scrape(bytes, |_| ()), world.expected());
                world.check();
            }
        }
        prop_assert_eq!(world.scrape(bytes, |_| ()), world.expected());
    }

    #[test]
    fn a_page_that_is_read_meanwhile_has_each_series_once_and_in_order(
        before in proptest::collection::vec(step(), 1..20),
        meanwhile in proptest::collection::vec(step(), 0..20),
        bytes in 1usize..60,
    ) {
        let mut world = World::new();
        before.iter().for_each(|step| world.take(step));
        let mut always = world.expected();
        let mut steps = meanwhile.iter();
        let shown = world.scrape(bytes, |world| {
            if let Some(step) = steps.next() {
                world.take(step);
                let now = world.expected();
                let still = |line: &&str| now.lines().any(|other| key_of(other) == key_of(line));
                always = always.lines().filter(still).map(|line| format!("{line}\n")).collect();
            }
        });
        let keys: Vec<_> = shown.lines().map(key_of).collect();
        prop_assert!(keys.is_sorted_by(|one, other| one < other), "{shown}");
        for line in always.lines() {
            prop_assert!(keys.contains(&key_of(line)), "{line} was there all the time");
        }
        world.check();
    }
}

/// More than one step looks at, more than one step removes, and all slots twice.
#[test]
fn many_series_are_swept_in_steps_and_their_slots_given_out_again() {
    const SERIES: usize = 3 * Table::LOOKED_AT as usize / 2;
    let mut world = World::new();
    for round in 0..2 {
        let series = |at: usize| ((0, format!("{round}{at:05}")), 1);
        world.push(&(0..SERIES).map(series).collect(), None);
        world.push(&(0..SERIES).filter(|at| at % 4 < 3).map(series).collect(), Some(5));
        world.now += 5;
        let stays = SERIES / 4 * (round + 1);
        assert_eq!(sweep(&mut world.table, &Selection::Expired, world.now), SERIES / 4 * 3);
        world.twins.retain(|_, twin| twin.deadline.is_none());
        assert_eq!((world.table.len(), world.families[0].series()), (stays, stays));
        assert_eq!(world.scrape(64 * 1024, |_| ()), world.expected());
        world.check();
    }
    assert_eq!(world.table.series.end() as usize, SERIES + SERIES / 4);
}

#[test]
fn a_step_of_a_sweep_is_bounded() {
    let mut world = World::new();
    let most = Table::REMOVED;
    world.push(&(0..2 * most).map(|at| ((0, format!("{at:05}")), 1)).collect(), Some(5));
    let all = Selection::Expired;
    assert_eq!(world.table.sweep(&all, 0, 4), Swept { next: None, removed: 0 });
    assert_eq!(world.table.sweep(&all, 0, 5), Swept { next: Some(most as u32), removed: most });
    assert_eq!(world.table.sweep(&all, most as u32, 5), Swept { next: None, removed: most });
    assert!(world.table.is_empty() && world.families[0].is_empty());
    assert!(world.table.orders.is_empty() && world.table.index.is_empty());
}

#[test]
fn a_step_looks_at_so_many_series_whether_they_go_or_not() {
    const LOOKED_AT: usize = Table::LOOKED_AT as usize;
    let mut world = World::new();
    world.push(&(0..=LOOKED_AT).map(|at| ((0, format!("{at:05}")), 1)).collect(), None);
    world.push(&[((0, format!("{LOOKED_AT:05}")), 1)].into(), Some(5));
    let all = Selection::Expired;
    assert_eq!(world.table.sweep(&all, 0, 5), Swept { next: Some(Table::LOOKED_AT), removed: 0 });
    assert_eq!(world.table.sweep(&all, Table::LOOKED_AT, 5), Swept { next: None, removed: 1 });
}
