//! The table against a naive map, and its pages; below it, what each door and what removal make of it.

mod removal;
mod replaced;
mod shared;
mod sourced;

use super::*;
use crate::aggregate::NumberRule;
use crate::exposition::format::Format;
use crate::exposition::shown::ShownFamily;
use crate::model::family::{Family, FamilyUse, MetricKind};
use crate::model::name::Escaping;
use crate::shard::batch::{NumberUpdate, Router, SeriesRule};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn context<const N: usize>(families: [(u32, &str); N]) -> BatchContext {
    let family = |(id, name)| FamilyUse::begin(&Arc::new(Family::new(id, name, MetricKind::Counter)));
    let rules = vec![SeriesRule { numbers: NumberRule::Add, lifetime: None }];
    BatchContext { families: families.map(family).into(), rules, ..BatchContext::default() }
}

fn batch(router: &Router, context: &BatchContext, numbers: &[(u32, String, f64)]) -> Batch {
    let mut batch = Batch::default();
    for (family, labels, value) in numbers {
        let name = router.hasher().hash(context.families[*family as usize].name.as_bytes());
        let hash = router.series_hash(name, router.hasher().hash_labels(labels));
        let series = batch.push_key(hash, *family, 0, labels);
        batch.numbers.push(NumberUpdate { series, value: *value });
    }
    batch
}

/// Families of these kinds; ids are indices.
fn families<const N: usize>(kinds: [(&str, MetricKind); N]) -> Vec<Arc<Family>> {
    kinds.into_iter().zip(0..).map(|((name, kind), id)| Arc::new(Family::new(id, name, kind))).collect()
}

/// What a push of these families refers to, with one rule for each.
fn context_of(families: &[Arc<Family>], rule: impl Fn(MetricKind) -> SeriesRule) -> BatchContext {
    BatchContext {
        families: families.iter().map(FamilyUse::begin).collect(),
        rules: families.iter().map(|family| rule(family.kind())).collect(),
        ..BatchContext::default()
    }
}

/// A new series of a batch under its family's rule.
fn push_key(batch: &mut Batch, router: &Router, families: &[Arc<Family>], family: u32, labels: &str) -> SeriesRef {
    let name = router.hasher().hash(families[family as usize].name.as_bytes());
    let hash = router.series_hash(name, router.hasher().hash_labels(labels));
    batch.push_key(hash, family, family, labels)
}

/// Sweeps to the end; returns how many series went.
fn sweep(table: &mut Table, selection: &Selection, now: Millis) -> usize {
    let (mut removed, mut next) = (0, Some(0));
    while let Some(from) = next {
        let swept = table.sweep(selection, from, now);
        assert!(swept.removed <= Table::REMOVED, "{swept:?}");
        removed += swept.removed;
        next = swept.next;
    }
    removed
}

/// Every stored series is found by its key, stands once in the index and in its family's count, and where the order has it.
fn assert_whole(table: &Table) {
    let stored: Vec<(u32, &Series)> =
        (0..table.series.end()).filter_map(|slot| Some((slot, table.series.get(slot)?))).collect();
    assert_eq!(stored.len(), table.series.len());
    assert_eq!(stored.len(), table.index.len());
    let mut of_families: BTreeMap<u32, usize> = BTreeMap::new();
    for (slot, series) in &stored {
        *of_families.entry(series.family).or_default() += 1;
        let order = &table.orders[&series.family];
        let name = table.router.hasher().hash(order.family.name.as_bytes());
        let hash = table.router.series_hash(name, table.router.hasher().hash_labels(&series.key)) as u32;
        assert!(table.index.find(table_hash(hash), |entry| (entry.hash, entry.slot) == (hash, *slot)).is_some());
    }
    assert_eq!(of_families.len(), table.orders.len());
    for (family, count) in of_families {
        let order = &table.orders[&family];
        assert_eq!(order.len(), count);
        let key = |slot: &u32| table.series.key(*slot, family).expect("a series of the family");
        let settled: Vec<&str> = order.after(None, &table.series).flatten().map(key).collect();
        assert!(settled.is_sorted_by(|one, other| one < other), "{settled:?}");
    }
}

/// All pages of `bytes` each, as one text without headers.
fn exposition(table: &mut Table, context: &BatchContext, bytes: usize) -> String {
    let shown = |of: &FamilyUse| ShownFamily::new(of.family(), of.kind(), Escaping::default());
    let context = context.families.iter().map(shown).collect();
    let mut request = PageRequest { bytes, ..PageRequest::first(context, Format::default(), 0) };
    let mut text = Vec::new();
    loop {
        let page = table.page(&request, 0);
        assert!(page.text.len() <= bytes + 64, "a page of {} bytes", page.text.len());
        assert_eq!(page.series.last().map_or(0, |series| series.text_end as usize), page.text.len());
        assert_eq!(page.series.last().map_or(0, |series| series.key_end as usize), page.keys.len());
        text.extend_from_slice(&page.text);
        match page.next {
            Some(next) => request.cursor = next,
            None => return String::from_utf8(text).expect("the page is UTF-8"),
        }
    }
}

#[test]
fn pages_show_families_in_their_order_and_series_by_label_text() {
    let (router, context) = (Router::new(1), context([(1, "a"), (0, "b")]));
    let mut table = Table::new(router.clone());
    let numbers = [(1, "x=\"2\"".to_owned(), 1.0), (0, String::new(), 2.0), (1, "x=\"10\"".to_owned(), 3.0)];
    table.apply(batch(&router, &context, &numbers), &context, &Owner::Everyone, 0);
    assert_eq!(exposition(&mut table, &context, 1000), "a 2\nb{x=\"10\"} 3\nb{x=\"2\"} 1\n");
    assert_eq!(table.len(), 3);
    assert_eq!(context.families[1].series(), 2);
}

#[test]
fn a_flood_of_new_series_is_put_in_order_over_several_pages() {
    let (router, context) = (Router::new(1), context([(0, "a")]));
    let numbers: Vec<_> = (0..5000).map(|at| (0, format!("x=\"{at:05}\""), 1.0)).collect();
    let mut table = Table::new(router.clone());
    table.apply(batch(&router, &context, &numbers), &context, &Owner::Everyone, 0);
    let expected: String = numbers.iter().map(|(_, labels, _)| format!("a{{{labels}}} 1\n")).collect();
    assert_eq!(exposition(&mut table, &context, 700), expected);
}

/// Nobody scrapes meanwhile, which would put them in order.
#[test]
fn series_that_come_and_go_do_not_make_the_list_of_waiting_ones_grow() {
    let (router, context) = (Router::new(1), context([(0, "a"), (1, "b")]));
    let mut table = Table::new(router.clone());
    let stay: Vec<_> = (0..100).map(|at| (at % 2, format!("x=\"stays{at:02}\""), 1.0)).collect();
    table.apply(batch(&router, &context, &stay), &context, &Owner::Everyone, 0);
    for at in 0..20_000 {
        let goes = batch(&router, &context, &[(at % 2, format!("x=\"{at}\""), 1.0)]);
        let series = goes.numbers[0].series;
        table.apply(goes, &context, &Owner::Everyone, 0);
        let key = batch(&router, &context, &[(at % 2, format!("x=\"{at}\""), 1.0)]);
        let slot = table.find(&key, series, at % 2).expect("stored");
        table.remove(slot);
    }
    for order in table.orders.values() {
        assert!(order.waiting() < 2048, "{} wait", order.waiting());
    }
    assert_whole(&table);
    let expected: String = (0..2)
        .flat_map(|family| stay.iter().filter(move |(of, ..)| *of == family))
        .map(|(family, labels, _)| format!("{}{{{labels}}} 1\n", ["a", "b"][*family as usize]))
        .collect();
    assert_eq!(exposition(&mut table, &context, 1000), expected);
}

#[test]
fn new_series_are_told_from_stored_ones() {
    let (router, context) = (Router::new(1), context([(0, "a"), (1, "b")]));
    let mut table = Table::new(router.clone());
    table.apply(batch(&router, &context, &[(0, String::new(), 1.0)]), &context, &Owner::Everyone, 0);
    let next =
        batch(&router, &context, &[(0, String::new(), 1.0), (1, String::new(), 1.0), (1, "x=\"1\"".into(), 1.0)]);
    assert_eq!(table.inspect(&next, &[Some(0), Some(1)], &Owner::Everyone).new, [0, 2]);
    assert_eq!(table.inspect(&next, &[Some(0), None], &Owner::Everyone).new, [0, 2]);
    table.apply(next, &context, &Owner::Everyone, 0);
    assert_eq!(table.len(), 3);
}

#[test]
fn series_that_escaping_would_make_one_are_found() {
    let (router, context) = (Router::new(1), context([(0, "a"), (1, "b")]));
    let mut table = Table::new(router.clone());
    table.apply(batch(&router, &context, &[(0, "\"x-y\"=\"1\"".into(), 1.0)]), &context, &Owner::Everyone, 0);
    let collision = |family, labels: &str| {
        let next = batch(&router, &context, &[(family, labels.into(), 1.0)]);
        table.inspect(&next, &[Some(0), Some(1)], &Owner::Everyone).objection.and_then(|objection| {
            match objection.collision {
                Collision::Twin(stored) => Some(stored),
                Collision::Owner(_) => None,
            }
        })
    };
    assert_eq!(collision(0, "x_y=\"1\"").as_deref(), Some("\"x-y\"=\"1\""));
    for (family, labels) in [(0, "x_y=\"2\""), (0, "\"x-y\"=\"1\""), (1, "x_y=\"1\"")] {
        assert_eq!(collision(family, labels), None, "{labels}");
    }
}

proptest! {
    #[test]
    fn holds_what_a_map_holds(
        pushes in proptest::collection::vec(
            proptest::collection::btree_map((0u32..3, "[ab]{0,2}"), 0u32..100, 0..12), 1..12),
        bytes in 1usize..200,
    ) {
        let router = Router::new(1);
        let context = context([(2, "a"), (0, "b"), (1, "c")]);
        let mut table = Table::new(router.clone());
        let mut twin: BTreeMap<(u32, String), f64> = BTreeMap::new();
        for push in pushes {
            let numbers: Vec<_> = push
                .iter()
                .map(|((family, value), number)| {
                    let labels = if value.is_empty() { String::new() } else { format!("x=\"{value}\"") };
                    (*family, labels, f64::from(*number))
                })
                .collect();
            for (family, labels, value) in &numbers {
                *twin.entry((*family, labels.clone())).or_default() += value;
            }
            table.apply(batch(&router, &context, &numbers), &context, &Owner::Everyone, 0);
            let shown: String = twin
                .iter()
                .map(|((family, labels), value)| {
                    let name = &context.families[*family as usize].name;
                    if labels.is_empty() { format!("{name} {value}\n") } else { format!("{name}{{{labels}}} {value}\n") }
                })
                .collect();
            prop_assert_eq!(exposition(&mut table, &context, bytes), shown);
        }
        prop_assert_eq!(table.len(), twin.len());
    }
}
