//! The order against a naive map.

use super::super::{Series, Stored};
use super::*;
use crate::model::family::MetricKind;
use crate::model::value::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FAMILY: u32 = 7;

fn series(key: &str, family: u32) -> Series {
    Series { key: key.into(), stored: Stored::Aggregated(Value::Number(0.0)), family, shape: None }
}

/// An order, the series that it is of, and what it should be.
struct World {
    order: FamilyOrder,
    series: Slots,
    twin: BTreeMap<String, u32>,
}

impl World {
    fn new() -> Self {
        let order = FamilyOrder::new(&Arc::new(Family::new(FAMILY, "a", MetricKind::Counter)));
        Self { order, series: Slots::default(), twin: BTreeMap::new() }
    }

    /// Adds the series, or removes it if it is there; its slot may then be given to a series of another family.
    fn flip(&mut self, key: String) {
        match self.twin.remove(&key) {
            Some(slot) => {
                self.order.remove(&key, &self.series);
                self.series.remove(slot);
                if slot.is_multiple_of(2) {
                    self.series.insert(series(&key, FAMILY + 1));
                }
            }
            None => {
                let slot = self.series.insert(series(&key, FAMILY));
                self.order.add(slot, &self.series);
                self.twin.insert(key, slot);
            }
        }
    }

    fn settle_all(&mut self) {
        while !self.order.is_settled() {
            let looked_at = self.order.settle(100, &self.series);
            assert!((1..=100).contains(&looked_at), "{looked_at}");
        }
    }

    fn after(&self, key: Option<&str>) -> Vec<u32> {
        self.order.after(key, &self.series).flatten().copied().collect()
    }

    /// Everything that is true of a settled order.
    fn assert_whole(&self) {
        assert_eq!(self.after(None), self.twin.values().copied().collect::<Vec<u32>>());
        assert_eq!((self.order.len(), self.order.is_empty()), (self.twin.len(), self.twin.is_empty()));
        let lengths: Vec<usize> = self.order.blocks.iter().map(Vec::len).collect();
        assert!(lengths.iter().all(|length| (1..=FamilyOrder::BLOCK).contains(length)), "{lengths:?}");
    }
}

/// Numbers below `end` in an order that jumps.
fn scattered(end: usize) -> impl Iterator<Item = usize> {
    const STRIDE: usize = 7919;
    (0..end).map(move |at| at * STRIDE % end)
}

fn key(number: usize) -> String {
    format!("x=\"{number:05}\"")
}

#[test]
fn blocks_are_split_and_joined() {
    let mut world = World::new();
    for batch in scattered(20_000).collect::<Vec<_>>().chunks(3000) {
        batch.iter().for_each(|number| world.flip(key(*number)));
        world.settle_all();
        world.assert_whole();
    }
    let fill = 20_000 / world.order.blocks.len();
    assert!(fill > FamilyOrder::BLOCK / 2, "{fill} slots a block");
    for number in scattered(20_000).filter(|number| number % 20 != 0) {
        world.flip(key(number));
    }
    world.assert_whole();
    let fill = 1000 / world.order.blocks.len();
    assert!(fill > FamilyOrder::BLOCK / 8, "{fill} slots a block");
}

#[test]
fn keys_that_come_in_order_fill_their_blocks() {
    for descending in [false, true] {
        let mut world = World::new();
        for number in 0..10_000 {
            world.flip(key(if descending { 10_000 - number } else { number }));
            if number % 10 == 0 {
                world.settle_all();
            }
        }
        world.settle_all();
        world.assert_whole();
        let fill = 10_000 / world.order.blocks.len();
        assert!(fill > FamilyOrder::BLOCK * 2 / 5, "{fill} slots a block");
    }
}

proptest! {
    #[test]
    fn is_as_a_map_has_it(
        steps in proptest::collection::vec(
            (proptest::collection::vec(0usize..3000, 0..800), any::<bool>(), 0usize..3000), 1..8),
    ) {
        let mut world = World::new();
        for (flipped, is_settled, after) in steps {
            flipped.into_iter().for_each(|number| world.flip(key(number)));
            if is_settled {
                world.settle_all();
                world.assert_whole();
                let after = key(after);
                let behind = (std::ops::Bound::Excluded(after.clone()), std::ops::Bound::Unbounded);
                let expected: Vec<u32> = world.twin.range(behind).map(|(_, slot)| *slot).collect();
                prop_assert_eq!(world.after(Some(&after)), expected);
            }
        }
    }
}
