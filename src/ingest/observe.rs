//! Observations that came as datagrams. Many are taken in as one push; each is taken in whole or not at all, and nobody waits for
//! an answer.

use std::cell::RefCell;

use smallvec::SmallVec;

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
    /// It was refused with the one before, for this reason.
    #[error("refused with the one before")]
    LikeTheLast(&'static str),
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
            Self::LikeTheLast(reason) => reason,
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
        // Together; if some are at fault, in halves, until each of those is found.
        let mut parts: SmallVec<[&[&[u8]]; 8]> = SmallVec::from_elem(datagrams, 1);
        while let Some(part) = parts.pop() {
            let (unread, outcome) = self.observe_together(part, scratch).await;
            match outcome {
                Ok(()) => unread.into_iter().for_each(|(_, fault)| refused(DatagramRefusal::Fault(fault))),
                Err(refusal) if part.len() > 1 && refusal.is_of_the_push() => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(refusal) => {
                    // For want of room, or of a shard: that is nobody's fault, and the same for all.
                    let reason = refusal.reason();
                    let read = part.len() - unread.len();
                    unread.into_iter().for_each(|(_, fault)| refused(DatagramRefusal::Fault(fault)));
                    (read > 0).then(|| refused(refusal.into()));
                    (1..read).for_each(|_| refused(DatagramRefusal::LikeTheLast(reason)));
                }
            }
        }
    }

    /// Takes all datagrams in that can be read, or none. Also returns those that cannot.
    async fn observe_together(
        &self,
        datagrams: &[&[u8]],
        scratch: &RefCell<Scratch>,
    ) -> (Vec<(usize, DatagramFault)>, Result<(), Refusal>) {
        let rules = self.rules();
        let unread = self.intake(&mut scratch.borrow_mut()).decode_datagrams(datagrams, &rules);
        let labels = GroupLabels::default();
        let pushed =
            Pushed { door: Door::Aggregate, labels: &labels, lifetime: None, is_released: &Family::binds_nobody };
        let assemble = || {
            let assembled = self.intake(&mut scratch.borrow_mut()).assemble_observations(pushed, &rules)?;
            Ok((assembled, None))
        };
        let outcome = self.merge(assemble, pushed, None).await;
        scratch.borrow_mut().shrink();
        (unread, outcome.map(drop))
    }
}
