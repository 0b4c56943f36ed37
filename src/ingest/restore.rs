//! Takes over what a Pushgateway kept in its file: every group as it was, with the times of its last pushes.

use std::cell::RefCell;

use prost::Message;

use super::group::GroupMethod;
use super::{Ingest, Push, Scratch};
use crate::exposition::format::PushFormat;
use crate::exposition::proto::MetricFamily;
use crate::groups::PushTimes;
use crate::model::labels::GroupLabels;
use crate::pushgateway_file::{self, GobError, PersistedGroup};

/// What became of a file's groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Groups that are stored now.
    pub groups: usize,
    /// Groups that were refused: they would have broken the page, or contradict what is stored.
    pub refused: usize,
}

impl Ingest {
    /// Takes the groups of a Pushgateway's file in, one after the other. Groups of the same labels are replaced.
    ///
    /// # Errors
    /// If it is no such file; nothing is taken then.
    pub async fn restore(&self, file: &[u8]) -> Result<Restored, GobError> {
        let scratch = RefCell::new(Scratch::default());
        let mut restored = Restored::default();
        for group in pushgateway_file::read(file)? {
            match self.restore_group(&group, &scratch).await {
                Ok(()) => restored.groups += 1,
                Err(error) => {
                    restored.refused += 1;
                    tracing::warn!(labels = ?group.labels, "a group of the file was refused: {error}");
                }
            }
        }
        Ok(restored)
    }

    async fn restore_group(&self, group: &PersistedGroup<'_>, scratch: &RefCell<Scratch>) -> Result<(), String> {
        let labels = GroupLabels::new(group.labels.iter().cloned()).map_err(|fault| fault.to_string())?;
        let body = group.delimited_body();
        let push = Push { format: PushFormat::Protobuf, body: &body, group: &labels, lifetime: None };
        let time = |name| time(group, name).unwrap_or(0.0);
        let times = PushTimes { push: time("push_time_seconds"), failure: time("push_failure_time_seconds") };
        let method = GroupMethod::Restored(times);
        self.replace(push, method, scratch).await.map_err(|refusal| refusal.to_string())
    }
}

/// The value of one of the group's own gauges.
fn time(group: &PersistedGroup<'_>, name: &str) -> Option<f64> {
    let family = group.families.iter().find(|family| family.name == name)?;
    MetricFamily::decode(family.family).ok()?.metric.first()?.gauge.as_ref()?.value
}
