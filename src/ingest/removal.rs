//! What leaves: sources and groups that are deleted or whose time is over, series by selection, everything.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Ingest, Refusal};
use crate::model::labels::GroupLabels;
use crate::selector::Selector;
use crate::shard::owner::Source;
use crate::shard::route::ShardError;
use crate::shard::table::Selection;

impl Ingest {
    /// Removes the aggregated series that carry all these labels. Returns how many.
    ///
    /// # Errors
    /// If a shard is down.
    pub async fn delete_aggregated(&self, labels: &GroupLabels) -> Result<usize, ShardError> {
        let labels = labels.plain().map(|(name, value)| (name.into_owned(), value.into_owned()));
        self.remove(Selection::Aggregated(labels.collect())).await
    }

    /// Removes the series that one of the selectors matches, by whatever door they came. Returns how many.
    ///
    /// # Errors
    /// If a shard is down.
    pub async fn delete_matching(&self, selectors: Vec<Selector>) -> Result<usize, ShardError> {
        self.remove(Selection::Matching(selectors.into())).await
    }

    async fn remove(&self, selection: Selection) -> Result<usize, ShardError> {
        let _one_at_a_time = self.removal.lock().await;
        let removed = self.parts.shards.sweep(&selection).await?;
        self.parts.registry.remove_deserted();
        Ok(removed)
    }

    /// Ends the source of these labels; an unknown one is no error.
    ///
    /// # Errors
    /// If a shard is down.
    pub async fn delete_source(&self, labels: &GroupLabels) -> Result<(), ShardError> {
        if let Some(source) = self.sources.end(&self.source_key(labels)) {
            self.ended().push_back(source);
            self.forget_ended().await?;
            self.parts.registry.remove_deserted();
        }
        Ok(())
    }

    /// Makes the shards forget all sources that have ended. One is on the list until that is done: whoever gives up, another
    /// goes on.
    async fn forget_ended(&self) -> Result<(), ShardError> {
        loop {
            let Some(source) = self.ended().front().cloned() else { return Ok(()) };
            self.parts.shards.forget_source(source.id).await?;
            self.ended().retain(|ended| ended.id != source.id);
        }
    }

    fn ended(&self) -> MutexGuard<'_, VecDeque<Arc<Source>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes everything.
    ///
    /// # Errors
    /// If a shard is down.
    pub async fn wipe(&self) -> Result<(), ShardError> {
        let _turn = self.turn.lock().await;
        self.sources.end_all();
        self.groups.clear();
        let mut outcome = Ok(());
        // No push is being sent meanwhile: each is either wiped whole or not at all.
        self.parts.registry.clear(|| outcome = self.parts.shards.wipe());
        outcome
    }

    /// Removes whose time is over, again and again, until it is dropped.
    pub async fn expire_forever(&self) {
        const INTERVAL: Duration = Duration::from_millis(500);
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Err(error) = self.expire().await {
                // Readiness fails already.
                tracing::debug!(%error, "nothing expires");
            }
        }
    }

    /// Removes series, sources and groups whose time is over.
    async fn expire(&self) -> Result<(), Refusal> {
        const SOURCES_AT_ONCE: usize = 64;
        let mut expired = self.parts.shards.sweep(&Selection::Expired).await?;
        loop {
            let ended = self.sources.end_expired(self.parts.clock.now(), SOURCES_AT_ONCE);
            let count = ended.len();
            expired += count;
            self.ended().extend(ended);
            self.forget_ended().await?;
            if count < SOURCES_AT_ONCE {
                break;
            }
        }
        for entry in self.groups.expired(self.parts.clock.now()) {
            self.delete_expired_group(&entry).await?;
            expired += 1;
        }
        self.parts.metrics.expired(expired);
        self.parts.registry.remove_deserted();
        Ok(())
    }
}
