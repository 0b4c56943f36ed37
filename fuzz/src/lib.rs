//! The way of a push and of a scrape without sockets and actors, with properties in place of answers: what is taken once is
//! taken again, and every page of it is read again, by our own decoders and, where it is protobuf, by another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use catchment::aggregate::{GaugePolicy, GaugeRule};
use catchment::catalogue;
use catchment::exposition::decoded::Decoded;
use catchment::exposition::error::{DecodeError, Limits};
use catchment::exposition::format::{Format, FormatKind, PushFormat};
use catchment::exposition::proto_encode::begin_family;
use catchment::exposition::{decode, end_mark, write_header};
use catchment::model::labels::GroupLabels;
use catchment::model::name::Escaping;
use catchment::push::{Assembled, Assembler, PushError, PushRules, SummaryPolicy};
use catchment::registry::Registry;
use catchment::shard::batch::{BatchFamily, Router};
use catchment::shard::table::{PageRequest, Table};
use catchment_test_schema::read_delimited;

/// Enough for pieces to be put together, few enough for them to be of more than one series.
const SHARDS: usize = 2;

/// Small, so that a page is made of many pieces.
const PIECE_BYTES: usize = 512;

const WINDOW: u64 = 1000;

/// What pages are read with: their length is a matter of what is stored, so no limit of a push may refuse one.
const NO_LIMITS: Limits = Limits {
    line_length: 1 << 30,
    labels: 1 << 30,
    name_length: 1 << 30,
    value_length: 1 << 30,
    series_length: 1 << 30,
    push_length: 1 << 30,
    samples: 1 << 30,
};

/// A family without metrics, put before pages of protobuf: where a body begins like a text, the decoder says so instead of
/// what is wrong with it.
const UNLIKE_TEXT: &[u8] = b"\x0b\x0a\x09\0unlike_t";

/// Takes an input apart: its first byte picks settings, the rest is a body. What decodes is pushed twice and scraped in all
/// formats.
///
/// # Panics
/// If a property does not hold.
pub fn push_and_scrape(format: PushFormat, input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else { return };
    let settings = Settings::new(choice);
    let mut gateway = Gateway::new(&settings);
    if gateway.push(format, body, &settings.group, 0).is_err() {
        return;
    }
    gateway.check_pages(settings.escaping, 10);
    match gateway.push(format, body, &settings.group, 20) {
        Err(refused) => panic!("a push was taken, and refused when it came again: {refused:?}"),
        Ok(()) => {}
    }
    gateway.check_pages(settings.escaping, 30);
}

/// What may differ from server to server and from scrape to scrape.
struct Settings {
    escaping: Escaping,
    gauges: GaugePolicy,
    group: GroupLabels,
}

impl Settings {
    /// Any byte picks some.
    fn new(choice: u8) -> Self {
        use GaugePolicy::{Last, Max, Mean, Min, Sum};
        let escapings = [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];
        let choice = usize::from(choice);
        let group = match choice / 20 % 2 {
            0 => GroupLabels::default(),
            _ => GroupLabels::new([("job", "\"é"), ("b.c", "\n")].map(|(name, value)| (name.into(), value.into())))
                .expect("two names"),
        };
        Self { escaping: escapings[choice % 4], gauges: [Last, Sum, Min, Max, Mean][choice / 4 % 5], group }
    }
}

/// Why a push is not taken.
#[derive(Debug)]
#[allow(dead_code, reason = "shown when a property does not hold")]
enum Refused {
    Push(PushError),
    /// Two series that escaping makes equal.
    Collision(String),
    Families,
}

/// All that one worker and the shards hold.
struct Gateway {
    registry: Registry,
    router: Router,
    tables: Vec<Table>,
    rules: PushRules,
}

impl Gateway {
    fn new(settings: &Settings) -> Self {
        let gauges = GaugeRule { policy: settings.gauges, window: WINDOW };
        let rules = PushRules { gauges, summaries: SummaryPolicy::SumCount, limits: Limits::default() };
        Self::with_rules(rules)
    }

    fn with_rules(rules: PushRules) -> Self {
        Self {
            registry: Registry::new(1000),
            router: Router::new(SHARDS),
            tables: (0..SHARDS).map(|_| Table::default()).collect(),
            rules,
        }
    }

    fn assemble(&self, format: PushFormat, body: &[u8], group: &GroupLabels) -> Result<Assembled, PushError> {
        let (mut decoded, mut arena) = (Decoded::default(), Vec::new());
        let text = decode(format, body, &self.rules.limits, self.router.hasher(), &mut arena, &mut decoded)
            .map_err(PushError::Malformed)?;
        Assembler::default().assemble(text, &mut decoded, group, &self.rules, &self.registry, &self.router)
    }

    /// As `ingest.rs` does it.
    fn push(&mut self, format: PushFormat, body: &[u8], group: &GroupLabels, now: u64) -> Result<(), Refused> {
        let mut push = self.assemble(format, body, group).map_err(Refused::Push)?;
        if push.may_collide() {
            self.refuse_collisions(&mut push)?;
        }
        let Assembled { families, batches, .. } = push;
        let (wanted, rest): (Vec<_>, Vec<_>) = families
            .into_iter()
            .map(|planned| (planned.wanted, (planned.number_rule, planned.help, planned.unit)))
            .unzip();
        let (families, _view) = self.registry.commit(wanted).map_err(|_| Refused::Families)?;
        let families: Vec<BatchFamily> = families
            .into_iter()
            .zip(rest)
            .map(|(family, (number_rule, help, unit))| {
                if let Some(unit) = unit {
                    family.set_unit(&unit);
                }
                if let Some(help) = help {
                    family.set_help(&help);
                }
                BatchFamily { family, number_rule }
            })
            .collect();
        for (table, batch) in self.tables.iter_mut().zip(batches) {
            table.apply(batch, &families, now);
        }
        Ok(())
    }

    fn refuse_collisions(&self, push: &mut Assembled) -> Result<(), Refused> {
        let quoted = push.families.iter().filter(|planned| planned.has_quoted_labels);
        self.registry.note_quoted_labels(quoted.filter_map(|planned| planned.wanted.family()));
        let ids: Vec<Option<u32>> =
            push.families.iter().map(|planned| planned.wanted.family().map(|family| family.id)).collect();
        for (table, batch) in self.tables.iter().zip(&push.batches) {
            if let Some(collision) = table.inspect(batch, &ids).collision {
                return Err(Refused::Collision(format!("{collision:?}")));
            }
        }
        push.families.iter_mut().for_each(|planned| planned.wanted.see_quoted_labels());
        Ok(())
    }

    /// Scrapes every format and reads it again.
    fn check_pages(&mut self, escaping: Escaping, now: u64) {
        use FormatKind::{OpenMetrics1_0_0, Protobuf, Text0_0_4, Text1_0_0};
        for (kind, format) in [
            (Text0_0_4, PushFormat::Text),
            (Text1_0_0, PushFormat::Text),
            (OpenMetrics1_0_0, PushFormat::OpenMetrics),
            (Protobuf, PushFormat::Protobuf),
        ] {
            let page = self.page(Format { kind, escaping }, now);
            if kind == Protobuf {
                if let Err(error) = read_delimited(&page) {
                    panic!("a page in protobuf is not read by another implementation: {error}\n{page:02x?}");
                }
            }
            let page = if kind == Protobuf { [UNLIKE_TEXT, &page].concat() } else { page };
            if let Err(error) = self.read_page(format, escaping, &page) {
                panic!("a page in {kind:?} with {escaping:?} is not read: {error}\n{}", shown(&page));
            }
        }
    }

    /// A whole page, as the coordinator puts it together.
    fn page(&mut self, format: Format, now: u64) -> Vec<u8> {
        let families = catalogue::families(&self.registry.view(), format, |_| true);
        let mut series: BTreeMap<u32, BTreeMap<(String, usize), Vec<u8>>> = BTreeMap::new();
        let has_keys = format.kind != FormatKind::Protobuf;
        for table in &mut self.tables {
            let mut request = PageRequest::first(Arc::clone(&families), format, self.rules.gauges);
            request.bytes = PIECE_BYTES;
            loop {
                let page = table.page(&request, now);
                let (mut text_start, mut key_start) = (0, 0);
                for one in &page.series {
                    let key = page.keys[key_start..one.key_end as usize].to_owned();
                    let text = page.text[text_start..one.text_end as usize].to_vec();
                    (text_start, key_start) = (one.text_end as usize, one.key_end as usize);
                    let family = series.entry(one.family).or_default();
                    // Without keys they stay in the order they come in.
                    let place = if has_keys { 0 } else { family.len() };
                    let before = family.insert((key, place), text);
                    assert!(before.is_none(), "a series is on a page once");
                }
                match page.next {
                    Some(next) => request.cursor = next,
                    None => break,
                }
            }
        }
        let mut out = Vec::new();
        for (family, series) in series {
            let family = &families[family as usize];
            let series: Vec<u8> = series.into_values().flatten().collect();
            match format.kind {
                FormatKind::Protobuf => begin_family(&mut out, family, series.len()),
                _ => write_header(&mut out, format, family),
            }
            out.extend_from_slice(&series);
        }
        out.extend_from_slice(end_mark(format));
        out
    }

    /// Reads a page with the decoder of its format. What it says is then assembled as if it were pushed to an empty gateway,
    /// which finds series and families that stand on it twice.
    fn read_page(&self, format: PushFormat, escaping: Escaping, page: &[u8]) -> Result<(), PushError> {
        let rules = PushRules { limits: NO_LIMITS, ..self.rules };
        match Gateway::with_rules(rules).assemble(format, page, &GroupLabels::default()) {
            Ok(_) => Ok(()),
            Err(PushError::Malformed(error)) if is_large_count(&error) => Ok(()),
            Err(PushError::Malformed(error)) if escaping == Escaping::Dots && is_reserved_label(&error) => Ok(()),
            // What an untyped series has summed up may be no counter, though its TYPE came later.
            Err(PushError::InvalidSample(error)) if error.expected.starts_with("a counter increment") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Two counts that a push may have can make one that no push may have.
fn is_large_count(error: &DecodeError) -> bool {
    error.expected == "a count of at most 2^53"
}

/// Under `dots` the label `_a` is shown as `__a`, which readers take, and no push may have.
fn is_reserved_label(error: &DecodeError) -> bool {
    error.expected.ends_with("begin with \"__\"") && !error.got.to_string().contains("__name__")
}

fn shown(page: &[u8]) -> String {
    match std::str::from_utf8(page) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{page:02x?}"),
    }
}
