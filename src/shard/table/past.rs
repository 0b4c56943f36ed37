//! What groups held when a scrape began: a scrape that runs while a group changes shows the group as it was, whole.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::drop_elsewhere;
use crate::model::value::Value;
use crate::shard::owner::Group;
use crate::shard::timeline::{ShownVersions, Version};

/// Former values of groups' series, for as long as a scrape may show them. Mostly empty.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// By family id, then by key.
    families: HashMap<u32, BTreeMap<Box<str>, Vec<Former>>, ahash::RandomState>,
    /// The scrapes that it was last swept for, unless something has been kept for others since.
    swept_for: Option<ShownVersions>,
}

/// A former value.
#[derive(Debug)]
pub(super) struct Former {
    /// The change that brought it.
    pub since: Version,
    /// The change that ended it.
    pub until: Version,
    pub group: Arc<Group>,
    pub value: Value,
}

impl Former {
    /// Whether a scrape of one of these versions shows it.
    pub fn is_shown_by(&self, versions: &[Version]) -> bool {
        versions.iter().any(|version| self.since <= *version && *version < self.until)
    }
}

impl Past {
    /// Keeps a value that has just been changed or removed, if one of the running scrapes shows it.
    pub fn keep(&mut self, family: u32, key: &str, former: Former, shown: &ShownVersions) {
        if former.is_shown_by(shown) {
            self.swept_for = self.swept_for.take().filter(|swept_for| swept_for == shown);
            self.families.entry(family).or_default().entry(key.into()).or_default().push(former);
        }
    }

    /// What the series held as of a version, if something has changed since.
    pub fn value(&self, family: u32, key: &str, version: Version) -> Option<&Former> {
        let formers = self.families.get(&family)?.get(key)?;
        formers.iter().find(|former| former.is_shown_by(&[version]))
    }

    /// Keys of the family's series that have changed, behind this one.
    pub fn keys_after(&self, family: u32, key: Option<&str>) -> impl Iterator<Item = &str> {
        self.families
            .get(&family)
            .into_iter()
            .flat_map(move |keys| keys.range::<str, _>(behind(key)).map(|(key, _)| &**key))
    }

    /// Keeps only what scrapes of these versions show.
    pub fn forget_all_but(&mut self, shown: &ShownVersions) {
        if self.is_empty() || self.swept_for.as_ref() == Some(shown) {
            return;
        }
        self.swept_for = Some(Arc::clone(shown));
        if shown.is_empty() {
            let forgotten = std::mem::take(&mut self.families);
            drop_elsewhere(forgotten);
            return;
        }
        self.families.retain(|_, keys| {
            keys.retain(|_, formers| {
                formers.retain(|former| former.is_shown_by(shown));
                !formers.is_empty()
            });
            !keys.is_empty()
        });
    }

    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}

/// All keys behind this one.
fn behind(key: Option<&str>) -> (Bound<&str>, Bound<&str>) {
    (key.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}
