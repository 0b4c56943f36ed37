//! A family as one page shows it: its name in the page's escaping, and the kind that the page's format has for it.

use std::sync::Arc;

use crate::model::family::{Family, MetricKind};
use crate::model::name::{Escaping, escaped_metric_name, is_legacy_metric_name};

/// A family of a page.
#[derive(Clone, Debug)]
pub struct ShownFamily {
    /// What is stored.
    pub family: Arc<Family>,
    /// Escaped; what the names of samples begin with.
    pub name: Box<str>,
    /// Whether the name must stand in quotes.
    pub is_quoted: bool,
    /// As shown: not always what is stored.
    pub kind: MetricKind,
    /// How label names are shown.
    pub escaping: Escaping,
    /// Whether aggregated gauges of it show a window: what was added up before that was known is no value within it.
    pub has_windows: bool,
}

impl ShownFamily {
    /// The family under its own name; `kind` as shown.
    pub fn new(family: &Arc<Family>, kind: MetricKind, escaping: Escaping) -> Self {
        let name: Box<str> = escaped_metric_name(&family.name, escaping).into();
        let is_quoted = !is_legacy_metric_name(&name);
        Self { family: Arc::clone(family), name, is_quoted, kind, escaping, has_windows: false }
    }

    /// The same, shown as of another kind.
    pub fn as_kind(self, kind: MetricKind) -> Self {
        Self { kind, ..self }
    }

    /// The same without what its name ends in; a name that does not stays as it is.
    pub fn without_suffix(self, suffix: &str) -> Self {
        let name: Box<str> = self.name.strip_suffix(suffix).unwrap_or(&self.name).into();
        Self { is_quoted: !is_legacy_metric_name(&name), name, ..self }
    }
}
