//! Removes series in steps of bounded length: those whose time is over, and those that someone wants gone.

use std::sync::Arc;

use super::{Series, Stored, Table};
use crate::model::labels::{Labels, unescape};
use crate::model::value::Millis;
use crate::selector::Selector;

/// Which series go.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Those whose time is over.
    Expired,
    /// Aggregated series that carry all these labels; names and values as people write them.
    Aggregated(Arc<[(String, String)]>),
    /// Series that one of the selectors matches, by whatever door they came.
    Matching(Arc<[Selector]>),
}

/// What one step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The slot at which to go on; `None` when all were looked at.
    pub next: Option<u32>,
    /// Series removed.
    pub removed: usize,
}

impl Table {
    /// Slots looked at in one step.
    pub(super) const LOOKED_AT: u32 = 16 * 1024;
    /// Series removed in one step.
    pub(super) const REMOVED: usize = 1024;
    /// Series and values of sources after which a step ends.
    pub(super) const VALUES_REMOVED: usize = 16 * 1024;

    /// Looks at the slots from this one on, and removes what is selected.
    pub fn sweep(&mut self, selection: &Selection, from: u32, now: Millis) -> Swept {
        let mut removed = 0;
        if matches!(selection, Selection::Expired) && !self.series.has_deadlines() {
            return Swept { next: None, removed };
        }
        let (end, stored) = (self.series.end(), self.len());
        for slot in from..end.min(from.saturating_add(Self::LOOKED_AT)) {
            if removed == Self::REMOVED || stored - self.len() >= Self::VALUES_REMOVED {
                return Swept { next: Some(slot), removed };
            }
            if self.is_selected(selection, slot, now) {
                self.remove(slot);
                removed += 1;
            }
        }
        let next = from.saturating_add(Self::LOOKED_AT);
        Swept { next: (next < end).then_some(next), removed }
    }

    fn is_selected(&self, selection: &Selection, slot: u32, now: Millis) -> bool {
        match selection {
            Selection::Expired => self.series.is_expired(slot, now),
            Selection::Aggregated(labels) => self
                .series
                .get(slot)
                .is_some_and(|series| matches!(series.stored, Stored::Aggregated(_)) && carries(&series.key, labels)),
            Selection::Matching(selectors) => {
                let series = self.series.get(slot);
                series.is_some_and(|series| selectors.iter().any(|selector| self.matches(series, selector)))
            }
        }
    }

    fn matches(&self, series: &Series, selector: &Selector) -> bool {
        let family = self.orders.get(&series.family).map(|order| &*order.family.name);
        family.is_some_and(|name| selector.matches_series(name, &series.key))
    }
}

/// Whether canonical label text has all the labels; an empty label is an absent one.
fn carries(text: &str, labels: &[(String, String)]) -> bool {
    labels.iter().all(|(name, value)| {
        let own = Labels::new(text).find(|label| label.plain_name() == *name);
        own.map_or_else(|| value.is_empty(), |label| unescape(label.value) == *value)
    })
}
