//! Observations that came as datagrams. Many are taken in as one push; each is taken in whole or not at all, and nobody waits for
//! an answer.

use std::cell::RefCell;

use super::{Ingest, Refusal, Scratch};
use crate::exposition::datagram_decode::DatagramFault;
use crate::model::door::Door;
use crate::model::family::Family;
use crate::model::labels::GroupLabels;
use crate::push::Pushed;

/// Why a datagram is refused; nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum DatagramRefusal {
    /// It could not be read.
    #[error(transparent)]
    Fault(DatagramFault),
    /// What it says was refused.
    #[error(transparent)]
    Push(#[from] Refusal),
}

impl DatagramRefusal {
    /// All reasons.
    pub const REASONS: [&str; 13] = [
        "malformed",
        "undeclared",
        "labels",
        "type_conflict",
        "name_clash",
        "duplicate_series",
        "invalid_sample",
        "owned",
        "store_limit",
        "crowded",
        "shard_full",
        "shard_down",
        "timestamps",
    ];

    /// The word under which it is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fault(DatagramFault::Malformed(_)) => "malformed",
            Self::Fault(DatagramFault::Undeclared(_)) => "undeclared",
            Self::Fault(DatagramFault::Labels(_)) => "labels",
            Self::Push(refusal) => refusal.reason(),
        }
    }
}

impl Ingest {
    /// Takes datagrams in. Returns when the shards have them; `refused` is told of each that they have not.
    pub async fn observe(
        &self,
        datagrams: &[&[u8]],
        scratch: &RefCell<Scratch>,
        mut refused: impl FnMut(DatagramRefusal),
    ) {
        let mut is_read = vec![true; datagrams.len()];
        let outcome = self.observe_together(datagrams, scratch, |index, fault| {
            is_read[index] = false;
            refused(DatagramRefusal::Fault(fault));
        });
        let Err(refusal) = outcome.await else { return };
        if matches!(is_read.iter().filter(|is_read| **is_read).count(), 0 | 1) {
            return refused(refusal.into());
        }
        // Some of them are at fault: each is to be refused for itself alone.
        for (datagram, _) in datagrams.iter().zip(is_read).filter(|(_, is_read)| *is_read) {
            if let Err(refusal) = self.observe_together(&[*datagram], scratch, |_, _| {}).await {
                refused(refusal.into());
            }
        }
    }

    /// Takes all datagrams in that can be read, or none.
    async fn observe_together(
        &self,
        datagrams: &[&[u8]],
        scratch: &RefCell<Scratch>,
        unread: impl FnMut(usize, DatagramFault),
    ) -> Result<(), Refusal> {
        let rules = self.rules();
        self.intake(&mut scratch.borrow_mut()).decode_datagrams(datagrams, &rules, unread);
        let labels = GroupLabels::default();
        let pushed =
            Pushed { door: Door::Aggregate, labels: &labels, lifetime: None, is_released: &Family::binds_nobody };
        let assemble = || {
            let assembled = self.intake(&mut scratch.borrow_mut()).assemble_observations(pushed, &rules)?;
            Ok((assembled, None))
        };
        let outcome = self.merge(assemble, pushed, None).await;
        scratch.borrow_mut().shrink();
        outcome.map(drop)
    }
}
