//! The way of a push, whatever door or socket it came by: decode, assemble, admit, register, hand to the shards, wait.
//! Until the shards are handed their batches anything may refuse the push; after that nothing does.

mod admit;
mod group;
mod merged;
mod observe;
mod removal;
mod restore;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::exposition::error::Excerpt;
use crate::exposition::format::PushFormat;
use crate::groups::Groups;
use crate::model::family::{Family, FamilyUse, MetricKind};
use crate::model::labels::GroupLabels;
use crate::model::value::Millis;
use crate::push::templates::{TemplateKey, Templates};
use crate::push::{Assembled, Intake, PlannedFamily, PushError, PushRules, Pushed, RawPush};
use crate::registry::{CommitError, Entry, Registry, View};
use crate::shard::batch::{BatchContext, SeriesRule};
use crate::shard::gate::Budget;
use crate::shard::owner::Source;
use crate::shard::route::{ShardError, ShardSet};
use crate::sources::Sources;
use crate::telemetry::IngestMetrics;

pub use crate::push::Scratch;
pub use group::GroupMethod;
pub use observe::DatagramRefusal;
pub use restore::Restored;

/// How many series and families may be stored. Known series go on being updated when a limit is reached.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// In all, values of sources among them.
    pub series: usize,
    /// Series of one family. Pushes that race each other may exceed it by what they bring at once.
    pub series_per_family: usize,
    /// Series that one source has a value of, alike.
    pub series_per_source: usize,
}

/// How long what is pushed stays when nothing is pushed to it any more; `None` for ever. (The lifetimes of series are in the
/// rules.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a source.
    pub source: Option<Millis>,
    /// Of a group.
    pub group: Option<Millis>,
}

/// Which labels of the path tell sources apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKey {
    /// All of them.
    All,
    /// These.
    Labels(Vec<String>),
}

/// What is asked of the gateway.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    /// The body's format.
    pub format: PushFormat,
    /// The whole body.
    pub body: &'a [u8],
    /// The labels of the path.
    pub group: &'a GroupLabels,
    /// The lifetime asked for what the push touches.
    pub lifetime: Option<Millis>,
}

/// Why a push is refused; nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The push itself is at fault.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A series that escaping makes equal to a stored one.
    #[error("expected series that differ when escaped, got {pushed} beside {stored}")]
    Collision {
        /// The refused series.
        pushed: Excerpt,
        /// The one it would be mixed up with.
        stored: Excerpt,
    },
    /// A series that is another's.
    #[error("expected series that nobody else has, got {pushed}, which belongs to {owner}")]
    Owned {
        /// The refused series.
        pushed: Excerpt,
        /// Whose it is.
        owner: Excerpt,
    },
    /// A limit of what is stored.
    #[error("expected at most {limit} {what}, got {got} more")]
    StoreLimit {
        /// Series, series of one family or source, or families.
        what: String,
        /// How many may be stored.
        limit: usize,
        /// New ones in the push.
        got: usize,
    },
    /// Close to the limit of series, other pushes hold permits that they will mostly give back.
    #[error("other pushes are being counted against the limit of series, try again later")]
    Crowded,
    /// A shard is behind, or down.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A shard failed while it was applying the push: other shards may have applied their part.
    #[error("a shard failed while it applied the push")]
    Lost,
}

impl Refusal {
    /// Whether the push itself is at fault, or asks for too much: part of it may be taken in.
    fn is_of_the_push(&self) -> bool {
        match self {
            Self::Push(_) | Self::Collision { .. } | Self::Owned { .. } | Self::StoreLimit { .. } => true,
            Self::Crowded | Self::Shard(_) | Self::Lost => false,
        }
    }

    /// The word under which it is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Push(PushError::Malformed(_)) => "malformed",
            Self::Push(PushError::TypeConflict(_)) => "type_conflict",
            Self::Push(PushError::NameClash(_)) | Self::Collision { .. } => "name_clash",
            Self::Push(PushError::DuplicateSeries(_)) => "duplicate_series",
            Self::Push(PushError::InvalidSample(_)) => "invalid_sample",
            Self::Push(PushError::Timestamps) => "timestamps",
            Self::Owned { .. } => "owned",
            Self::StoreLimit { .. } => "store_limit",
            Self::Crowded => "crowded",
            Self::Shard(ShardError::Full(_)) => "shard_full",
            Self::Shard(ShardError::Down(_)) | Self::Lost => "shard_down",
        }
    }
}

/// What an [`Ingest`] is built of.
pub struct IngestParts {
    /// The families.
    pub registry: Arc<Registry>,
    /// The series.
    pub shards: Arc<ShardSet>,
    /// What is done with pushed values.
    pub rules: PushRules,
    /// How much may be stored.
    pub limits: StoreLimits,
    /// Bytes for templates of pushes.
    pub max_templates: usize,
    /// What is stored, against the limit of all series.
    pub stored: Arc<Budget>,
    /// How long sources and groups stay.
    pub lifetimes: Lifetimes,
    /// What tells sources apart.
    pub source_key: SourceKey,
    /// The time.
    pub clock: Clock,
    /// Own metrics.
    pub metrics: IngestMetrics,
}

/// Takes pushes in. Shared by all workers.
pub struct Ingest {
    parts: IngestParts,
    /// Of the parts, but may be changed.
    rules: RwLock<Arc<PushRules>>,
    sources: Sources,
    groups: Groups,
    templates: Templates,
    /// `push_time_seconds` and `push_failure_time_seconds`.
    push_times: [Arc<Family>; 2],
    /// Sources whose life is over and whose values are to be forgotten.
    ended: std::sync::Mutex<VecDeque<Arc<Source>>>,
    /// Held while series are removed for somebody: one at a time, for each looks at all that is stored.
    removal: Mutex<()>,
    /// Held by a push whose series may meet others, while it looks and is sent.
    turn: Mutex<()>,
}

impl Ingest {
    /// Takes pushes in with these parts.
    pub fn new(parts: IngestParts) -> Self {
        let reserve = |outcome| {
            // Word for word: whoever knows the Pushgateway's families shall find them here.
            let help = format!("Last Unix time when changing this group in the Pushgateway {outcome}.");
            let name = if outcome == "failed" { "push_failure_time_seconds" } else { "push_time_seconds" };
            parts.registry.reserve(name, MetricKind::Gauge, &help)
        };
        Self {
            rules: RwLock::new(Arc::new(parts.rules.clone())),
            sources: Sources::default(),
            groups: Groups::default(),
            templates: Templates::new(parts.max_templates),
            push_times: [reserve("succeeded"), reserve("failed")],
            ended: std::sync::Mutex::default(),
            removal: Mutex::new(()),
            turn: Mutex::new(()),
            parts,
        }
    }

    /// Series stored, and series being admitted; values of sources are among them.
    pub fn series(&self) -> usize {
        self.parts.stored.taken()
    }

    /// Sources that live.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// The groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The rules as they are now.
    pub fn rules(&self) -> Arc<PushRules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the rules for the pushes to come.
    pub fn set_rules(&self, rules: PushRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Whether aggregated gauges of this name show a window.
    pub fn has_windows(&self, family: &str) -> bool {
        self.rules().has_windows(family)
    }

    /// Assembles a push: after a template of those before it, if there is one. The key tells which.
    fn assemble(
        &self,
        Push { format, body, .. }: Push<'_>,
        pushed: Pushed<'_>,
        scratch: &mut Scratch,
    ) -> Result<(Assembled, Option<TemplateKey>), PushError> {
        let rules = self.rules();
        let push = RawPush { format, body, pushed, rules: &rules };
        let key = self.templates.key(push);
        if let Some(assembled) = key.and_then(|key| self.templates.fill(key, push, &self.parts.registry)) {
            return Ok((assembled, key));
        }
        let mut intake = self.intake(scratch);
        let assembled = intake.assemble(push);
        if let (Some(key), Ok(_)) = (key, &assembled) {
            self.templates.learn(key, push, &mut intake);
        }
        intake.scratch.shrink();
        Ok((assembled?, key))
    }

    fn intake<'a>(&'a self, scratch: &'a mut Scratch) -> Intake<'a> {
        Intake { registry: &self.parts.registry, router: self.parts.shards.router(), scratch }
    }

    /// Enters the push's families. From here on the push is accepted; hold the view until it is sent.
    fn register(&self, registration: Registration<'_>) -> Result<Option<Registered<'_>>, Refusal> {
        let Registration { families, rules, replaced_families, releases, pushed: Pushed { door, is_released, .. } } =
            registration;
        let (wanted, metadata): (Vec<_>, Vec<_>) =
            families.into_iter().map(|planned| (planned.wanted, (planned.help, planned.unit))).unzip();
        let (families, view) = match self.parts.registry.commit(Entry { wanted, door, releases, is_released }) {
            Ok(committed) => committed,
            Err(CommitError::Stale) => return Ok(None),
            Err(CommitError::TooMany { limit, got }) => {
                return Err(Refusal::StoreLimit { what: "families".to_owned(), limit, got });
            }
        };
        let families = families.iter().zip(metadata).map(|(family, (help, unit))| {
            if let Some(unit) = unit {
                family.set_unit(&unit);
            }
            if help.is_some_and(|help| !family.set_help(&help)) {
                self.parts.metrics.help_changed();
            }
            FamilyUse::begin(family)
        });
        Ok(Some((Arc::new(BatchContext { families: families.collect(), rules, replaced_families }), view)))
    }
}

/// What a push enters into the register.
struct Registration<'a> {
    families: Vec<PlannedFamily>,
    rules: Vec<SeriesRule>,
    replaced_families: Vec<u32>,
    releases: &'a [Arc<Family>],
    pushed: Pushed<'a>,
}

/// A push's families, and the register while they are the newest in it.
type Registered<'r> = (Arc<BatchContext>, View<'r>);
