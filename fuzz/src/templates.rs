//! Pushes that come again and again, each by two ways: after the template of those before it, and taken apart as if there were
//! no templates. Two sets of tables get what the ways bring, and must show the same.

mod difference;

use std::sync::Arc;

use catchment::catalogue;
use catchment::exposition::error::Limits;
use catchment::exposition::format::{Format, FormatKind, PushFormat};
use catchment::model::door::Door;
use catchment::model::family::{Family, FamilyTraits, FamilyUse};
use catchment::model::labels::GroupLabels;
use catchment::model::name::Escaping;
use catchment::model::value::{GaugePolicy, GaugeRule, Millis};
use catchment::push::templates::Templates;
use catchment::push::{
    Assembled, GaugeRules, Intake, PlannedFamily, PushError, PushRules, Pushed, RawPush, Scratch, SummaryPolicy,
};
use catchment::registry::{CommitError, Entry, Registry};
use catchment::rules::{LabelFilter, Rule, RuleSet};
use catchment::shard::batch::{Batch, BatchContext, Router};
use catchment::shard::owner::{Owner, Source};
use catchment::shard::table::{PageRequest, Selection, Table};
use catchment::shard::timeline::Timeline;

use crate::bodies::{Body, Choices, mutated};
use difference::difference;

const SHARDS: usize = 2;

/// More than most inputs are made of.
const MOST_PUSHES: usize = 24;

/// Between two pushes.
const STEP: Millis = 20;

/// Takes an input apart: settings, a body, and what comes of it, with other pushes, removals and other values in between.
///
/// # Panics
/// If a template is filled with anything but what its push is, or a table shows anything else.
pub fn push_by_templates(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut gateway = Gateway::new(&mut choices);
    let format = choices.pick(&[PushFormat::Text, PushFormat::Protobuf, PushFormat::OpenMetrics]);
    let pusher = Pusher::new(&mut choices);
    let body = match choices.byte() {
        0..224 => Body::new(format, &mut choices),
        _ => Body::raw(choices.bytes()),
    };
    // The register knows the families after the first, the second is worth a template.
    for _ in 0..3 {
        gateway.push(format, &body.write(&mut choices), &pusher);
    }
    for _ in 0..MOST_PUSHES {
        if choices.is_empty() {
            break;
        }
        match choices.byte() {
            0..96 => gateway.push(format, &body.write(&mut choices), &pusher),
            96..176 => gateway.push(format, &mutated(body.write(&mut choices), &mut choices), &pusher),
            176..200 => {
                let format = choices.pick(&[format, PushFormat::Text]);
                let other = Body::new(format, &mut choices).write(&mut choices);
                gateway.push(format, &other, &Pusher::new(&mut choices));
            }
            200..216 => gateway.push(format, &body.write(&mut choices), &Pusher::new(&mut choices)),
            216..224 => gateway.set_rules(&mut choices),
            what => gateway.remove(what, &mut choices),
        }
        gateway.compare_pages();
    }
}

/// Who pushes, and what for.
struct Pusher {
    owner: Owner,
    labels: GroupLabels,
    lifetime: Option<Millis>,
}

impl Pusher {
    fn new(choices: &mut Choices<'_>) -> Self {
        let choice = choices.byte();
        let labels: &[(&str, &str)] = match choice / 4 % 4 {
            0 | 1 => &[],
            2 => &[("job", "\"é")],
            _ => &[("a", "1"), ("b.c", "\n")],
        };
        let source = |id| Owner::Source(Arc::new(Source::new(id)));
        let owner = [Owner::Everyone, Owner::Everyone, source(0), source(1)][usize::from(choice % 4)].clone();
        // By `source` the labels of the path tell sources apart, and are not added.
        let labels = if matches!(owner, Owner::Everyone) { labels } else { &[] };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let labels = GroupLabels::new(labels).expect("other names");
        Self { owner, labels, lifetime: (choice / 16 % 8 == 1).then_some(3 * STEP) }
    }

    fn door(&self) -> Door {
        if matches!(self.owner, Owner::Everyone) { Door::Aggregate } else { Door::Source }
    }

    fn traits(&self, planned: &PlannedFamily) -> FamilyTraits {
        let own = FamilyTraits::of_door(self.door());
        if planned.has_quoted_labels { own.and(FamilyTraits::QUOTED_LABELS) } else { own }
    }
}

/// What one worker and the shards hold; the shards twice.
struct Gateway {
    registry: Registry,
    router: Router,
    templates: Templates,
    scratch: Scratch,
    rules: Arc<PushRules>,
    timeline: Arc<Timeline>,
    /// With what templates were filled with, where they were.
    hinted: Vec<Table>,
    /// With what was taken apart.
    plain: Vec<Table>,
    now: Millis,
}

impl Gateway {
    fn new(choices: &mut Choices<'_>) -> Self {
        let router = Router::new(SHARDS);
        let tables = || (0..SHARDS).map(|_| Table::new(router.clone())).collect();
        let (hinted, plain) = (tables(), tables());
        Self {
            registry: Registry::new(1000),
            templates: Templates::new(1 << 20),
            scratch: Scratch::default(),
            rules: rules(choices),
            timeline: Arc::default(),
            hinted,
            plain,
            router,
            now: 0,
        }
    }

    fn set_rules(&mut self, choices: &mut Choices<'_>) {
        self.rules = rules(choices);
    }

    /// Takes a push in, by both ways, as often as what was planned on has changed.
    fn push(&mut self, format: PushFormat, body: &[u8], pusher: &Pusher) {
        self.now += STEP;
        while !self.try_push(format, body, pusher) {}
    }

    /// Returns whether it is settled what becomes of the push.
    fn try_push(&mut self, format: PushFormat, body: &[u8], pusher: &Pusher) -> bool {
        let rules = Arc::clone(&self.rules);
        let is_released = |family: &Family| family.is_empty();
        let Pusher { labels, lifetime, .. } = pusher;
        let pushed = Pushed { door: pusher.door(), labels, lifetime: *lifetime, is_released: &is_released };
        let push = RawPush { format, body, pushed, rules: &rules };
        let apart = self.intake().assemble(push);
        let key = self.templates.key(push);
        let filled = key.and_then(|key| self.templates.fill(key, push, &self.registry));
        if let (Some(filled), Some(key)) = (&filled, key)
            && !self.is_what_was_taken_apart(filled, &apart, pushed, body)
        {
            self.templates.forget(key);
            return false;
        }
        if let (Some(key), Ok(_), None) = (key, &apart, &filled) {
            let mut intake = Intake { registry: &self.registry, router: &self.router, scratch: &mut self.scratch };
            self.templates.learn(key, push, &mut intake);
        }
        let Ok(apart) = apart else { return true };
        self.apply(apart, filled.map(|filled| filled.batches), pusher, &is_released)
    }

    fn intake(&mut self) -> Intake<'_> {
        Intake { registry: &self.registry, router: &self.router, scratch: &mut self.scratch }
    }

    /// Returns `false` if the push was planned on what holds no more, which the register tells: then it is planned again.
    ///
    /// # Panics
    /// If the ways differ, and nobody would notice.
    fn is_what_was_taken_apart(
        &self,
        filled: &Assembled,
        apart: &Result<Assembled, PushError>,
        Pushed { door, is_released, .. }: Pushed<'_>,
        body: &[u8],
    ) -> bool {
        let difference = match apart {
            Ok(apart) => difference(apart, filled),
            Err(error) => Some(format!("it is refused: {error}")),
        };
        let Some(difference) = difference else { return true };
        let wanted = filled.families.iter().map(|planned| planned.wanted.clone()).collect();
        let is_stale = match self.registry.commit(Entry { wanted, door, releases: &[], is_released }) {
            Ok(_) => false,
            Err(error) => error == CommitError::Stale,
        };
        assert!(is_stale, "a template was filled, and should not be: {difference}\n{}", body.escape_ascii());
        false
    }

    /// Registers and applies to both sets of tables. Returns `false` if what was planned on has changed.
    fn apply(
        &mut self,
        mut push: Assembled,
        filled: Option<Vec<Batch>>,
        pusher: &Pusher,
        is_released: &dyn Fn(&Family) -> bool,
    ) -> bool {
        let may_collide =
            |planned: &PlannedFamily| pusher.traits(planned).and(planned.wanted.traits()).may_collide(pusher.door());
        if push.families.iter().any(may_collide) && !self.collides_nowhere(&mut push, pusher) {
            return true;
        }
        let (wanted, helps): (Vec<_>, Vec<_>) =
            push.families.into_iter().map(|planned| (planned.wanted, planned.help)).unzip();
        let entry = Entry { wanted, door: pusher.door(), releases: &push.releases, is_released };
        let families = match self.registry.commit(entry) {
            Ok((families, _view)) => families,
            Err(CommitError::Stale) => panic!("what was planned on has changed, and nobody has changed it"),
            Err(CommitError::TooMany { .. }) => return true,
        };
        for (family, help) in families.iter().zip(helps) {
            help.into_iter().for_each(|help| _ = family.set_help(&help));
        }
        let context = BatchContext {
            families: families.iter().map(FamilyUse::begin).collect(),
            rules: push.rules,
            replaced_families: push.replaced_families,
        };
        let hinted = filled.unwrap_or_else(|| push.batches.clone());
        for (tables, batches) in [(&mut self.hinted, hinted), (&mut self.plain, push.batches)] {
            for (table, batch) in tables.iter_mut().zip(batches) {
                table.apply(batch, &context, &pusher.owner, self.now);
            }
        }
        true
    }

    /// Whether no series is another's, or its twin when escaped.
    fn collides_nowhere(&self, push: &mut Assembled, pusher: &Pusher) -> bool {
        let known = push.families.iter().filter_map(|planned| Some((planned.wanted.family()?, pusher.traits(planned))));
        let notes = self.registry.note_traits(known);
        let ids: Vec<Option<u32>> =
            push.families.iter().map(|planned| planned.wanted.family().map(|family| family.id)).collect();
        let collides = |tables: &[Table]| {
            let mut batches = tables.iter().zip(&push.batches);
            batches.any(|(table, batch)| table.inspect(batch, &ids, &pusher.owner).objection.is_some())
        };
        let outcome = collides(&self.plain);
        assert_eq!(outcome, collides(&self.hinted), "a series is another's in one of the tables");
        if outcome {
            return false;
        }
        push.families.iter_mut().for_each(|planned| planned.wanted.see_traits());
        notes.keep();
        true
    }

    /// Removes some series, or all.
    fn remove(&mut self, what: u8, choices: &mut Choices<'_>) {
        let labels = |value: &str| Selection::Aggregated([("a".to_owned(), value.to_owned())].into());
        let matching = |selector: &str| Selection::Matching([selector.parse().expect("a selector")].into());
        let selection = match what % 8 {
            0 => labels("1"),
            1 => labels("2"),
            2 => matching("{__name__=~\".+\"}"),
            3 => matching(choices.pick(&["a", "b", "{a=\"\",__name__=~\".+\"}"])),
            4 => {
                self.now += 2 * STEP;
                Selection::Expired
            }
            5 => {
                let Self { registry, hinted, plain, .. } = self;
                let wipe = || hinted.iter_mut().chain(plain).for_each(|table| drop(table.take()));
                return registry.clear(wipe);
            }
            6 => return self.registry.remove_deserted(),
            _ => {
                let source = u32::from(choices.byte() & 1);
                self.tables().for_each(|table| while table.forget_source(source, 2) {});
                return;
            }
        };
        let now = self.now;
        for table in self.tables() {
            let mut next = Some(0);
            while let Some(from) = next {
                next = table.sweep(&selection, from, now).next;
            }
        }
    }

    fn tables(&mut self) -> impl Iterator<Item = &mut Table> {
        self.hinted.iter_mut().chain(&mut self.plain)
    }

    fn compare_pages(&mut self) {
        for kind in [FormatKind::Text1_0_0, FormatKind::OpenMetrics1_0_0] {
            let format = Format { kind, escaping: Escaping::AllowUtf8 };
            let has_windows = |name: &str| self.rules.has_windows(name);
            let look = || catalogue::families(&self.registry.view(), format, |_| true, has_windows);
            let (shown, families) = self.timeline.scrape(look);
            let families: Arc<[_]> = families;
            for (hinted, plain) in self.hinted.iter_mut().zip(&mut self.plain) {
                let request = PageRequest::first(Arc::clone(&families), format, shown.version());
                let [hinted, plain] = [hinted, plain].map(|table| whole_page(table, request.clone(), self.now));
                assert!(hinted == plain, "expected\n{}\ngot\n{}", plain.escape_ascii(), hinted.escape_ascii());
            }
        }
    }
}

fn whole_page(table: &mut Table, mut request: PageRequest, now: Millis) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let page = table.page(&request, now);
        text.extend_from_slice(&page.text);
        match page.next {
            Some(next) => request.cursor = next,
            None => return text,
        }
    }
}

/// Rules of one of several kinds.
fn rules(choices: &mut Choices<'_>) -> Arc<PushRules> {
    use GaugePolicy::{Last, Max, Mean, Sum};
    let choice = choices.byte();
    let policy = [Last, Sum, Max, Mean][usize::from(choice % 4)];
    let limits = match choice / 4 % 4 {
        0 => Limits { line_length: 100, ..Limits::default() },
        _ => Limits::default(),
    };
    Arc::new(PushRules {
        gauges: GaugeRules { aggregate: GaugeRule { policy, window: 5 * STEP }, source: policy },
        summaries: if choice / 16 % 4 == 1 { SummaryPolicy::Discard } else { SummaryPolicy::SumCount },
        series_lifetime: (choice / 16 % 4 == 2).then_some(4 * STEP),
        rules: if choice / 64 == 1 { rule_set(choices) } else { RuleSet::default() },
        mode_label: (choice / 64 == 2).then(|| "clearmode".into()),
        declarations: None,
        limits,
    })
}

fn rule_set(choices: &mut Choices<'_>) -> RuleSet {
    let choice = choices.byte();
    let mut rule = Rule::new(1, choices.pick(&["a", "*", "a*"])).expect("a glob");
    if choice & 1 == 1 {
        rule.match_label("a", choices.pick(&["1", "", "drop", "*"])).expect("a glob");
    }
    match choice / 2 % 6 {
        0 => rule.drops = true,
        1 => rule.labels = LabelFilter::Drop(vec!["a".to_owned()]),
        2 => rule.labels = LabelFilter::Keep(vec!["b".to_owned()]),
        3 => rule.gauge = Some(GaugePolicy::Sum),
        4 => rule.ttl = Some(3 * STEP),
        _ => rule.max_series = Some(3),
    }
    RuleSet::new(vec![rule])
}
