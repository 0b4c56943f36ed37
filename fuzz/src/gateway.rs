//! All that one worker and the shards hold, without sockets and actors: a push goes the way of `ingest.rs`, step by step, and
//! a page is put together as by the coordinator.

use std::collections::BTreeMap;
use std::sync::Arc;

use catchment::catalogue;
use catchment::exposition::decoded::Decoded;
use catchment::exposition::error::Limits;
use catchment::exposition::format::{Format, FormatKind, PushFormat};
use catchment::exposition::proto_encode::begin_family;
use catchment::exposition::shown::ShownFamily;
use catchment::exposition::{decode, end_mark, write_header};
use catchment::model::door::Door;
use catchment::model::family::{Family, FamilyTraits, FamilyUse, MetricKind};
use catchment::model::labels::GroupLabels;
use catchment::model::name::Escaping;
use catchment::model::value::Millis;
use catchment::push::{
    Assembled, Assembler, Intake, PlannedFamily, PushError, PushRules, Pushed, Scratch, SummaryPolicy,
};
use catchment::registry::{CommitError, Entry, Registry};
use catchment::rules::RuleSet;
use catchment::shard::batch::{Batch, BatchContext, Router};
use catchment::shard::owner::{Group, Owner, Source};
use catchment::shard::table::{Cursor, PageRequest, Replacement, Scope, Table};
use catchment::shard::timeline::{Shown, Timeline};

use crate::{Settings, reading};

/// Enough for pieces to be put together, few enough for them to be of more than one series.
const SHARDS: usize = 2;

/// Small, so that a page is made of many pieces.
const PIECE_BYTES: usize = 512;

/// Who pushes.
pub struct Pusher {
    owner: Owner,
    /// What its series get.
    labels: GroupLabels,
    /// Whether a group is replaced whole.
    is_put: bool,
}

impl Pusher {
    /// One of all.
    pub fn everyone(labels: &GroupLabels) -> Self {
        Self { owner: Owner::Everyone, labels: labels.clone(), is_put: false }
    }

    /// The source of this number.
    pub fn source(id: u32) -> Self {
        let owner = Owner::Source(Arc::new(Source::new(id)));
        Self { owner, labels: GroupLabels::default(), is_put: false }
    }

    /// The group of these labels.
    pub fn group(labels: &GroupLabels, is_put: bool) -> Self {
        Self::group_of_id(0, labels, is_put)
    }

    /// Another one, which would have series of the same labels.
    pub fn other_group(labels: &GroupLabels) -> Self {
        Self::group_of_id(1, labels, true)
    }

    /// A group that takes over what a page shows.
    pub fn reader() -> Self {
        Self::group(&GroupLabels::default(), true)
    }

    fn group_of_id(id: u32, labels: &GroupLabels, is_put: bool) -> Self {
        let group = Group::new(id, &labels.text(), labels.empty_names());
        Self { owner: Owner::Group(Arc::new(group)), labels: labels.clone(), is_put }
    }

    /// The door that it pushes by.
    pub fn door(&self) -> Door {
        match self.owner {
            Owner::Everyone => Door::Aggregate,
            Owner::Source(_) => Door::Source,
            Owner::Group(_) => Door::Replace,
        }
    }

    /// Whether a family binds it no more.
    fn is_released(&self, family: &Family) -> bool {
        family.is_empty() || matches!(&self.owner, Owner::Group(group) if group.holds_all_of(family))
    }

    /// What the push brings to a family.
    fn traits(&self, planned: &PlannedFamily) -> FamilyTraits {
        let own = FamilyTraits::of_door(self.door());
        if planned.has_quoted_labels { own.and(FamilyTraits::QUOTED_LABELS) } else { own }
    }
}

/// Why a push is not taken.
#[derive(Debug)]
#[allow(dead_code, reason = "shown when a property does not hold")]
pub enum Refused {
    Push(PushError),
    /// A series that is another's, or that escaping makes equal to another.
    Collision(String),
    /// Names of a family that the group keeps.
    NamesOfWhatStays(String),
    Families,
}

/// A page that has begun: its families, and which changes of groups it shows.
pub struct Scrape {
    format: Format,
    families: Arc<[ShownFamily]>,
    shown: Shown,
}

/// All that one worker and the shards hold.
pub struct Gateway {
    registry: Registry,
    router: Router,
    tables: Vec<Table>,
    timeline: Arc<Timeline>,
    rules: PushRules,
}

impl Gateway {
    /// An empty one.
    pub fn new(settings: &Settings) -> Self {
        Self::with_rules(PushRules {
            gauges: settings.gauges,
            summaries: SummaryPolicy::SumCount,
            series_lifetime: None,
            rules: RuleSet::default(),
            mode_label: settings.mode_label.clone(),
            declarations: None,
            limits: Limits::default(),
        })
    }

    /// An empty one with these rules.
    pub fn with_rules(rules: PushRules) -> Self {
        let (registry, router) = (Registry::new(1000), Router::new(SHARDS));
        for name in ["push_time_seconds", "push_failure_time_seconds"] {
            registry.reserve(name, MetricKind::Gauge, "");
        }
        for declared in rules.declarations.iter().flat_map(|declarations| declarations.iter()) {
            registry.declare(&declared.name, declared.kind, &declared.help).expect("names that do not clash");
        }
        let tables = (0..SHARDS).map(|_| Table::new(router.clone())).collect();
        Self { registry, router, tables, timeline: Arc::default(), rules }
    }

    /// Decodes and plans a push; nothing is changed.
    pub fn assemble(&self, format: PushFormat, body: &[u8], pusher: &Pusher) -> Result<Assembled, PushError> {
        let (mut decoded, mut arena) = (Decoded::default(), Vec::new());
        let text = decode(format, body, &self.rules.limits, self.router.hasher(), &mut arena, &mut decoded)
            .map_err(PushError::Malformed)?;
        let is_released = |family: &Family| pusher.is_released(family);
        let pushed = Pushed { door: pusher.door(), labels: &pusher.labels, lifetime: None, is_released: &is_released };
        Assembler::default().assemble(text, &mut decoded, pushed, &self.rules, &self.registry, &self.router)
    }

    /// Takes a push in, or changes nothing.
    ///
    /// # Panics
    /// If what was planned does not hold though nobody else pushes: the server would plan it for ever.
    pub fn push(&mut self, format: PushFormat, body: &[u8], pusher: &Pusher, now: Millis) -> Result<(), Refused> {
        let push = self.assemble(format, body, pusher).map_err(Refused::Push)?;
        let replaced = replaced_families(&push, format);
        self.take_in(push, &replaced, pusher, now)
    }

    /// Takes in what can be read of datagrams, as one push, or changes nothing. `unread` is told the index of each that is not
    /// read.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn observe(&mut self, datagrams: &[&[u8]], now: Millis, mut unread: impl FnMut(usize)) -> Result<(), Refused> {
        let mut scratch = Scratch::default();
        let mut intake = Intake { registry: &self.registry, router: &self.router, scratch: &mut scratch };
        intake.decode_datagrams(datagrams, &self.rules).iter().for_each(|(index, _)| unread(*index));
        let everyone = Pusher::everyone(&GroupLabels::default());
        let is_released = |family: &Family| everyone.is_released(family);
        let pushed =
            Pushed { door: everyone.door(), labels: &everyone.labels, lifetime: None, is_released: &is_released };
        let push = intake.assemble_observations(pushed, &self.rules).map_err(Refused::Push)?;
        self.take_in(push, &[], &everyone, now)
    }

    fn take_in(
        &mut self,
        mut push: Assembled,
        replaced: &[usize],
        pusher: &Pusher,
        now: Millis,
    ) -> Result<(), Refused> {
        if pusher.door() == Door::Replace && !pusher.is_put {
            refuse_names_of_what_stays(&push)?;
        }
        let may_collide =
            |planned: &PlannedFamily| pusher.traits(planned).and(planned.wanted.traits()).may_collide(pusher.door());
        if push.families.iter().any(may_collide) {
            self.refuse_collisions(&mut push, pusher)?;
        }
        let releases = std::mem::take(&mut push.releases);
        let (context, batches) = self.register(push, &releases, pusher)?;
        match &pusher.owner {
            Owner::Group(group) => {
                let brought = replaced.iter().map(|index| context.families[*index].id);
                let ids = brought.chain(releases.iter().map(|family| family.id)).collect();
                let scope = if pusher.is_put { Scope::Group } else { Scope::Families(ids) };
                self.replace(group, batches, &context, scope, now);
            }
            Owner::Everyone | Owner::Source(_) => {
                for (table, batch) in self.tables.iter_mut().zip(batches) {
                    table.apply(batch, &context, &pusher.owner, now);
                }
            }
        }
        Ok(())
    }

    fn refuse_collisions(&self, push: &mut Assembled, pusher: &Pusher) -> Result<(), Refused> {
        let known = push.families.iter().filter_map(|planned| Some((planned.wanted.family()?, pusher.traits(planned))));
        let notes = self.registry.note_traits(known);
        let ids: Vec<Option<u32>> =
            push.families.iter().map(|planned| planned.wanted.family().map(|family| family.id)).collect();
        for (table, batch) in self.tables.iter().zip(&push.batches) {
            if let Some(objection) = table.inspect(batch, &ids, &pusher.owner).objection {
                return Err(Refused::Collision(format!("{objection:?}")));
            }
        }
        push.families.iter_mut().for_each(|planned| planned.wanted.see_traits());
        notes.keep();
        Ok(())
    }

    fn register(
        &self,
        push: Assembled,
        releases: &[Arc<Family>],
        pusher: &Pusher,
    ) -> Result<(BatchContext, Vec<Batch>), Refused> {
        let Assembled { families, rules, batches, replaced_families, .. } = push;
        let (wanted, metadata): (Vec<_>, Vec<_>) =
            families.into_iter().map(|planned| (planned.wanted, (planned.help, planned.unit))).unzip();
        let is_released = |family: &Family| pusher.is_released(family);
        let entry = Entry { wanted, door: pusher.door(), releases, is_released: &is_released };
        let (families, _view) = self.registry.commit(entry).map_err(|error| match error {
            CommitError::Stale => panic!("what was planned on has changed, and nobody has changed it"),
            CommitError::TooMany { .. } => Refused::Families,
        })?;
        let families = families.iter().zip(metadata).map(|(family, (help, unit))| {
            if let Some(unit) = unit {
                family.set_unit(&unit);
            }
            if let Some(help) = help {
                family.set_help(&help);
            }
            FamilyUse::begin(family)
        });
        Ok((BatchContext { families: families.collect(), rules, replaced_families }, batches))
    }

    fn replace(&mut self, group: &Arc<Group>, batches: Vec<Batch>, context: &BatchContext, scope: Scope, now: Millis) {
        let change = self.timeline.change();
        let replacement =
            Replacement { group: Arc::clone(group), scope, version: change.version, shown: Arc::clone(&change.shown) };
        for (table, batch) in self.tables.iter_mut().zip(batches) {
            table.replace(batch, context, &replacement, now);
        }
    }

    /// Removes all that a group has.
    pub fn empty_group(&mut self, pusher: &Pusher, now: Millis) {
        if let Owner::Group(group) = &pusher.owner {
            let nothing = (0..SHARDS).map(|_| Batch::default()).collect();
            self.replace(group, nothing, &BatchContext::default(), Scope::Group, now);
        }
    }

    /// Forgets a source, as when its time is over; in steps.
    pub fn forget_source(&mut self, id: u32) {
        for table in &mut self.tables {
            while table.forget_source(id, 2) {}
        }
    }

    /// Scrapes every format and reads it again.
    pub fn check_pages(&mut self, escaping: Escaping, now: Millis) {
        use FormatKind::{OpenMetrics1_0_0, Protobuf, Text0_0_4, Text1_0_0};
        for kind in [Text0_0_4, Text1_0_0, OpenMetrics1_0_0, Protobuf] {
            let page = self.page(&self.begin(Format { kind, escaping }), now);
            reading::check(kind, escaping, &self.rules, page);
        }
    }

    /// A page with everything that is stored.
    pub fn whole_page(&mut self, now: Millis) -> Vec<u8> {
        self.page(&self.begin_whole_page(), now)
    }

    /// Begins such a page.
    pub fn begin_whole_page(&self) -> Scrape {
        self.begin(Format { kind: FormatKind::Protobuf, escaping: Escaping::AllowUtf8 })
    }

    /// A page without what may be replaced by its like, as exemplars are.
    pub fn text_page(&mut self, now: Millis) -> String {
        let format = Format { kind: FormatKind::Text1_0_0, escaping: Escaping::AllowUtf8 };
        String::from_utf8(self.page(&self.begin(format), now)).expect("text is UTF-8")
    }

    fn begin(&self, format: Format) -> Scrape {
        let has_windows = |name: &str| self.rules.has_windows(name);
        let look = || catalogue::families(&self.registry.view(), format, |_| true, has_windows);
        let (shown, families) = self.timeline.scrape(look);
        Scrape { format, families, shown }
    }

    /// A whole page, as the coordinator puts it together.
    pub fn page(&mut self, scrape: &Scrape, now: Millis) -> Vec<u8> {
        let Scrape { format, families, shown } = scrape;
        let mut series = SeriesOfPage::new();
        for table in &mut self.tables {
            let mut request = PageRequest::first(Arc::clone(families), *format, shown.version());
            request.bytes = PIECE_BYTES;
            while let Some(next) = add_piece(&mut series, table, &request, now) {
                request.cursor = next;
            }
        }
        let mut out = Vec::new();
        for (family, series) in series {
            let family = &families[family as usize];
            let series: Vec<u8> = series.into_values().flatten().collect();
            match format.kind {
                FormatKind::Protobuf => begin_family(&mut out, family, series.len()),
                _ => write_header(&mut out, *format, family),
            }
            out.extend_from_slice(&series);
        }
        out.extend_from_slice(end_mark(*format));
        out
    }
}

/// By family, then by label text; where that is not asked for, in the order they come in.
type SeriesOfPage = BTreeMap<u32, BTreeMap<(String, usize), Vec<u8>>>;

/// Adds what fits into one piece. Returns where the next one begins.
fn add_piece(series: &mut SeriesOfPage, table: &mut Table, request: &PageRequest, now: Millis) -> Option<Cursor> {
    let page = table.page(request, now);
    let has_keys = request.format.kind != FormatKind::Protobuf;
    let (mut text_start, mut key_start) = (0, 0);
    for one in &page.series {
        let key = page.keys[key_start..one.key_end as usize].to_owned();
        let text = page.text[text_start..one.text_end as usize].to_vec();
        (text_start, key_start) = (one.text_end as usize, one.key_end as usize);
        let family = series.entry(one.family).or_default();
        let place = if has_keys { 0 } else { family.len() };
        let before = family.insert((key, place), text);
        assert!(before.is_none(), "a series is on a page once");
    }
    page.next
}

/// The families that a `POST` replaces, by index. In protobuf one without series takes the stored one away.
fn replaced_families(push: &Assembled, format: PushFormat) -> Vec<usize> {
    let replaces = |index: &usize| push.families[*index].series > 0 || format == PushFormat::Protobuf;
    (0..push.families.len()).filter(replaces).collect()
}

/// A `POST` leaves the group's other families, with their names.
fn refuse_names_of_what_stays(push: &Assembled) -> Result<(), Refused> {
    let is_replaced = |family: &Family| push.families.iter().any(|planned| *planned.wanted.name() == *family.name);
    match push.releases.iter().find(|family| !family.is_empty() && !is_replaced(family)) {
        Some(stays) => Err(Refused::NamesOfWhatStays(stays.name.to_string())),
        None => Ok(()),
    }
}
